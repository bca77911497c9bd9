"""Where the canal runs: its numbers at any height, looked up for all points of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from bundle.phantom.shapes import Spine

_STEP_MM = 0.25
_BEYOND_MM = 260.0  # above and below the last knot
_SMOOTH_MM = 81

#: Columns of the table.
X, WALL, HALF_DEPTH, HALF_WIDTH, GAP, SMOOTH_WALL, TRIANGLE, BETWEEN = range(8)


class AlongCanal:
    """The canal's course and size by height, for a batch of patients.

    Args:
        spines: the patient of each plane.
        device: of the tables.
    """

    def __init__(self, spines: Sequence[Spine], device: torch.device) -> None:
        self._low, tables = [], []
        for spine in spines:
            knots = spine.canal
            z = np.arange(knots[0, 0] - _BEYOND_MM, knots[-1, 0] + _BEYOND_MM, _STEP_MM)
            rows = [np.interp(z, knots[:, 0], knots[:, k]) for k in range(1, 6)]
            # What lies far from the spine follows its large curves only.
            width = int(_SMOOTH_MM / _STEP_MM) | 1
            total = np.cumsum(np.pad(rows[1], (width // 2 + 1, width // 2), mode="edge"))
            rows.append((total[width:] - total[:-width]) / width)
            l1, s1 = spine.body("L1").center_lps_mm[2], spine.body("S1").center_lps_mm[2]
            # The sac is round at L1 and becomes a triangle with a flat front toward the sacrum.
            rows.append(0.25 + spine.soft["triangle"] * np.clip((l1 - z) / (l1 - s1), 0, 1))
            # 1 between the laminae of two vertebrae, 0 behind a lamina, which lies in the lower half of its vertebra.
            laminae = [b.center_lps_mm[2] - 0.35 * sum(b.half_height_mm) / 2 for b in spine.bodies]
            middles = [(low + high) / 2 for low, high in pairwise(laminae)]
            heights = np.array(sorted([*laminae, *middles]))
            between = np.interp(z, heights, np.arange(len(heights)) % 2)
            rows.append(between * between * (3 - 2 * between))
            tables.append(np.stack(rows).astype(np.float32))
            self._low.append(float(z[0]))
        self._length = max(t.shape[1] for t in tables)
        padded = [np.pad(t, ((0, 0), (0, self._length - t.shape[1])), mode="edge") for t in tables]
        self._table = torch.as_tensor(np.stack(padded), device=device).flatten()
        self._start = torch.as_tensor(self._low, dtype=torch.float32, device=device)

    def index(self, owner: Tensor, z: Tensor) -> Tensor:
        """(n, points) place in the table of heights ``z`` (n, points) of the patients ``owner`` (n,)."""
        position = ((z - self._start[owner][:, None]) / _STEP_MM + 0.5).long().clamp_(0, self._length - 1)
        return position + owner[:, None] * (8 * self._length)

    def at(self, index: Tensor, column: int) -> Tensor:
        """(n, points) values of one column at places from ``index``."""
        return self._table.take(index + column * self._length)
