from __future__ import annotations

import pytest

from bundle.report.document import build
from bundle.report.review import with_review
from bundle.report.texts import load_texts
from bundle.report.wording import listed, percent, wording

EN = load_texts("en")
SIGNED = {"status": "final", "reader": "A. Reader", "signed_at": "2026-11-25T10:05:00+08:00"}


@pytest.fixture
def document(reading):
    document = build(*reading.parts)
    for disk, height_mm in zip(document["disks"], (8.0, 9.0, 10.0, 9.1, 8.5), strict=True):
        disk["height_mm"] = height_mm
    return document


def sentence(document, k, texts=EN):
    return wording(document, texts).disks[k].sentence


def test_a_level_is_said_in_one_sentence(document):
    assert sentence(document, 3) == "L4-L5: herniation (80%); disk height 9.1 mm; seen on axial and sagittal images."


def test_the_impression_says_the_worst_first_and_every_level_once(document):
    assert wording(document, EN).impression == (
        "Herniation at L4-L5 (80%).",
        "Bulge at L3-L4 (71%) and L5-S1 (40%).",
        "Normal at L1-L2 (96%) and L2-L3 (71%).",
    )


def test_a_finding_that_is_almost_as_probable_is_said(document):
    document["disks"][4]["probabilities"] = {"normal": 0.3, "bulge": 0.4, "herniation": 0.301}
    assert "bulge (40%); herniation is almost as probable (30%); disk height" in sentence(document, 4)
    document["disks"][4]["probabilities"]["herniation"] = 0.299
    assert "almost" not in sentence(document, 4)


def test_a_disk_is_only_called_lower_where_it_can_be_told(document):
    heights = [10.0, 10.0, 6.5, 10.5, 4.0]
    for disk, height_mm in zip(document["disks"], heights, strict=True):
        disk["height_mm"] = height_mm
    assert "disk height 6.5 mm; lower than the disks above and below by at least 3.5 mm" in sentence(document, 2)
    assert not any("lower" in sentence(document, k) for k in (0, 1, 3, 4))
    document["disks"][2]["height_mm"] = 6.6
    assert "lower" not in sentence(document, 2)
    document["disks"][1]["height_mm"] = None
    assert "lower" not in sentence(document, 2)


def test_a_disk_that_was_not_judged(document):
    document["disks"][0] |= {"finding": None, "probabilities": None, "views": [], "height_mm": None, "flags": ["no_view"]}
    words = wording(document, EN)
    assert words.impression[-1] == "Not judged: L1-L2."
    assert words.disks[0].sentence == "L1-L2: not judged."
    assert words.disks[0].remarks == ("No image shows this disk.",) and not words.disks[0].bars


def test_both_words_are_said_where_a_person_finds_something_else(document):
    words = wording(with_review(document, {"disks": [{"level": "L3-L4", "finding": "herniation"}]}), EN)
    assert words.disks[2].sentence.startswith("L3-L4: herniation (reader's finding; machine: bulge, 71%); disk height")
    assert words.disks[2].person == ("Reader: herniation. Machine: bulge, 71%.",)
    assert words.disks[2].mark == "●" and [bar.name for bar in words.disks[2].bars if bar.best] == ["bulge"]
    assert words.impression[0] == ("Herniation at L3-L4 (reader's finding; machine: bulge, 71%) and L4-L5 (80%).")


def test_a_person_judges_what_the_machine_could_not(document):
    document["disks"][0] |= {"finding": None, "probabilities": None, "views": [], "flags": ["no_view"]}
    words = wording(with_review(document, {"disks": [{"level": "L1-L2", "finding": "bulge"}]}), EN)
    assert words.disks[0].sentence.startswith("L1-L2: bulge (reader's finding; machine: not judged)")


def test_who_said_what_when_is_told(document):
    assert wording(document, EN).status == "Automated reading, not reviewed"
    assert wording(with_review(document, {}), EN).status == "Review in progress, not signed"
    assert wording(with_review(document, {"reader": "B"}), EN).status == "Review in progress by B, not signed"
    signed = with_review(document, SIGNED | {"comment": "Seen.", "disks": [{"level": "L1-L2", "confirmed": True}]})
    words = wording(signed, EN)
    assert words.status == "Reviewed and signed by A. Reader, 2026-11-25 10:05 UTC+08:00"
    assert "A. Reader has reviewed it" in words.notice_detail and words.notice == "Not for diagnostic use"
    assert words.comment == "Seen."
    assert words.disks[0].person == ("Confirmed by the reader.",)
    assert words.disks[1].person == ("Not confirmed by the reader: this is the machine's word.",)
    assert "L1-L2 (96%, confirmed by the reader)" in words.impression[-1]


def test_a_name_as_dicom_writes_it_is_shown_as_people_do(document):
    assert wording(with_review(document, {"reader": "Li^Ming"}), EN).status.endswith("by Li Ming, not signed")


def test_new_names_are_explained(document):
    up = dict(zip(("L1", "L2", "L3", "L4", "L5", "S1"), ("T12", "L1", "L2", "L3", "L4", "L5"), strict=True))
    renamed = with_review(document, {"vertebrae": [{"level": k, "corrected_level": v} for k, v in up.items()]})
    words = wording(renamed, EN)
    assert words.remarks[0].startswith("The reader changed the names of vertebrae: L1 is T12, L2 is L1,")
    assert (words.disks[3].key, words.disks[3].level) == ("L4-L5", "L3-L4")
    assert words.disks[3].person == ("The machine named this level L4-L5.",)


def test_the_technique_counts_slices_and_knows_no_earlier_study(document):
    document["series"]["axial"]["stacks"] = 1
    assert wording(document, EN).technique == (
        "Sagittal T2, 3 slices.", "Axial T2, 5 slices in 1 stack.", "Comparison: none; earlier studies are not read.",
    )  # fmt: skip
    document["series"]["axial"] = None
    assert "No axial series." in wording(document, EN).technique


def test_chinese_uses_the_terms_of_the_field(document):
    words = wording(document, load_texts("zh"))
    assert words.disks[3].sentence == "L4-L5：椎间盘突出（80%）；椎间盘高度 9.1 mm；依据轴位及矢状位图像。"
    assert words.impression == (
        "椎间盘突出：L4-L5（80%）。",
        "椎间盘膨出：L3-L4（71%）、L5-S1（40%）。",
        "椎间盘未见异常：L1-L2（96%）、L2-L3（71%）。",
    )


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "<1%"), (0.0049, "<1%"), (0.0051, "1%"), (0.5, "50%"), (0.994, "99%"), (0.9951, ">99%")]
)
def test_nothing_is_certain(share, words):
    assert percent(share, EN) == words


@pytest.mark.parametrize(
    ("parts", "words"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists(parts, words):
    assert listed(parts, EN) == words
