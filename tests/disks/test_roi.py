from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.disks.roi import RoiCropper
from bundle.geometry import SlicePlane
from bundle.phantom.paint import SpinePatient
from bundle.phantom.render import paint_plane
from bundle.phantom.tissues import TISSUES
from bundle.study.types import StudyImage
from tests.making import (
    ORDERS,
    axial_plane,
    blank,
    flat_disk,
    reordered,
    series_of,
    spine_and_left_herniation,
    study_image,
    upright_sagittal,
)  # fmt: skip

DISK = flat_disk()


def picture(plane, of) -> np.ndarray:
    """Brightness of ``plane``'s pixels by a function of the place in the patient."""
    rows, columns = np.indices(plane.shape)
    return of(*np.moveaxis(plane.to_patient(np.stack([columns, rows], axis=-1)), -1, 0)).astype(np.float32)


def stack_of(positions_mm, of, order=(False, False, False), tilt_deg=0.0):
    images = []
    for z in positions_mm:
        plane = axial_plane(z, tilt_deg)
        images.append(study_image(f"z{z}", *reordered(picture(plane, of), plane, order)))
    return series_of(images)


# ---- where the square lies ---------------------------------------------------------------------------------------------


def test_axial_square_is_centred_a_little_before_the_disks_back_edge():
    square = RoiCropper(center_before_back_mm=10.0).axial_square(DISK, axial_plane(0.0))
    assert square.center_lps_mm == pytest.approx([0, 7, 0], abs=1e-9)


def test_axial_square_has_its_size_in_millimetres_and_pixels():
    square = RoiCropper(side_mm=72.0, size_px=96).axial_square(DISK, axial_plane(0.0))
    assert square.shape == (96, 96)
    assert square.pixel_spacing_mm == pytest.approx((0.75, 0.75))


def test_axial_columns_run_to_the_patients_left_and_rows_to_the_back():
    square = RoiCropper().axial_square(DISK, axial_plane(0.0))
    assert square.row_direction == pytest.approx([1, 0, 0])
    assert square.column_direction == pytest.approx([0, 1, 0])


def test_sagittal_columns_run_to_the_back_and_rows_to_the_feet():
    square = RoiCropper().sagittal_square(DISK, upright_sagittal(3.0))
    assert square.row_direction == pytest.approx([0, 1, 0])
    assert square.column_direction == pytest.approx([0, 0, -1])
    assert square.center_lps_mm == pytest.approx([3, 7, 0])


def test_square_lies_in_the_slices_own_plane():
    plane = axial_plane(4.0, tilt_deg=17.0)
    square = RoiCropper().axial_square(flat_disk(tilt_deg=9.0), plane)
    corners = square.to_patient([[0, 0], [95, 0], [0, 95], [95, 95]])
    assert plane.signed_distance_mm(corners) == pytest.approx(0, abs=1e-9)


