import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.geometry import SlicePlane, group_into_stacks, plane_positions_mm
from tests.making import axial_plane


def stack(tilt_deg: float, z_mm: float, count: int, step_mm: float = 4.0, size: int = 64) -> list[SlicePlane]:
    """``count`` axial slices around a height, from the head down, tilted in the sagittal plane."""
    t = np.radians(tilt_deg)
    column = np.array([0.0, np.cos(t), -np.sin(t)])
    normal = np.cross([1.0, 0.0, 0.0], column)
    centers = [np.array([0, 0, z_mm]) - (k - (count - 1) / 2) * step_mm * normal for k in range(count)]
    corner = (size - 1) / 2 * (np.array([1.0, 0.0, 0.0]) + column)
    return [SlicePlane(c - corner, [1, 0, 0], column, (1.0, 1.0), (size, size)) for c in centers]


LUMBAR = [*stack(-12, 70, 3), *stack(-8, 35, 3), *stack(0, 0, 4), *stack(11, -35, 4), *stack(28, -70, 5)]


def test_each_disk_of_a_lumbar_series_has_its_own_stack():
    assert [len(s) for s in group_into_stacks(LUMBAR)] == [3, 3, 4, 4, 5]


def test_stacks_come_in_the_order_of_their_first_image():
    assert [min(s) for s in group_into_stacks(LUMBAR[::-1])] == [0, 5, 9, 13, 16]


def test_slices_are_ordered_by_position_along_the_normal():
    planes = stack(10, 0, 5)
    shuffled = [planes[k] for k in (3, 0, 4, 1, 2)]
    (found,) = group_into_stacks(shuffled)
    positions = plane_positions_mm([shuffled[k] for k in found])
    assert np.diff(positions) == pytest.approx([4.0] * 4)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.permutations(range(len(LUMBAR))))
def test_stacks_do_not_depend_on_the_order_of_the_images(order):
    usual = {tuple(s) for s in group_into_stacks(LUMBAR)}
    shuffled = group_into_stacks([LUMBAR[k] for k in order])
    assert {tuple(order[k] for k in s) for s in shuffled} == usual


def test_two_stacks_of_one_angle_are_told_apart_by_their_gap():
    planes = [*stack(5, 35, 3), *stack(5, 0, 3)]
    assert [sorted(s) for s in group_into_stacks(planes)] == [[0, 1, 2], [3, 4, 5]]


def test_one_missing_slice_does_not_split_a_stack():
    planes = stack(5, 0, 7)
    del planes[3]
    assert len(group_into_stacks(planes)) == 1


def test_small_gap_in_a_thin_stack_does_not_split_it():
    # Four steps of 1 mm are more than three usual steps, but 4 mm is no distance between two disks.
    planes = stack(0, 0, 12, step_mm=1.0)
    del planes[5:8]
    assert len(group_into_stacks(planes)) == 1


def test_copies_of_a_slice_stay_in_its_stack():
    planes = stack(0, 0, 3)
    assert group_into_stacks([*planes, planes[1]]) in ([[2, 1, 3, 0]], [[2, 3, 1, 0]])


def test_rounding_of_the_directions_does_not_split_a_stack():
    planes = [*stack(20.0, 4, 1), *stack(20.4, 0, 1), *stack(19.7, -4, 1)]
    assert len(group_into_stacks(planes)) == 1


def test_mirrored_images_of_one_stack_stay_together():
    planes = stack(5, 0, 4)
    flipped = [SlicePlane(p.to_patient([63, 0]), -p.row_direction, p.column_direction, (1, 1), (64, 64)) for p in planes[2:]]
    assert [sorted(s) for s in group_into_stacks([*planes[:2], *flipped])] == [[0, 1, 2, 3]]


def test_slices_that_differ_in_matrix_and_shift_lie_where_their_centres_are():
    big, small = stack(0, 3, 1, size=200)[0], stack(0, -3, 1, size=50)[0]
    assert plane_positions_mm([big, small]) == pytest.approx([3, -3])


def test_position_can_be_measured_along_any_direction():
    assert plane_positions_mm(stack(0, 7, 1), np.array([0.0, 0.0, -1.0])) == pytest.approx([-7])


def test_no_images_are_no_stacks():
    assert group_into_stacks([]) == []
    assert plane_positions_mm([]).shape == (0,)


def test_single_slices_one_a_disk_are_stacks_of_their_own():
    slices = [axial_plane(36.0 * k) for k in range(5)]
    assert group_into_stacks(slices) == [[0], [1], [2], [3], [4]]
