from dataclasses import replace

import numpy as np
import pytest

from bundle.geometry.fardon import Fragment
from bundle.geometry.rim import DIRECTIONS_DEG
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.sac import deformation
from bundle.phantom.shapes import DiskShape

SPINE = sample_spine(2, findings={"L3-L4": "normal"})
SHAPE = SPINE.disks["L3-L4"]


def with_outline(height_mm: float, center_deg: float = 0.0, *fragments: Fragment) -> DiskShape:
    off = np.abs((DIRECTIONS_DEG - center_deg + 180) % 360 - 180)
    excess = height_mm * np.exp(-((off / 15) ** 2))
    return replace(SHAPE, pathology=replace(SHAPE.pathology, excess_mm=excess, fragments=fragments))


def test_disk_within_its_rim_hardly_touches_the_sac():
    assert deformation(SPINE, with_outline(0.0)).pressed_mm < 0.7


def test_each_millimetre_behind_the_front_of_the_sac_presses_it_by_one():
    pressed = [deformation(SPINE, with_outline(h)).pressed_mm for h in (3.0, 4.0, 5.0)]
    assert np.diff(pressed) == pytest.approx([1, 1], abs=0.08)


def test_share_is_that_of_the_sacs_depth():
    found = deformation(SPINE, with_outline(4.0))
    depth = 2 * SPINE.canal_at(SHAPE.disk.back_lps_mm[2])[2]
    assert found.share == pytest.approx(found.pressed_mm / depth, rel=0.05)


def test_sac_that_is_pressed_to_its_back_is_flat():
    found = deformation(SPINE, with_outline(40.0))
    assert found.share == 1


def test_herniation_beside_the_sac_leaves_it_alone():
    assert deformation(SPINE, with_outline(5.0, 100.0)).pressed_mm < 0.7


def test_free_piece_behind_the_body_presses_too():
    up = SHAPE.gap_mm / 2 + 7
    piece = Fragment((0.0, SHAPE.half_depth_mm + 4, up), (5.0, 3.0, 5.0), 0.0, sequestered=True)
    assert deformation(SPINE, with_outline(0.0, 0.0, piece)).pressed_mm > 3


def test_no_sac_no_deformation():
    ended = replace(SPINE, canal=SPINE.canal * np.array([1, 1, 1, 0.001, 1, 1]))
    assert deformation(ended, with_outline(5.0)).pressed_mm == 0
