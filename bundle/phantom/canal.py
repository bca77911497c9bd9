"""What lies in the spinal canal: epidural fat, thecal sac, cord and the roots of the cauda equina."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bundle.phantom.along import BETWEEN, GAP, HALF_DEPTH, HALF_WIDTH, TRIANGLE, WALL, AlongCanal, X
from bundle.phantom.canvas import Canvas, soft
from bundle.phantom.shapes import Spine

# Roots leave the sac at these bodies, from the top down.
_LEAVE = ("L1", "L2", "L3", "L4", "L5", "S1", "S2", "S3")


class Canal:
    """Paints the canal of a batch of patients.

    Args:
        spines: the patient of each plane.
        along: where their canals run.
        device: of the numbers.
    """

    def __init__(self, spines: Sequence[Spine], along: AlongCanal, device: torch.device) -> None:
        self.along = along
        rows = [[s.conus_z_mm, s.soft["roots"], s.soft["epidural"], s.soft["settled"]] for s in spines]
        self._numbers = torch.as_tensor(rows, dtype=torch.float32, device=device)
        self._roots = torch.as_tensor(np.stack([_roots(s) for s in spines]), dtype=torch.float32, device=device)

    def paint(self, canvas: Canvas, seen: Tensor) -> None:
        """Paint the content of the canal on those of the tiles ``seen`` that it touches."""
        tiles = canvas.tiles
        x, y, z = tiles.points(seen)
        owner = tiles.owner[seen]
        index = self.along.index(owner, z)
        dx, behind = x - self.along.at(index, X), y - self.along.at(index, WALL)
        near = ((behind > -3) & (behind < 40) & (dx.abs() < 30)).any(1)
        if not bool(near.any()):
            return
        seen, dx, behind, z, index = seen[near], dx[near], behind[near], z[near], index[near]
        owner = owner[near]
        half_depth, half_width = self.along.at(index, HALF_DEPTH), self.along.at(index, HALF_WIDTH)
        gap, triangle = self.along.at(index, GAP), self.along.at(index, TRIANGLE)
        conus, thickness, epidural, settled = (n[:, None] for n in self._numbers[owner].unbind(1))
        # The bony canal: wide in front, closing behind where laminae and flavum meet.
        # Fat behind the sac lies between the laminae, which touch it.
        total = 2 * half_depth.clamp(min=3.0) + gap + 1.5 + (1.0 + 1.6 * epidural) * self.along.at(index, BETWEEN)
        t = (behind / total).clamp(0, 1)
        bony_half = (half_width.clamp(min=6) + 2.5) * (1 - 0.8 * t**2.2)
        depth = torch.minimum(bony_half - dx.abs(), torch.minimum(behind + 1, total - behind))
        canvas.paint(seen, soft(depth), "fat")
        # The sac: its front is flat, its back an arch that narrows to a blunt edge.
        v = (behind - gap - half_depth) / half_depth
        width = half_width * (1 - triangle * ((v + 0.3) / 1.3).clamp(0, 1) ** 1.5)
        ratio = ((dx / width).abs() ** 2.4 + v.abs() ** 2.8) ** (1 / 2.5)
        sac = (1 - ratio) * torch.minimum(half_depth, half_width)
        present = soft((half_depth - 1.0) * 4)
        canvas.paint(seen, soft(sac + 0.6) * present, "ligament")  # dura
        csf = soft(sac) * present
        canvas.paint(seen, csf, "csf")
        inner = (sac > -1).any(1)
        if not bool(inner.any()):
            return
        rows = (dx, v, z, half_width, half_depth, csf)
        dx, v, z, half_width, half_depth, csf = (r[inner] for r in rows)
        seen, owner, conus, thickness, settled = seen[inner], owner[inner], conus[inner], thickness[inner], settled[inner]
        self._cauda(canvas, seen, owner, (dx, v, z), (half_width, half_depth, csf), (conus, thickness, settled))
        taper = ((z - conus) / 26).clamp(0, 1)
        across, deep = 0.9 + 3.9 * taper, 0.8 + 3.0 * taper
        cord = 1 - torch.sqrt((dx / across) ** 2 + ((v * half_depth - 0.18 * half_depth) / deep) ** 2)
        canvas.paint(seen, csf * soft(cord * deep) * soft(z - conus), "nerve")

    def _cauda(
        self,
        canvas: Canvas,
        seen: Tensor,
        owner: Tensor,
        place: tuple[Tensor, Tensor, Tensor],
        sac: tuple[Tensor, Tensor, Tensor],
        numbers: tuple[Tensor, Tensor, Tensor],
    ) -> None:
        """Roots lie in the back of the sac, as the patient does on his, and come forward to the side where they leave."""
        dx, v, z = place
        half_width, half_depth, csf = sac
        conus, thickness, settled = numbers
        nearest = torch.full_like(z, 1e3)
        roots = self._roots[owner]
        behind = v * half_depth
        for k in range(roots.shape[1]):
            leave, side, order, drift, phase = (roots[:, k, i, None] for i in range(5))
            way = ((z - leave) / 28).clamp(0, 1)  # 0 where it leaves, 1 where it lies among the others
            at_x = side * half_width * (0.80 - (0.80 - order) * way) + 0.5 * torch.sin(z / 17 + phase)
            at_v = half_depth * (-0.35 + (0.35 + settled + drift) * way)
            away = (dx - at_x) ** 2 + (behind - at_v) ** 2
            there = (z > leave) & (z < conus + 14)
            nearest = torch.where(there, torch.minimum(nearest, away), nearest)
        canvas.paint(seen, csf * soft(thickness - torch.sqrt(nearest)), "nerve")


def _roots(spine: Spine) -> np.ndarray:
    """(N, 5) roots: height where they leave the sac, side, how far out and back they lie before that, phase."""
    rng = np.random.default_rng([spine.seed, 5])
    rows = []
    for number, level in enumerate(_LEAVE):
        body = spine.body(level)
        leave = float(body.center_lps_mm[2]) + sum(body.half_height_mm) / 2 * rng.uniform(0.4, 1.4)
        for side in (-1.0, 1.0):
            for part in (0, 1):  # motor before sensory
                # Those that leave first lie outside; together they hang like a crescent along the back of the sac.
                order = float(np.clip(0.72 - 0.085 * number + rng.normal(0, 0.10), 0.03, 0.8))
                drift = 0.20 * part + 0.85 * order**2 + rng.uniform(-0.15, 0.25)
                rows.append([leave, side, order, -drift, rng.uniform(0, 6.28)])
    return np.asarray(rows)
