"""Images moved from one plane's pixels to another's."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bundle.geometry.planes import Array, SlicePlane, unit

if TYPE_CHECKING:
    from scipy.sparse import csr_array

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
    if sigma.max() <= 0.1:
        sigma = np.zeros(2)
    # Only the part that the target sees, and what its pixels are smoothed with: an ROI is a small part of a slice.
    margin = np.ceil(_TRUNCATE * sigma) + 2
    last = np.array(target.shape) - 1
    ends = np.array([[0, 0], [last[0], 0], [0, last[1]], last]) @ matrix.T + offset
    low = np.maximum(np.floor(ends.min(0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(ends.max(0) + margin) + 1, pixels.shape).astype(int)
    if (low >= high).any():
        return np.full(target.shape, outside, dtype=np.float32)
    pixels, offset = pixels[low[0] : high[0], low[1] : high[1]], offset - low
    if abs(matrix[0, 1]) + abs(matrix[1, 0]) < 1e-9:
        # Rounded, so that slices of a stack, whose places differ by rounding errors, share what is computed once.
        rows, columns = (
            _weights(pixels.shape[k], target.shape[k], *(round(float(v), 9) for v in (matrix[k, k], offset[k], sigma[k])))
            for k in (0, 1)
        )
        return np.ascontiguousarray((columns @ (rows @ (pixels - outside)).T).T) + np.float32(outside)
    from scipy import ndimage

    if sigma.any():
        pixels = ndimage.gaussian_filter(pixels, sigma, mode="nearest", truncate=_TRUNCATE)
    # A rim of its own rather than mode "constant", by which a rounding error beyond the outer pixels' centres blanks the
    # whole outer row; "grid-constant" does the same as this rim and takes nearly twice as long.
    return ndimage.affine_transform(
        np.pad(pixels, 1, constant_values=outside), matrix, offset + 1, output_shape=target.shape, order=1, mode="nearest",
        output=np.float32,
    )  # fmt: skip


@lru_cache(maxsize=32)
def _weights(count: int, wanted: int, step: float, offset: float, sigma: float) -> csr_array:
    """(wanted, count) shares of an axis' pixels in those wanted: smoothed, then linear at ``offset + step * index``.

    As ``gaussian_filter`` and ``affine_transform`` do it where rows stay rows, in a fraction of their time. What lies beyond
    the edge contributes nothing.
    """
    from scipy.sparse import csr_array

    place = np.clip(offset + step * np.arange(wanted), -1, count)
    low = np.floor(place).astype(int)
    share = (place - low)[:, None]
    inside = [((end >= 0) & (end < count))[:, None] for end in (low, low + 1)]
    reach = int(_TRUNCATE * sigma + 0.5)
    smoothing = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    smoothing /= smoothing.sum()
    weights = (1 - share) * inside[0] * np.append(smoothing, 0) + share * inside[1] * np.append(0, smoothing)
    where = np.clip(low[:, None] + np.arange(-reach, reach + 2), 0, count - 1)
    ends = np.arange(0, where.size + 1, where.shape[1])
    return csr_array((weights.astype(np.float32).ravel(), where.ravel(), ends), shape=(wanted, count))


def share_outside(source: SlicePlane, target: SlicePlane) -> float:
    """Share (0 to 1) of the target's pixels that lie beyond the source image."""
    matrix, offset = pixel_map(source, target)
    rows, columns = np.indices(target.shape, dtype=np.float64)
    r = matrix[0, 0] * rows + matrix[0, 1] * columns + offset[0]
    c = matrix[1, 0] * rows + matrix[1, 1] * columns + offset[1]
    return float(1 - source.contains_px(np.stack([c, r], axis=-1)).mean())
