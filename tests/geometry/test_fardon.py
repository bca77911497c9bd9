from dataclasses import replace

import numpy as np
import pytest

from bundle.geometry.fardon import BEYOND_RIM_MM, Fragment, classify, finding_of, measure, soft_label
from bundle.geometry.rim import DIRECTIONS_DEG, Rim

RIM = Rim(np.full(360, 18.0), 8.0)  # a round disk, so that every length is easy to reckon
FLAT = np.zeros(360)


def plateau(width_deg: float, height_mm: float = 3.0, center_deg: float = 0.0) -> np.ndarray:
    """A flat-topped outline: ``width_deg`` wide where it crosses BEYOND_RIM_MM, with sides of one degree."""
    off = np.abs((DIRECTIONS_DEG - center_deg + 180) % 360 - 180)
    return np.clip((width_deg / 2 - off) * height_mm + BEYOND_RIM_MM, 0, height_mm)


def tent(width_deg: float, height_mm: float) -> np.ndarray:
    """A pointed outline, ``width_deg`` wide at the rim."""
    return np.clip(height_mm * (1 - np.abs(DIRECTIONS_DEG) / (width_deg / 2)), 0, None)


def kind(excess: np.ndarray, *fragments: Fragment, rim: Rim = RIM) -> str:
    return classify(measure(excess, fragments, rim), bool(fragments))


def head(radii=(3.0, 3.0, 3.0), up: float = 0.0, out: float = 20.0, sequestered: bool = False) -> Fragment:
    return Fragment((0.0, out, up), radii, 0.0, sequestered)


@pytest.mark.parametrize(
    ("excess", "expected"),
    [
        (FLAT, "normal"),
        (FLAT + 1.49, "normal"),
        (FLAT + 1.51, "bulge"),
        (plateau(89.0), "protrusion"),
        (plateau(91.0), "bulge"),
        (plateau(120.0, center_deg=60.0), "bulge"),
        (plateau(45.0), "protrusion"),
        (plateau(45.0, height_mm=1.4), "normal"),
    ],
    ids=["flat", "just within", "just beyond", "89 deg", "91 deg", "asymmetric", "focal", "too low"],
)
def test_class_is_that_of_the_written_rule(excess, expected):
    assert kind(excess) == expected


def test_two_focal_arcs_that_cover_more_than_a_quarter_together_are_a_bulge():
    assert kind(plateau(50.0, center_deg=-90.0) + plateau(50.0, center_deg=90.0)) == "bulge"
    assert kind(plateau(30.0, center_deg=-90.0) + plateau(30.0, center_deg=90.0)) == "protrusion"


def test_focal_part_on_a_circumferential_bulge_is_a_herniation():
    bulge = plateau(300.0, 3.0)
    assert kind(bulge + plateau(40.0, 4.0)) == "protrusion"
    assert kind(bulge + tent(40.0, 1.4)) == "bulge"  # rises too little
    assert kind(bulge + plateau(100.0, 3.0)) == "bulge"  # too broad


def test_focal_part_on_an_asymmetric_bulge_is_not_told_from_it():
    assert kind(plateau(150.0, 3.0) + plateau(40.0, 3.0)) == "bulge"


def test_extent_and_base_of_a_herniation_on_a_bulge_are_measured_from_the_bulge():
    m = measure(plateau(300.0, 3.0) + tent(60.0, 4.0), (), RIM)
    assert m.reference_mm == 3.0
    assert m.extent_mm == pytest.approx(4.0)
    assert m.focal_deg == pytest.approx(60 * 2.5 / 4)
    assert m.beyond_rim_deg == pytest.approx(300)


def test_base_is_the_straight_line_between_the_ends_of_the_arc():
    m = measure(tent(80.0, 6.0), (), RIM)
    assert m.focal_deg == pytest.approx(60.0)
    assert m.base_mm == pytest.approx(2 * (18 + BEYOND_RIM_MM) * np.sin(np.radians(30)))
    assert m.extent_mm == 6.0


def test_outline_that_reaches_farther_than_its_base_is_wide_is_an_extrusion():
    assert kind(tent(80.0, 6.0)) == "protrusion"
    assert kind(tent(20.0, 6.0)) == "extrusion"


