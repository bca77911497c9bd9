"""Boxes on slices become a body in patient space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bundle.geometry.planes import SlicePlane
from bundle.geometry.spine import SliceBox, Vertebra


def box_corners_px(box: SliceBox) -> np.ndarray:
    """(4, 2) corners of a body: as measured, else those of its box (front to the left, as in an upright view)."""
    if box.corners_px is not None:
        return np.asarray(box.corners_px, dtype=np.float64)
    c0, r0, c1, r1 = box.xyxy
    return np.array([[c0, r0], [c1, r0], [c1, r1], [c0, r1]], dtype=np.float64)


def lift_vertebra(
    level: str, boxes: Sequence[SliceBox], planes: Mapping[str, SlicePlane], middle_mm: float = 9.0
) -> Vertebra:
    """The body that ``boxes`` show on several slices.

    The middle across the slices is that of the slices on which the body is seen, weighted by the score, which falls where
    the pedicles begin. Corners and centre are the medians over the slices near that middle, so that one bad slice does not
    count; scoliosis and a tilted stack are no special case, since every body has its own middle.

    Args:
        level: name of the body.
        boxes: on slices that have a plane.
        planes: of the slices, by their UID.
        middle_mm: slices within this distance of the middle give corners and centre.

    Returns:
        A vertebra with centre and corners in LPS millimetres.
    """
    corners = np.stack([planes[b.sop_instance_uid].to_patient(box_corners_px(b)) for b in boxes])  # (N, 4, 3)
    normal = planes[boxes[0].sop_instance_uid].normal
    # A body narrows to both sides. Were its last slices to count in full, their being seen or just missed would move the
    # middle by half a step.
    depth = np.linalg.norm(corners[:, [1, 2]] - corners[:, [0, 3]], axis=-1).mean(1)
    fullness = np.clip((depth / max(float(np.percentile(depth, 75)), 1e-6) - 0.6) / 0.4, 0.05, 1.0)
    weight = fullness * np.array([b.score for b in boxes]) ** 2
    position = corners.mean(1) @ normal
    middle = float(np.average(position, weights=weight))
    near = np.abs(position - middle) <= max(middle_mm, float(np.abs(position - middle).min()) + 1e-6)
    flat = corners - (corners @ normal)[..., None] * normal  # without the part across the slices
    middle_corners = np.median(flat[near], axis=0) + middle * normal
    score = float(np.mean(sorted((b.score for b in boxes), reverse=True)[:3]))
    return Vertebra(level, score, tuple(boxes), middle_corners.mean(0), middle_corners)
