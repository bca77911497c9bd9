from itertools import pairwise

import numpy as np
import pytest

from bundle.geometry import DISK_LEVELS, angle_between_deg
from bundle.phantom.anatomy import LEVELS, TRANSITIONS, sample_spine, sample_transition
from bundle.phantom.shapes import Body

SPINES = [sample_spine(seed) for seed in range(12)]


def box_body(**change) -> Body:
    """A body in the axes of the patient: 40 mm wide, 30 deep, 24 high."""
    values = {
        "level": "L3", "center_lps_mm": np.array([1.0, 2.0, 3.0]), "axes": np.eye(3), "half_width_mm": 20.0,
        "half_depth_mm": (15.0, 15.0), "half_height_mm": (12.0, 12.0), "waist": 0.0, "concavity_mm": 0.0, "dent_mm": 0.0,
    }  # fmt: skip
    return Body(**{**values, **change})


def test_same_seed_gives_the_same_spine():
    one, other = sample_spine(5), sample_spine(5)
    assert all((a.center_lps_mm == b.center_lps_mm).all() for a, b in zip(one.bodies, other.bodies, strict=True))
    assert (one.canal == other.canal).all()
    assert (one.soft, one.seed) == (other.soft, other.seed)


def test_another_seed_gives_another_spine():
    assert np.abs(sample_spine(5).canal - sample_spine(6).canal).max() > 1


def test_spine_has_all_bodies_from_the_bottom_up():
    for spine in SPINES:
        assert tuple(b.level for b in spine.bodies) == LEVELS[: LEVELS.index("T7") + 1]
        heights = [b.center_lps_mm[2] for b in spine.bodies]
        assert heights == sorted(heights)


def test_third_lumbar_body_is_near_the_origin():
    assert max(np.linalg.norm(s.body("L3").center_lps_mm) for s in SPINES) < 45


@pytest.mark.parametrize("spine", SPINES[:6], ids=range(6))
def test_axes_of_bodies_and_disks_are_left_back_and_up_at_right_angles(spine):
    for axes in [*(b.axes for b in spine.bodies), *(d.axes for d in spine.disks.values())]:
        assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-9)
        assert np.cross(axes[0], axes[1]) == pytest.approx(axes[2])
        assert axes[0, 0] > 0.8  # to the patient's left


def test_lumbar_bodies_have_human_sizes():
    for spine in SPINES:
        for level in ("L1", "L2", "L3", "L4", "L5"):
            body = spine.body(level)
            assert 13 < sum(body.half_height_mm) < 42
            assert 22 < 2 * np.mean(body.half_depth_mm) < 48


def test_lumbar_spine_is_lordotic_on_average():
    tilts = [angle_between_deg(s.body("L1").axes[2], s.body("S1").axes[2]) for s in SPINES]
    assert 25 < np.mean(tilts) < 80


def test_every_pair_of_neighbours_has_a_disk_between_them():
    for spine in SPINES:
        for lower, upper in pairwise(spine.bodies):
            shape = spine.disks[f"{upper.level}-{lower.level}"]
            center = shape.disk.center_lps_mm
            assert (center - lower.center_lps_mm) @ shape.axes[2] > 0
            assert (upper.center_lps_mm - center) @ shape.axes[2] > 0


def test_disk_has_height_everywhere_between_the_corners():
    for spine in SPINES:
        for shape in spine.disks.values():
            assert shape.gap_mm - abs(shape.wedge) * shape.half_depth_mm > 0


def test_disks_edges_are_half_its_depth_from_its_middle():
    for shape in SPINES[0].disks.values():
        assert shape.disk.depth_mm == pytest.approx(2 * shape.half_depth_mm)
        assert (shape.disk.front_lps_mm + shape.disk.back_lps_mm) / 2 == pytest.approx(shape.disk.center_lps_mm)
        assert shape.disk.posterior_lps == pytest.approx(shape.axes[1])
        assert shape.disk.normal_lps == pytest.approx(shape.axes[2])


@pytest.mark.parametrize("finding", ["normal", "bulge", "herniation"])
def test_asked_finding_is_drawn(finding):
    spine = sample_spine(3, findings=dict.fromkeys(DISK_LEVELS, finding))
    assert [spine.disks[level].pathology.finding for level in DISK_LEVELS] == [finding] * 5


