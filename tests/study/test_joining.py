"""Axial slices filed disk by disk."""

import numpy as np
import pytest

from bundle.study import StudyReader
from tests.study.dicoms import SAGITTAL, T1, T2, planes, write

HEIGHTS = (60.0, 25.0, -10.0, -45.0, -80.0)
SMALL = {"shape": (20, 20), "spacing": (8.0, 8.0)}


def at_disk(height, tilt_deg=0.0, count=4):
    """Axial planes around a place on the body's axis."""
    tilt = np.radians(tilt_deg)
    ways = ((1.0, 0.0, 0.0), (0.0, np.cos(tilt), -np.sin(tilt)))
    middle = planes(ways, 1, **SMALL)[0].center_lps_mm
    normal = np.cross(*ways)
    return planes(ways, count, start=np.array([0, 0, height]) - middle - (count - 1) * 2 * normal, **SMALL)


@pytest.fixture
def disk_by_disk(tmp_path):
    """A study whose five axial stacks are five series."""
    write(tmp_path, planes(SAGITTAL, 7, start=(-12, -110, 120)), series="sag", **T2)
    for number, height in enumerate(HEIGHTS):
        count = 5 if number == 2 else 4
        write(tmp_path, at_disk(height, 6 * number, count), first=50 + 10 * number, series=f"disk{number}", **T2)
    return tmp_path


def read(path):
    return StudyReader()(path)


def numbers(series):
    return {int(image.load_pixels()[0, 0]) for image in series.images}


def test_series_of_one_disk_each_are_read_as_one_of_several_stacks(disk_by_disk):
    axial = read(disk_by_disk).axial
    assert [len(stack) for stack in axial.stacks] == [4, 4, 5, 4, 4]
    assert sorted(k for stack in axial.stacks for k in stack) == list(range(21))
    heights = [axial.images[stack[0]].plane.center_lps_mm[2] for stack in axial.stacks]
    assert heights == sorted(heights, reverse=True)


def test_joined_series_go_by_the_uid_of_the_one_that_was_chosen(disk_by_disk):
    study = read(disk_by_disk)
    chosen = next(s for s in study.series if len(s.images) == 5)
    assert study.axial.series_instance_uid == chosen.series_instance_uid


def test_joining_is_flagged_and_told(disk_by_disk):
    study = read(disk_by_disk)
    assert study.flags == ("axial_series_joined",)
    assert study.reasons["axial"] == (
        "axial by the position of its slices, T2 by echo time 100 ms and repetition time 3500 ms; "
        "read together with 4 other series of other heights."
    )


def test_the_study_still_lists_the_series_as_they_were_filed(disk_by_disk):
    assert sorted(len(s.images) for s in read(disk_by_disk).series if s.orientation == "axial") == [4, 4, 4, 4, 5]


def test_frames_of_reference_that_differ_among_joined_series_are_flagged(disk_by_disk):
    write(disk_by_disk, at_disk(95.0), first=200, series="disk9", FrameOfReferenceUID="1.2.3", **T2)
    assert "frame_of_reference_differs" in read(disk_by_disk).flags


def test_another_contrast_is_not_joined(disk_by_disk):
    write(disk_by_disk, at_disk(95.0), first=200, series="t1", **T1)
    assert not numbers(read(disk_by_disk).axial) & set(range(200, 204))


def test_a_second_series_of_the_same_disk_is_not_joined(disk_by_disk):
    write(disk_by_disk, at_disk(HEIGHTS[0] + 1), first=200, series="again", **T2)
    axial = read(disk_by_disk).axial
    assert [len(stack) for stack in axial.stacks] == [4, 4, 5, 4, 4]


def test_a_series_that_covers_the_spine_is_not_joined_to_a_block_beside_it(tmp_path):
    write(tmp_path, planes(SAGITTAL, 7, start=(-12, -110, 120)), series="sag", **T2)
    write(tmp_path, at_disk(-20.0, count=30), first=50, series="whole", **T2)
    write(tmp_path, at_disk(80.0), first=100, series="block", **T2)
    study = read(tmp_path)
    assert numbers(study.axial) == set(range(50, 80))
    assert "axial_series_joined" not in study.flags


def test_a_series_that_names_another_part_of_the_body_is_not_joined(disk_by_disk):
    write(disk_by_disk, at_disk(95.0), first=200, series="other", SeriesDescription="T2 AX T-SPINE", **T2)
    assert not numbers(read(disk_by_disk).axial) & set(range(200, 204))
