import json

import numpy as np
import pytest

from bundle.disks.locate import DiskLocator
from bundle.disks.match import SliceMatcher
from bundle.geometry import BODY_LEVELS, DISK_LEVELS, LUMBAR_LEVELS, angle_between_deg
from bundle.geometry.resample import square_plane
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.slices import sagittal_plane
from bundle.phantom.study import axial_stack, lumbar_examination, sagittal_planes
from bundle.phantom.truth import as_dict, box_on_slice, boxes_on_slice, disk_at, named_level, vertebrae
from tests.making import ORDERS, blank, reordered, upright_sagittal

SPINES = [sample_spine(seed) for seed in range(20)]


def middle(spine) -> np.ndarray:
    return np.mean([spine.body(level).center_lps_mm for level in ("L1", "L3", "S1")], axis=0)


def through(body, side_mm: float = 320.0, size: int = 200):
    """An upright sagittal plane through the middle of a body."""
    return square_plane(body.center_lps_mm, np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), side_mm, size, 4.0)


@pytest.mark.parametrize(
    ("level", "name"),
    [
        *(("S1", "S1"), ("S2", "S2"), ("S3", None), ("L3", "L3"), ("L6", None)),
        *(("T12", "T12"), ("T11", "T11"), ("T8", "T11"), ("C5", "T11")),
    ],
)
def test_bodies_above_t12_share_a_name_and_those_below_s2_have_none(level, name):
    assert named_level(level) == name


# ---- boxes on a slice ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_boxes_lie_on_the_image(seed):
    rng = np.random.default_rng(seed)
    spine = SPINES[seed]
    for _ in range(4):  # fields of view that cut off bodies at every edge
        plane = sagittal_plane(rng, spine.body("L4").center_lps_mm, 96, 170.0, 9.0)
        found = boxes_on_slice(spine, plane)
        assert found
        for _, box in found:
            assert plane.contains_px(np.reshape(box.xyxy, (2, 2))).all()
            assert box.xyxy[0] < box.xyxy[2] and box.xyxy[1] < box.xyxy[3]


@pytest.mark.parametrize("seed", range(6))
def test_corners_of_a_body_in_full_view_lie_at_its_box(seed):
    spine = SPINES[seed]
    plane = through(spine.body("L3"), 560.0)
    for _, box in boxes_on_slice(spine, plane):
        if not plane.contains_px(box.corners_px).all():
            continue
        low, high = np.reshape(box.xyxy, (2, 2))
        # The box ends at the rounded rim, the corners where its sides would meet.
        rounding_px = 1.3 / plane.pixel_spacing_mm[0]
        assert (box.corners_px >= low - rounding_px).all()
        assert (box.corners_px <= high + rounding_px).all()


@pytest.mark.parametrize("seed", range(6))
def test_corners_go_round_from_the_upper_front(seed):
    spine = SPINES[seed]
    for level, box in boxes_on_slice(spine, through(spine.body("L3"))):
        upper_front, upper_back, lower_back, lower_front = box.corners_px
        assert upper_front[0] < upper_back[0], level  # the front is to the left of an upright view
        assert lower_front[0] < lower_back[0], level
        assert upper_front[1] < lower_front[1], level
        assert upper_back[1] < lower_back[1], level


def test_corners_are_those_of_the_section_that_the_slice_shows():
    body = SPINES[0].body("L3")
    plane = square_plane(body.center_lps_mm, body.axes[1], -body.axes[2], 320.0, 200, 4.0)
    box = box_on_slice(body, plane)
    in_body = [
        (points - body.center_lps_mm) @ body.axes.T for points in (plane.to_patient(box.corners_px), body.corners_lps_mm())
    ]
    assert in_body[0][:, 1:] == pytest.approx(in_body[1][:, 1:], abs=0.03)


def test_a_slice_that_leans_shows_a_body_as_high_as_it_is_along_the_slice():
    body = SPINES[0].body("L3")
    lean = np.radians(25.0)
    column = -(np.cos(lean) * body.axes[2] + np.sin(lean) * body.axes[0])
    plane = square_plane(body.center_lps_mm, body.axes[1], column, 100.0, 400)
    upright = square_plane(body.center_lps_mm, body.axes[1], -body.axes[2], 100.0, 400)
    heights = []
    for view in (plane, upright):
        corners = box_on_slice(body, view).corners_px
        heights.append(np.linalg.norm(corners[[0, 1]].mean(0) - corners[[3, 2]].mean(0)))
    assert heights[0] / heights[1] == pytest.approx(1 / np.cos(lean), rel=0.01)


def test_slice_beside_a_body_shows_a_shallower_section():
    body = SPINES[0].body("L3")
    spans = []
    for away in (0.0, 15.0):
        plane = through(body)
        beside = square_plane(
            body.center_lps_mm + np.array([away, 0, 0]), plane.row_direction, plane.column_direction, 320, 200
        )
        box = box_on_slice(body, beside)
        spans.append(box.xyxy[2] - box.xyxy[0])
    assert spans[1] < 0.97 * spans[0]


