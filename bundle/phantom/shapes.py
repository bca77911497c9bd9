"""One phantom patient as numbers: bodies, disks, canal and soft tissue."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from bundle.geometry import Disk, disk_level
from bundle.geometry.rim import SUPERELLIPSE
from bundle.phantom.pathology import DiskPathology


@dataclass(frozen=True, eq=False)
class Body:
    """A vertebral body: a rounded, waisted block in its own axes.

    Args:
        level: its name.
        center_lps_mm: (3,).
        axes: (3, 3) unit rows in LPS: to the patient's left, to the back, up.
        half_width_mm: at the ends.
        half_depth_mm: (at the upper end, at the lower end).
        half_height_mm: (at the front, at the back).
        waist: share by which the middle is thinner than the ends.
        concavity_mm: depth of each endplate's hollow.
        dent_mm: hollow of the back wall at the midline.
    """

    level: str
    center_lps_mm: np.ndarray
    axes: np.ndarray
    half_width_mm: float
    half_depth_mm: tuple[float, float]
    half_height_mm: tuple[float, float]
    waist: float
    concavity_mm: float
    dent_mm: float

    def to_patient(self, uvw_mm: np.ndarray) -> np.ndarray:
        """LPS millimetres (..., 3) of points (..., 3) in the body's axes."""
        return self.center_lps_mm + np.asarray(uvw_mm) @ self.axes

    def half_depth_at(self, up: np.ndarray) -> np.ndarray:
        """Half depth of the mid-sagittal section at ``up`` (-1 lower end ... 1 upper end)."""
        top, bottom = self.half_depth_mm
        return ((top + bottom) / 2 + (top - bottom) / 2 * up) * (1 - self.waist * (1 - up**2))

    def corners_lps_mm(self, left_mm: float = 0.0) -> np.ndarray:
        """(4, 3) upper front, upper back, lower back, lower front, in the section ``left_mm`` left of the middle.

        A corner is where the endplate and the wall of that section meet, both carried on past the rim's rounding: what
        lines along an endplate and along a wall meet at.

        Raises:
            ValueError: the section misses the body.
        """
        if left_mm == 0:
            return self.to_patient(_midline_corners_uvw_mm(*self._size))
        return self.to_patient(corners_uvw_mm([self], np.reshape(left_mm, (1, -1)))[0])

    @property
    def _size(self) -> tuple[float, ...]:
        return (
            self.half_width_mm, *self.half_depth_mm, *self.half_height_mm, self.waist, self.concavity_mm, self.dent_mm,
        )  # fmt: skip

    def ends_lps_mm(self) -> np.ndarray:
        """(4, 3) the corners of the mid-sagittal section, in their order, if the back wall had no hollow."""
        return self.to_patient(_midline_corners_uvw_mm(*self._size[:-1], 0.0))

    def section(self, left_mm: float) -> float:
        """Share of its depth that the body has ``left_mm`` from its middle; 0 outside."""
        ratio = min(abs(left_mm) / self.half_width_mm, 1.0)
        return float((1 - ratio**SUPERELLIPSE) ** (1 / SUPERELLIPSE))


def corners_uvw_mm(
    bodies: Sequence[Body], left_mm: np.ndarray, lean_v: np.ndarray | float = 0.0, lean_w: np.ndarray | float = 0.0
) -> np.ndarray:
    """(bodies, 4, 3) corners of sections in their bodies' axes; see Body.corners_lps_mm.

    Args:
        bodies: B of them.
        left_mm: (B, 1) where each section cuts the first axis of its body.
        lean_v: (B, 1) how much farther left it lies for each millimetre toward the back.
        lean_w: (B, 1) the same for each millimetre up.

    Raises:
        ValueError: a section misses its body.
    """
    width, top, bottom, front, back, waist, concavity, dent = (column[:, None] for column in body_sizes(bodies).T)
    end, wall = np.array([[1.0, 1, -1, -1]]), np.array([[-1.0, 1, 1, -1]])  # of each corner: upper or lower, back or front
    height, mean_depth = (front + back) / 2, (top + bottom) / 2
    v, w = wall * mean_depth, end * np.where(wall > 0, back, front)
    for _ in range(7):  # each step takes off most of the error; less than 0.001 mm is left
        u = left_mm + lean_v * v + lean_w * w
        t = np.clip(w / height, -1, 1)
        slim = 1 - waist * (1 - t**2)
        depth = (mean_depth + (top - bottom) / 2 * t) * slim
        ring = 1 - dent * np.exp(-((u / 9) ** 2)) / (1 + np.exp(-v / 3)) / depth
        inside = ring**SUPERELLIPSE - np.abs(u / (width * slim)) ** SUPERELLIPSE
        if inside.min() <= 0:
            raise ValueError("a section beside the middle misses the body")
        v = wall * depth * inside ** (1 / SUPERELLIPSE)
        w = end * (height + (back - front) / 2 * v / depth - concavity * (1 - ring**2))
    return np.stack([left_mm + lean_v * v + lean_w * w, v, w], axis=-1)


def body_sizes(bodies: Sequence[Body]) -> np.ndarray:
    """(bodies, 8) half width, half depths, half heights, waist, concavity and dent."""
    return np.asarray([b._size for b in bodies], dtype=np.float64).reshape(-1, 8)


