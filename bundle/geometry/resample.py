"""Images moved from one plane's pixels to another's."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bundle.geometry.planes import Array, SlicePlane, unit

# Standard deviations after which the smoothing stops.
_TRUNCATE = 4.0


def square_plane(
    center_lps_mm: ArrayLike,
    row: ArrayLike,
    column: ArrayLike,
    side_mm: float,
    size_px: int,
    thickness_mm: float | None = None,
) -> SlicePlane:
    """A square around a point: ``side_mm`` long, ``size_px`` pixels a side, rows along ``row``, columns along ``column``."""
    r, c = unit(row), np.asarray(column, dtype=np.float64)
    c = unit(c - (c @ r) * r)
    spacing = side_mm / size_px
    origin = np.asarray(center_lps_mm, dtype=np.float64) - (size_px - 1) / 2 * spacing * (r + c)
    return SlicePlane(origin, r, c, (spacing, spacing), (size_px, size_px), thickness_mm)


def pixel_map(source: SlicePlane, target: SlicePlane) -> tuple[Array, Array]:
    """(2, 2) matrix and (2,) offset that take (row, column) of ``target`` to (row, column) of ``source``.

    A pixel of the target goes to the foot of its point on the source's plane.
    """
    steps = np.stack(
        [target.column_direction * target.pixel_spacing_mm[0], target.row_direction * target.pixel_spacing_mm[1]]
    )
    axes = np.stack(
        [source.column_direction / source.pixel_spacing_mm[0], source.row_direction / source.pixel_spacing_mm[1]]
    )
    return axes @ steps.T, axes @ (target.origin_lps_mm - source.origin_lps_mm)


def resample_plane(image: NDArray, source: SlicePlane, target: SlicePlane, outside: float = 0.0) -> NDArray[np.float32]:
    """``image`` on the pixels of ``target``: linear, smoothed first where pixels become larger.

    Args:
        image: (rows, columns) on ``source``.
        source: its plane.
        target: the plane wanted; parallel to the source, or nearly so.
        outside: value beyond the image's edge.

    Returns:
        (rows, columns) of ``target``, float32.
    """
    pixels = np.asarray(image, dtype=np.float32)
    if pixels.shape != source.shape:
        raise ValueError(f"the image has {pixels.shape} pixels, its plane {source.shape}")
    matrix, offset = pixel_map(source, target)
    step = np.linalg.norm(matrix, axis=1)  # source pixels that one target pixel spans, along rows and columns
    sigma = 0.45 * np.sqrt(np.maximum(step**2 - 1, 0))
    smooth = bool(sigma.max() > 0.1)
    # Only the part that the target sees, and what its pixels are smoothed with: an ROI is a small part of a slice.
    margin = np.ceil(_TRUNCATE * sigma) + 2 if smooth else np.full(2, 2.0)
    last = np.array(target.shape) - 1
    ends = np.array([[0, 0], [last[0], 0], [0, last[1]], last]) @ matrix.T + offset
    low = np.maximum(np.floor(ends.min(0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(ends.max(0) + margin) + 1, pixels.shape).astype(int)
    if (low >= high).any():
        return np.full(target.shape, outside, dtype=np.float32)
    pixels, offset = pixels[low[0] : high[0], low[1] : high[1]], offset - low
    from scipy import ndimage

    if smooth:
        pixels = ndimage.gaussian_filter(pixels, sigma, mode="nearest", truncate=_TRUNCATE)
    if abs(matrix[0, 1]) + abs(matrix[1, 0]) < 1e-9:
        return _along_axes(np.pad(pixels, 1, constant_values=outside), np.diag(matrix), offset + 1, target.shape)
    # A rim of its own rather than mode "constant", by which a rounding error beyond the outer pixels' centres blanks the
    # whole outer row; "grid-constant" does the same as this rim and takes nearly twice as long.
    return ndimage.affine_transform(
        np.pad(pixels, 1, constant_values=outside), matrix, offset + 1, output_shape=target.shape, order=1, mode="nearest",
        output=np.float32,
    )  # fmt: skip


def _along_axes(pixels: NDArray, step: NDArray, offset: NDArray, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Linear interpolation at ``offset + step * index``, first along the rows' axis, then along the columns': as
    ``affine_transform`` with a diagonal matrix does it, several times as fast.
    """
    for axis in range(2):
        place = np.clip(offset[axis] + step[axis] * np.arange(shape[axis]), 0, pixels.shape[axis] - 1)
        low = np.minimum(place.astype(int), max(pixels.shape[axis] - 2, 0))
        share = (place - low).astype(np.float32)
        share = share[:, None] if axis == 0 else share[None]
        pixels = np.take(pixels, low, axis) * (1 - share) + np.take(pixels, low + 1, axis) * share
    return np.ascontiguousarray(pixels, dtype=np.float32)


def share_outside(source: SlicePlane, target: SlicePlane) -> float:
    """Share (0 to 1) of the target's pixels that lie beyond the source image."""
    matrix, offset = pixel_map(source, target)
    rows, columns = np.indices(target.shape, dtype=np.float64)
    r = matrix[0, 0] * rows + matrix[0, 1] * columns + offset[0]
    c = matrix[1, 0] * rows + matrix[1, 1] * columns + offset[1]
    return float(1 - source.contains_px(np.stack([c, r], axis=-1)).mean())