def test_slice_past_a_body_shows_nothing_of_it():
    spine = SPINES[0]
    assert boxes_on_slice(spine, upright_sagittal(spine.body("L3").center_lps_mm[0] + 60.0)) == []


@pytest.mark.parametrize(("row", "column"), [([1, 0, 0], [0, 0, -1]), ([1, 0, 0], [0, 1, 0])], ids=["coronal", "axial"])
def test_slice_that_is_not_sagittal_has_no_boxes(row, column):
    spine = SPINES[0]
    plane = square_plane(spine.body("L3").center_lps_mm, np.array(row, float), np.array(column, float), 320, 200)
    assert boxes_on_slice(spine, plane) == []


def test_body_mostly_off_the_image_has_no_box():
    body = SPINES[0].body("L3")
    for share, seen in ((0.2, True), (0.6, False)):  # of the body that lies above the upper edge
        plane = through(body, 100.0, 100)
        top = body.corners_lps_mm()[:, 2].max() - share * np.ptp(body.corners_lps_mm()[:, 2])
        shifted = np.array([*body.center_lps_mm[:2], top - 50])
        moved = square_plane(shifted, *axes(plane), 100.0, 100)
        assert (box_on_slice(body, moved) is not None) == seen


def axes(plane):
    return plane.row_direction, plane.column_direction


@pytest.mark.parametrize("order", ORDERS)
def test_boxes_follow_the_patient_and_not_the_array(order):
    spine = SPINES[2]
    plane = through(spine.body("L3"))
    _, stored = reordered(np.zeros(plane.shape), plane, order)
    usual, found = dict(boxes_on_slice(spine, plane)), dict(boxes_on_slice(spine, stored))
    assert usual.keys() == found.keys()
    for level, box in found.items():
        assert stored.to_patient(box.corners_px) == pytest.approx(plane.to_patient(usual[level].corners_px), abs=1e-6)


def test_middle_slices_of_an_examination_show_every_lumbar_body():
    for spine in SPINES:
        plane = sagittal_planes(middle(spine) + np.array([0, 15, 0]), 15, 4.4, 300.0, 320)[7]
        seen = [level for level, _ in boxes_on_slice(spine, plane)]
        assert set(LUMBAR_LEVELS) - set(seen) <= {"S1"} | {"L1"}
        assert set(seen) <= set(BODY_LEVELS)


# ---- vertebrae and disks -------------------------------------------------------------------------------------------------


def test_true_vertebrae_are_the_six_of_a_reading_from_the_head_down():
    found = vertebrae(SPINES[0])
    assert tuple(v.level for v in found) == LUMBAR_LEVELS
    assert all(v.corners_lps_mm.shape == (4, 3) for v in found)


@pytest.mark.parametrize("level", DISK_LEVELS)
def test_slice_through_the_middle_of_a_disk_is_the_disks(level):
    for spine in SPINES:
        disk = spine.disks[level].disk
        (plane,) = axial_stack(disk.center_lps_mm, disk.normal_lps, 1, 4.0, 180.0, 64)
        assert disk_at(spine, plane)[0] == level


@pytest.mark.parametrize("level", LUMBAR_LEVELS)
def test_slice_through_the_middle_of_a_body_is_no_disks(level):
    for spine in SPINES:
        body = spine.body(level)
        (plane,) = axial_stack(body.center_lps_mm, body.axes[2], 1, 4.0, 180.0, 64)
        assert disk_at(spine, plane)[0] is None


def test_slice_that_ends_before_the_spine_is_no_disks():
    disk = SPINES[0].disks["L3-L4"].disk
    (plane,) = axial_stack(disk.center_lps_mm + np.array([0, 120, 0]), disk.normal_lps * [0, 1, 1], 1, 4.0, 60.0, 64)
    assert disk_at(SPINES[0], plane) == (None, float("inf"))


def test_sagittal_slice_is_no_disks():
    assert disk_at(SPINES[0], through(SPINES[0].body("L3"))) == (None, float("inf"))


@pytest.mark.parametrize("side", [1.0, -1.0], ids=["above", "below"])
def test_margin_is_the_way_to_the_nearest_endplate_at_the_canal(side):
    disk = SPINES[0].disks["L4-L5"].disk
    half = disk.height_at_mm(0.75) / 2
    for inside in (1.5, -1.5):
        center = disk.center_lps_mm + side * (half - inside) * disk.normal_lps
        (plane,) = axial_stack(center, disk.normal_lps, 1, 4.0, 180.0, 64)
        assert disk_at(SPINES[0], plane) == ("L4-L5" if inside > 0 else None, pytest.approx(1.5))


