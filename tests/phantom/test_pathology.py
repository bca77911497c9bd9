from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from bundle.geometry import DISK_LEVELS, FINDINGS
from bundle.geometry.fardon import BEYOND_RIM_MM
from bundle.geometry.rim import Rim
from bundle.phantom.pathology import DiskPathology, sample_pathology
from bundle.phantom.prevalence import TRAINING_PREVALENCE

DRAWN = {
    finding: [sample_pathology(np.random.default_rng([7, k]), "L4-L5", 17.0, finding=finding) for k in range(300)]
    for finding in FINDINGS
}
ALL = [d for drawn in DRAWN.values() for d in drawn]
HERNIATIONS = DRAWN["herniation"]


def degrees_beyond(excess_mm: np.ndarray) -> int:
    return int((excess_mm > BEYOND_RIM_MM).sum())


def of_kind(kind: str) -> list[DiskPathology]:
    return [d for d in HERNIATIONS if d.kind == kind]


def test_normal_disk_stays_within_its_rim():
    assert max(degrees_beyond(d.excess_mm) for d in DRAWN["normal"]) == 0
    assert not any(d.fragments for d in DRAWN["normal"])


def test_bulge_reaches_beyond_the_rim_over_more_than_a_quarter():
    assert min(degrees_beyond(d.excess_mm) for d in DRAWN["bulge"]) >= 90


def test_herniation_is_focal_or_sits_on_a_circumferential_bulge():
    for drawn in HERNIATIONS:
        beyond = degrees_beyond(drawn.excess_mm)
        assert beyond <= 90 or beyond >= 180
        assert drawn.angle_deg < 90


def test_angle_is_that_of_the_outline():
    for drawn in ALL:
        assert drawn.measures.beyond_rim_deg == pytest.approx(degrees_beyond(drawn.excess_mm), abs=3.01)


@pytest.mark.parametrize("finding", FINDINGS)
def test_finding_is_the_one_that_was_asked(finding):
    assert {d.finding for d in DRAWN[finding]} == {finding}


def test_protrusions_and_extrusions_are_both_drawn():
    assert len(of_kind("protrusion")) > 50
    assert len(of_kind("extrusion")) > 50
    assert len(of_kind("protrusion")) + len(of_kind("extrusion")) == len(HERNIATIONS)


def test_herniations_on_a_bulge_migrated_and_sequestered_ones_are_drawn():
    assert sum(d.measures.reference_mm > 0 for d in HERNIATIONS) > 30
    assert sum(abs(d.migration_mm) > 3 for d in HERNIATIONS) > 30
    assert sum(d.sequestered for d in HERNIATIONS) > 8


def test_protrusion_is_wider_at_its_base_than_it_reaches():
    for drawn in of_kind("protrusion"):
        assert drawn.base_mm > drawn.extent_mm
        assert all(2 * f.radii_mm[0] <= drawn.base_mm + 1e-6 and not f.sequestered for f in drawn.fragments)


def test_every_zone_and_side_is_drawn_most_herniations_behind_the_canal():
    zones = Counter(d.zone for d in HERNIATIONS)
    assert set(zones) == {"central", "subarticular", "foraminal", "extraforaminal"}
    assert zones["central"] + zones["subarticular"] > 0.6 * len(HERNIATIONS)
    sides = Counter(d.side for d in HERNIATIONS)
    assert min(sides["left"], sides["right"]) > 0.25 * len(HERNIATIONS)


def test_only_herniations_have_a_zone_a_side_and_a_base():
    for drawn in (*DRAWN["normal"], *DRAWN["bulge"]):
        assert (drawn.zone, drawn.side, drawn.base_mm, drawn.direction_deg) == (None, None, 0.0, 0.0)


def test_extent_of_a_bulge_is_what_its_outline_shows():
    assert all(d.extent_mm == pytest.approx(d.excess_mm.max()) for d in DRAWN["bulge"])


def test_free_pieces_lie_apart_from_the_disk():
    for piece in (f for d in HERNIATIONS for f in d.fragments if f.sequestered):
        half = next(d for d in HERNIATIONS if piece in d.fragments).rim.height_at_mm(piece.direction_deg) / 2
        assert abs(piece.center_uvw_mm[2]) - piece.radii_mm[2] > half


def test_heads_of_extrusions_overlap_the_disk():
    for drawn in HERNIATIONS:
        for piece in (f for f in drawn.fragments if not f.sequestered):
            # Some point of the disk's outline, over its height, lies inside the ellipsoid.
            index = round(piece.direction_deg) + 180
            radius = drawn.rim.radius_mm[index] + drawn.excess_mm[index]
            half = drawn.rim.height_at_mm(piece.direction_deg) / 2
            center = np.hypot(*piece.center_uvw_mm[:2])
            up = np.clip(piece.center_uvw_mm[2], -half, half)
            away = ((min(radius, center) - center) / piece.radii_mm[1], (up - piece.center_uvw_mm[2]) / piece.radii_mm[2])
            assert np.hypot(*away) < 1


