import numpy as np
import pytest
import torch

from bundle.disks.definition import by_definition, outline_from
from bundle.disks.types import DiskOutline
from bundle.geometry.fardon import BEYOND_RIM_MM
from bundle.phantom.pathology import sample_pathology
from bundle.phantom.rois import PROFILE_DEG

RIM_MM = np.full(24, 20.0)


def outline(excess_mm) -> DiskOutline:
    return DiskOutline(RIM_MM, np.broadcast_to(np.asarray(excess_mm, dtype=float), 24), np.zeros(2))


def lobe(center_deg: float, width_deg: float, height_mm: float) -> np.ndarray:
    """(24,) smooth bump, half as high at half of its width from its centre."""
    off = np.abs((PROFILE_DEG - center_deg + 180) % 360 - 180)
    return height_mm * 0.5 ** ((off / (width_deg / 2)) ** 2)


def test_outline_on_the_rim_is_normal_and_has_no_focal_part():
    found = by_definition(outline(0.0))
    assert (found.finding, found.beyond_rim_deg, found.focal) == ("normal", 0.0, None)


def test_outline_beyond_the_rim_all_round_is_a_bulge_of_the_whole_circumference():
    found = by_definition(outline(BEYOND_RIM_MM + 1))
    assert (found.finding, found.beyond_rim_deg, found.focal) == ("bulge", 360.0, None)
    assert found.reach_mm == pytest.approx(BEYOND_RIM_MM + 1)


def test_focal_outline_is_a_herniation_with_base_and_extent():
    found = by_definition(outline(lobe(0, 45, 5.0)))
    assert found.finding == "herniation"
    assert found.focal.extent_mm == pytest.approx(5.0, abs=0.1)
    # It crosses 1.5 mm at 45 / 2 * sqrt(log2(5 / 1.5)) degrees to either side, 21.5 mm from the centre.
    half_deg = 22.5 * np.log2(5 / 1.5) ** 0.5
    assert found.focal.arc_deg == pytest.approx(2 * half_deg, abs=1.5)
    assert found.focal.base_mm == pytest.approx(2 * 21.5 * np.sin(np.radians(half_deg)), abs=0.5)


@pytest.mark.parametrize(
    ("direction_deg", "zone", "side"),
    [
        (0, "central", "middle"),
        (15, "subarticular", "left"),
        (-15, "subarticular", "right"),
        (-45, "foraminal", "right"),
        (170, "anterior", "left"),
    ],
)
def test_tip_has_a_zone_and_the_side_of_the_patient(direction_deg, zone, side):
    focal = by_definition(outline(lobe(direction_deg, 45, 5.0))).focal
    assert (focal.zone, focal.side) == (zone, side)


def test_readers_are_of_two_minds_near_the_border():
    assert by_definition(outline(lobe(0, 40, 5.0))).readers[2] == pytest.approx(1, abs=0.2)
    border = by_definition(outline(lobe(0, 68, 5.0))).readers
    assert sum(border) == pytest.approx(1)
    assert 0.2 < border[1] < 0.8


def test_low_swell_on_a_bulge_is_a_bulge_to_most_readers():
    # It rises above the bulge by 1.6 mm, so that the rule's own border of 1.5 mm cuts off a focal tip of 14 degrees.
    found = by_definition(outline(3.5 + lobe(0, 85, 1.6)))
    assert (found.finding, found.focal) == ("bulge", None)


def test_outline_of_a_phantom_is_called_what_most_readers_call_the_phantom():
    rng = np.random.default_rng(3)
    at = (PROFILE_DEG + 180).astype(int)
    drawn = [sample_pathology(rng, "L4-L5", 17.0) for _ in range(60)]
    whole = [path for path in drawn if not path.fragments]
    assert len(whole) > 40
    for path in whole:
        found = by_definition(DiskOutline(path.rim.radius_mm[at], path.excess_mm[at], np.zeros(2)))
        assert found.readers == pytest.approx(path.soft_label(), abs=0.25)
        assert found.finding == path.finding or path.borderline > 0.3
        assert found.beyond_rim_deg == pytest.approx(path.measures.beyond_rim_deg, abs=5)
        if path.finding == found.finding == "herniation":
            assert found.focal.base_mm == pytest.approx(path.base_mm, abs=1.5)


def test_direction_of_the_tip_is_positive_to_the_left():
    assert by_definition(outline(lobe(90, 45, 5.0))).focal.direction_deg == pytest.approx(90, abs=1)


def test_outline_is_in_millimetres():
    parts = {"rim": torch.full((24,), 2.0), "excess": torch.full((24,), 0.1), "center": torch.tensor([0.3, -0.2])}
    found = outline_from(parts)
    assert found.rim_mm == pytest.approx(RIM_MM)
    assert found.excess_mm == pytest.approx(np.full(24, 1.0))
    assert found.center_mm == pytest.approx([3.0, -2.0])
