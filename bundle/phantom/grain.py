"""Smooth random fields for what tissue looks like inside: fibres of muscle, mottled marrow, strands in fat."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

_SIDE = 64
#: Cells over which neighbouring values are alike; a look-up takes the nearest cell.
CELLS = 4.0


@cache
def _field(device: torch.device) -> Tensor:
    """(_SIDE ** 3,) a periodic field of mean 0 and variance 1, the same for everybody."""
    frequency = np.fft.fftfreq(_SIDE)
    squares = [f**2 for f in np.meshgrid(frequency, frequency, frequency[: _SIDE // 2 + 1], indexing="ij")]
    smooth = np.exp(-2 * (np.pi * CELLS / 2) ** 2 * sum(squares))
    noise = np.random.default_rng(0).standard_normal((_SIDE,) * 3)
    field = np.fft.irfftn(np.fft.rfftn(noise) * smooth, s=(_SIDE,) * 3, axes=(0, 1, 2))
    field = (field - field.mean()) / field.std()
    return torch.as_tensor(field.astype(np.float32), device=device).flatten()


def grain(x: Tensor, y: Tensor, z: Tensor, sizes_mm: tuple[float, float, float], offset: Tensor) -> Tensor:
    """Values of the field, of mean 0 and variance 1, at points (n, points) in millimetres.

    Args:
        x: first coordinate, in any axes.
        y: second.
        z: third.
        sizes_mm: distance along each of them over which values are alike.
        offset: (n, 1) of the patient, in cells, so that patients differ.
    """
    index = torch.zeros((), dtype=torch.int32, device=x.device)
    for k, (values, size) in enumerate(zip((x, y, z), sizes_mm, strict=True)):
        cell = (values * (CELLS / size) + (offset * (k + 1) + 0.5)).floor().int() & (_SIDE - 1)
        index = index * _SIDE + cell
    return _field(x.device).take(index.long())
