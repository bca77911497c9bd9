from __future__ import annotations

import pytest

from bundle.report.evidence import find_evidence
from bundle.report.overlay import Mark, marked_images, placed_px, shown_images
from bundle.report.review import with_review
from tests.report.dicoms import REVIEW


@pytest.fixture(scope="module")
def evidence(sample_reading):
    return find_evidence(sample_reading.document, [sample_reading.source])


def test_the_middle_sagittal_image_and_one_axial_image_a_disk_are_shown(sample_reading, evidence):
    document = sample_reading.document
    shown = shown_images(document, evidence)
    assert list(shown) == ["sagittal", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
    for disk in document["disks"]:
        assert shown[disk["level"]].place.uid == disk["rois"]["axial"]["sop_instance_uid"]
    names = {mark.words for mark in shown["sagittal"].marks if mark.layer == "VERTEBRAE"}
    assert {"L1", "L2", "L3", "L4", "L5", "S1"} <= names
    assert shown["sagittal"].place.distance_mm(document["vertebrae"][3]["center_lps_mm"]) < 3


def test_findings_stand_behind_their_disks_on_sagittal_images(sample_reading, evidence):
    place, marks = (lambda image: (image.place, image.marks))(shown_images(sample_reading.document, evidence)["sagittal"])
    for disk in sample_reading.document["disks"]:
        (mark,) = [m for m in marks if m.layer == "DISKS" and m.words.startswith(disk["level"])]
        column, row = place.plane.to_pixel(disk["center_lps_mm"]) + 0.5
        assert mark.at[0] > column + 20 and abs(mark.at[1] - row) < 2 and mark.align == "left"


def test_words_say_level_finding_and_probability_or_whose_word_it_is(sample_reading, evidence):
    document = sample_reading.document
    shown = shown_images(document, evidence)
    words = {level: [m.words for m in shown[level].marks] for level in ("L3-L4", "L4-L5")}
    share = document["disks"][2]["probabilities"][document["disks"][2]["finding"]]
    expected = f"{round(share * 100)}%" if share < 0.995 else ">99%"
    assert words["L3-L4"] == [f"L3-L4 {document['disks'][2]['finding'].capitalize()} {expected}"]
    reviewed = shown_images(with_review(document, REVIEW), evidence)
    assert [m.words for m in reviewed["L4-L5"].marks] == ["L4-L5 Normal (by the reader)"]


def test_without_an_axial_roi_a_disk_has_its_words_on_the_sagittal_image_and_no_outline(sample_reading, evidence):
    document = sample_reading.document
    for disk in document["disks"]:
        disk["rois"]["axial"] = None
    shown = shown_images(document, evidence)
    assert list(shown) == ["sagittal"]
    disks = [mark for mark in shown["sagittal"].marks if mark.layer == "DISKS"]
    assert len(disks) == 5 and all(mark.outline is None for mark in disks)


def test_slices_that_belong_to_no_disk_are_not_marked(sample_reading, evidence):
    document = sample_reading.document
    marked = {image.place.uid for image in marked_images(document, evidence)}
    none = [s["sop_instance_uid"] for s in document["axial_slices"] if s["level"] is None]
    assert none and not marked & set(none)


@pytest.mark.parametrize(
    ("at", "align", "expected"),
    [
        ((50, 50), "center", (40, 47.5, 60, 52.5)),
        ((50, 50), "left", (50, 47.5, 70, 52.5)),
        ((50, 50), "right", (30, 47.5, 50, 52.5)),
        ((99, 0), "left", (80, 0, 100, 5)),
        ((1, 99), "right", (0, 95, 20, 100)),
    ],
)
def test_words_are_pushed_inside_the_image(at, align, expected):
    assert placed_px(Mark("DISKS", "words", at, align), (20, 5), (100, 100)) == expected