@pytest.mark.parametrize("seed", range(20))
def test_matcher_agrees_with_the_truth_on_an_examinations_axial_slices(seed):
    spine = SPINES[seed]
    images = [blank(str(k), plane) for k, plane in enumerate(lumbar_examination(spine, seed)[2].planes)]
    disks = {level: spine.disks[level].disk for level in DISK_LEVELS}
    true = [disk_at(spine, image.plane) for image in images]
    found = SliceMatcher(near_mm=0.0)(images, disks)
    assert [m.level for m in found] == [level for level, _ in true]
    assert [m.margin_mm for m in found] == pytest.approx([margin for _, margin in true], abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_matcher_agrees_on_disks_located_between_the_true_vertebrae(seed):
    # Bodies' corners leave out slip and rotation across the slices, so borderline slices may differ.
    spine = SPINES[seed]
    images = [blank(str(k), plane) for k, plane in enumerate(lumbar_examination(spine, seed)[2].planes)]
    for match in SliceMatcher()(images, DiskLocator()(vertebrae(spine))):
        level, margin = disk_at(spine, match.image.plane)
        assert match.level == level or margin < 0.7


def test_every_disk_higher_than_a_step_of_the_examination_has_a_slice():
    for seed, spine in enumerate(SPINES):
        seen = {disk_at(spine, plane)[0] for plane in lumbar_examination(spine, seed)[2].planes}
        high = {level for level in DISK_LEVELS if spine.disks[level].disk.height_at_mm(0.75) > 4.4}
        assert seen >= high
        assert len(high) >= 3


# ---- the examination ------------------------------------------------------------------------------------------------------


def test_examination_has_a_localizer_a_sagittal_and_an_axial_series():
    plans = lumbar_examination(SPINES[0], 0, slices_per_disk=(1, 2, 3, 4, 5))
    assert [p.description for p in plans] == ["localizer", "t2_tse_sag", "t2_tse_tra"]
    assert [len(p.planes) for p in plans] == [3, 15, 15]


def test_sagittal_planes_go_from_right_to_left_and_axial_stacks_from_head_to_feet():
    plans = lumbar_examination(SPINES[1], 0)
    across = [p.center_lps_mm[0] for p in plans[1].planes]
    assert across == sorted(across)
    stack = plans[2].planes[:3]
    assert np.diff([p.center_lps_mm @ stack[0].normal for p in stack]) == pytest.approx([-4.4, -4.4])


def test_axial_stacks_are_nearly_parallel_to_their_disks():
    for spine in SPINES[:8]:
        planes = lumbar_examination(spine, 3, slices_per_disk=(1,) * 5)[2].planes
        for level, plane in zip(DISK_LEVELS, planes, strict=True):
            assert angle_between_deg(plane.normal, spine.disks[level].disk.normal_lps) < 15


def test_examination_is_the_same_for_the_same_seed():
    def affines(seed):
        return np.stack([p.affine for plan in lumbar_examination(SPINES[0], seed) for p in plan.planes])

    assert (affines(3) == affines(3)).all()
    assert (affines(3) != affines(4)).any()


# ---- the truth's file -----------------------------------------------------------------------------------------------------


def test_truth_for_a_file_is_json_and_holds_every_body_and_disk():
    truth = json.loads(json.dumps(as_dict(SPINES[0])))
    assert [v["level"] for v in truth["vertebrae"]] == list(LUMBAR_LEVELS)
    assert [d["level"] for d in truth["disks"]] == list(DISK_LEVELS)


def test_truth_tells_class_and_geometry_of_each_disk():
    spine = sample_spine(3, findings={"L4-L5": "herniation", "L5-S1": "bulge"})
    by_level = {d["level"]: d for d in as_dict(spine)["disks"]}
    assert by_level["L4-L5"]["finding"] == "herniation"
    assert 0 < by_level["L4-L5"]["angle_deg"] < 90
    assert by_level["L5-S1"]["finding"] == "bulge"
    assert by_level["L5-S1"]["angle_deg"] > 90
    assert by_level["L4-L5"]["center_lps_mm"] == pytest.approx(spine.disks["L4-L5"].disk.center_lps_mm, abs=1e-3)


def test_numbers_of_the_file_are_those_of_the_pathology():
    spine = sample_spine(5, findings=dict.fromkeys(DISK_LEVELS, "herniation"))
    for found in as_dict(spine)["disks"]:
        path = spine.disks[found["level"]].pathology
        assert found["kind"] == path.kind
        assert (found["zone"], found["side"], found["pfirrmann"]) == (path.zone, path.side, path.pfirrmann)
        assert found["extent_mm"] == pytest.approx(path.extent_mm, abs=0.006)
        assert found["angle_margin_deg"] == pytest.approx(found["angle_deg"] - 90, abs=0.11)
        assert sum(found["readers"].values()) == pytest.approx(1, abs=0.01)
        assert found["borderline"] == pytest.approx(1 - found["readers"]["herniation"], abs=0.01)
        assert 0 <= found["sac_pressed_share"] <= 1


def test_sixth_lumbar_body_is_in_the_file_with_its_disks():
    truth = as_dict(sample_spine(3, transition="L6"))
    assert [v["level"] for v in truth["vertebrae"]] == ["L1", "L2", "L3", "L4", "L5", "L6", "S1"]
    assert [d["level"] for d in truth["disks"]][-2:] == ["L5-L6", "L6-S1"]
    assert truth["transition"] == "L6"


def test_slip_of_a_spondylolisthesis_is_in_the_file():
    slips = [max(d["slip_mm"] for d in as_dict(sample_spine(seed))["disks"]) for seed in range(40)]
    assert max(slips) > 3.5
    assert np.median(slips) < 3.5
