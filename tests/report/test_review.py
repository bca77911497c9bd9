from __future__ import annotations

import copy
import json

import pytest

from bundle.report import ReportError
from bundle.report.document import build, validate
from bundle.report.review import check, empty_review, final_reading, with_review, without_review

SIGNED = {"status": "final", "reader": "A. Reader", "signed_at": "2026-11-25T10:00:00+00:00"}


@pytest.fixture
def document(reading):
    return build(*reading.parts)


def renamed(document, **names):
    return with_review(document, {"vertebrae": [{"level": k, "corrected_level": v} for k, v in names.items()]})


def test_a_document_without_a_review_is_the_machine_s(document):
    final = final_reading(document)
    assert final.status == "machine" and not final.signed
    assert [d.finding for d in final.disks] == [d["finding"] for d in document["disks"]]
    assert [d.level for d in final.disks] == [d["level"] for d in document["disks"]]
    assert not any(d.by_person or d.changed or d.renamed or d.confirmed for d in final.disks)


def test_an_empty_review_says_nothing(document):
    reviewed = with_review(document, {})
    assert reviewed["review"] == empty_review(document)
    assert reviewed["schema_version"] == document["schema_version"] == "1.3" and "review" not in document
    assert final_reading(reviewed).status == "draft"
    assert final_reading(reviewed).disks == final_reading(document).disks
    assert without_review(reviewed) == document


def test_a_person_s_word_stands_beside_the_machine_s_and_comes_first(document):
    changes = {"disks": [{"level": "L4-L5", "finding": "normal", "comment": "Only a bulge of fat."}]}
    reviewed = with_review(document, changes)
    assert reviewed["disks"] == document["disks"]
    disk = final_reading(reviewed).disks[3]
    assert (disk.finding, disk.machine_finding, disk.changed, disk.by_person) == ("normal", "herniation", True, True)
    assert disk.comment == "Only a bulge of fat."


def test_changes_add_up_and_agreeing_is_no_change(document):
    first = with_review(document, {"disks": [{"level": "L4-L5", "finding": "herniation"}]})
    second = with_review(first, {"comment": "Two\r\nlines", "disks": [{"level": "L1-L2", "confirmed": True}]})
    final = final_reading(second)
    assert final.comment == "Two\nlines" and final.disks[0].confirmed and not final.disks[0].by_person
    assert final.disks[3].by_person and not final.disks[3].changed
    assert "Two" not in json.dumps(first)


def test_a_person_can_judge_a_disk_that_the_machine_could_not(document):
    document["disks"][0] |= {"finding": None, "probabilities": None, "flags": ["no_view"]}
    disk = final_reading(with_review(document, {"disks": [{"level": "L1-L2", "finding": "bulge"}]})).disks[0]
    assert (disk.finding, disk.machine_finding, disk.changed) == ("bulge", None, True)


def test_names_of_vertebrae_carry_the_disks_with_them(document):
    up = dict(zip(("L1", "L2", "L3", "L4", "L5", "S1"), ("T12", "L1", "L2", "L3", "L4", "L5"), strict=True))
    final = final_reading(renamed(document, **up))
    assert [d.level for d in final.disks] == ["T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5"]
    assert [d.machine_level for d in final.disks] == [d["level"] for d in document["disks"]]
    assert all(d.renamed and not d.changed for d in final.disks)


def test_a_sixth_lumbar_vertebra(document):
    six = {"L1": "L2", "L2": "L3", "L3": "L4", "L4": "L5", "L5": "L6"}
    levels = [d.level for d in final_reading(renamed(document, **six)).disks]
    assert levels == ["L2-L3", "L3-L4", "L4-L5", "L5-L6", "L6-S1"]


def test_a_vertebra_that_was_not_found_goes_with_its_neighbour(document):
    document["vertebrae"] = [v for v in document["vertebrae"] if v["level"] not in ("L1", "L2")]
    levels = [d.level for d in final_reading(renamed(document, L3="L2", L4="L3", L5="L4", S1="L5")).disks]
    assert levels == ["T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5"]
    document["vertebrae"] = []
    assert final_reading(with_review(document, {})).disks[0].level == "L1-L2"


def test_a_signed_review_is_final_until_it_is_reopened(document):
    signed = with_review(document, SIGNED)
    assert final_reading(signed).signed and final_reading(signed).reader == "A. Reader"
    with pytest.raises(ReportError, match="signed"):
        with_review(signed, {"comment": "late"})
    reopened = with_review(signed, {"status": "draft", "comment": "late"})
    assert reopened["review"]["signed_at"] is None and not final_reading(reopened).signed


def test_names_may_be_wrong_on_the_way_but_not_when_signed(document):
    halfway = renamed(document, L4="L5")
    with pytest.raises(ReportError, match="cannot both be L5"):
        with_review(halfway, SIGNED)
    with pytest.raises(ReportError, match="L1 cannot lie below L4"):
        with_review(renamed(document, L5="L1"), SIGNED)


@pytest.mark.parametrize(
    "changes",
    [
        {"patient": "x"},
        {"status": "amended"},
        {"status": "final"},
        {"status": "final", "reader": "", "signed_at": SIGNED["signed_at"]},
        SIGNED | {"signed_at": "2026-11-25"},
        SIGNED | {"signed_at": "2026-13-25T10:00:00Z"},
        SIGNED | {"reader": "two\nlines"},
        {"comment": "bell \x07"},
        {"comment": 7},
        {"comment": "x" * 4001},
        {"disks": [{"level": "L9-L9", "finding": "bulge"}]},
        {"disks": [{"level": "L4-L5", "finding": "protrusion"}]},
        {"disks": [{"level": "L4-L5", "note": ""}]},
        {"disks": {"L4-L5": "bulge"}},
        {"disks": ["L4-L5"]},
        {"vertebrae": [{"level": "L4", "corrected_level": "C7"}]},
        {"vertebrae": [{"level": "T4"}]},
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(document, changes):
    before = copy.deepcopy(document)
    with pytest.raises(ReportError) as error:
        with_review(document, changes)
    assert "\n" not in str(error.value) and document == before


def test_a_review_of_another_reading_is_refused(document):
    reviewed = with_review(document, {})
    reviewed["review"]["vertebrae"].pop()
    validate(reviewed)
    with pytest.raises(ReportError, match="vertebrae are not those"):
        check(reviewed)


def test_older_documents_keep_their_version_with_and_without_a_review(document):
    older = {**document, "schema_version": "1.0"}
    reviewed = with_review(older, {})
    assert reviewed["schema_version"] == "1.1"
    assert without_review(reviewed) == older


def test_an_older_version_tells_whether_there_is_a_review(document):
    for wrong in ({**document, "schema_version": "1.1"}, {**with_review(document, {}), "schema_version": "1.0"}):
        with pytest.raises(ReportError, match="schema_version"):
            validate(wrong)


def test_what_no_file_can_hold_is_replaced(document):
    assert with_review(document, {"comment": "a\ud800b"})["review"]["comment"] == "a?b"
