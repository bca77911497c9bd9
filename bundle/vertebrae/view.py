"""The picture that the detector sees: upright, square pixels, one size, whatever the scanner's matrix."""

from __future__ import annotations

import numpy as np

from bundle.geometry import SlicePlane
from bundle.study.types import StudyImage

_BACK, _FEET = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, -1.0])


def image_plane(image: StudyImage) -> SlicePlane:
    """The plane of an image; for a plain image one with pixels of 1 mm, as if it lay upright with the front to the left."""
    return image.plane or SlicePlane(np.zeros(3), _BACK, _FEET, (1.0, 1.0), image.shape)


def sagittal_view(plane: SlicePlane, longest_px: int) -> SlicePlane:
    """The same slice seen upright: columns run to the back, rows to the feet, pixels are square.

    The array's own axes are kept (turned by quarters and flipped, never by less), so that a view shows the whole image.

    Args:
        plane: of a sagittal image.
        longest_px: of the two sides of the view.
    """
    axes = np.stack([plane.row_direction, plane.column_direction])
    sizes_mm = np.array([plane.shape[1] * plane.pixel_spacing_mm[1], plane.shape[0] * plane.pixel_spacing_mm[0]])
    down = int(np.argmax(np.abs(axes @ _FEET)))
    signs = np.sign([axes[1 - down] @ _BACK, axes[down] @ _FEET])
    column, row = axes[1 - down] * (signs[0] or 1.0), axes[down] * (signs[1] or 1.0)
    width_mm, height_mm = sizes_mm[1 - down], sizes_mm[down]
    spacing = max(width_mm, height_mm) / longest_px
    shape = (max(round(height_mm / spacing), 1), max(round(width_mm / spacing), 1))
    half = np.array([shape[1] - 1, shape[0] - 1]) / 2 * spacing
    origin = plane.center_lps_mm - half[0] * column - half[1] * row
    return SlicePlane(origin, column, row, (spacing, spacing), shape, plane.thickness_mm)
