import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.geometry import SlicePlane, Stack, VolumeGrid
from tests.making import planes


def stack_on(plane: SlicePlane, count: int, step_mm: float, shear_mm: float = 0.0) -> list[SlicePlane]:
    step = step_mm * plane.normal + shear_mm * plane.row_direction
    return [
        SlicePlane(
            plane.origin_lps_mm + k * step, plane.row_direction, plane.column_direction, plane.pixel_spacing_mm, plane.shape
        )
        for k in range(count)
    ]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(plane=planes(), step_mm=st.floats(0.5, 6.0), shear_mm=st.floats(-1.0, 1.0), order=st.permutations(range(6)))
def test_a_volume_places_voxels_where_its_slices_do(plane, step_mm, shear_mm, order):
    slices = stack_on(plane, 6, step_mm, shear_mm)
    grid = VolumeGrid.from_stack(Stack(tuple(slices[k] for k in order)))
    assert grid.shape == (6, *plane.shape)
    np.testing.assert_allclose(grid.to_patient([3, 1, 0]), slices[3].to_patient([0, 1]), atol=1e-6)
    np.testing.assert_allclose(grid.plane(4).to_patient([1, 1]), slices[4].to_patient([1, 1]), atol=1e-6)
    np.testing.assert_allclose(grid.to_index(grid.to_patient([2.5, 0.3, 1.7])), [2.5, 0.3, 1.7], atol=1e-6)


def one() -> SlicePlane:
    return SlicePlane(np.zeros(3), [0.0, 1, 0], [0.0, 0, -1], (1.0, 2.0), (8, 9))


def test_spacing_is_from_slice_to_slice_row_to_row_and_column_to_column():
    grid = VolumeGrid.from_stack(Stack(tuple(stack_on(one(), 4, 3.0))))
    assert grid.spacing_mm == pytest.approx([3.0, 1.0, 2.0])


def test_uneven_slices_are_no_volume():
    slices = stack_on(one(), 5, 3.0)
    assert VolumeGrid.from_stack(Stack((*slices[:3], slices[4]))) is None


def test_slices_of_different_matrices_are_no_volume():
    slices = stack_on(one(), 3, 3.0)
    other = SlicePlane(9 * one().normal, [0.0, 1, 0], [0.0, 0, -1], (1.0, 2.0), (8, 10))
    assert VolumeGrid.from_stack(Stack((*slices, other))) is None


def test_a_single_slice_is_no_volume():
    assert VolumeGrid.from_stack(Stack((one(),))) is None


def test_an_affine_that_cannot_be_inverted_is_refused():
    with pytest.raises(ValueError, match="inverted"):
        VolumeGrid(np.zeros((4, 4)), (1, 1, 1))


def test_a_stack_tells_order_and_usual_step():
    slices = stack_on(one(), 4, 3.0)
    stack = Stack((slices[2], slices[0], slices[3], slices[1], slices[1]))
    assert stack.planes[stack.order[0]] is slices[0]
    assert stack.steps_mm == pytest.approx([3.0, 0.0, 3.0, 3.0])
    assert stack.step_mm == pytest.approx(3.0)
