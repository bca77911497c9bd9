"""Vertebral bodies and disks as solids: depth below their surface at the points of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bundle.geometry.rim import SUPERELLIPSE
from bundle.phantom.canvas import rounded
from bundle.phantom.grain import grain
from bundle.phantom.shapes import Body, DiskShape, body_sizes
from bundle.phantom.tiles import Tiles


@dataclass(frozen=True, eq=False)
class Inside:
    """Where solids lie: pairs of a tile and a solid.

    Args:
        tiles: (P,) tile of each pair.
        solids: (P,) solid of each pair, counted over all planes of the batch.
        uvw_mm: three (P, points) coordinates in the solid's axes (left, back, up).
        depth_mm: (P, points) below its surface, negative outside.
    """

    tiles: Tensor
    solids: Tensor
    uvw_mm: tuple[Tensor, Tensor, Tensor]
    depth_mm: Tensor


def _place(
    tiles: Tiles, owner: np.ndarray, centers: np.ndarray, axes: np.ndarray, radius_mm: np.ndarray
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
    reach = np.repeat(radius_mm[:, None], 3, axis=1)
    tile, solid = tiles.touched(owner, centers, reach)
    matrix = torch.as_tensor(axes, dtype=torch.float32, device=tiles.device)[solid]
    origin = torch.as_tensor(centers, dtype=torch.float32, device=tiles.device)[solid]
    return tile, solid, tiles.local(tile, matrix, origin)


def _columns(sizes: np.ndarray, solid: Tensor) -> list[Tensor]:
    table = torch.as_tensor(sizes, dtype=torch.float32, device=solid.device)
    return [column[:, None] for column in table[solid].unbind(1)]


def _ring(u: Tensor, v: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """1 on the superellipse with half axes a and b, less inside."""
    return ((u / a).abs() ** SUPERELLIPSE + (v / b).abs() ** SUPERELLIPSE) ** (1 / SUPERELLIPSE)


def dent_mm(u: Tensor, v: Tensor, deepest_mm: Tensor) -> Tensor:
    """Hollow of the back wall around the midline."""
    return deepest_mm * torch.exp(-((u / 9) ** 2)) * torch.sigmoid(v / 3)


def inside_bodies(tiles: Tiles, bodies: Sequence[Sequence[Body]]) -> Inside:
    """Depth inside vertebral bodies; ``bodies`` holds those of each plane."""
    flat = [body for one in bodies for body in one]
    owner = np.repeat(np.arange(len(bodies)), [len(one) for one in bodies])
    sizes = body_sizes(flat)
    radius = np.sqrt(sizes[:, 0] ** 2 + sizes[:, 1:3].max(1, initial=0) ** 2 + sizes[:, 3:5].max(1, initial=0) ** 2) + 2
    centers = np.array([b.center_lps_mm for b in flat]).reshape(-1, 3)
    axes = np.array([b.axes for b in flat]).reshape(-1, 3, 3)
    tile, solid, (u, v, w) = _place(tiles, owner, centers, axes, radius)
    columns = _columns(sizes, solid)
    return Inside(tile, solid, (u, v, w), body_depth((u, v, w), columns))


def body_depth(uvw_mm: tuple[Tensor, Tensor, Tensor], columns: Sequence[Tensor]) -> Tensor:
    """Depth below a body's surface at points in its axes, negative outside; ``columns`` are those of body_sizes."""
    u, v, w = uvw_mm
    width, top, bottom, front, back, waist, concavity, dent = columns
    height = (front + back) / 2
    t = (w / height).clamp(-1, 1)
    slim = 1 - waist * (1 - t * t)
    b = ((top + bottom) / 2 + (top - bottom) / 2 * t) * slim
    r = _ring(u, v, width * slim, b)
    side = (1 - r) * b - dent_mm(u, v, dent)
    hollow = concavity * (1 - r.clamp(max=1) ** 2)
    h = height + (back - front) / 2 * v / b - hollow
    return rounded(side, h - w.abs(), 2.0)


@dataclass(frozen=True, eq=False)
class InsideDisks(Inside):
    """As Inside, with the share of a point that is nucleus rather than annulus (before hydration)."""

    nucleus: Tensor
    hydration: Tensor


def inside_disks(tiles: Tiles, disks: Sequence[Sequence[DiskShape]]) -> InsideDisks:
    """Depth inside disks, with what reaches beyond their rim; ``disks`` holds those of each plane."""
    flat = [disk for one in disks for disk in one]
    owner = np.repeat(np.arange(len(disks)), [len(one) for one in disks])
    rows = [[d.half_width_mm, d.half_depth_mm, d.gap_mm, d.wedge, d.pathology.hydration, d.cleft] for d in flat]
    outline = np.array([d.pathology.outline_mm for d in flat]).reshape(-1, 360)
    sizes = np.asarray(rows).reshape(-1, 6)
    rise = sizes[:, 2] / 2 + np.abs(sizes[:, 3]) * sizes[:, 1] + 4
    wide = outline.max(1, initial=0)
    centers = np.array([d.disk.center_lps_mm for d in flat]).reshape(-1, 3)
    axes = np.array([d.axes for d in flat]).reshape(-1, 3, 3)
    tile, solid, (u, v, w) = _place(tiles, owner, centers, axes, np.hypot(wide, rise) + 3)
    a, b, gap, wedge, hydration, cleft = _columns(sizes, solid)
    r = _ring(u, v, a, b)
    distance = torch.sqrt(u * u + v * v)
    table = torch.as_tensor(outline, dtype=torch.float32, device=tiles.device).flatten()
    angle = (torch.rad2deg(torch.atan2(u, v)) + 180).clamp(0, 359.99)
    index = angle.long()
    start = solid[:, None] * 360
    low = table[start + index]
    beyond = low + (angle - index) * (table[start + (index + 1) % 360] - low) - distance
    half_gap = (gap / 2 - wedge / 2 * torch.minimum(torch.maximum(v, -b - 2), b + 2)).clamp(min=0.8)
    # Bodies are painted over the disk, so between them it may be too high; outside the rim it must not.
    fill = half_gap + 3.0 * (1 - ((r - 0.8) / 0.2).clamp(0, 1))
    # The edge of a low disk is rounded less, so that its outline is where it is said to be.
    depth = rounded(beyond, fill - w.abs(), fill.clamp(max=1.5))
    core = (1 - torch.sqrt((u / (0.80 * a)) ** 2 + ((v + 0.04 * b) / (0.76 * b)) ** 2)) * 0.75 * b
    # The fibrous cleft across the middle of an adult's nucleus.
    nucleus = torch.sigmoid(core / 1.0) * (1 - cleft * torch.exp(-((w / (0.09 * gap + 0.4)) ** 2)))
    fibres = grain(u, v, w, (5.0, 4.0, 2.5), (a + gap) * 97)
    nucleus = nucleus * (0.9 + 0.1 * fibres).clamp(0.5, 1)
    return InsideDisks(tile, solid, (u, v, w), depth, nucleus, hydration)
