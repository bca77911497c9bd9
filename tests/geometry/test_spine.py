from itertools import pairwise

import numpy as np
import pytest

from bundle.geometry import BODY_LEVELS, DISK_LEVELS, LUMBAR_LEVELS, Disk, disk_level


def test_disks_are_those_between_neighbouring_lumbar_bodies():
    between = tuple(disk_level(a, b) for a, b in pairwise(LUMBAR_LEVELS))
    assert between == DISK_LEVELS


def test_detector_knows_every_lumbar_body_and_counts_them_from_the_bottom_up():
    positions = [BODY_LEVELS.index(level) for level in LUMBAR_LEVELS]
    assert positions == sorted(positions, reverse=True)


def test_disk_runs_from_its_front_to_its_back():
    disk = Disk("L4-L5", np.zeros(3), np.array([0.0, 0, 1]), np.array([0.0, -17, 0]), np.array([0.0, 18, 0]), 10.0)
    assert disk.depth_mm == pytest.approx(35)
    assert disk.posterior_lps == pytest.approx([0, 1, 0])


def test_wedge_lowers_the_disk_from_front_to_back():
    disk = Disk(
        "L5-S1", np.zeros(3), np.array([0.0, 0, 1]), np.array([0.0, -17, 0]), np.array([0.0, 17, 0]), 10.0, wedge_mm=6.0
    )  # fmt: skip
    assert [disk.height_at_mm(share) for share in (0.0, 0.5, 0.75, 1.0)] == pytest.approx([13, 10, 8.5, 7])


def test_height_is_never_negative():
    disk = Disk("L5-S1", np.zeros(3), np.array([0.0, 0, 1]), np.zeros(3), np.array([0.0, 34, 0]), 2.0, wedge_mm=9.0)
    assert disk.height_at_mm(1.0) == 0
