"""Slices as radiologists view them, and the letters that say which way is which."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bundle.geometry import SlicePlane, unit
from bundle.geometry.upright import BACK, LEFT, upright_view

# Increasing and decreasing LPS axes.
_LETTERS = (("L", "R"), ("P", "A"), ("H", "F"))
# A second letter tells an oblique direction once it leans this much (the sine of 20 degrees).
_OBLIQUE = 0.34


def axial_view(plane: SlicePlane) -> SlicePlane:
    """An axial slice seen from the feet: columns run to the patient's left, rows to the back, pixels are square.

    No pixel is lost: the view's pixels are as large as the smaller side of the slice's.
    """
    return upright_view(plane, LEFT, BACK, min(plane.pixel_spacing_mm))


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