@lru_cache(maxsize=256)
def _midline_corners_uvw_mm(
    half_width: float, top: float, bottom: float, front: float, back: float, waist: float, concavity: float, dent: float
) -> np.ndarray:
    """corners_uvw_mm of the mid-sagittal section of one body, in plain numbers: sampling a patient asks for many."""
    height, mean_depth = (front + back) / 2, (top + bottom) / 2
    corners = []
    for end, wall in ((1.0, -1.0), (1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0)):
        v, w = wall * mean_depth, end * (back if wall > 0 else front)
        for _ in range(7):
            t = min(max(w / height, -1.0), 1.0)
            depth = (mean_depth + (top - bottom) / 2 * t) * (1 - waist * (1 - t * t))
            ring = 1 - dent / (1 + math.exp(-v / 3)) / depth
            v = wall * depth * ring
            w = end * (height + (back - front) / 2 * wall * ring - concavity * (1 - ring * ring))
        corners.append((0.0, v, w))
    result = np.array(corners)
    result.flags.writeable = False
    return result


@dataclass(frozen=True, eq=False)
class DiskShape:
    """A disk of the phantom in its own axes (rows: left, back, up; they meet at its centre), with its pathology.

    Centre, edges and half depth are those that a reader of the middle slice sees, between the bodies' corners there.
    """

    disk: Disk
    axes: np.ndarray
    half_width_mm: float
    half_depth_mm: float
    gap_mm: float
    wedge: float  # millimetres of height lost for each millimetre toward the back
    dent_mm: float
    pathology: DiskPathology
    cleft: float = 0.0  # how dark the fibrous cleft of the nucleus is, 0 to 1
    remnant: float = 1.0  # share of its bodies' depth that a disk of the sacrum still has; bone bridges the rest


@dataclass(frozen=True, eq=False)
class Growth:
    """A round or oval piece of other tissue in or on a body: osteophyte, haemangioma.

    Args:
        level: of the body.
        kind: ``osteophyte`` or ``haemangioma``.
        ends_uvw_mm: (2, 3) in the body's axes.
        radii_mm: (3,) half axes at the first end.
        taper: half axes at the second end as a share of those.
    """

    level: str
    kind: str
    ends_uvw_mm: np.ndarray
    radii_mm: tuple[float, float, float]
    taper: float = 1.0


@dataclass(frozen=True, eq=False)
class Spine:
    """One phantom patient.

    Args:
        bodies: from the bottom up.
        disks: by level; every pair of neighbouring bodies has one.
        canal: knots along the canal, columns ``z, x, y_front, sac half depth, sac half width, sac gap`` in millimetres,
            from the bottom up; y_front is the back wall of bodies and disks.
        conus_z_mm: height at which the cord ends.
        soft: numbers of the soft tissue and of the posterior elements.
        seed: of what is left to chance when the spine is painted (roots, bowel, texture).
        transition: key of TRANSITIONS, or None for an ordinary spine.
        growths: in and on the bodies.
        laminectomy: levels whose arch was taken away.
        screws: levels with pedicle screws and rods.
    """

    bodies: tuple[Body, ...]
    disks: Mapping[str, DiskShape]
    canal: np.ndarray
    conus_z_mm: float
    soft: Mapping[str, float]
    seed: int
    transition: str | None = None
    growths: tuple[Growth, ...] = ()
    laminectomy: frozenset[str] = frozenset()
    screws: tuple[str, ...] = ()

    def body(self, level: str) -> Body:
        """The body of ``level``."""
        return next(b for b in self.bodies if b.level == level)

    def gap_below(self, body: Body) -> float:
        """Height of the disk below a body, mm; 0 below the last."""
        place = self.bodies.index(body)
        return self.disks[disk_level(body.level, self.bodies[place - 1].level)].gap_mm if place else 0.0

    def canal_at(self, z_mm: ArrayLike) -> np.ndarray:
        """(5, ...) x, y of the front wall, half depth and half width of the sac, and its gap to the wall, at a height."""
        return np.array([np.interp(np.asarray(z_mm), self.canal[:, 0], self.canal[:, k]) for k in range(1, 6)])

    @property
    def lumbar_levels(self) -> tuple[str, ...]:
        """Names of the bodies from L1 down to S1: six, or seven where there is a sixth lumbar body."""
        names = [b.level for b in self.bodies]
        return tuple(names[names.index("S1") : names.index("L1") + 1])[::-1]

    @cached_property
    def front_depth_mm(self) -> float:
        """Greatest depth below the skin of the back at which the front of a lumbar body or of S1 lies."""
        behind_wall = 22 + self.soft["muscle_depth"] + self.soft["back_fat"]
        depths = []
        for body in self.bodies:
            if body.level[0] == "L" or body.level == "S1":
                corners = body.corners_lps_mm()[[0, 3]]
                # The skin follows the large curves of the spine alone.
                around = corners[:, 2, None] + np.linspace(-40, 40, 9)
                wall = np.interp(around, self.canal[:, 0], self.canal[:, 2]).mean(1)
                depths.append(float((wall + behind_wall - corners[:, 1]).max()))
        return max(depths)

    @property
    def presacral_levels(self) -> tuple[str, ...]:
        """Names of the five disks above the sacrum, from the top down: DISK_LEVELS unless there is a sixth lumbar body."""
        place = next(k for k, b in enumerate(self.bodies) if b.level == "S1")
        five = self.bodies[place : place + 6]
        return tuple(disk_level(upper.level, lower.level) for lower, upper in pairwise(five))[::-1]
