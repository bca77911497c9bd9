"""What is true of a phantom, in the terms in which a reading is judged."""

from __future__ import annotations

from typing import Any

import numpy as np

from bundle.geometry import BODY_LEVELS, DISK_LEVELS, LUMBAR_LEVELS, SliceBox, SlicePlane, Vertebra
from bundle.phantom.shapes import Body, Spine

_THORACIC_FROM = BODY_LEVELS[-1]


def named_level(level: str) -> str | None:
    """The detector's class of a body: its own name, T11 for all above T12, None below S2 and for a sixth lumbar body."""
    if level in BODY_LEVELS:
        return level
    return _THORACIC_FROM if level[0] in "TC" else None


def box_on_slice(body: Body, plane: SlicePlane, uid: str = "", min_section: float = 0.6) -> SliceBox | None:
    """Box and corners of a body on a sagittal slice.

    Args:
        body: a body of the phantom.
        plane: of the slice.
        uid: of the slice, for the result.
        min_section: the slice must show at least this share of the body's depth.

    Returns:
        None where the slice misses the body, or is not sagittal to it, or less than 60% of the box lies on the image.
    """
    across = float(plane.normal @ body.axes[0])
    if abs(across) < 0.75:
        return None
    left_mm = -float(plane.signed_distance_mm(body.center_lps_mm)) / across
    if body.section(left_mm) < min_section:
        return None

    def on_slice(points_lps_mm: np.ndarray) -> np.ndarray:
        # A slice that leans against the body cuts its upper and lower end at different places from left to right.
        moved = points_lps_mm - (plane.signed_distance_mm(points_lps_mm) / across)[:, None] * body.axes[0]
        return plane.to_pixel(moved)

    outline = on_slice(body.outline_lps_mm(left_mm))
    low, high = outline.min(0), outline.max(0)
    edge = np.array([plane.shape[1] - 1, plane.shape[0] - 1], dtype=np.float64)
    inside_low, inside_high = np.clip(low, 0, edge), np.clip(high, 0, edge)
    if np.prod(inside_high - inside_low) < 0.6 * np.prod(high - low):
        return None
    corners = on_slice(body.corners_lps_mm(left_mm))
    xyxy = (float(inside_low[0]), float(inside_low[1]), float(inside_high[0]), float(inside_high[1]))
    return SliceBox(uid, xyxy, 1.0, corners)


def boxes_on_slice(spine: Spine, plane: SlicePlane, uid: str = "") -> list[tuple[str, SliceBox]]:
    """(level, box) of every named body that a sagittal slice shows."""
    found = []
    for body in spine.bodies:
        level = named_level(body.level)
        box = box_on_slice(body, plane, uid) if level else None
        if level and box:
            found.append((level, box))
    return found


def vertebrae(spine: Spine, levels: tuple[str, ...] = LUMBAR_LEVELS) -> tuple[Vertebra, ...]:
    """The true bodies of ``levels`` in patient space."""
    return tuple(
        Vertebra(level, 1.0, (), spine.body(level).center_lps_mm, spine.body(level).corners_lps_mm()) for level in levels
    )


def disk_at(spine: Spine, plane: SlicePlane) -> tuple[str | None, float]:
    """Level of the disk that an axial slice passes through near the canal, and how sure that is.

    The slice is followed to the line through the back quarter of each disk, along the disk's normal: it belongs to the disk
    whose two endplates lie on either side of it there; to none (None) where it cuts a body there.

    Returns:
        The level, and the millimetres along that line to the nearest endplate: a slice near 0 is borderline. Infinite for a
        slice that meets no disk's line.
    """
    level, margin = None, float("inf")
    for name in DISK_LEVELS:
        shape = spine.disks[name]
        normal = shape.axes[2]
        v = 0.5 * shape.half_depth_mm
        point = shape.disk.center_lps_mm + v * shape.axes[1]
        cosine = float(plane.normal @ normal)
        if abs(cosine) < 0.5:
            continue
        height = -float(plane.signed_distance_mm(point)) / cosine
        if not bool(plane.contains_px(plane.to_pixel(point + height * normal))):
            continue
        inside = (shape.gap_mm - shape.wedge * v) / 2 - abs(height)
        margin = min(margin, abs(inside))
        if inside >= 0:
            level = name
    return level, margin


def as_dict(spine: Spine) -> dict[str, Any]:
    """Truth of a spine for a file: vertebrae and disks with what defines each disk's class."""
    return {
        "vertebrae": [
            {"level": v.level, "center_lps_mm": _rounded(v.center_lps_mm), "corners_lps_mm": _rounded(v.corners_lps_mm)}
            for v in vertebrae(spine)
        ],
        "disks": [
            {
                "level": level,
                "center_lps_mm": _rounded(shape.disk.center_lps_mm),
                "normal_lps": _rounded(shape.disk.normal_lps, 6),
                "height_mm": round(shape.disk.height_mm, 2),
                "finding": shape.pathology.finding,
                "kind": shape.pathology.kind,
                "angle_deg": round(shape.pathology.angle_deg, 1),
                "direction_deg": round(shape.pathology.direction_deg, 1),
                "extent_mm": round(shape.pathology.extent_mm, 2),
                "base_mm": round(shape.pathology.base_mm, 2),
                "hydration": round(shape.pathology.hydration, 3),
            }
            for level, shape in ((name, spine.disks[name]) for name in DISK_LEVELS)
        ],
    }


def _rounded(values: Any, digits: int = 3) -> Any:
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()
