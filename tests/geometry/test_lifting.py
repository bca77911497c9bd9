import numpy as np
import pytest

from bundle.geometry import SliceBox, SlicePlane
from bundle.geometry.lifting import box_corners_px, lift_vertebra
from tests.making import ORDERS, reordered, upright_sagittal

PLANES = {f"s{k}": upright_sagittal(4.0 * k) for k in range(-3, 4)}
CORNERS = np.array([[90.0, 140.0], [122.0, 144.0], [120.0, 170.0], [88.0, 166.0]])
# In upright_sagittal column c is y = c - 100 and row r is z = 150 - r.
CORNERS_YZ = [[-10.0, 10.0], [22.0, 6.0], [20.0, -20.0], [-12.0, -16.0]]


def box(uid: str, score: float = 0.9, corners: np.ndarray | None = CORNERS) -> SliceBox:
    return SliceBox(uid, (88.0, 140.0, 122.0, 170.0), score, corners)


def test_corners_of_a_box_without_corners_are_its_own_front_to_the_left():
    assert box_corners_px(box("s0", corners=None)).tolist() == [[88, 140], [122, 140], [122, 170], [88, 170]]


def test_measured_corners_are_kept():
    assert box_corners_px(box("s0")) is not None
    assert box_corners_px(box("s0")).tolist() == CORNERS.tolist()


def test_body_lies_where_its_corners_are_in_the_patient():
    body = lift_vertebra("L3", [box("s0")], PLANES)
    assert body.corners_lps_mm == pytest.approx(np.array([[0.0, y, z] for y, z in CORNERS_YZ]))
    assert body.center_lps_mm == pytest.approx([0, 5, -5])


def test_middle_across_the_slices_is_that_of_the_slices_that_show_the_body():
    body = lift_vertebra("L3", [box(f"s{k}") for k in (-1, 0, 1, 2, 3)], PLANES)
    assert body.center_lps_mm[0] == pytest.approx(4.0)


def test_surer_slices_count_more_for_the_middle():
    body = lift_vertebra("L3", [box("s-1", 0.5), box("s1", 1.0)], PLANES)
    assert body.center_lps_mm[0] == pytest.approx((-4 * 0.25 + 4 * 1.0) / 1.25)


def test_one_bad_slice_does_not_move_the_body():
    good = [box(f"s{k}") for k in (-2, -1, 1, 2)]
    body = lift_vertebra("L3", [*good, box("s0", 0.9, CORNERS + 25)], PLANES)
    assert body.center_lps_mm == pytest.approx([0, 5, -5])


def test_slices_far_from_the_middle_do_not_shape_the_body():
    near = [box(f"s{k}", 1.0) for k in (-1, 0, 1)]
    far = [box(f"s{k}", 0.1, CORNERS + 20) for k in (-3, 3)]
    assert lift_vertebra("L3", [*near, *far], PLANES, middle_mm=6.0).center_lps_mm == pytest.approx([0, 5, -5])


def test_body_seen_only_far_from_its_middle_takes_the_nearest_slices():
    body = lift_vertebra("L3", [box("s-3"), box("s3")], PLANES, middle_mm=2.0)
    assert body.corners_lps_mm[:, 1:] == pytest.approx(np.array(CORNERS_YZ))
    assert body.center_lps_mm[0] == pytest.approx(0)


def test_tilted_stack_gives_a_point_of_the_patient():
    turn = np.radians(20)
    row = np.array([-np.sin(turn), np.cos(turn), 0.0])
    plane = SlicePlane([5.0, -40.0, 60.0], row, [0, 0, -1], (0.9, 0.9), (100, 100))
    corners = CORNERS / 3
    body = lift_vertebra("L3", [SliceBox("a", (0, 0, 1, 1), 0.8, corners)], {"a": plane})
    assert body.corners_lps_mm == pytest.approx(plane.to_patient(corners))


@pytest.mark.parametrize("order", ORDERS)
def test_place_does_not_depend_on_how_the_arrays_are_stored(order):
    turned = {uid: reordered(np.zeros(p.shape), p, order)[1] for uid, p in PLANES.items()}
    boxes = [box(f"s{k}", 0.9 - 0.1 * abs(k - 1)) for k in (-1, 0, 1, 2)]
    moved = [
        SliceBox(b.sop_instance_uid, b.xyxy, b.score, turned[b.sop_instance_uid].to_pixel(
            PLANES[b.sop_instance_uid].to_patient(b.corners_px)
        ))
        for b in boxes
    ]  # fmt: skip
    usual, other = lift_vertebra("L3", boxes, PLANES), lift_vertebra("L3", moved, turned)
    assert other.corners_lps_mm == pytest.approx(usual.corners_lps_mm)


def test_score_is_the_mean_of_the_three_surest_slices():
    body = lift_vertebra("L3", [box(f"s{k}", s) for k, s in zip(range(-2, 2), (0.2, 0.9, 0.7, 0.8), strict=True)], PLANES)
    assert body.score == pytest.approx(0.8)


def test_body_keeps_its_name_and_its_boxes():
    boxes = [box("s0"), box("s1")]
    body = lift_vertebra("L5", boxes, PLANES)
    assert body.level == "L5"
    assert body.boxes == tuple(boxes)
