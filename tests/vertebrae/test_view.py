import numpy as np
import pytest

from bundle.geometry import SlicePlane
from bundle.vertebrae.view import image_plane, sagittal_view
from tests.making import ORDERS, reordered, study_image, upright_sagittal


def tilted() -> SlicePlane:
    """256 rows of 1.2 mm, 128 columns of 0.8 mm: 307.2 mm high, 102.4 mm wide, turned by 7 degrees in its plane."""
    t = np.radians(7)
    return SlicePlane([4, -50, 150], [0, np.cos(t), -np.sin(t)], [0, -np.sin(t), -np.cos(t)], (1.2, 0.8), (256, 128), 4.0)


@pytest.mark.parametrize("order", ORDERS)
def test_view_is_upright_however_the_array_is_stored(order):
    _, stored = reordered(np.zeros((256, 128)), tilted(), order)
    view = sagittal_view(stored, 192)
    assert view.row_direction[1] > 0.9  # columns run to the back
    assert view.column_direction[2] < -0.9  # rows run to the feet


@pytest.mark.parametrize("order", ORDERS)
def test_view_is_the_same_however_the_array_is_stored(order):
    _, stored = reordered(np.zeros((256, 128)), tilted(), order)
    usual, view = sagittal_view(tilted(), 192), sagittal_view(stored, 192)
    assert view.shape == usual.shape
    assert view.affine == pytest.approx(usual.affine, abs=1e-9)


def test_pixels_are_square_and_the_longer_side_is_as_asked():
    view = sagittal_view(tilted(), 192)
    assert view.pixel_spacing_mm == pytest.approx((307.2 / 192,) * 2)
    assert view.shape == (192, 64)


def test_view_covers_the_whole_image():
    plane = tilted()
    view = sagittal_view(plane, 192)
    corners = plane.to_patient([[-0.5, -0.5], [127.5, -0.5], [-0.5, 255.5], [127.5, 255.5]])
    seen = view.to_pixel(corners)
    assert seen.min(0) == pytest.approx([-0.5, -0.5])
    assert seen.max(0) == pytest.approx([63.5, 191.5])


def test_view_keeps_the_arrays_own_axes():
    # Turned by quarters only: a tilted patient stays tilted, and no pixel is lost at a corner.
    view = sagittal_view(tilted(), 192)
    assert view.row_direction == pytest.approx(tilted().row_direction)
    assert view.column_direction == pytest.approx(tilted().column_direction)


def test_view_lies_in_the_slice():
    plane = tilted()
    assert plane.signed_distance_mm(sagittal_view(plane, 100).to_patient([[0, 0], [30, 99]])) == pytest.approx(0, abs=1e-9)


def test_image_with_a_plane_keeps_it():
    plane = upright_sagittal(0.0)
    assert image_plane(study_image("a", np.zeros(plane.shape), plane)) is plane


def test_plain_image_counts_as_upright_with_pixels_of_a_millimetre():
    plane = image_plane(study_image("a.png", np.zeros((40, 30)), None))
    assert (plane.shape, plane.pixel_spacing_mm) == ((40, 30), (1.0, 1.0))
    view = sagittal_view(plane, 40)
    assert view.to_pixel(plane.to_patient([3, 8])) == pytest.approx([3, 8])
