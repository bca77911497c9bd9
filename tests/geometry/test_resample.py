import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.geometry import SlicePlane
from bundle.geometry.resample import pixel_map, resample_plane, share_outside, square_plane
from tests.making import ORDERS, planes, reordered

quiet = settings(max_examples=60, deadline=None, derandomize=True)


def flat(spacing=(1.0, 1.0), shape=(40, 60), corner=(0.0, 0.0, 0.0)) -> SlicePlane:
    return SlicePlane(corner, [1, 0, 0], [0, 1, 0], spacing, shape)


def smooth_picture(plane: SlicePlane) -> np.ndarray:
    """Brightness that depends on the place in the patient alone."""
    columns, rows = np.meshgrid(np.arange(plane.shape[1]), np.arange(plane.shape[0]))
    x, y, z = np.moveaxis(plane.to_patient(np.stack([columns, rows], axis=-1)), -1, 0)
    return (100 + 2 * x - 3 * y + z).astype(np.float32)


@quiet
@given(planes(), st.integers(0, 2**31))
def test_resampling_to_the_same_plane_returns_the_image(plane, seed):
    # The outer rows too: a rounding error may put them a hair's breadth outside.
    image = np.random.default_rng(seed).random(plane.shape).astype(np.float32)
    assert resample_plane(image, plane, plane) == pytest.approx(image, abs=1e-4)


@quiet
@given(planes(), planes(), st.tuples(st.floats(-20, 60), st.floats(-20, 60)))
def test_pixel_map_agrees_with_the_way_over_patient_space(source, target, where):
    matrix, offset = pixel_map(source, target)
    column, row = source.to_pixel(target.to_patient(where))
    assert matrix @ [where[1], where[0]] + offset == pytest.approx([row, column], abs=1e-6)


def test_linear_brightness_is_read_exactly_between_pixels():
    source = flat()
    target = SlicePlane([10.3, 8.7, 0], [0.8, 0.6, 0], [-0.6, 0.8, 0], (0.7, 0.7), (20, 20))
    assert resample_plane(smooth_picture(source), source, target) == pytest.approx(smooth_picture(target), abs=1e-3)


@pytest.mark.parametrize("order", ORDERS)
def test_result_does_not_depend_on_how_the_array_is_stored(order):
    source = flat(spacing=(1.3, 0.6))
    target = SlicePlane([-3.3, 4.7, 0], [0.8, 0.6, 0], [-0.6, 0.8, 0], (1.1, 1.7), (30, 25))
    image = np.random.default_rng(0).random(source.shape).astype(np.float32)
    usual = resample_plane(image, source, target)
    assert resample_plane(*reordered(image, source, order), target) == pytest.approx(usual, abs=1e-5)


def test_beyond_the_image_is_the_given_brightness():
    source = flat()
    image = np.full(source.shape, 7.0)
    target = flat(shape=(5, 5), corner=(-10, -10, 0))
    assert (resample_plane(image, source, target, outside=-3.0) == -3.0).all()


@pytest.mark.parametrize("outside", [0.0, -3.0])
@pytest.mark.parametrize("spacing", [(0.5, 2.7), (1.4, 1.1)])
def test_planes_whose_rows_stay_rows_are_resampled_as_turned_ones_are(spacing, outside):
    source = flat(spacing=(0.9, 0.7))
    image = np.random.default_rng(0).random(source.shape).astype(np.float32)
    straight = SlicePlane([-4.2, 31.3, 0], [1, 0, 0], [0, -1, 0], spacing, (35, 25))
    turned = SlicePlane([-4.2, 31.3, 0], [1, 1e-6, 0], [1e-6, -1, 0], spacing, (35, 25))
    expected = resample_plane(image, source, turned, outside)
    assert resample_plane(image, source, straight, outside) == pytest.approx(expected, abs=2e-3)
    assert (expected == outside).any() and expected.std() > 0.02  # it reaches beyond the image


def test_larger_pixels_do_not_alias():
    # Stripes one pixel wide are grey at four times the pixel size; reading every fourth pixel would give black or white.
    source = flat(shape=(64, 64))
    stripes = np.tile([0.0, 1.0], (64, 32))
    coarse = resample_plane(stripes, source, flat(spacing=(4.0, 4.0), shape=(16, 16), corner=(1.0, 1.0, 0.0)))
    assert coarse[2:-2, 2:-2] == pytest.approx(0.5, abs=0.02)


def test_smaller_pixels_are_not_smoothed():
    source = flat(shape=(9, 9))
    image = np.zeros((9, 9))
    image[4, 4] = 1.0
    fine = resample_plane(image, source, flat(spacing=(0.5, 0.5), shape=(17, 17)))
    assert fine[8, 8] == pytest.approx(1.0)
    assert fine[8, 9] == pytest.approx(0.5)


def test_image_and_plane_of_different_size_are_refused():
    with pytest.raises(ValueError, match="pixels"):
        resample_plane(np.zeros((60, 40)), flat(), flat())


def test_square_has_its_middle_on_the_point_and_its_side_in_millimetres():
    plane = square_plane([5.0, -7.0, 3.0], [0, 2, 0], [0, 0.5, -1], 72.0, 96)
    assert plane.center_lps_mm == pytest.approx([5, -7, 3])
    assert plane.shape == (96, 96)
    assert plane.pixel_spacing_mm == pytest.approx((0.75, 0.75))
    assert plane.row_direction == pytest.approx([0, 1, 0])
    assert plane.column_direction == pytest.approx([0, 0, -1])


@pytest.mark.parametrize(("shift_mm", "share"), [(0.0, 0.0), (10.0, 0.25), (30.0, 0.75), (100.0, 1.0), (-20.0, 0.5)])
def test_share_outside_counts_the_pixels_beyond_the_edge(shift_mm, share):
    source = flat(shape=(40, 40))
    assert share_outside(source, flat(shape=(40, 40), corner=(shift_mm, 0, 0))) == pytest.approx(share)
