from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bundle.geometry import SlicePlane
from bundle.report.pictures import (
    best_axial_image,
    disk_picture,
    midsagittal_image,
    sagittal_picture,
    slices_picture,
    spread,
)
from tests.making import ORDERS, reordered, series_of, study_image

YELLOW, BLUE = (255, 213, 74), (92, 200, 255)


def opened(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def near(picture: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return np.abs(picture - np.array(color)).max(-1) < 40


def test_the_mid_sagittal_picture_shows_bodies_and_lines(reading):
    picture = opened(sagittal_picture(reading.study, reading.vertebrae, reading.disks, 80))
    assert near(picture, BLUE).sum() > 300 and near(picture, YELLOW).sum() > 500
    bare = opened(sagittal_picture(reading.study, (), (), 80))
    assert near(bare, BLUE).sum() == 0 and near(bare, YELLOW).sum() == 0
    without = tuple(replace(disk, matches=(), axial=None) for disk in reading.disks)
    assert near(opened(sagittal_picture(reading.study, reading.vertebrae, without, 80)), YELLOW).sum() == 0


def test_the_slice_nearest_to_the_bodies_is_shown(reading, plain_reading):
    images = reading.study.sagittal.images
    assert midsagittal_image(reading.study.sagittal, reading.vertebrae) is images[1]
    moved = [replace(v, center_lps_mm=images[2].plane.center_lps_mm) for v in reading.vertebrae]
    assert midsagittal_image(reading.study.sagittal, moved) is images[2]
    assert midsagittal_image(reading.study.sagittal, ()) is images[1]
    assert midsagittal_image(plain_reading.study.sagittal, plain_reading.vertebrae).sop_instance_uid == "spine.png"


def test_no_sagittal_series_no_picture(reading):
    assert sagittal_picture(replace(reading.study, sagittal=None), (), (), 80) is None


def marked_study(reading, order):
    """A study of one sagittal slice with a bright patch in front, near the head."""
    plane = SlicePlane([0, -100, 100], [0.0, 1, 0], [0.0, 0, -1], (2.0, 1.0), (100, 200))
    pixels = np.full(plane.shape, 10.0, dtype=np.float32)
    pixels[8:24, 20:50] = 1000.0
    series = series_of([study_image("1.2", *reordered(pixels, plane, order))], "sagittal")
    return replace(reading.study, sagittal=series, axial=None)


@pytest.mark.parametrize("order", ORDERS)
def test_head_up_and_front_to_the_left_with_square_pixels(reading, order):
    picture = opened(sagittal_picture(marked_study(reading, order), (), (), 60))
    height, width = picture.shape[:2]
    assert abs(height - width) <= 1
    inner = picture.copy()
    inner[:24], inner[-24:], inner[:, :24], inner[:, -24:] = 0, 0, 0, 0  # without the letters
    bright = np.argwhere(inner.min(-1) > 200)
    middle = bright.mean(0)
    assert middle[0] < 0.35 * height and middle[1] < 0.35 * width
    size = np.ptp(bright, axis=0)
    assert abs(size[0] / size[1] - 32 / 30) < 0.15


@pytest.mark.parametrize("order", ORDERS)
def test_the_patients_right_is_on_the_left_of_an_axial_picture(reading, order):
    disk = reading.disks[2]
    image = disk.axial.images[1]
    pixels = np.full(image.plane.shape, 10.0, dtype=np.float32)
    column, row = np.round(image.plane.to_pixel(disk.axial.plane.to_patient([10, 20]))).astype(int)
    pixels[row - 3 : row + 4, column - 3 : column + 4] = 1000.0  # the patient's right front in the ROI
    stored, plane = reordered(pixels, image.plane, order)
    turned = study_image(image.sop_instance_uid, stored, plane)
    alone = replace(disk, axial=replace(disk.axial, images=(turned,) * 3), sagittal=None)
    picture = opened(disk_picture(alone, 60))
    square = np.argwhere(near(picture, YELLOW))
    bright = np.argwhere(picture[30:-30, 30:-30].min(-1) > 200) + 30
    low, high = square.min(0), square.max(0)
    share = (bright.mean(0) - low) / (high - low)
    np.testing.assert_allclose(share, [20 / 127, 10 / 127], atol=0.05)


def test_a_disk_is_shown_with_what_there_is(reading):
    disk = reading.disks[3]
    both = opened(disk_picture(disk, 50))
    axial_only = opened(disk_picture(replace(disk, sagittal=None), 50))
    sagittal_only = opened(disk_picture(replace(disk, axial=None, matches=()), 50))
    slice_only = opened(disk_picture(replace(disk, axial=None, sagittal=None), 50))
    assert both.shape[1] > 1.8 * axial_only.shape[1] and both.shape[1] > 1.8 * sagittal_only.shape[1]
    assert near(both, YELLOW).any() and near(axial_only, YELLOW).any()
    assert not near(slice_only, YELLOW).any() and not near(sagittal_only, YELLOW).any()
    assert disk_picture(replace(disk, axial=None, matches=(), sagittal=None), 50) is None
    assert best_axial_image(replace(disk, axial=None)) is disk.matches[0].image


def test_a_plain_image_keeps_its_greys_and_has_no_letters(plain_reading):
    picture = opened(sagittal_picture(plain_reading.study, plain_reading.vertebrae, plain_reading.disks, 80))
    assert near(picture, BLUE).any() and not near(picture, YELLOW).any()
    margin = 20  # pixels: the frame that would hold the letters
    assert picture[:margin].max() == 0 and picture[:, :margin].max() == 0
    disk = opened(disk_picture(plain_reading.disks[0], 80, in_space=False))
    assert disk[-margin:].max() == 0 and disk[:, -margin:].max() == 0  # no letter, and no bar of 20 mm
    assert opened(disk_picture(plain_reading.disks[0], 80))[-margin:].max() > 0


def test_a_blank_image_can_be_shown(reading):
    plane = SlicePlane([0, -50, 50], [0.0, 1, 0], [0.0, 0, -1], (1.0, 1.0), (100, 100))
    series = series_of([study_image("1.2", np.zeros((100, 100)), plane)], "sagittal")
    assert sagittal_picture(replace(reading.study, sagittal=series), (), (), 50) is not None


def test_names_of_lines_do_not_overlap():
    assert spread([10.0, 50.0, 90.0], 10, 100) == [10.0, 50.0, 90.0]
    for wanted in ([1.0, 2.0, 3.0], [50.0, 50.0, 50.0, 50.0], [98.0, 99.0, 100.0], [-5.0, 40.0, 44.0]):
        placed = spread(wanted, 10, 100)
        assert np.diff(placed).min() >= 10 - 1e-9 and placed[0] >= 5 - 1e-9 and placed[-1] <= 95 + 1e-9
    assert spread([], 10, 100) == []


def test_every_axial_slice_is_shown_with_its_disk(reading):
    named = opened(slices_picture(reading.study, reading.vertebrae, reading.matches, 80))
    loose = [replace(m, level=None) for m in reading.matches]
    of_none = opened(slices_picture(reading.study, reading.vertebrae, loose, 80))
    assert near(named, YELLOW).sum() > 500 and near(of_none, YELLOW).sum() == 0


def test_without_axial_slices_there_is_no_picture_of_them(reading):
    assert slices_picture(reading.study, reading.vertebrae, (), 80) is None
