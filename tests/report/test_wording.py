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


NUMBERING = EN.say("technique.numbering")


def test_the_technique_counts_slices_and_knows_no_earlier_study(document):
    document["series"]["axial"]["stacks"] = 1
    assert wording(document, EN).technique == (
        "Sagittal T2, 3 slices.", "Axial T2, 5 slices in 1 stack.", NUMBERING,
        "Comparison: none; earlier studies are not read.",
    )  # fmt: skip
    document["series"]["axial"] = None
    assert "No axial series." in wording(document, EN).technique


def test_the_technique_says_from_where_levels_are_counted_unless_a_person_counted_or_the_sacrum_is_missing(document):
    renamed = with_review(document, {"vertebrae": [{"level": "S1", "corrected_level": "L6"}]})
    assert NUMBERING not in wording(renamed, EN).technique
    confirmed = with_review(document, {"vertebrae": [{"level": "S1", "corrected_level": "S1"}]})
    assert NUMBERING in wording(confirmed, EN).technique
    document["vertebrae"] = [v for v in document["vertebrae"] if v["level"] != "S1"]
    assert NUMBERING not in wording(document, EN).technique


def test_chinese_uses_the_terms_of_the_field(document):
    words = wording(document, load_texts("zh"))
    assert words.disks[3].sentence == "L4-L5：椎间盘突出（80%）；椎间盘高度 9.1 mm；依据轴位及矢状位图像。"
    assert words.impression == (
        "椎间盘突出：L4-L5（80%）。",
        "椎间盘膨出：L3-L4（71%）、L5-S1（40%）。",
        "椎间盘未见异常：L1-L2（96%）、L2-L3（71%）。",
    )


FOCAL = {"extent_mm": 3.96, "base_mm": 12.34, "arc_deg": 41.0, "zone": "subarticular", "side": "left"}
HERNIATED = {"finding": "herniation", "reach_mm": 4.14, "beyond_rim_deg": 62.0, "focal": FOCAL}


def outline(finding, reach_mm, beyond_rim_deg):
    return {"finding": finding, "reach_mm": reach_mm, "beyond_rim_deg": beyond_rim_deg, "focal": None}


def facts(document, k, texts=EN):
    return dict(wording(document, texts).disks[k].facts)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (outline("normal", -0.3, 0.0), "normal; within the rim all round"),
        (outline("normal", 0.9, 0.0), "normal; up to 0.9 mm beyond the rim"),
        (
            outline("bulge", 3.2, 142.0),
            "bulge; up to 3.2 mm beyond the rim, by more than 1.5 mm over 142° (39%) of the circumference",
        ),
        (outline("bulge", 3.2, 360.0), "bulge; up to 3.2 mm beyond the rim, by more than 1.5 mm all round"),
    ],
    ids=["within", "near", "beyond", "all round"],
)
def test_the_outline_is_said_with_its_reach_and_its_share_of_the_circumference(document, entry, said):
    document["disks"][2]["outline"] = entry
    assert facts(document, 2)["By the outline (machine)"] == said
    assert "Focal part, by the outline" not in facts(document, 2)


def test_a_focal_part_is_said_with_base_extent_zone_and_side(document):
    document["disks"][3]["outline"] = HERNIATED
    assert facts(document, 3)["Focal part, by the outline"] == "base 12.3 mm, extent 4.0 mm; subarticular zone, left"


def test_the_outline_in_chinese(document):
    document["disks"][3]["outline"] = HERNIATED
    said = facts(document, 3, load_texts("zh"))
    assert said["依轮廓（机器）"] == ("椎间盘突出；最多超出椎体边缘 4.1 mm，超出 1.5 mm 以上的范围为圆周的 62°（17%）")
    assert said["局限性移位部分（依轮廓）"] == "基底宽 12.3 mm，突出距离 4.0 mm；关节突下区，左侧"


def test_what_an_outline_is_worth_is_told_where_there_is_one(document):
    assert not any("phantoms" in term for term in wording(document, EN).terms)
    document["disks"][3]["outline"] = HERNIATED
    assert "digital phantoms alone" in wording(document, EN).terms[-1]


def test_an_outline_that_disagrees_is_told_beside_the_finding(document):
    document["disks"][3] |= {"outline": outline("bulge", 3.2, 142.0), "flags": ["outline_disagrees"]}
    (remark,) = wording(document, EN).disks[3].remarks
    assert remark.startswith("By the definition, the outline that the machine sees")
    (remark,) = wording(document, load_texts("zh")).disks[3].remarks
    assert remark.startswith("机器在轴位图像上识别的轮廓")
    assert sentence(document, 3).startswith("L4-L5: herniation (80%)")


def test_grade_and_height_index_are_said_with_what_they_are_of(document):
    document["disks"][0] |= {"pfirrmann": 3, "measurements": {"height_index": 0.314}}
    said = facts(document, 0)
    assert said["Pfirrmann grade (machine)"] == "3 of 5" and said["Height index"] == "31% of the body above"
    said = facts(document, 0, load_texts("zh"))
    assert said["Pfirrmann 分级（机器）"] == "3 级（共 5 级）" and said["高度指数"] == "为上位椎体高度的 31%"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"slip_share": 0.02, "slip_mm": 0.7}, "none measurable"),
        ({"slip_share": 0.12, "slip_mm": 4.2}, "4.2 mm forward (12% of the body below)"),
        ({"slip_share": -0.12, "slip_mm": -4.2}, "4.2 mm backward (12% of the body below)"),
        ({"slip_share": 0.12}, "12% of the body below, forward"),
        ({"slip_share": -0.12}, "12% of the body below, backward"),
    ],
)
def test_a_slip_is_said_by_its_way_and_only_from_what_can_be_measured(document, values, said):
    document["disks"][3]["measurements"] = values
    assert facts(document, 3)["Slip of the body above"] == said


def test_a_set_of_more_than_one_finding_is_said(document):
    document["disks"][4]["prediction_set"] = ["normal", "bulge"]
    assert facts(document, 4)["Not ruled out"] == "normal and bulge"
    assert facts(document, 4, load_texts("zh"))["不能排除"] == "椎间盘正常、椎间盘膨出"
    document["disks"][4]["prediction_set"] = ["bulge"]
    assert "Not ruled out" not in facts(document, 4)


def test_lordosis_is_said_in_whole_degrees(document):
    document["measurements"] = {"lordosis_deg": 47.6}
    assert wording(document, EN).measurements == ("Lordosis L1-S1: 48°.",)
    assert wording(document, load_texts("zh")).measurements == ("腰椎前凸角 L1-S1：48°。",)


def test_a_document_of_an_older_version_is_said_without_what_it_lacks(document):
    for disk in document["disks"]:
        for key in ("outline", "pfirrmann", "prediction_set", "measurements"):
            disk.pop(key)
    del document["measurements"]
    assert wording(document, EN).measurements == ()
    assert set(facts(document, 3)) == {"Height", "Axial slices", "Best axial slice"}


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
