"""A slice turned by quarters and flipped until it stands as radiologists view it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bundle.geometry.planes import SlicePlane, unit

LEFT, BACK, FEET = (np.array(v) for v in ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]))


def picture_plane(shape: tuple[int, int]) -> SlicePlane:
    """Plane of a picture that does not say how it lies: upright, front to the left, 1 mm a pixel, as only ratios count."""
    return SlicePlane(np.zeros(3), BACK, FEET, (1.0, 1.0), shape)


def upright_view(plane: SlicePlane, right: ArrayLike, down: ArrayLike, spacing_mm: float) -> SlicePlane:
    """The whole of ``plane`` with square pixels, its columns running toward ``right`` and its rows toward ``down``.

    The array's own axes are kept (turned by quarters and flipped, never by less), so that the view shows the whole image
    and nothing else.

    Args:
        plane: of the image.
        right: (3,) direction in which the view's columns shall run, in LPS.
        down: (3,) direction in which its rows shall run.
        spacing_mm: of the view.
    """
    wanted = np.stack([unit(right), unit(down)])
    axes = np.stack([plane.row_direction, plane.column_direction])
    sizes_mm = np.array([plane.shape[1] * plane.pixel_spacing_mm[1], plane.shape[0] * plane.pixel_spacing_mm[0]])
    along = axes @ wanted.T  # (the array's axes, the view's axes)
    if abs(along[0, 1]) + abs(along[1, 0]) > abs(along[0, 0]) + abs(along[1, 1]):
        axes, sizes_mm, along = axes[::-1], sizes_mm[::-1], along[::-1]
    row, column = (axes[k] * (np.sign(along[k, k]) or 1.0) for k in range(2))
    shape = (max(round(sizes_mm[1] / spacing_mm), 1), max(round(sizes_mm[0] / spacing_mm), 1))
    origin = plane.center_lps_mm - (shape[1] - 1) / 2 * spacing_mm * row - (shape[0] - 1) / 2 * spacing_mm * column
    return SlicePlane(origin, row, column, (spacing_mm, spacing_mm), shape, plane.thickness_mm)
