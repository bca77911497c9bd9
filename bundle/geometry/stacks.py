"""Parallel slices belong to one stack; an axial series is usually several stacks, one for each disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bundle.geometry.planes import Array, SlicePlane, angle_between_deg

#: Slices nearer than this show the same place: positions in headers are rounded.
SAME_PLACE_MM = 0.05


def plane_positions_mm(planes: Sequence[SlicePlane], normal: Array | None = None) -> Array:
    """(N,) positions of the image centres along ``normal`` (default: the first plane's), in millimetres."""
    if not planes:
        return np.zeros(0)
    direction = planes[0].normal if normal is None else normal
    return np.stack([p.center_lps_mm for p in planes]) @ direction


@dataclass(frozen=True, eq=False)
class Stack:
    """Parallel slices that belong together.

    Args:
        planes: one or more, in any order; their normals may point either way.
    """

    planes: tuple[SlicePlane, ...]

    @cached_property
    def positions_mm(self) -> Array:
        """(N,) positions of the slices along the first one's normal, in the order of ``planes``."""
        return plane_positions_mm(self.planes)

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """(N,) indices of ``planes`` in order of position."""
        return np.argsort(self.positions_mm, kind="stable")

    @cached_property
    def steps_mm(self) -> Array:
        """(N - 1,) distances from one slice to the next, in order of position; 0 where a place is there twice."""
        return np.diff(self.positions_mm[self.order])

    @cached_property
    def step_mm(self) -> float:
        """Usual (median) distance of neighbours at different places; 0 if there are none."""
        moving = self.steps_mm[self.steps_mm > SAME_PLACE_MM]
        return float(np.median(moving)) if moving.size else 0.0


def group_into_stacks(
    planes: Sequence[SlicePlane], max_angle_deg: float = 1.0, max_gap_ratio: float = 3.0, max_gap_mm: float = 12.0
) -> list[list[int]]:
    """Indices of ``planes``, grouped into stacks and ordered by position along the stack's normal.

    Slices are one stack when they are parallel and follow one another without a large gap. Orders of acquisition
    (Instance Number) play no part. Two stacks with the same angle (L2-L3 and L3-L4 often have it) are told apart by the
    gap between them.

    Args:
        planes: the images' planes, in any order.
        max_angle_deg: planes that differ by more are in different stacks.
        max_gap_ratio: a gap larger than this many times the stack's usual (median) step starts a new stack,
        max_gap_mm: but only if it is also larger than this many millimetres.

    Returns:
        Stacks, in order of the first image that each holds.
    """
    groups: list[list[int]] = []
    for index, plane in enumerate(planes):
        for group in groups:
            if angle_between_deg(planes[group[0]].normal, plane.normal) <= max_angle_deg:
                group.append(index)
                break
        else:
            groups.append([index])
    stacks: list[list[int]] = []
    for group in groups:
        stack = Stack(tuple(planes[i] for i in group))
        step = stack.step_mm
        # Steps that are all large are no steps of a stack: single slices, one a disk.
        limit = max(max_gap_mm, max_gap_ratio * step) if step <= max_gap_mm else max_gap_mm
        cuts = np.flatnonzero(stack.steps_mm > limit) + 1
        stacks.extend([group[i] for i in part] for part in np.split(stack.order, cuts))
    return sorted(stacks, key=min)
