"""The plane of one image in patient space, as DICOM PS3.3 C.7.6.2 (Image Plane Module) defines it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# Directions in headers are written with few digits; more than this off a right angle is not rounding.
_MAX_SKEW = 1e-2


def unit(vector: ArrayLike) -> Array:
    """``vector`` (..., 3) scaled to length one.

    Raises:
        ValueError: a vector has no length.
    """
    v = np.asarray(vector, dtype=np.float64)
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    if not np.all(length > 1e-12):
        raise ValueError("a direction of zero length has no unit vector")
    return v / length


def angle_between_deg(a: ArrayLike, b: ArrayLike) -> Array:
    """Angle in degrees, 0 to 90, between two lines along ``a`` and ``b`` (..., 3); which way they point does not count."""
    cosine = np.abs(np.sum(unit(a) * unit(b), axis=-1))
    return np.degrees(np.arccos(np.clip(cosine, 0.0, 1.0)))


@dataclass(frozen=True, eq=False)
class SlicePlane:
    """Where the pixels of one image lie in the patient.

    Pixel (column ``c``, row ``r``) has its centre at
    ``origin + c * between_columns * row_direction + r * between_rows * column_direction``.

    Args:
        origin_lps_mm: (3,) centre of pixel (0, 0): Image Position (Patient).
        row_direction: (3,) unit vector along a row, toward increasing column index: first triple of Image Orientation
            (Patient). It is re-normalised.
        column_direction: (3,) unit vector down a column, toward increasing row index: second triple. It is
            re-orthogonalised against ``row_direction``.
        pixel_spacing_mm: (between rows, between columns), in the order of DICOM's Pixel Spacing.
        shape: (rows, columns).
        thickness_mm: slice thickness, or None where unknown.

    Raises:
        ValueError: spacing or shape not positive, or directions not at right angles.

    Example:
        >>> plane = SlicePlane((0, 0, 0), (0, 1, 0), (0, 0, -1), (0.5, 0.5), (512, 512))
        >>> plane.to_patient([10, 20]).tolist()
        [0.0, 5.0, -10.0]
    """

    origin_lps_mm: Array
    row_direction: Array
    column_direction: Array
    pixel_spacing_mm: tuple[float, float]
    shape: tuple[int, int]
    thickness_mm: float | None = None

    def __post_init__(self) -> None:
        origin = np.asarray(self.origin_lps_mm, dtype=np.float64).reshape(3)
        row = unit(np.asarray(self.row_direction, dtype=np.float64).reshape(3))
        column = unit(np.asarray(self.column_direction, dtype=np.float64).reshape(3))
        skew = float(row @ column)
        if not np.isfinite(origin).all() or abs(skew) > _MAX_SKEW:
            raise ValueError("the directions of rows and columns are not at right angles, or the position is not a number")
        spacing = (float(self.pixel_spacing_mm[0]), float(self.pixel_spacing_mm[1]))
        if not (np.isfinite(spacing).all() and min(spacing) > 0):
            raise ValueError(f"pixel spacing must be two positive numbers, got {spacing}")
        shape = (int(self.shape[0]), int(self.shape[1]))
        if min(shape) < 1:
            raise ValueError(f"an image needs rows and columns, got {shape}")
        object.__setattr__(self, "origin_lps_mm", origin)
        object.__setattr__(self, "row_direction", row)
        object.__setattr__(self, "column_direction", unit(column - skew * row))
        object.__setattr__(self, "pixel_spacing_mm", spacing)
        object.__setattr__(self, "shape", shape)

    @classmethod
    def from_affine(cls, affine: ArrayLike, shape: tuple[int, int], thickness_mm: float | None = None) -> SlicePlane:
        """The plane ``k = 0`` of an ``affine`` (4, 4) that maps (column, row, k, 1) to LPS millimetres."""
        a = np.asarray(affine, dtype=np.float64)
        spacing = (float(np.linalg.norm(a[:3, 1])), float(np.linalg.norm(a[:3, 0])))
        return cls(a[:3, 3], a[:3, 0], a[:3, 1], spacing, shape, thickness_mm)

    @cached_property
    def normal(self) -> Array:
        """(3,) unit vector, row direction x column direction."""
        return np.cross(self.row_direction, self.column_direction)

    @cached_property
    def affine(self) -> Array:
        """(4, 4) map of (column, row, millimetres along the normal, 1) to LPS millimetres."""
        a = np.eye(4)
        a[:3, 0] = self.row_direction * self.pixel_spacing_mm[1]
        a[:3, 1] = self.column_direction * self.pixel_spacing_mm[0]
        a[:3, 2] = self.normal
        a[:3, 3] = self.origin_lps_mm
        return a

    @property
    def position_mm(self) -> float:
        """Distance of the plane from the patient-space origin along its normal."""
        return float(self.origin_lps_mm @ self.normal)

    @cached_property
    def center_lps_mm(self) -> Array:
        """(3,) centre of the image."""
        rows, columns = self.shape
        return self.to_patient([(columns - 1) / 2, (rows - 1) / 2])

    def to_patient(self, points_px: ArrayLike) -> Array:
        """LPS millimetres (..., 3) of points (..., 2) given as (column, row), pixel centres at whole numbers."""
        p = np.asarray(points_px, dtype=np.float64)
        return self.origin_lps_mm + p @ self.affine[:3, :2].T

    def to_pixel(self, points_lps_mm: ArrayLike) -> Array:
        """(column, row) (..., 2) of the foot of each point (..., 3) on the plane."""
        d = np.asarray(points_lps_mm, dtype=np.float64) - self.origin_lps_mm
        return np.stack(
            [d @ self.row_direction / self.pixel_spacing_mm[1], d @ self.column_direction / self.pixel_spacing_mm[0]],
            axis=-1,
        )

    def signed_distance_mm(self, points_lps_mm: ArrayLike) -> Array:
        """Millimetres (...,) of points (..., 3) above the plane, counted along its normal."""
        return (np.asarray(points_lps_mm, dtype=np.float64) - self.origin_lps_mm) @ self.normal

    def contains_px(self, points_px: ArrayLike) -> NDArray[np.bool_]:
        """Whether (column, row) points (..., 2) lie on the image, whose edge is half a pixel outside the outer centres."""
        p = np.asarray(points_px, dtype=np.float64)
        rows, columns = self.shape
        return np.all((p >= -0.5) & (p <= np.array([columns - 0.5, rows - 0.5])), axis=-1)

    def angle_deg(self, normal: ArrayLike) -> float:
        """Angle in degrees, 0 to 90, between this plane and the plane with ``normal`` (3,)."""
        return float(angle_between_deg(self.normal, normal))

    def intersection(self, other: SlicePlane) -> tuple[Array, Array] | None:
        """Ends (3,), (3,) in LPS millimetres of the line in which both images meet; None where they do not.

        This is the reference line a viewer draws: the line common to both planes, cut off at the edges of both images.
        """
        direction = np.cross(self.normal, other.normal)
        if np.linalg.norm(direction) < 1e-6:
            return None
        direction = unit(direction)
        # A point on both planes: the smallest solution of the two plane equations, taken near the images for accuracy.
        base = (self.center_lps_mm + other.center_lps_mm) / 2
        normals = np.stack([self.normal, other.normal])
        offsets = np.array([-self.signed_distance_mm(base), -other.signed_distance_mm(base)])
        point = base + np.linalg.lstsq(normals, offsets, rcond=None)[0]
        start, end = -np.inf, np.inf
        for plane in (self, other):
            p, q = plane.to_pixel(point), plane.to_pixel(point + direction)
            step = q - p
            low, high = np.array([-0.5, -0.5]), np.array([plane.shape[1] - 0.5, plane.shape[0] - 0.5])
            for axis in range(2):
                if abs(step[axis]) < 1e-12:
                    if not low[axis] <= p[axis] <= high[axis]:
                        return None
                    continue
                a, b = sorted(((low[axis] - p[axis]) / step[axis], (high[axis] - p[axis]) / step[axis]))
                start, end = max(start, a), min(end, b)
        if start >= end:
            return None
        return point + start * direction, point + end * direction
