"""The picture that the detector sees: upright, square pixels, one size, whatever the scanner's matrix."""

from __future__ import annotations

from bundle.geometry import SlicePlane
from bundle.geometry.upright import BACK, FEET, picture_plane, upright_view
from bundle.study.types import StudyImage


def image_plane(image: StudyImage) -> SlicePlane:
    """The plane of an image; for a plain image one with pixels of 1 mm, as if it lay upright with the front to the left."""
    return image.plane or picture_plane(image.shape)


def sagittal_view(plane: SlicePlane, longest_px: int) -> SlicePlane:
    """The same slice seen upright: columns run to the back, rows to the feet, pixels are square.

    Args:
        plane: of a sagittal image.
        longest_px: of the two sides of the view.
    """
    longest_mm = max(plane.shape[0] * plane.pixel_spacing_mm[0], plane.shape[1] * plane.pixel_spacing_mm[1])
    return upright_view(plane, BACK, FEET, longest_mm / longest_px)
