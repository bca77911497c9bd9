"""A view that is missing, cut from an isotropic series."""

import numpy as np
import pytest

from bundle.study import StudyError, StudyReader
from bundle.study.reformat import reformatted
from bundle.study.series import SeriesFacts
from tests.study.dicoms import AXIAL, CORONAL, SAGITTAL, T1, T2, planes, write, write_volume

# A brightness that tells the place: it grows along each of the patient's axes by another amount.
SLOPES = np.array([7.0, 5.0, 3.0])
SHAPE = (60, 50)
START = {"sagittal": (-28.0, -25.0, 30.0), "axial": (-25.0, -30.0, -28.0), "coronal": (-25.0, -28.0, 30.0)}
WAYS = {"sagittal": SAGITTAL, "axial": AXIAL, "coronal": CORONAL}


def brightness(points):
    return 1500 + points @ SLOPES


def volume(folder, view, count=45, step=1.2, spacing=(1.0, 1.0), series="volume", **tags):
    on = planes(WAYS[view], count, step, START[view], SHAPE, spacing)
    write_volume(folder, on, brightness, series=series, **(tags or T2))
    return on


def read(path):
    return StudyReader()(path)


def assert_brightness_is_that_of_the_place(series):
    """Away from the edges, where the volume ends."""
    for image in series.images[1:-1]:
        pixels = image.load_pixels()
        assert pixels.shape == image.shape
        rows, columns = np.mgrid[5 : image.shape[0] - 5, 5 : image.shape[1] - 5]
        expected = brightness(image.plane.to_patient(np.stack([columns, rows], axis=-1)))
        np.testing.assert_allclose(pixels[rows, columns], expected, atol=1.0)


def test_axial_images_are_cut_from_a_sagittal_volume(tmp_path):
    volume(tmp_path, "sagittal")
    study = read(tmp_path)
    assert study.axial.orientation == "axial"
    assert_brightness_is_that_of_the_place(study.axial)


def test_axial_cuts_lie_as_axial_images_do(tmp_path):
    volume(tmp_path, "sagittal")
    axial = read(tmp_path).axial
    for image in axial.images:
        np.testing.assert_allclose(image.plane.row_direction, [1, 0, 0], atol=1e-6)
        np.testing.assert_allclose(image.plane.column_direction, [0, 1, 0], atol=1e-6)
    heights = [image.plane.center_lps_mm[2] for image in axial.images]
    np.testing.assert_allclose(np.diff(heights), -3.0)
    assert axial.stacks == (tuple(range(len(axial.images))),)
    assert heights[0] > 20 and heights[-1] < -20  # the volume reaches from 30 to -29


def test_a_reformatted_series_is_flagged_and_its_reason_told(tmp_path):
    volume(tmp_path, "sagittal")
    study = read(tmp_path)
    assert study.flags == ("axial_reformatted",)
    assert study.reasons["axial"] == (
        "axial by reformatting: cut every 3 mm from a sagittal 3-D series "
        "(T2 by echo time 100 ms and repetition time 3500 ms); there is no axial series."
    )


def test_cuts_are_named_after_the_series_they_come_from(tmp_path):
    volume(tmp_path, "sagittal")
    study = read(tmp_path)
    uid = study.sagittal.series_instance_uid
    assert study.axial.series_instance_uid == uid
    assert [image.sop_instance_uid for image in study.axial.images[:2]] == [f"{uid}#axial-1", f"{uid}#axial-2"]


@pytest.mark.parametrize("source", ["axial", "coronal"])
def test_sagittal_images_are_cut_from_a_volume_of_another_view(tmp_path, source):
    volume(tmp_path, source)
    study = read(tmp_path)
    assert "sagittal_reformatted" in study.flags
    assert_brightness_is_that_of_the_place(study.sagittal)
    lefts = [image.plane.center_lps_mm[0] for image in study.sagittal.images]
    np.testing.assert_allclose(np.diff(lefts), 4.0)
    assert all(image.plane.column_direction[2] == pytest.approx(-1) for image in study.sagittal.images)


