from dataclasses import replace

import numpy as np
import pytest

from bundle.phantom.alignment import lordosis_deg, sacral_slope_deg, slip_mm
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.shapes import Body


def block(level: str, z_mm: float, back_mm: float = 0.0, tilt_deg: float = 0.0) -> Body:
    t = np.radians(tilt_deg)
    axes = np.array([[1.0, 0, 0], [0, np.cos(t), np.sin(t)], [0, -np.sin(t), np.cos(t)]])
    return Body(level, np.array([0.0, back_mm, z_mm]), axes, 20.0, (15.0, 15.0), (12.0, 12.0), 0.0, 0.0, 0.0)


def test_bodies_above_one_another_have_not_slipped():
    assert slip_mm(block("L4", 34.0), block("L5", 0.0)) == pytest.approx(0)


def test_slip_forward_is_positive_and_in_millimetres():
    assert slip_mm(block("L4", 34.0, back_mm=-6.0), block("L5", 0.0)) == pytest.approx(6)
    assert slip_mm(block("L4", 34.0, back_mm=2.5), block("L5", 0.0)) == pytest.approx(-2.5)


def test_slip_is_measured_along_the_lower_bodys_endplate():
    upper, lower = (block(level, z, tilt_deg=30.0) for level, z in (("L5", 0.0), ("S1", 0.0)))
    moved = replace(upper, center_lps_mm=34 * lower.axes[2] - 5 * lower.axes[1])
    assert slip_mm(moved, lower) == pytest.approx(5)


def test_sacral_slope_and_lordosis_are_the_angles_of_endplates():
    spine = sample_spine(1)
    bodies = tuple(block(b.level, 0.0, tilt_deg={"S1": 38.0, "L1": -12.0}.get(b.level, 0.0)) for b in spine.bodies)
    turned = replace(spine, bodies=bodies)
    assert sacral_slope_deg(turned) == pytest.approx(38)
    assert lordosis_deg(turned) == pytest.approx(50)


def test_phantoms_are_lordotic():
    angles = [lordosis_deg(sample_spine(seed)) for seed in range(12)]
    assert 30 < np.mean(angles) < 75
    assert min(angles) > 0