def test_slice_above_a_tilted_disk_keeps_the_disk_in_the_middle():
    # Straight up along the disk's normal, not along the slice's.
    disk = flat_disk(tilt_deg=25.0)
    plane = axial_plane(8.0, tilt_deg=10.0)
    square = RoiCropper().axial_square(disk, plane)
    anchor = disk.back_lps_mm - 10 * disk.posterior_lps
    off = square.center_lps_mm - anchor
    assert np.linalg.norm(np.cross(off, disk.normal_lps)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("order", ORDERS)
def test_square_does_not_depend_on_how_the_array_is_stored(order):
    disk, plane = flat_disk(tilt_deg=12.0), axial_plane(3.0, tilt_deg=5.0)
    _, other = reordered(np.zeros(plane.shape), plane, order)
    usual, found = (RoiCropper().axial_square(disk, p) for p in (plane, other))
    assert found.affine[:3, [0, 1, 3]] == pytest.approx(usual.affine[:3, [0, 1, 3]])


# ---- what it shows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
def test_axial_pixels_do_not_depend_on_how_the_arrays_are_stored(order):
    rng = np.random.default_rng(1)
    noise = {z: rng.random((160, 160)).astype(np.float32) for z in (4.0, 0.0, -4.0)}

    def cut(how):
        images = [study_image(f"z{z}", *reordered(noise[z], axial_plane(z, 8.0), how)) for z in noise]
        series = series_of(images, stacks=[(0, 1, 2)])
        return RoiCropper().axial(flat_disk(tilt_deg=14.0), series, series.images[1])

    usual, found = cut((False, False, False)), cut(order)
    assert found.pixels == pytest.approx(usual.pixels, abs=1e-4)
    assert found.plane.affine[:3, [0, 1, 3]] == pytest.approx(usual.plane.affine[:3, [0, 1, 3]])


@pytest.mark.parametrize("order", ORDERS)
def test_sagittal_pixels_do_not_depend_on_how_the_arrays_are_stored(order):
    rng = np.random.default_rng(2)
    noise = {x: rng.random((120, 130)).astype(np.float32) for x in (-4.0, 0.0, 4.0)}

    def cut(how):
        planes = {x: upright_sagittal(x, 120, 130) for x in noise}
        images = [study_image(f"x{x}", *reordered(noise[x], planes[x], how)) for x in noise]
        return RoiCropper().sagittal(flat_disk(tilt_deg=14.0), series_of(images, "sagittal", [(0, 1, 2)]))

    assert cut(order).pixels == pytest.approx(cut((False, False, False)).pixels, abs=1e-4)


def test_point_of_the_roi_maps_back_to_the_patient():
    series = stack_of((0.0,), lambda x, y, z: 50 + 2 * x - 3 * y, tilt_deg=20.0)
    roi = RoiCropper(slices=1).axial(flat_disk(tilt_deg=15.0), series, series.images[0])
    for column, row in ((20, 30), (48, 48), (80, 45)):
        x, y, _ = roi.plane.to_patient([column, row])
        assert roi.pixels[0, row, column] == pytest.approx(50 + 2 * x - 3 * y, abs=1e-3)


def test_beyond_the_image_is_dark():
    small = axial_plane(0.0, size=20)
    image = study_image("small", np.ones((20, 20)), small)
    roi = RoiCropper(slices=1).axial(DISK, series_of([image]), image)
    assert roi.pixels[0, 0, 0] == 0
    assert roi.pixels.max() == pytest.approx(1)


@pytest.fixture(scope="module")
def herniated():
    """A phantom spine with one disk, as it was drawn and with a large protrusion to the back and left."""
    return spine_and_left_herniation()


@pytest.mark.parametrize("order", ORDERS)
def test_patients_left_is_on_the_right_of_the_axial_roi(herniated, order):
    """And the back below: whatever way the array is stored, the protrusion to the left and back shows there."""
    disk = herniated[0].disks["L4-L5"].disk
    contrast = torch.zeros(1, len(TISSUES))
    contrast[0, TISSUES.index("annulus")] = 1.0
    cropped = []
    for spine in herniated:
        left = np.cross(disk.posterior_lps, disk.normal_lps)
        corner = disk.center_lps_mm - 50 * left - 50 * disk.posterior_lps
        plane = SlicePlane(corner, left, disk.posterior_lps, (1.0, 1.0), (101, 101), 4.0)
        pixels, stored = reordered(paint_plane(SpinePatient(spine), plane, contrast)[0].numpy(), plane, order)
        image = study_image("a", pixels, stored)
        cropped.append(RoiCropper(slices=1).axial(disk, series_of([image]), image).pixels[0])
    change = np.clip(cropped[1] - cropped[0], 0, None)
    rows, columns = np.indices(change.shape)
    assert change.sum() > 50
    assert np.average(columns, weights=change) > 48 + 10  # the patient's left
    assert np.average(rows, weights=change) > 48  # the back


# ---- which slices ------------------------------------------------------------------------------------------------------


def names(roi) -> list[str]:
    return [image.sop_instance_uid for image in roi.images]


def test_axial_roi_has_the_best_slice_in_the_middle_and_its_neighbours_beside_it():
    series = series_of([blank(f"z{z}", axial_plane(z)) for z in (8, 4, 0, -4)], stacks=[(0, 1, 2, 3)])
    roi = RoiCropper().axial(DISK, series, series.images[1])
    assert names(roi) == ["z8", "z4", "z0"]
    assert roi.pixels.shape == (3, 96, 96)
    assert roi.pixels.dtype == np.float32
    assert roi.plane.center_lps_mm[2] == pytest.approx(4.0)


@pytest.mark.parametrize(("at", "expected"), [(0, ["z4", "z4", "z0"]), (2, ["z0", "z-4", "z-4"])])
def test_missing_neighbour_is_the_best_slice_itself(at, expected):
    series = series_of([blank(f"z{z}", axial_plane(z)) for z in (4, 0, -4)], stacks=[(0, 1, 2)])
    assert names(RoiCropper().axial(DISK, series, series.images[at])) == expected


def test_neighbours_come_from_the_same_stack():
    images = [blank(n, axial_plane(z, tilt)) for n, z, tilt in (("a", 36, 0), ("b", 2, 9), ("c", -2, 9), ("d", -36, 20))]
    series = series_of(images, stacks=[(0,), (1, 2), (3,)])
    assert names(RoiCropper().axial(DISK, series, images[1])) == ["b", "b", "c"]


def test_each_neighbour_is_cut_at_its_own_place_along_a_tilted_disk():
    # Brightness is y: the middle column of each ROI shows where it was cut.
    disk = flat_disk(tilt_deg=30.0)
    series = stack_of((5.0, 0.0, -5.0), lambda x, y, z: 100 + y)
    series = series_of(series.images, stacks=[(0, 1, 2)])
    middle = RoiCropper(size_px=65).axial(disk, series, series.images[1]).pixels[:, 32, 32] - 100
    assert np.diff(middle) == pytest.approx([-5 * np.tan(np.radians(30))] * 2, abs=1e-3)


def test_sagittal_roi_takes_the_slice_nearest_to_the_disks_middle():
    images = [blank(f"x{x}", upright_sagittal(x)) for x in (-8.0, -3.6, 0.8, 5.2)]
    roi = RoiCropper().sagittal(flat_disk(center=(1.5, 0, 0)), series_of(images, "sagittal", [(0, 1, 2, 3)]))
    assert names(roi) == ["x-3.6", "x0.8", "x5.2"]


def test_plain_image_is_cut_on_the_plane_that_it_is_given():
    plane = upright_sagittal(0.0)
    image = StudyImage("a.png", None, lambda: picture(plane, lambda x, y, z: 200 + z), Path("a.png"), plane.shape)
    cropper = RoiCropper()
    square = cropper.sagittal_square(DISK, plane)
    roi = cropper.cut(image, plane, square)
    assert roi.pixels.shape == (3, 96, 96)
    assert roi.pixels[0, 40, 64] == pytest.approx(200 + square.to_patient([64, 40])[2], abs=1e-3)


def test_image_without_a_plane_has_no_place_in_an_axial_roi():
    plain = study_image("a.png", np.zeros((8, 8)), None)
    with pytest.raises(ValueError, match="no place"):
        RoiCropper(slices=1).axial(DISK, series_of([plain], stacks=[(0,)]), plain)


@pytest.mark.parametrize("slices", [0, 2, -1])
def test_even_number_of_slices_is_refused(slices):
    with pytest.raises(ValueError, match="odd"):
        RoiCropper(slices=slices)