def test_outline_that_reaches_farther_than_the_disk_is_high_is_an_extrusion():
    assert kind(tent(80.0, 6.0), rim=replace(RIM, height_mm=5.0)) == "extrusion"


def test_head_wider_than_its_neck_is_an_extrusion():
    neck = tent(40.0, 3.0)
    base = measure(neck, (), RIM).base_mm
    assert kind(neck, head((base / 2 - 0.1, 2.0, 3.0))) == "protrusion"
    assert kind(neck, head((base / 2 + 0.1, 2.0, 3.0))) == "extrusion"


def test_head_higher_than_the_disk_is_an_extrusion():
    neck = tent(60.0, 3.0)
    assert kind(neck, head((3.0, 2.0, 3.9))) == "protrusion"
    assert kind(neck, head((3.0, 2.0, 4.1))) == "extrusion"


def test_free_piece_is_an_extrusion_whatever_its_size_and_is_seen_with_an_outline_within_the_rim():
    assert kind(tent(60.0, 3.0), head((1.0, 1.0, 1.0), up=9.0, sequestered=True)) == "extrusion"
    assert kind(FLAT, head((1.0, 1.0, 1.0), up=9.0, sequestered=True)) == "extrusion"


def test_tip_is_the_outermost_tissue():
    m = measure(tent(60.0, 3.0), (Fragment((12.0, 18.0, 0.0), (2.0, 3.0, 2.0), np.degrees(np.arctan2(12, 18))),), RIM)
    assert m.extent_mm == pytest.approx(np.hypot(12, 18) + 3 - 18)
    assert m.direction_deg == pytest.approx(np.degrees(np.arctan2(12, 18)))
    assert m.tip_left_mm == 12.0


def test_migration_is_how_far_tissue_reaches_past_the_disks_height():
    assert measure(FLAT, (head((3, 3, 5), up=6.0),), RIM).migration_mm == pytest.approx(6 + 5 - 4)
    assert measure(FLAT, (head((3, 3, 5), up=-6.0),), RIM).migration_mm == pytest.approx(-(6 + 5 - 4))
    assert measure(FLAT, (head((3, 3, 3)),), RIM).migration_mm == 0


def test_both_kinds_of_herniation_are_one_finding():
    assert [finding_of(k) for k in ("normal", "bulge", "protrusion", "extrusion")] == [
        "normal",
        "bulge",
        *["herniation"] * 2,
    ]


# ---- readers -------------------------------------------------------------------------------------------------------------


def test_clear_disks_have_one_name():
    assert soft_label(FLAT) == pytest.approx([1, 0, 0], abs=0.01)
    assert soft_label(plateau(300.0, 5.0)) == pytest.approx([0, 1, 0], abs=0.01)
    assert soft_label(tent(50.0, 6.0)) == pytest.approx([0, 0, 1], abs=0.05)


def test_outline_of_ninety_degrees_is_bulge_for_half_of_the_readers():
    shares = soft_label(plateau(90.0, 5.0))
    assert shares[1] == pytest.approx(0.5, abs=0.05)
    assert shares[2] == pytest.approx(0.5, abs=0.05)


def test_outline_at_the_threshold_is_normal_for_half_of_the_readers():
    assert soft_label(FLAT + BEYOND_RIM_MM)[0] == pytest.approx(0.5, abs=0.06)


def test_shares_move_steadily_from_one_class_to_the_other():
    broad = [soft_label(plateau(width, 5.0))[1] for width in range(50, 140, 10)]
    assert broad == sorted(broad)
    normal = [soft_label(FLAT + 0.25 * k)[0] for k in range(14)]
    assert normal == sorted(normal, reverse=True)
    assert (normal[0], normal[-1]) == (1, 0)


def test_shares_sum_to_one_and_free_pieces_are_herniated_for_all():
    for excess in (FLAT, plateau(80.0), plateau(250.0) + tent(60.0, 3.0), FLAT + 1.3):
        assert soft_label(excess).sum() == pytest.approx(1)
    assert (soft_label(FLAT, has_fragments=True) == [0, 0, 1]).all()