def test_both_views_are_cut_from_a_coronal_volume(tmp_path):
    volume(tmp_path, "coronal")
    study = read(tmp_path)
    assert study.flags == ("axial_reformatted", "sagittal_reformatted")
    assert_brightness_is_that_of_the_place(study.axial)


def test_cuts_of_a_tilted_volume_follow_its_own_axes(tmp_path):
    angle = np.radians(15)
    down = (np.sin(angle), 0.0, -np.cos(angle))  # the patient leans to the left
    on = planes(((0.0, 1.0, 0.0), down), 45, 1.2, START["sagittal"], SHAPE, (1.0, 1.0))
    write_volume(tmp_path, on, brightness, **T2)
    axial = read(tmp_path).axial
    for image in axial.images:
        assert abs(image.plane.normal @ down) == pytest.approx(1, abs=1e-5)
    assert_brightness_is_that_of_the_place(axial)


def test_a_feet_first_volume_is_cut_from_head_to_feet(tmp_path):
    up = ((0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
    write_volume(tmp_path, planes(up, 45, 1.2, (-28.0, 25.0, -30.0), SHAPE, (1.0, 1.0)), brightness, **T2)
    axial = read(tmp_path).axial
    assert axial.images[0].plane.center_lps_mm[2] > axial.images[-1].plane.center_lps_mm[2]
    assert_brightness_is_that_of_the_place(axial)


def test_an_axial_series_of_its_own_is_read_and_nothing_cut(tmp_path):
    volume(tmp_path, "sagittal")
    write(tmp_path, planes(AXIAL, 6), first=100, series="ax", **T2)
    study = read(tmp_path)
    assert len(study.axial.images) == 6
    assert study.flags == ()


def test_the_sagittal_series_that_is_read_is_cut_before_others(tmp_path):
    volume(tmp_path / "t1", "sagittal", count=60, series="t1", **T1)
    volume(tmp_path / "t2", "sagittal", series="t2", **T2)
    study = read(tmp_path)
    assert study.axial.series_instance_uid == study.sagittal.series_instance_uid
    assert study.axial.weighting == "T2"


def test_a_volume_is_cut_though_a_series_of_thick_slices_is_read(tmp_path):
    write(tmp_path, planes(SAGITTAL, 7), first=100, series="thick", **T2)
    volume(tmp_path, "sagittal", **T1)
    study = read(tmp_path)
    assert (study.sagittal.weighting, study.axial.weighting) == ("T2", "T1")
    assert set(study.flags) == {"axial_not_t2", "axial_reformatted"}


@pytest.mark.parametrize(
    "other", [{"count": 29}, {"step": 1.7}, {"spacing": (0.6, 0.6)}], ids=["few slices", "thick slices", "long voxels"]
)
def test_slices_that_are_no_isotropic_volume_are_not_cut(tmp_path, other):
    volume(tmp_path, "sagittal", **other, **T2)
    study = read(tmp_path)
    assert study.axial is None
    assert "no_axial_series" in study.flags


def test_a_volume_with_a_slice_missing_is_not_cut(tmp_path):
    on = planes(SAGITTAL, 45, 1.2, START["sagittal"], SHAPE, (1.0, 1.0))
    write_volume(tmp_path, [*on[:20], *on[21:]], brightness, **T2)
    study = read(tmp_path)
    assert study.axial is None
    assert "slices_missing" in study.flags


def test_a_thick_axial_series_alone_still_has_no_sagittal_view(tmp_path):
    write(tmp_path, planes(AXIAL, 40), **T2)
    with pytest.raises(StudyError, match="no sagittal series"):
        read(tmp_path)


def test_what_cannot_be_cut_is_refused(tmp_path):
    write(tmp_path, planes(SAGITTAL, 7), **T2)
    facts = SeriesFacts(read(tmp_path).sagittal, "", "", False, "", "")
    with pytest.raises(ValueError, match="nearly cubic voxels"):
        reformatted(facts, "axial")