def test_prevalence_decides_the_draw():
    spine = sample_spine(3, prevalence=dict.fromkeys(DISK_LEVELS, (0.0, 1.0, 0.0)))
    assert {spine.disks[level].pathology.finding for level in DISK_LEVELS} == {"bulge"}


def test_disks_above_and_below_the_lumbar_spine_are_normal():
    for spine in SPINES:
        assert {s.pathology.kind for name, s in spine.disks.items() if name not in DISK_LEVELS} == {"normal"}


def test_canal_runs_upward_behind_the_bodies():
    for spine in SPINES:
        assert (np.diff(spine.canal[:, 0]) >= 0).all()
        for level in ("L2", "L3", "L4"):
            body = spine.body(level)
            wall = np.interp(body.center_lps_mm[2], spine.canal[:, 0], spine.canal[:, 2])
            assert wall > body.center_lps_mm[1] + 8


# ---- one body by hand --------------------------------------------------------------------------------------------------


def test_corners_go_round_from_the_upper_front():
    expected = [[1, -13, 15], [1, 17, 15], [1, 17, -9], [1, -13, -9]]
    assert box_body().corners_lps_mm() == pytest.approx(np.array(expected, dtype=float))


def test_wedged_body_is_lower_at_the_lower_side():
    corners = box_body(half_height_mm=(10.0, 14.0), half_depth_mm=(12.0, 16.0)).corners_lps_mm() - [1, 2, 3]
    assert corners[:, 2] == pytest.approx([10, 14, -14, -10])
    # The walls lean: where the front ends, 2 mm before the back does, they are a sixth of the way on.
    assert corners[:, 1] == pytest.approx([-12 - 1 / 3, 12, 16, -16 + 1 / 3])


def test_section_shrinks_to_nothing_at_the_sides():
    body = box_body()
    assert body.section(0) == 1
    assert body.section(10) == pytest.approx((1 - 0.5**2.6) ** (1 / 2.6))
    assert body.section(-10) == body.section(10)
    assert body.section(20) == 0


def test_section_beside_the_body_has_no_corners():
    with pytest.raises(ValueError, match="misses the body"):
        box_body().corners_lps_mm(20.5)


def test_spine_reaches_as_high_as_asked():
    assert sample_spine(1, top="C2").bodies[-1].level == "C2"
    with pytest.raises(ValueError):
        sample_spine(1, top="C1")


def test_sixth_lumbar_body_lies_between_l5_and_the_sacrum():
    spine = sample_spine(3, transition="L6")
    assert [b.level for b in spine.bodies][4:8] == ["S1", "L6", "L5", "L4"]
    assert spine.presacral_levels == ("L2-L3", "L3-L4", "L4-L5", "L5-L6", "L6-S1")
    assert sample_spine(3).presacral_levels == DISK_LEVELS


def test_sacralised_l5_has_a_low_disk_that_is_partly_bridged():
    for seed in range(8):
        ordinary, fused = (sample_spine(seed, transition=t).disks["L5-S1"] for t in (None, "sacralised L5"))
        assert fused.remnant < 1 == ordinary.remnant
        assert fused.gap_mm < 0.8 * ordinary.gap_mm or fused.gap_mm < 6


def test_lumbarised_s1_has_a_whole_disk_below():
    for seed in range(8):
        spine = sample_spine(seed, transition="lumbarised S1")
        assert spine.disks["S1-S2"].remnant == 1
        assert spine.disks["S1-S2"].gap_mm > 3


def test_unknown_transition_is_refused():
    with pytest.raises(ValueError, match="'L7' is no transition"):
        sample_spine(1, transition="L7")


def test_transitions_come_with_their_shares():
    rng = np.random.default_rng(0)
    drawn = [sample_transition(rng) for _ in range(4000)]
    for kind, share in TRANSITIONS.items():
        assert drawn.count(kind) / 4000 == pytest.approx(share, abs=0.012)


def test_without_variation_patients_are_alike():
    spines = [sample_spine(seed, variation=0.0) for seed in range(4)]
    sizes = np.array([[b.half_width_mm for b in s.bodies] for s in spines])
    assert np.ptp(sizes, axis=0) == pytest.approx(0.0)
    varied = np.array([[b.half_width_mm for b in s.bodies] for s in SPINES])
    assert np.ptp(varied, axis=0).min() > 1