# ---- borders -------------------------------------------------------------------------------------------------------------


def test_angles_come_near_ninety_degrees_from_both_sides():
    assert any(90 < d.angle_deg < 97 for d in DRAWN["bulge"])
    assert any(80 < d.angle_deg < 90 for d in HERNIATIONS)


def test_extents_come_near_the_threshold_from_both_sides():
    assert any(-0.2 < d.extent_margin_mm < 0 for d in DRAWN["normal"])
    assert any(0 < d.extent_margin_mm < 0.4 for d in DRAWN["bulge"])
    assert any(0 < d.extent_margin_mm < 0.6 for d in HERNIATIONS)


def test_margins_are_to_the_borders_of_the_rule():
    for drawn in ALL:
        assert drawn.angle_margin_deg == drawn.angle_deg - 90
        assert (drawn.extent_margin_mm > 0) == (drawn.finding != "normal")


def test_some_disks_of_each_class_are_borderline_and_most_are_not():
    for drawn in DRAWN.values():
        unclear = np.mean([d.borderline > 0.3 for d in drawn])
        assert 0.02 < unclear < 0.4


# ---- wear ----------------------------------------------------------------------------------------------------------------


def test_hydration_is_a_share_and_falls_with_the_grade():
    assert all(0 <= d.hydration <= 1 for d in ALL)
    means = [np.mean([d.hydration for d in ALL if d.pfirrmann == grade]) for grade in (1, 2, 3, 4, 5)]
    assert means == sorted(means, reverse=True)
    assert np.mean([d.hydration for d in DRAWN["normal"]]) > np.mean([d.hydration for d in HERNIATIONS]) + 0.15


def test_disk_of_grade_five_is_collapsed_and_of_grade_one_is_not():
    assert max(d.height_share for d in ALL if d.pfirrmann == 5) <= 0.7
    assert min(d.height_share for d in ALL if d.pfirrmann == 1) == 1


def test_disks_of_the_old_are_more_worn():
    grades = [
        np.mean([sample_pathology(np.random.default_rng(k), "L3-L4", 17.0, age_years=age).pfirrmann for k in range(200)])
        for age in (20.0, 80.0)
    ]
    assert grades[1] > grades[0] + 0.4


# ---- how often -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", DISK_LEVELS)
def test_classes_are_drawn_as_often_as_the_level_asks(level):
    rng = np.random.default_rng(0)
    drawn = [sample_pathology(rng, level, 17.0).finding for _ in range(300)]
    for finding, share in zip(FINDINGS, TRAINING_PREVALENCE[level], strict=True):
        assert np.mean([d == finding for d in drawn]) == pytest.approx(share, abs=0.09)


def test_shares_need_not_sum_to_one():
    rng = np.random.default_rng(0)
    drawn = {sample_pathology(rng, "L4-L5", 17.0, {"L4-L5": (0, 0, 5), "L3-L4": (1, 0, 0)}).finding for _ in range(5)}
    assert drawn == {"herniation"}


def test_level_without_an_entry_is_drawn_as_l3_l4():
    rng = np.random.default_rng(0)
    drawn = {sample_pathology(rng, "T12-L1", 17.0, {"L3-L4": (0, 1, 0)}).finding for _ in range(5)}
    assert drawn == {"bulge"}


def test_table_without_the_level_and_without_l3_l4_is_refused():
    with pytest.raises(ValueError, match="neither L4-L5 nor L3-L4"):
        sample_pathology(np.random.default_rng(0), "L4-L5", 17.0, {"L1-L2": (1, 0, 0)})
    alone = sample_pathology(np.random.default_rng(0), "L4-L5", 17.0, {"L4-L5": (0, 0, 1)})
    assert alone.finding == "herniation"


def test_same_source_of_chance_gives_the_same_disk():
    one, other = (sample_pathology(np.random.default_rng(5), "L4-L5", 17.0, finding="herniation") for _ in range(2))
    assert (one.excess_mm == other.excess_mm).all()
    assert (one.fragments, one.hydration, one.changes) == (other.fragments, other.hydration, other.changes)


def test_class_follows_when_the_outline_is_changed():
    normal = DRAWN["normal"][0]
    assert replace(normal, excess_mm=normal.excess_mm + 3).finding == "bulge"


def test_fitting_to_another_rim_keeps_the_finding_and_measures_the_base_anew():
    drawn = next(d for d in of_kind("protrusion") if not d.fragments)
    wide = drawn.fitted(Rim(drawn.rim.radius_mm * 1.3, drawn.rim.height_mm))
    assert wide.finding == drawn.finding
    assert wide.angle_deg == drawn.angle_deg
    assert wide.base_mm > 1.2 * drawn.base_mm
