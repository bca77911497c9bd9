"""Slices as radiologists view them, and the letters that say which way is which."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bundle.geometry import SlicePlane, unit

_LEFT, _BACK = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
# Increasing and decreasing LPS axes.
_LETTERS = (("L", "R"), ("P", "A"), ("H", "F"))
# A second letter tells an oblique direction once it leans this much (the sine of 20 degrees).
_OBLIQUE = 0.34


def axial_view(plane: SlicePlane) -> SlicePlane:
    """An axial slice seen from the feet: columns run to the patient's left, rows to the back, pixels are square.

    The array's own axes are kept (turned by quarters and flipped, never by less), and no pixel is lost: the view's pixels
    are as large as the smaller side of the slice's.
    """
    axes = np.stack([plane.row_direction, plane.column_direction])
    sizes_mm = np.array([plane.shape[1] * plane.pixel_spacing_mm[1], plane.shape[0] * plane.pixel_spacing_mm[0]])
    across = int(np.argmax(np.abs(axes @ _LEFT)))
    down = 1 - across
    row = axes[across] * (np.sign(axes[across] @ _LEFT) or 1.0)
    column = axes[down] * (np.sign(axes[down] @ _BACK) or 1.0)
    return centered_view(plane, row, column, sizes_mm[across], sizes_mm[down])


def centered_view(plane: SlicePlane, row: ArrayLike, column: ArrayLike, width_mm: float, height_mm: float) -> SlicePlane:
    """A view of ``plane`` around its centre along ``row`` and ``column`` (3,), with square pixels of its finer spacing."""
    spacing = min(plane.pixel_spacing_mm)
    shape = (max(round(height_mm / spacing), 1), max(round(width_mm / spacing), 1))
    half = np.array([shape[1] - 1, shape[0] - 1]) / 2 * spacing
    origin = plane.center_lps_mm - half[0] * np.asarray(row) - half[1] * np.asarray(column)
    return SlicePlane(origin, np.asarray(row), np.asarray(column), (spacing, spacing), shape, plane.thickness_mm)


def cropped(view: SlicePlane, center_lps_mm: ArrayLike, side_mm: float) -> SlicePlane:
    """The part of ``view`` within a square of ``side_mm`` around a point (3,), cut off at the view's own edges."""
    half = side_mm / 2 / view.pixel_spacing_mm[0]
    column, row = view.to_pixel(center_lps_mm)
    rows, columns = view.shape
    c0, c1 = (int(np.clip(round(column + s * half), 0, columns)) for s in (-1, 1))
    r0, r1 = (int(np.clip(round(row + s * half), 0, rows)) for s in (-1, 1))
    if c1 <= c0 or r1 <= r0:
        return view
    return SlicePlane(
        view.to_patient([c0, r0]), view.row_direction, view.column_direction, view.pixel_spacing_mm, (r1 - r0, c1 - c0)
    )


def letters(direction_lps: ArrayLike) -> str:
    """Where a direction (3,) points in the patient: L, R, P, A, H or F, with a second letter where it is oblique.

    >>> letters([-1, 0, 0]), letters([0, 0.9, -0.45])
    ('R', 'PF')
    """
    parts = unit(direction_lps)
    order = np.argsort(-np.abs(parts), kind="stable")[:2]
    named = [_LETTERS[axis][0 if parts[axis] > 0 else 1] for axis in order if abs(parts[axis]) > _OBLIQUE]
    return "".join(named)


def edge_letters(view: SlicePlane) -> dict[str, str]:
    """Letters of the ``left``, ``right``, ``top`` and ``bottom`` edge of a view."""
    return {
        "left": letters(-view.row_direction),
        "right": letters(view.row_direction),
        "top": letters(-view.column_direction),
        "bottom": letters(view.column_direction),
    }
