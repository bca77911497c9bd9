import numpy as np
import pytest

from bundle.geometry.rim import DIRECTIONS_DEG, Rim, arcs_above, degrees_above, value_at


def tent(center_deg: float, half_deg: float) -> np.ndarray:
    """A profile that rises from 0 to 1 at its centre, linearly."""
    off = np.abs((DIRECTIONS_DEG - center_deg + 180) % 360 - 180)
    return np.clip(1 - off / half_deg, 0, None)


def test_rim_is_half_the_depth_away_at_the_back_and_half_the_width_at_the_left():
    rim = Rim.superellipse(24.0, 17.0, 9.0)
    assert rim.radius_at_mm(0) == pytest.approx(17)
    assert rim.radius_at_mm(90) == pytest.approx(24)
    assert rim.point_mm(90) == pytest.approx([24, 0])
    assert rim.point_mm(0, 2) == pytest.approx([0, 19])


def test_dent_hollows_the_back_only():
    dented = Rim.superellipse(24.0, 17.0, 9.0, dent_mm=1.2)
    # About its own middle, which the hollow has moved forward by half its depth.
    assert dented.radius_at_mm(0) == pytest.approx(17 - 0.6, abs=0.01)
    assert dented.radius_at_mm(180) == pytest.approx(17 - 0.6, abs=0.01)
    assert dented.radius_at_mm(40) > Rim.superellipse(24.0, 16.4, 9.0).radius_at_mm(40) + 0.2


def test_height_falls_toward_the_back_by_the_wedge():
    rim = Rim.superellipse(24.0, 17.0, 9.0, wedge=0.1)
    assert rim.height_at_mm(0) == pytest.approx(9 - 1.7)
    assert rim.height_at_mm(180) == pytest.approx(9 + 1.7)
    assert rim.height_at_mm(90) == pytest.approx(9)
    assert Rim.superellipse(24.0, 17.0, 2.0, wedge=0.1).height_at_mm(0) == 1.6


@pytest.mark.parametrize("center", [0.0, 179.6, -180.0, 37.3, -90.0])
def test_arc_is_measured_to_a_fraction_of_a_degree_wherever_it_lies(center):
    profile = tent(round(center), 40.0)
    assert degrees_above(profile, 0.25) == pytest.approx(60.0)
    ((start, end),) = arcs_above(profile, 0.25)
    assert (start + 30 - round(center)) % 360 == pytest.approx(0, abs=1e-9) or (start + 30 - round(center)) % 360 > 359.99
    assert end - start == pytest.approx(60.0)


def test_arcs_that_are_apart_add_up():
    profile = tent(-60, 20.0) + tent(50, 40.0)
    assert len(arcs_above(profile, 0.5)) == 2
    assert degrees_above(profile, 0.5) == pytest.approx(20 + 40)


def test_profile_above_the_level_everywhere_is_the_whole_circle_and_below_it_nothing():
    assert degrees_above(np.ones(360), 0.5) == 360
    assert degrees_above(np.ones(360), 1.5) == 0


def test_value_between_two_degrees_is_linear_across_the_seam_too():
    profile = np.arange(360.0)
    assert value_at(profile, 0.25) == pytest.approx(180.25)
    assert value_at(profile, 179.5) == pytest.approx((359 + 0) / 2)
    assert value_at(profile, -180.0) == 0
