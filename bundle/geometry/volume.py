"""A volume: evenly spaced parallel slices of one matrix, and the affine that places its voxels in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from bundle.geometry.planes import Array, SlicePlane
from bundle.geometry.stacks import Stack


@dataclass(frozen=True, eq=False)
class VolumeGrid:
    """Where the voxels of a volume lie in the patient.

    Args:
        affine: (4, 4) map of (slice, row, column, 1) to LPS millimetres. Slices may be sheared against one another.
        shape: (slices, rows, columns).

    Raises:
        ValueError: the affine cannot be inverted, or the shape is empty.
    """

    affine: Array
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        affine = np.asarray(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise ValueError("the affine of a volume is a (4, 4) matrix that can be inverted")
        shape = (int(self.shape[0]), int(self.shape[1]), int(self.shape[2]))
        if min(shape) < 1:
            raise ValueError(f"a volume needs slices, rows and columns, got {shape}")
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", shape)

    @classmethod
    def from_stack(cls, stack: Stack, max_uneven_mm: float = 0.2) -> VolumeGrid | None:
        """The volume of a stack's slices in order of position; None if they are no volume.

        Args:
            stack: of two slices or more.
            max_uneven_mm: a slice farther from where even steps would put it is none of a volume.
        """
        one = stack.planes[0]
        if len(stack.planes) < 2 or len({plane.shape for plane in stack.planes}) > 1:
            return None
        for plane in stack.planes:
            same_axes = float(plane.row_direction @ one.row_direction), float(plane.column_direction @ one.column_direction)
            if min(same_axes) < 0.9999 or not np.allclose(plane.pixel_spacing_mm, one.pixel_spacing_mm, rtol=1e-3):
                return None
        origins = np.stack([stack.planes[k].origin_lps_mm for k in stack.order])
        index = np.arange(len(origins))
        # A line through all origins, not the first two: their digits are few. Sheared volumes are lines too.
        step, start = np.polynomial.polynomial.polyfit(index, origins, 1)[::-1]
        if np.abs(origins - start - index[:, None] * step).max() > max_uneven_mm or step @ one.normal <= 0:
            return None
        affine = np.eye(4)
        affine[:3, 0] = step
        affine[:3, 1] = one.column_direction * one.pixel_spacing_mm[0]
        affine[:3, 2] = one.row_direction * one.pixel_spacing_mm[1]
        affine[:3, 3] = start
        return cls(affine, (len(origins), *one.shape))

    @cached_property
    def spacing_mm(self) -> Array:
        """(3,) millimetres from slice to slice, row to row and column to column."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    def to_patient(self, index: ArrayLike) -> Array:
        """LPS millimetres (..., 3) of (slice, row, column) (..., 3), voxel centres at whole numbers."""
        return np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_index(self, points_lps_mm: ArrayLike) -> Array:
        """(slice, row, column) (..., 3) of points (..., 3)."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(points_lps_mm, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]

    def plane(self, index: int) -> SlicePlane:
        """The plane of slice ``index``.

        Raises:
            ValueError: the volume's rows and columns are not at right angles.
        """
        spacing = self.spacing_mm
        return SlicePlane(
            self.to_patient([index, 0, 0]),
            self.affine[:3, 2],
            self.affine[:3, 1],
            (float(spacing[1]), float(spacing[2])),
            self.shape[1:],
            float(spacing[0]),
        )
