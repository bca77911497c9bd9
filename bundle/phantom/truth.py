"""What is true of a phantom, in the terms in which a reading is judged."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from bundle.geometry import BODY_LEVELS, FINDINGS, LUMBAR_LEVELS, SliceBox, SlicePlane, Vertebra, disk_level
from bundle.phantom.alignment import lordosis_deg, sacral_slope_deg, slip_mm
from bundle.phantom.sac import deformation
from bundle.phantom.section import sections_lps_mm
from bundle.phantom.shapes import Body, Spine

_THORACIC_FROM = BODY_LEVELS[-1]


def named_level(level: str) -> str | None:
    """The detector's class of a body: its own name, T11 for all above T12, None below S2 and for a sixth lumbar body."""
    if level in BODY_LEVELS:
        return level
    return _THORACIC_FROM if level[0] in "TC" else None


def box_on_slice(body: Body, plane: SlicePlane, uid: str = "", min_section: float = 0.6) -> SliceBox | None:
    """Box and corners of a body on a sagittal slice, without its osteophytes; see boxes_on_slice."""
    found = _boxes([body], plane, uid, min_section)
    return found[0][1] if found else None


def boxes_on_slice(spine: Spine, plane: SlicePlane, uid: str = "", min_section: float = 0.6) -> list[tuple[str, SliceBox]]:
    """(level, box) of every named body that a sagittal slice shows.

    Args:
        spine: the patient.
        plane: of the slice. One that is not sagittal to a body does not show it.
        uid: of the slice, for the result.
        min_section: the slice must show at least this share of a body's depth; and 60% of its box must lie on the image.
    """
    named = [(level, body) for body in spine.bodies if (level := named_level(body.level))]
    found = _boxes([body for _, body in named], plane, uid, min_section)
    return [(named[k][0], box) for k, box in found]


def _boxes(bodies: Sequence[Body], plane: SlicePlane, uid: str, min_section: float) -> list[tuple[int, SliceBox]]:
    """(index of the body, box) of those that the slice shows."""
    across = np.array([plane.normal @ b.axes[0] for b in bodies])
    left = -np.array([plane.signed_distance_mm(b.center_lps_mm) for b in bodies]) / np.where(across == 0, 1, across)
    shown = [
        k
        for k, b in enumerate(bodies)
        if abs(across[k]) >= 0.75
        and b.section(float(left[k])) >= max(min_section, 0.05)
        and _whole_section(b, plane, float(left[k]))
    ]
    edge = np.array([plane.shape[1] - 1, plane.shape[0] - 1], dtype=np.float64)
    shown = [k for k in shown if _near_image(bodies[k], plane, edge)]
    if not shown:
        return []
    found = []
    for k, outline, corners in zip(shown, *sections_lps_mm([bodies[k] for k in shown], plane), strict=True):
        pixels = plane.to_pixel(outline)
        low, high = pixels.min(0), pixels.max(0)
        inside_low, inside_high = np.clip(low, 0, edge), np.clip(high, 0, edge)
        if np.prod(inside_high - inside_low) >= 0.6 * np.prod(high - low):
            xyxy = (float(inside_low[0]), float(inside_low[1]), float(inside_high[0]), float(inside_high[1]))
            found.append((k, SliceBox(uid, xyxy, 1.0, plane.to_pixel(corners))))
    return found


def _whole_section(body: Body, plane: SlicePlane, left_mm: float) -> bool:
    """Whether a slice that leans cuts all of a section's corners, none of which may lie beside the body."""
    across, back, up = np.abs(body.axes @ plane.normal)
    reach = (back * max(body.half_depth_mm) + up * max(body.half_height_mm)) / across
    return abs(left_mm) + reach < 0.98 * (1 - body.waist) * body.half_width_mm


def _near_image(body: Body, plane: SlicePlane, edge: np.ndarray) -> bool:
    pixel = plane.to_pixel(body.center_lps_mm)
    return bool((pixel >= 0).all() and (pixel <= edge).all())


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
    for name in (disk_level(*names) for names in pairwise(spine.lumbar_levels)):
        disk = spine.disks[name].disk
        normal = disk.normal_lps
        point = disk.center_lps_mm + 0.25 * (disk.back_lps_mm - disk.front_lps_mm)
        cosine = float(plane.normal @ normal)
        if abs(cosine) < 0.5:
            continue
        height = -float(plane.signed_distance_mm(point)) / cosine
        if not bool(plane.contains_px(plane.to_pixel(point + height * normal))):
            continue
        inside = disk.height_at_mm(0.75) / 2 - abs(height)
        margin = min(margin, abs(inside))
        if inside >= 0:
            level = name
    return level, margin


def as_dict(spine: Spine) -> dict[str, Any]:
    """Truth of a spine for a file: vertebrae, disks with what defines each one's class, alignment. Lengths are mm.

    Angles, extents and bases are those of the rule (bundle.geometry.fardon); positions are LPS millimetres. ``readers``
    holds the shares of readers who would call the disk normal, bulge and herniation, ``borderline`` that of those who would
    disagree with the rule.
    """
    return {
        "vertebrae": [
            {"level": v.level, "center_lps_mm": _rounded(v.center_lps_mm), "corners_lps_mm": _rounded(v.corners_lps_mm)}
            for v in vertebrae(spine, spine.lumbar_levels)
        ],
        "disks": [_disk_as_dict(spine, disk_level(*names)) for names in pairwise(spine.lumbar_levels)],
        "lordosis_deg": round(lordosis_deg(spine), 1),
        "sacral_slope_deg": round(sacral_slope_deg(spine), 1),
        "transition": spine.transition,
    }


def _disk_as_dict(spine: Spine, level: str) -> dict[str, Any]:
    shape = spine.disks[level]
    path, sac = shape.pathology, deformation(spine, shape)
    return {
        "level": level,
        "center_lps_mm": _rounded(shape.disk.center_lps_mm),
        "normal_lps": _rounded(shape.disk.normal_lps, 6),
        "height_mm": round(shape.disk.height_mm, 2),
        "finding": path.finding,
        "kind": path.kind,
        "angle_deg": round(path.angle_deg, 1),
        "beyond_rim_deg": round(path.measures.beyond_rim_deg, 1),
        "direction_deg": round(path.direction_deg, 1),
        "extent_mm": round(path.extent_mm, 2),
        "base_mm": round(path.base_mm, 2),
        "zone": path.zone,
        "side": path.side,
        "migration_mm": round(path.migration_mm, 2),
        "sequestered": path.sequestered,
        "angle_margin_deg": round(path.angle_margin_deg, 1),
        "extent_margin_mm": round(path.extent_margin_mm, 2),
        "borderline": round(path.borderline, 3),
        "readers": dict(zip(FINDINGS, _rounded(path.soft_label()), strict=True)),
        "sac_pressed_mm": round(sac.pressed_mm, 2),
        "sac_pressed_share": round(sac.share, 3),
        "hydration": round(path.hydration, 3),
        "pfirrmann": path.pfirrmann,
        "modic": [{"side": c.side, "type": c.modic, "depth_mm": round(c.depth_mm, 1)} for c in path.changes],
        "schmorl": [{"side": n.side, "depth_mm": round(n.radii_mm[2], 1)} for n in path.nodes],
        "slip_mm": round(slip_mm(*(spine.body(name) for name in level.split("-"))), 2),
    }


def _rounded(values: Any, digits: int = 3) -> Any:
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()
