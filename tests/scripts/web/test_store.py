from __future__ import annotations

import sqlite3

import pytest

from scripts.web.review import findings_of
from scripts.web.store import Conflict, Store, StoreError
from tests.scripts.web.serving import document


def ids(found):
    return [row["id"] for row in found["studies"]]


def test_the_newest_study_comes_first_and_its_id_says_nothing(web, add):
    first, second = add("d1", "1.2.3"), add("d2", "1.2.4")
    assert ids(web.store.studies()) == [second, first]
    assert len(first) == 20 and set(first) <= set("0123456789abcdef")
    assert ids(web.store.studies(offset=1, limit=1)) == [first] and web.store.studies(limit=1)["total"] == 2


@pytest.mark.parametrize("query", ["müller", "MÜLLER", "eva mül", "mül eva", "p-77", "2024-03", "1.2.9", "knie"])
def test_studies_are_found_by_every_word_that_the_list_shows(web, add, query):
    add("d1", "1.2.3")
    patient = {"name": "Müller, Eva", "id": "P-77", "birth_date": "", "sex": ""}
    wanted = add("d2", "1.2.9", patient=patient, study_date="2024-03-01", description="Knie oder LWS")
    assert ids(web.store.studies(query)) == [wanted]


@pytest.mark.parametrize("query", ["%", "_pine", "' OR 1=1 --", "\\", "spine nobody"])
def test_signs_of_the_query_language_are_letters(web, add, query):
    add()
    assert ids(web.store.studies(query)) == []


def test_studies_are_found_by_state(web, add):
    failed, queued = add("d1"), add("d2")
    web.store.set_study(failed, state="failed", message="no images")
    assert ids(web.store.studies(states=["failed"])) == [failed]
    assert ids(web.store.studies(states=["queued", "reading"])) == [queued]


def test_the_same_digest_is_the_same_study(web, add):
    again = web.store.add("d1", "1.2.3", {}, lambda study: None) if add() else None
    assert again["duplicate"] and web.store.studies()["total"] == 1


def test_a_study_whose_files_cannot_be_laid_down_is_not_there(web):
    from tests.scripts.web.conftest import FACTS

    def full(study):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        web.store.add("d1", "1.2.3", FACTS, full)
    assert web.store.studies()["total"] == 0


def test_what_was_interrupted_is_queued_again_in_its_turn(web, add):
    first, second = add("d1"), add("d2")
    web.store.set_study(first, state="reading", step="disks", progress=0.7)
    web.store.queue_interrupted()
    row = web.store.next_queued()
    assert (row["id"], row["step"], row["progress"]) == (first, "", 0)
    assert web.store.ahead(web.store.study(second)["queue_number"]) == 1


def test_only_a_failed_study_is_queued_again_and_then_at_the_end(web, add):
    first, second = add("d1"), add("d2")
    assert not web.store.queue_again(first)
    web.store.set_study(first, state="failed", attempts=2)
    assert web.store.queue_again(first)
    assert web.store.next_queued()["id"] == second and web.store.study(first)["attempts"] == 0


def test_a_signed_report_cannot_be_changed_even_by_a_mistake_in_the_server(web, add):
    study = add()
    web.store.start_report(study, document(), findings_of(document()))
    web.store.change_report(study, 0, document(), {}, "A", [("signed", None, "now")], signed=True)
    with pytest.raises(Conflict, match="signed"):
        web.store.change_report(study, 1, document(), {}, "A", [])
    with pytest.raises(sqlite3.IntegrityError, match="never changed"):
        web.store._db.execute("UPDATE reports SET document = '{}'")


@pytest.mark.parametrize("statement", ["UPDATE log SET who = 'nobody'", "DELETE FROM log"])
def test_the_log_cannot_be_changed_or_shortened(web, add, statement):
    web.store.log(add(), "A", [("comment", None, "word")])
    with pytest.raises(sqlite3.IntegrityError, match="only added to"):
        web.store._db.execute(statement)


def test_a_change_that_fails_leaves_report_list_and_log_alone(web, add):
    study = add()
    web.store.start_report(study, document(), {"L1-L2": "normal"})
    with pytest.raises(sqlite3.Error):
        web.store.change_report(study, 0, {"flags": []}, {"L1-L2": "bulge"}, "A", [("what", "too", "many", "words")])
    assert web.store.report(study)["revision"] == 0 and web.store.study(study)["findings"] == {"L1-L2": "normal"}
    assert web.store.log_of(study) == []


def test_a_deleted_study_leaves_its_log_and_no_name(web, add):
    study = add(description="Geheimnis")
    web.store.start_report(study, document(), {})
    web.store.delete(study)
    assert web.store.study(study) is None and web.store.report(study) is None
    assert [line["what"] for line in web.store.log_of(study)] == ["deleted"]
    web.store.close()
    assert b"Geheimnis" not in b"".join(p.read_bytes() for p in web.places.root.glob("page.sqlite*"))


def test_a_file_of_something_else_is_no_work_list(tmp_path):
    (tmp_path / "page.sqlite").write_text("no database at all, but long enough to be taken for one by its size")
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path / "page.sqlite")
