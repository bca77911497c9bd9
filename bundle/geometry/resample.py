"""Images moved from one plane's pixels to another's."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bundle.geometry.planes import Array, SlicePlane, unit


def square_plane(center_lps_mm: ArrayLike, row: ArrayLike, column: ArrayLike, side_mm: float, size_px: int) -> SlicePlane:
    """A square around a point: ``side_mm`` long, ``size_px`` pixels a side, rows along ``row``, columns along ``column``."""
    r, c = unit(row), np.asarray(column, dtype=np.float64)
    c = unit(c - (c @ r) * r)
    spacing = side_mm / size_px
    origin = np.asarray(center_lps_mm, dtype=np.float64) - (size_px - 1) / 2 * spacing * (r + c)
    return SlicePlane(origin, r, c, (spacing, spacing), (size_px, size_px))


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
    from scipy import ndimage

    pixels = np.asarray(image, dtype=np.float32)
    if pixels.shape != source.shape:
        raise ValueError(f"the image has {pixels.shape} pixels, its plane {source.shape}")
    matrix, offset = pixel_map(source, target)
    step = np.linalg.norm(matrix, axis=1)  # source pixels that one target pixel spans, along rows and columns
    sigma = 0.45 * np.sqrt(np.maximum(step**2 - 1, 0))
    if sigma.max() > 0.1:
        pixels = ndimage.gaussian_filter(pixels, sigma, mode="nearest")
    # Not "constant": a rounding error beyond the outer pixels' centres would blank the whole outer row there.
    return ndimage.affine_transform(
        pixels, matrix, offset, output_shape=target.shape, order=1, mode="grid-constant", cval=outside, output=np.float32
    )


def share_outside(source: SlicePlane, target: SlicePlane) -> float:
    """Share (0 to 1) of the target's pixels that lie beyond the source image."""
    matrix, offset = pixel_map(source, target)
    rows, columns = np.indices(target.shape, dtype=np.float64)
    r = matrix[0, 0] * rows + matrix[0, 1] * columns + offset[0]
    c = matrix[1, 0] * rows + matrix[1, 1] * columns + offset[1]
    return float(1 - source.contains_px(np.stack([c, r], axis=-1)).mean())
