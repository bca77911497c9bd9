from dataclasses import replace

import numpy as np
import pytest

from bundle.disks.locate import DiskLocator
from bundle.geometry import DISK_LEVELS, Vertebra, angle_between_deg
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.truth import vertebrae
from tests.making import straight_spine


def turned(body: Vertebra, matrix: np.ndarray) -> Vertebra:
    return replace(body, center_lps_mm=matrix @ body.center_lps_mm, corners_lps_mm=body.corners_lps_mm @ matrix.T)


def rotation(axis: int, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    a, b = (axis + 1) % 3, (axis + 2) % 3
    matrix[a, a], matrix[a, b], matrix[b, a], matrix[b, b] = c, -s, s, c
    return matrix


def test_complete_column_has_five_disks():
    assert tuple(DiskLocator()(straight_spine())) == DISK_LEVELS


def test_disk_lies_halfway_between_the_endplates_that_face_it():
    disk = DiskLocator()(straight_spine())["L3-L4"]
    assert disk.center_lps_mm == pytest.approx([0, 0, -18])
    assert disk.front_lps_mm == pytest.approx([0, -17, -18])
    assert disk.back_lps_mm == pytest.approx([0, 17, -18])
    assert disk.normal_lps == pytest.approx([0, 0, 1])
    assert disk.height_mm == pytest.approx(10)


def test_disk_is_missing_where_a_vertebra_is():
    found = DiskLocator()(straight_spine(("L1", "L2", "L4", "L5", "S1")))
    assert set(found) == {"L1-L2", "L4-L5", "L5-S1"}


def test_order_of_the_vertebrae_does_not_matter():
    assert tuple(DiskLocator()(straight_spine()[::-1])) == DISK_LEVELS


def test_vertebra_without_a_place_gives_no_disk():
    bodies = straight_spine()
    bodies[2] = Vertebra("L3", 0.9)
    assert set(DiskLocator()(bodies)) == {"L1-L2", "L4-L5", "L5-S1"}


@pytest.mark.parametrize(("axis", "degrees"), [(0, 25.0), (0, -40.0), (1, 15.0), (2, 30.0)])
def test_disks_turn_with_the_patient(axis, degrees):
    matrix = rotation(axis, degrees)
    straight = DiskLocator()(straight_spine())["L5-S1"]
    disk = DiskLocator()([turned(b, matrix) for b in straight_spine()])["L5-S1"]
    assert disk.normal_lps == pytest.approx(matrix @ straight.normal_lps)
    assert disk.back_lps_mm == pytest.approx(matrix @ straight.back_lps_mm)


def test_wedge_shaped_disk_has_the_mean_of_both_tilts():
    upper, lower = straight_spine(("L5", "S1"))
    tilted = rotation(0, 20.0)
    tilt_about_own_center = (lower.corners_lps_mm - lower.center_lps_mm) @ tilted.T + lower.center_lps_mm
    disk = DiskLocator()([upper, replace(lower, corners_lps_mm=tilt_about_own_center)])["L5-S1"]
    assert 8 < angle_between_deg(disk.posterior_lps, [0, 1, 0]) < 12


def test_wedge_is_the_height_at_the_front_less_that_at_the_back():
    upper, lower = straight_spine(("L5", "S1"))
    lowered = lower.corners_lps_mm.copy()
    lowered[0, 2] -= 5.0  # the front of S1's endplate
    disk = DiskLocator()([upper, replace(lower, corners_lps_mm=lowered)])["L5-S1"]
    assert disk.wedge_mm == pytest.approx(5.0, abs=0.1)
    assert disk.height_mm == pytest.approx(12.5, abs=0.1)


def test_height_is_held_within_what_is_plausible():
    touching = straight_spine(("L3", "L4"), pitch_mm=26.0)
    apart = straight_spine(("L3", "L4"), pitch_mm=60.0)
    assert DiskLocator()(touching)["L3-L4"].height_mm == pytest.approx(1.0)
    assert DiskLocator()(apart)["L3-L4"].height_mm == pytest.approx(30.0)


@pytest.mark.parametrize("depth_mm", [0.0, 6.0, 90.0])
def test_implausible_corners_leave_the_disk_between_the_two_centres(depth_mm):
    bodies = straight_spine(("L3", "L4"))
    bad = bodies[1].corners_lps_mm.copy()
    bad[[0, 1], 1] = [-depth_mm, depth_mm]
    upper = bodies[0].corners_lps_mm.copy()
    upper[[2, 3], 1] = [depth_mm, -depth_mm]
    found = DiskLocator()([replace(bodies[0], corners_lps_mm=upper), replace(bodies[1], corners_lps_mm=bad)])["L3-L4"]
    assert found.center_lps_mm == pytest.approx([0, 0, -18])
    assert found.normal_lps == pytest.approx([0, 0, 1])
    assert found.posterior_lps == pytest.approx([0, 1, 0])
    assert 18 <= found.depth_mm <= 60


@pytest.mark.parametrize("seed", range(5))
def test_normal_points_to_the_head_and_lies_across_the_disk(seed):
    for disk in DiskLocator()(vertebrae(sample_spine(seed))).values():
        assert disk.normal_lps[2] > 0
        assert disk.normal_lps @ disk.posterior_lps == pytest.approx(0, abs=1e-9)
        assert np.linalg.norm(disk.normal_lps) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
def test_true_vertebrae_of_a_phantom_give_its_true_disks(seed):
    spine = sample_spine(seed)
    found = DiskLocator()(vertebrae(spine))
    for level in DISK_LEVELS:
        true = spine.disks[level].disk
        assert np.linalg.norm(found[level].center_lps_mm - true.center_lps_mm) < 1.5
        assert angle_between_deg(found[level].normal_lps, true.normal_lps) < 6
        assert abs(found[level].height_mm - true.height_mm) < 1.5
        assert abs(found[level].wedge_mm - true.wedge_mm) < 2.5
