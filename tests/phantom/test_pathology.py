import numpy as np
import pytest

from bundle.geometry import DISK_LEVELS
from bundle.phantom.pathology import BEYOND_RIM_MM, PREVALENCE, DiskPathology, sample_pathology

DRAWN = {
    finding: [sample_pathology(np.random.default_rng([7, k]), "L4-L5", 17.0, finding=finding) for k in range(120)]
    for finding in ("normal", "bulge", "herniation")
}
HERNIATIONS = DRAWN["herniation"]


def degrees_beyond(excess_mm: np.ndarray) -> int:
    return int((excess_mm > BEYOND_RIM_MM).sum())


def of_kind(kind: str) -> list[DiskPathology]:
    return [d for d in HERNIATIONS if d.kind == kind]


def test_normal_disk_stays_within_its_rim():
    assert max(degrees_beyond(d.excess_mm) for d in DRAWN["normal"]) == 0


def test_bulge_reaches_beyond_the_rim_over_more_than_a_quarter():
    assert min(degrees_beyond(d.excess_mm) for d in DRAWN["bulge"]) > 90


def test_herniation_is_focal():
    beyond = [degrees_beyond(d.excess_mm) for d in HERNIATIONS]
    assert min(beyond) > 0
    assert max(beyond) < 90


def test_angle_is_that_of_the_outline():
    for drawn in (d for kind in DRAWN.values() for d in kind):
        assert drawn.angle_deg == degrees_beyond(drawn.excess_mm)


@pytest.mark.parametrize("finding", DRAWN)
def test_finding_is_the_one_that_was_asked(finding):
    assert {d.finding for d in DRAWN[finding]} == {finding}


def test_protrusions_and_extrusions_are_both_drawn():
    assert len(of_kind("protrusion")) > 10
    assert len(of_kind("extrusion")) > 10
    assert len(of_kind("protrusion")) + len(of_kind("extrusion")) == len(HERNIATIONS)


def test_protrusion_is_wider_at_its_base_than_it_reaches():
    assert all(d.base_mm > d.extent_mm and d.fragment_mm == (0, 0, 0) for d in of_kind("protrusion"))


def test_extrusion_is_wider_somewhere_than_at_its_base():
    assert all(max(d.fragment_mm) >= d.base_mm for d in of_kind("extrusion"))


def test_focal_part_is_where_its_direction_says():
    for drawn in HERNIATIONS:
        peak = int(np.argmax(drawn.excess_mm)) - 180
        assert abs(peak - drawn.direction_deg) < 12


def test_focal_part_is_at_the_back_or_beside_it():
    assert max(abs(d.direction_deg) for d in HERNIATIONS) <= 65
    assert np.std([d.direction_deg for d in HERNIATIONS]) > 10


def test_extent_is_at_least_what_the_outline_shows_of_a_bulge():
    assert all(d.extent_mm == pytest.approx(d.excess_mm.max()) for d in DRAWN["bulge"])


def test_hydration_is_a_share_and_higher_in_normal_disks():
    assert all(0 <= d.hydration <= 1 for kind in DRAWN.values() for d in kind)
    assert np.mean([d.hydration for d in DRAWN["normal"]]) > np.mean([d.hydration for d in HERNIATIONS]) + 0.15


@pytest.mark.parametrize("level", DISK_LEVELS)
def test_classes_are_drawn_as_often_as_the_level_asks(level):
    rng = np.random.default_rng(0)
    drawn = [sample_pathology(rng, level, 17.0).finding for _ in range(300)]
    for finding, share in zip(("normal", "bulge", "herniation"), PREVALENCE[level], strict=True):
        assert np.mean([d == finding for d in drawn]) == pytest.approx(share, abs=0.09)


def test_shares_need_not_sum_to_one():
    rng = np.random.default_rng(0)
    drawn = {sample_pathology(rng, "L4-L5", 17.0, {"L4-L5": (0, 0, 5), "L3-L4": (1, 0, 0)}).finding for _ in range(5)}
    assert drawn == {"herniation"}


def test_level_without_an_entry_is_drawn_as_l3_l4():
    rng = np.random.default_rng(0)
    drawn = {sample_pathology(rng, "T12-L1", 17.0, {"L3-L4": (0, 1, 0)}).finding for _ in range(5)}
    assert drawn == {"bulge"}
