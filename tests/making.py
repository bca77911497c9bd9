"""What several rooms' tests build: planes for hypothesis, images on planes, a spine that is easy to reckon with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from bundle.geometry import LUMBAR_LEVELS, Disk, SlicePlane, Vertebra, group_into_stacks
from bundle.phantom.anatomy import Spine, sample_spine
from bundle.study.types import Series, StudyImage


@st.composite
def planes(draw, spread_mm: float = 150.0, max_side: int = 40) -> SlicePlane:
    """Any plane: turned freely, with pixels that need not be square."""
    a, b, c = (draw(st.floats(-np.pi, np.pi)) for _ in range(3))
    row = np.array([np.cos(a) * np.cos(b), np.sin(a) * np.cos(b), np.sin(b)])
    side, up = np.array([-np.sin(a), np.cos(a), 0.0]), np.array([-np.cos(a) * np.sin(b), -np.sin(a) * np.sin(b), np.cos(b)])
    column = np.cos(c) * side + np.sin(c) * up
    origin = [draw(st.floats(-spread_mm, spread_mm)) for _ in range(3)]
    spacing = (draw(st.floats(0.2, 3.0)), draw(st.floats(0.2, 3.0)))
    shape = (draw(st.integers(2, max_side)), draw(st.integers(2, max_side)))
    return SlicePlane(np.asarray(origin), row, column, spacing, shape)


#: The eight ways to store one picture: rows and columns exchanged or not, each axis forward or backward.
ORDERS = tuple((swap, up, left) for swap in (False, True) for up in (False, True) for left in (False, True))


def reordered(pixels: np.ndarray, plane: SlicePlane, order: tuple[bool, bool, bool]) -> tuple[np.ndarray, SlicePlane]:
    """The same picture of the same patient, its array stored another way."""
    swap, flip_rows, flip_columns = order
    row, column, spacing, origin = plane.row_direction, plane.column_direction, plane.pixel_spacing_mm, plane.origin_lps_mm
    if flip_rows:
        origin = origin + (plane.shape[0] - 1) * spacing[0] * column
        column, pixels = -column, pixels[::-1]
    if flip_columns:
        origin = origin + (plane.shape[1] - 1) * spacing[1] * row
        row, pixels = -row, pixels[:, ::-1]
    if swap:
        row, column, spacing, pixels = column, row, (spacing[1], spacing[0]), pixels.T
    return np.ascontiguousarray(pixels), SlicePlane(origin, row, column, spacing, pixels.shape, plane.thickness_mm)


def study_image(name: str, pixels: np.ndarray, plane: SlicePlane | None) -> StudyImage:
    """An image of a study that needs no file."""
    stored = np.asarray(pixels, dtype=np.float32)
    return StudyImage(name, plane, lambda: stored, Path(name), stored.shape)


def blank(name: str, plane: SlicePlane) -> StudyImage:
    """An image without anything on it."""
    return study_image(name, np.zeros(plane.shape, dtype=np.float32), plane)


def series_of(images: Iterable[StudyImage], orientation: str = "axial", stacks: Sequence | None = None) -> Series:
    """A series of images in the given order; stacks by their planes."""
    found = tuple(images)
    if stacks is None:
        stacks = [sorted(s) for s in group_into_stacks([i.plane for i in found])]
    return Series("series", found, tuple(tuple(s) for s in stacks), orientation, "T2")


def upright_sagittal(x_mm: float, rows: int = 300, columns: int = 200, spacing_mm: float = 1.0) -> SlicePlane:
    """A sagittal plane as a viewer shows it: front to the left, head up; pixel (columns / 2, rows / 2) is at y = z = 0."""
    origin = np.array([x_mm, -columns / 2 * spacing_mm, rows / 2 * spacing_mm])
    return SlicePlane(origin, [0.0, 1.0, 0.0], [0.0, 0.0, -1.0], (spacing_mm, spacing_mm), (rows, columns))


def straight_spine(levels: Sequence[str] = LUMBAR_LEVELS, pitch_mm: float = 36.0) -> list[Vertebra]:
    """Bodies straight above one another on the z axis: 26 mm high, 34 mm deep, so disks are 10 mm high; L3 is at z = 0."""
    bodies = []
    for level in levels:
        z = (LUMBAR_LEVELS.index("L3") - LUMBAR_LEVELS.index(level)) * pitch_mm
        corners = np.array([[0.0, y, z + h] for y, h in ((-17, 13), (17, 13), (17, -13), (-17, -13))])
        bodies.append(Vertebra(level, 0.9, (), np.array([0.0, 0.0, z]), corners))
    return bodies


def flat_disk(level: str = "L3-L4", center: Sequence[float] = (0.0, 0.0, 0.0), tilt_deg: float = 0.0, height: float = 10.0):
    """A disk 34 mm deep, turned by ``tilt_deg`` about the left-right axis so that its normal leans to the back."""
    t = np.radians(tilt_deg)
    middle, back = np.asarray(center, dtype=float), np.array([0.0, np.cos(t), -np.sin(t)])
    return Disk(level, middle, np.array([0.0, np.sin(t), np.cos(t)]), middle - 17 * back, middle + 17 * back, height)


def axial_plane(
    z_mm: float, tilt_deg: float = 0.0, size: int = 160, spacing_mm: float = 1.0, y_mm: float = 0.0
) -> SlicePlane:
    """An axial plane whose middle is at (0, y, z), tilted as in flat_disk, as a viewer shows it."""
    t = np.radians(tilt_deg)
    column = np.array([0.0, np.cos(t), -np.sin(t)])
    origin = np.array([0.0, y_mm, z_mm]) - (size - 1) / 2 * (np.array([1.0, 0.0, 0.0]) + column)
    return SlicePlane(origin, [1.0, 0.0, 0.0], column, (1.0, 1.0), (size, size), 4.0)


def spine_and_left_herniation() -> tuple[Spine, Spine]:
    """A phantom spine with a normal L4-L5, and the same with a large protrusion of it to the back and left."""
    spine = sample_spine(11, findings={"L4-L5": "normal"})
    shape = spine.disks["L4-L5"]
    off = np.abs(np.arange(360.0) - 180 - 45)
    path = replace(shape.pathology, excess_mm=shape.pathology.excess_mm + 9 * (off < 18))
    return spine, replace(spine, disks={**spine.disks, "L4-L5": replace(shape, pathology=path)})
