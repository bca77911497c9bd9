"""Vertebrae and disks in patient space, and the names of their levels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bundle.geometry.planes import Array

#: Bodies that the detector names, from the bottom up: the sacrum decides the names of those above it.
BODY_LEVELS: tuple[str, ...] = ("S2", "S1", "L5", "L4", "L3", "L2", "L1", "T12", "T11")
#: The six bodies of a complete reading, from the top down.
LUMBAR_LEVELS: tuple[str, ...] = ("L1", "L2", "L3", "L4", "L5", "S1")
#: The five disks of a reading, from the top down.
DISK_LEVELS: tuple[str, ...] = ("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1")

#: What a disk can be called, in the order of every label and every output.
FINDINGS: tuple[str, ...] = ("normal", "bulge", "herniation")


def disk_level(upper: str, lower: str) -> str:
    """Name of the disk between two bodies.

    >>> disk_level("L5", "S1")
    'L5-S1'
    """
    return f"{upper}-{lower}"


@dataclass(frozen=True)
class SliceBox:
    """A body's box on one sagittal slice.

    Args:
        sop_instance_uid: the image; for a plain image (PNG, JPG) its file's name.
        xyxy: (c0, r0, c1, r1), column and row of the top-left and bottom-right corner, pixel centres at whole numbers.
        score: 0 to 1.
        corners_px: (4, 2) column and row of the body's corners on the slice: upper front, upper back, lower back, lower
            front (the front is the patient's anterior); None where they were not measured.
    """

    sop_instance_uid: str
    xyxy: tuple[float, float, float, float]
    score: float
    corners_px: Array | None = None


@dataclass(frozen=True, eq=False)
class Vertebra:
    """One vertebral body.

    Args:
        level: ``L1`` ... ``L5``, ``S1``, or a neighbour (``T12``, ``S2``).
        score: 0 to 1.
        boxes: the slices on which it was found.
        center_lps_mm: (3,) centre of the body; None in a study without a patient space.
        corners_lps_mm: (4, 3) corners of the body in its mid-sagittal plane: upper front, upper back, lower back, lower
            front; None without a patient space.
    """

    level: str
    score: float
    boxes: tuple[SliceBox, ...] = field(default=())
    center_lps_mm: Array | None = None
    corners_lps_mm: Array | None = None


@dataclass(frozen=True, eq=False)
class Disk:
    """One intervertebral disk in patient space.

    Args:
        level: ``L1-L2`` ... ``L5-S1``.
        center_lps_mm: (3,) middle of the disk.
        normal_lps: (3,) unit vector across the disk's plane, pointing to the head.
        front_lps_mm: (3,) front (anterior) edge in the mid-sagittal plane.
        back_lps_mm: (3,) back (posterior) edge in the mid-sagittal plane.
        height_mm: mean distance of the two endplates, from the front to the back edge.
        wedge_mm: how much less the height is at the back edge than at the front; a lordotic L5-S1 has 5 mm and more.
    """

    level: str
    center_lps_mm: Array
    normal_lps: Array
    front_lps_mm: Array
    back_lps_mm: Array
    height_mm: float
    wedge_mm: float = 0.0

    def height_at_mm(self, share: float) -> float:
        """Distance of the endplates at a ``share`` of the way from the front (0) to the back edge (1); not below 0."""
        return max(self.height_mm - (share - 0.5) * self.wedge_mm, 0.0)

    @property
    def depth_mm(self) -> float:
        """Distance from the front to the back edge."""
        return float(np.linalg.norm(self.back_lps_mm - self.front_lps_mm))

    @property
    def posterior_lps(self) -> Array:
        """(3,) unit vector from the front to the back edge."""
        return (self.back_lps_mm - self.front_lps_mm) / self.depth_mm
