from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from bundle.geometry import SlicePlane
from bundle.geometry.resample import resample_plane
from bundle.report.upright import axial_view, cropped, edge_letters, letters
from tests.making import ORDERS, planes, reordered


@pytest.mark.parametrize("order", ORDERS)
def test_an_axial_slice_is_seen_from_the_feet_however_it_is_stored(order):
    tilt = np.radians(25)
    plane = SlicePlane([-45, -40, 5], [1.0, 0, 0], [0.0, np.cos(tilt), -np.sin(tilt)], (0.5, 1.0), (120, 90))
    pixels = np.zeros(plane.shape, dtype=np.float32)
    pixels[10:20, 70:80] = 1.0  # in front, on the patient's left
    stored, stored_plane = reordered(pixels, plane, order)
    view = axial_view(stored_plane)
    seen = resample_plane(stored, stored_plane, view)
    row, column = np.unravel_index(int(np.argmax(seen)), seen.shape)
    assert column > seen.shape[1] / 2 and row < seen.shape[0] / 2
    assert view.pixel_spacing_mm == (0.5, 0.5) and view.shape == (120, 180)
    assert edge_letters(view) == {"left": "R", "right": "L", "top": "AH", "bottom": "PF"}


@given(planes())
def test_the_view_shows_the_whole_slice(plane):
    view = axial_view(plane)
    np.testing.assert_allclose(view.center_lps_mm, plane.center_lps_mm, atol=1e-6)
    finer = min(plane.pixel_spacing_mm)
    for seen, whole in zip(
        sorted(np.array(view.shape) * finer), sorted(np.array(plane.shape) * plane.pixel_spacing_mm), strict=True
    ):
        assert abs(seen - whole) <= finer


def test_letters_name_the_patients_sides():
    assert [letters(d) for d in np.eye(3)] == ["L", "P", "H"]
    assert [letters(-d) for d in np.eye(3)] == ["R", "A", "F"]
    assert letters([0.1, -0.9, 0.2]) == "A"
    assert letters([0.0, -0.8, -0.6]) == "AF"


def test_cropping_keeps_places_and_stays_within_the_view():
    view = SlicePlane([0, 0, 0], [1.0, 0, 0], [0.0, 1, 0], (0.5, 0.5), (200, 300))
    part = cropped(view, [20.0, 20.0, 0.0], 60.0)
    assert part.shape == (100, 100)
    np.testing.assert_allclose(part.to_patient([0, 0]), [0, 0, 0], atol=0.3)
    assert cropped(view, [500.0, 0, 0], 60.0) is view
