"""Rods: tapered capsules with an elliptic section. Bones' processes, vessels, nerves and bowel are made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bundle.phantom.canvas import Canvas, deepest, soft
from bundle.phantom.tiles import Tiles

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Material:
    """What rods of one kind are made of: a rim of one tissue around a core of another.

    Args:
        core: tissue.
        rim: tissue; the same as ``core`` for a rod of one tissue.
        rim_mm: thickness of the rim.
    """

    core: str
    rim: str = ""
    rim_mm: float = 0.0


class RodTable:
    """Rods of one patient by material.

    A rod is all points within an ellipsoid that moves along a line and grows or shrinks on its way. Rods are written down in
    frames, such as that of a vertebra, and brought into patient space all at once.
    """

    def __init__(self) -> None:
        self._origins: list[ArrayLike] = [np.zeros(3)]
        self._axes: list[ArrayLike] = [np.eye(3)]
        self._rows: dict[Material, list[tuple[float, ...]]] = {}
        self._placed: dict[Material, Array] | None = None

    def frame(self, origin_lps_mm: ArrayLike, axes: ArrayLike) -> int:
        """Number of a new frame with unit rows ``axes`` (3, 3) around ``origin_lps_mm`` (3,). Frame 0 is patient space."""
        self._origins.append(origin_lps_mm)
        self._axes.append(axes)
        return len(self._origins) - 1

    def add(
        self,
        material: Material,
        start_mm: Iterable[float],
        end_mm: Iterable[float],
        radii_mm: Iterable[float],
        frame: int = 0,
        yaw_deg: float = 0.0,
        taper: float = 1.0,
    ) -> None:
        """Add a rod.

        Args:
            material: rods of one material make one solid.
            start_mm: (3,) in ``frame``.
            end_mm: (3,) in ``frame``.
            radii_mm: (3,) half axes of the ellipsoid at the start, along the frame's axes.
            frame: see frame.
            yaw_deg: the half axes are turned about the frame's third axis, from its first toward its second.
            taper: half axes at the end as a share of those at the start.
        """
        self._placed = None
        self._rows.setdefault(material, []).append((*start_mm, *end_mm, *radii_mm, frame, yaw_deg, taper))

    def of(self, material: Material) -> Array:
        """(K, 19) rods of ``material`` in patient space: ends (6), half axes (3), their unit directions (9), taper."""
        if self._placed is None:
            self._placed = self._place()
        return self._placed.get(material, np.zeros((0, 19)))

    def _place(self) -> dict[Material, Array]:
        """All rods in patient space; one turn for all of them takes no longer than one for each material."""
        rows = np.array([row for some in self._rows.values() for row in some], dtype=np.float64).reshape(-1, 12)
        frame = rows[:, 9].astype(np.int64)
        origins, axes = np.stack(self._origins)[frame], np.stack(self._axes)[frame]
        ends = origins[:, None] + rows[:, :6].reshape(-1, 2, 3) @ axes
        yaw = np.radians(rows[:, 10])
        turn = np.zeros((len(rows), 3, 3))
        turn[:, 0, 0] = turn[:, 1, 1] = np.cos(yaw)
        turn[:, 0, 1], turn[:, 1, 0], turn[:, 2, 2] = np.sin(yaw), -np.sin(yaw), 1.0
        whole = np.concatenate([ends.reshape(-1, 6), rows[:, 6:9], (turn @ axes).reshape(-1, 9), rows[:, 11:]], axis=1)
        last = np.cumsum([len(some) for some in self._rows.values()])
        return dict(zip(self._rows, np.split(whole, last[:-1]), strict=True)) if self._rows else {}


def depth_of_rods(tiles: Tiles, tables: Sequence[Array]) -> tuple[Tensor, Tensor]:
    """Depth inside rods, for every pair of a rod and a tile that it may touch.

    Args:
        tiles: the points.
        tables: for each plane of ``tiles`` its (K, 19) rods; see RodTable.of.

    Returns:
        (P,) tiles and (P, points) depths in millimetres, negative outside.
    """
    rods = np.concatenate(tables)
    owner = np.repeat(np.arange(len(tables)), [len(t) for t in tables])
    p, q, radii, axes, taper = rods[:, 0:3], rods[:, 3:6], rods[:, 6:9], rods[:, 9:18].reshape(-1, 3, 3), rods[:, 18]
    # How far the rod reaches along each of its plane's directions: half its length and the ellipsoid's own extent.
    widest = radii * np.maximum(taper, 1.0)[:, None]
    directions = np.stack([tiles.row_directions, tiles.column_directions, tiles.normals], axis=1)[owner]
    along = np.abs(np.einsum("kid,kd->ki", directions, (q - p) / 2))
    around = np.sqrt(np.einsum("kij,kj->ki", np.einsum("kid,kjd->kij", directions, axes) ** 2, widest**2))
    tile, rod = tiles.touched(owner, (p + q) / 2, along + around + 1.5)
    # In the ellipsoid's own measure a rod is a capsule around the line from 0 to d.
    scaled = axes / radii[:, :, None]
    d = np.einsum("kij,kj->ki", scaled, q - p)
    numbers = torch.as_tensor(
        np.concatenate([d, np.sum(d * d, axis=1, keepdims=True), taper[:, None] - 1, 1 / radii], axis=1),
        dtype=torch.float32,
        device=tiles.device,
    )[rod]
    matrix = torch.as_tensor(scaled, dtype=torch.float32, device=tiles.device)[rod]
    start = torch.as_tensor(p, dtype=torch.float32, device=tiles.device)[rod]
    x, y, z = tiles.local(tile, matrix, start)
    dx, dy, dz, length2, growth, per_x, per_y, per_z = (n[:, None] for n in numbers.unbind(1))
    t = ((x * dx + y * dy + z * dz) / length2.clamp(min=1e-6)).clamp_(0, 1)
    x, y, z = x - t * dx, y - t * dy, z - t * dz
    distance = torch.sqrt(x * x + y * y + z * z)
    # Millimetres: how far the surface is, in the rod's measure, over how fast that measure changes here.
    slope = torch.sqrt((x * per_x) ** 2 + (y * per_y) ** 2 + (z * per_z) ** 2)
    return tile, (1 + growth * t - distance) * (distance + 1e-3) / (slope + 1e-3 * per_x)


def paint_rods(canvas: Canvas, tables: Sequence[Array], material: Material) -> tuple[Tensor, Tensor]:
    """Paint the union of rods of one material; returns its tiles and depths."""
    tiles, depth = deepest(*depth_of_rods(canvas.tiles, tables))
    if len(tiles):
        if material.rim:
            canvas.paint(tiles, soft(depth), material.rim)
        canvas.paint(tiles, soft(depth - material.rim_mm), material.core)
    return tiles, depth
