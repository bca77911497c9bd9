"""Disks from vertebrae: plane, edges and height of each from the endplates that face each other."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from bundle.geometry import DISK_LEVELS, Disk, Vertebra, unit


class DiskLocator:
    """Finds each disk between its two vertebrae.

    The disk's edges are halfway between the corners of the two bodies that face it, so a wedge-shaped or tilted disk
    (L5-S1) is as good as any. Its normal is across its front-to-back line, and leans sideways as the line through the two
    bodies' centres does (scoliosis).

    Args:
        depth_mm: plausible distances from the front to the back edge; outside, the corners are not trusted, and the disk is
            placed between the two centres, across the line that joins them.
        height_mm: plausible heights at the front and at the back edge; each is held within them.
    """

    def __init__(self, depth_mm: tuple[float, float] = (18.0, 60.0), height_mm: tuple[float, float] = (1.0, 30.0)) -> None:
        self.depth_mm = (float(depth_mm[0]), float(depth_mm[1]))
        self.height_mm = (float(height_mm[0]), float(height_mm[1]))

    def __call__(self, vertebrae: Iterable[Vertebra]) -> dict[str, Disk]:
        """Disks by level; one whose vertebra is missing, or has no place in patient space, is not there."""
        by_level = {v.level: v for v in vertebrae if v.center_lps_mm is not None and v.corners_lps_mm is not None}
        disks = {}
        for level in DISK_LEVELS:
            upper, lower = (by_level.get(name) for name in level.split("-"))
            if upper is not None and lower is not None:
                disks[level] = self._between(level, upper, lower)
        return disks

    def _between(self, level: str, upper: Vertebra, lower: Vertebra) -> Disk:
        top = np.asarray(upper.corners_lps_mm)[[3, 2]]  # front and back corner of the upper body's lower endplate
        bottom = np.asarray(lower.corners_lps_mm)[[0, 1]]
        joining = unit(np.asarray(upper.center_lps_mm) - np.asarray(lower.center_lps_mm))
        front, back = (top + bottom) / 2
        depth = float(np.linalg.norm(back - front))
        if not self.depth_mm[0] <= depth <= self.depth_mm[1] or abs(unit(back - front) @ joining) > 0.8:
            middle = (np.asarray(upper.center_lps_mm) + np.asarray(lower.center_lps_mm)) / 2
            to_back = np.asarray([v.corners_lps_mm for v in (upper, lower)])
            backward = (to_back[:, [1, 2]] - to_back[:, [0, 3]]).mean((0, 1))
            backward = unit(backward - (backward @ joining) * joining)
            half = float(np.clip(depth, *self.depth_mm)) / 2
            front, back = middle - half * backward, middle + half * backward
        posterior = unit(back - front)
        normal = unit(joining - (joining @ posterior) * posterior)
        front_height, back_height = np.clip((top - bottom) @ normal, *self.height_mm)
        height, wedge = float(front_height + back_height) / 2, float(front_height - back_height)
        return Disk(level, (front + back) / 2, normal, front, back, height, wedge)
