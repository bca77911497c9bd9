"""Points of a batch of planes in small square tiles, so that a solid is evaluated near itself only, on CPU and GPU alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bundle.geometry import SlicePlane

#: Pixels along each side of a tile.
SIDE = 8


class Tiles:
    """The pixels of planes of one shape, as tiles of SIDE x SIDE pixels.

    All tiles of all planes lie in one list; tile ``t`` belongs to plane ``owner[t]``. Within a tile points are an affine
    grid, which is what makes coordinates in any other frame cheap: see ``local``.

    Args:
        planes: B planes of the same shape.
        device: where the points lie.
        offsets_mm: (B,) the points lie this far from their plane along its normal (slice profile).
    """

    def __init__(
        self, planes: Sequence[SlicePlane], device: str | torch.device = "cpu", offsets_mm: Sequence[float] | None = None
    ) -> None:
        shapes = {plane.shape for plane in planes}
        if len(shapes) != 1:
            raise ValueError(f"the planes of a batch have one shape, not {sorted(shapes)}")
        self.batch = len(planes)
        self.device = torch.device(device)
        (self.rows, self.columns) = shapes.pop()
        self.down, self.across = -(-self.rows // SIDE), -(-self.columns // SIDE)
        offsets = np.zeros(len(planes)) if offsets_mm is None else np.asarray(offsets_mm, dtype=np.float64)
        self.normals = np.stack([p.normal for p in planes])
        self.origins = np.stack([p.origin_lps_mm for p in planes]) + offsets[:, None] * self.normals
        self.row_directions = np.stack([p.row_direction for p in planes])
        self.column_directions = np.stack([p.column_direction for p in planes])
        self.spacings_mm = np.array([p.pixel_spacing_mm for p in planes])
        self.step_row = self._tensor(self.column_directions * self.spacings_mm[:, :1])  # (B, 3) from a row to the next
        self.step_column = self._tensor(self.row_directions * self.spacings_mm[:, 1:])
        each = self.down * self.across
        self.owner = torch.arange(len(planes), device=self.device).repeat_interleave(each)
        k = torch.arange(each, device=self.device)
        i, j = (k // self.across * SIDE).float(), (k % self.across * SIDE).float()
        base = (
            self._tensor(self.origins)[:, None]
            + i[None, :, None] * self.step_row[:, None]
            + j[None, :, None] * self.step_column[:, None]
        )
        self.base = base.reshape(-1, 3)  # (tiles, 3) first point of each tile
        self._in_tile = torch.arange(SIDE, dtype=torch.float32, device=self.device)

    def __len__(self) -> int:
        return len(self.owner)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(values), dtype=torch.float32, device=self.device)

    def points(self, tiles: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """x, y, z in LPS millimetres, (n, SIDE ** 2) each, of the points of ``tiles`` (all by default)."""
        base = self.base if tiles is None else self.base[tiles]
        owner = self.owner if tiles is None else self.owner[tiles]
        return self._spread(base, self.step_row[owner], self.step_column[owner])

    def local(self, tiles: Tensor, axes: Tensor, origin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coordinates (n, SIDE ** 2) in a frame for each tile: axes (n, 3, 3) times (point - origin (n, 3))."""
        owner = self.owner[tiles]
        steps = torch.stack([self.base[tiles] - origin, self.step_row[owner], self.step_column[owner]], dim=-1)
        base, row, column = (axes @ steps).unbind(-1)
        return self._spread(base, row, column)

    def _spread(self, base: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        down = base[:, :, None] + row[:, :, None] * self._in_tile  # (n, 3, SIDE)
        across = column[:, :, None] * self._in_tile
        x, y, z = ((down[:, k, :, None] + across[:, k, None, :]).flatten(1) for k in range(3))
        return x, y, z

    def touched(self, owner: np.ndarray, centers: np.ndarray, reach: np.ndarray) -> tuple[Tensor, Tensor]:
        """Which tiles each of K solids may touch.

        Args:
            owner: (K,) plane of each solid.
            centers: (K, 3) LPS millimetres.
            reach: (K, 3) how far the solid extends from its centre along its plane's row direction, column direction and
                normal, millimetres.

        Returns:
            (P,) tile and (P,) solid of each pair, ordered by solid.
        """
        away = centers - self.origins[owner]
        across = np.einsum("kd,kd->k", away, self.row_directions[owner]) / self.spacings_mm[owner, 1]
        down = np.einsum("kd,kd->k", away, self.column_directions[owner]) / self.spacings_mm[owner, 0]
        through = np.abs(np.einsum("kd,kd->k", away, self.normals[owner]))
        half_across, half_down = reach[:, 0] / self.spacings_mm[owner, 1], reach[:, 1] / self.spacings_mm[owner, 0]
        c0 = np.clip(np.floor((across - half_across) / SIDE), 0, self.across).astype(np.int64)
        c1 = np.clip(np.floor((across + half_across) / SIDE) + 1, 0, self.across).astype(np.int64)
        r0 = np.clip(np.floor((down - half_down) / SIDE), 0, self.down).astype(np.int64)
        r1 = np.clip(np.floor((down + half_down) / SIDE) + 1, 0, self.down).astype(np.int64)
        wide = np.maximum(c1 - c0, 0)
        count = np.where(through < reach[:, 2], np.maximum(r1 - r0, 0) * wide, 0)
        solid = np.repeat(np.arange(len(owner)), count)
        within = np.arange(len(solid)) - np.repeat(np.cumsum(count) - count, count)
        width = np.maximum(wide[solid], 1)
        tile = (
            owner[solid] * (self.down * self.across)
            + (r0[solid] + within // width) * self.across
            + c0[solid]
            + within % width
        )
        return torch.as_tensor(tile, device=self.device), torch.as_tensor(solid, device=self.device)

    def image(self, values: Tensor) -> Tensor:
        """(B, C, rows, columns) of values (tiles, C, SIDE ** 2)."""
        channels = values.shape[1]
        grid = values.reshape(self.batch, self.down, self.across, channels, SIDE, SIDE)
        whole = grid.permute(0, 3, 1, 4, 2, 5).reshape(self.batch, channels, self.down * SIDE, self.across * SIDE)
        return whole[:, :, : self.rows, : self.columns]


class PointTiles(Tiles):
    """Points anywhere in one patient, in chunks of SIDE ** 2: neighbours in the list should be neighbours in space.

    Args:
        points_lps_mm: (N, 3).
        device: where the points lie.
    """

    def __init__(self, points_lps_mm: np.ndarray, device: str | torch.device = "cpu") -> None:
        points = np.asarray(points_lps_mm, dtype=np.float64).reshape(-1, 3)
        self.count = len(points)
        chunk = SIDE * SIDE
        filled = np.concatenate([points, np.repeat(points[-1:], -len(points) % chunk, axis=0)]).reshape(-1, chunk, 3)
        self.device = torch.device(device)
        self.batch = 1
        self.row_directions, self.column_directions, self.normals = np.eye(3)[:, None]
        self._low, self._high = filled.min(1), filled.max(1)
        self._points = self._tensor(filled)
        self.owner = torch.zeros(len(filled), dtype=torch.int64, device=self.device)

    def points(self, tiles: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """x, y, z in LPS millimetres, (n, SIDE ** 2) each."""
        x, y, z = (self._points if tiles is None else self._points[tiles]).unbind(-1)
        return x, y, z

    def local(self, tiles: Tensor, axes: Tensor, origin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coordinates (n, SIDE ** 2) in a frame for each tile."""
        x, y, z = ((self._points[tiles] - origin[:, None]) @ axes.transpose(1, 2)).unbind(-1)
        return x, y, z

    def touched(self, owner: np.ndarray, centers: np.ndarray, reach: np.ndarray) -> tuple[Tensor, Tensor]:
        """Which chunks each of K solids may touch: those whose bounds its own bounds meet."""
        meets = (centers + reach)[:, None] > self._low
        meets &= (centers - reach)[:, None] < self._high
        solid, tile = np.nonzero(meets.all(-1))
        return torch.as_tensor(tile, device=self.device), torch.as_tensor(solid, device=self.device)

    def image(self, values: Tensor) -> Tensor:
        """(N, C) of values (tiles, C, SIDE ** 2)."""
        return values.transpose(1, 2).reshape(-1, values.shape[1])[: self.count]
