"""What is not a lumbar spine: a head, and empty fields. The networks must learn to refuse them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bundle.geometry import SlicePlane
from bundle.phantom.canvas import Canvas, soft
from bundle.phantom.tiles import Tiles


@dataclass(frozen=True)
class HeadPatient:
    """A head around the origin of patient space, with a bit of neck.

    Args:
        seed: of its shape.
    """

    seed: int

    def painter(self, patients: Sequence[HeadPatient], device: str | torch.device = "cpu") -> HeadPainter:
        """Who paints ``patients`` together."""
        return HeadPainter(patients, device)


class HeadPainter:
    """Paints scalp, skull, cortex with folds, white matter, ventricles, brain stem and a bit of neck.

    Args:
        patients: one for each plane of a batch.
        device: where the points are.
    """

    def __init__(self, patients: Sequence[HeadPatient], device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        sizes, folds = [], []
        for patient in patients:
            rng = np.random.default_rng(patient.seed)
            sizes.append(np.array([68.0, 88.0, 68.0]) * rng.normal(1, 0.05))
            folds.append(rng.normal(0, 1, (8, 4)))
        self._sizes = torch.as_tensor(np.stack(sizes), dtype=torch.float32, device=self.device)
        self._folds = torch.as_tensor(np.stack(folds), dtype=torch.float32, device=self.device)

    def depth_below_skin_mm(self, planes: Sequence[SlicePlane]) -> Tensor:
        """(B, rows, columns) zeros: a head coil surrounds the head."""
        return torch.zeros((len(planes), *planes[0].shape), device=self.device)

    @torch.no_grad()
    def paint(self, planes: Sequence[SlicePlane], contrasts: Tensor, offsets_mm: Sequence[float] | None = None) -> Tensor:
        """(B, C, rows, columns) of ``planes``, one of each patient, for contrasts (B, C, len(TISSUES))."""
        tiles = Tiles(planes, self.device, offsets_mm)
        canvas = Canvas(tiles, contrasts)
        every = torch.arange(len(tiles), device=self.device)
        x, y, z = tiles.points()
        size = self._sizes[tiles.owner]
        ratio = torch.stack([x / size[:, 0:1], y / size[:, 1:2], z / size[:, 2:3]]).norm(dim=0)
        depth = (1.18 - ratio) * size.amin(1, keepdim=True)
        neck = torch.minimum(45 - torch.sqrt(x**2 + (y - 15) ** 2), -20 - z)
        folds = self._folds[tiles.owner][..., None]  # (tiles, waves, 4, 1)
        wave = sum(
            torch.sin((x * folds[:, k, 0] + y * folds[:, k, 1] + z * folds[:, k, 2]) * 0.16 + folds[:, k, 3])
            for k in range(folds.shape[1])
        )
        canvas.paint(every, soft(torch.maximum(depth, neck)), "fat")
        canvas.paint(every, soft(neck - 6), "muscle")
        canvas.paint(every, soft(depth - 6), "cortex")
        canvas.paint(every, soft(depth - 12), "csf")
        canvas.paint(every, soft(depth - 14 - 1.2 * wave), "brain_grey")
        canvas.paint(every, soft(depth - 19 - 2.5 * wave), "brain_white")
        for side in (-1.0, 1.0):
            away = torch.sqrt(((x - side * 12) / 6) ** 2 + (y / 28) ** 2 + ((z - 8) / 9) ** 2)
            canvas.paint(every, soft((1 - away) * 6), "csf")
        stem = torch.minimum(11 - torch.sqrt(x**2 + (y - 8) ** 2), -15 - z)
        canvas.paint(every, soft(stem + 4), "csf")
        canvas.paint(every, soft(stem), "nerve")
        cerebellum = (1 - torch.sqrt(x**2 + (y - 42) ** 2 + (z + 38) ** 2) / 26) * 26
        canvas.paint(every, soft(cerebellum + 1.5 * wave), "brain_grey")
        return canvas.image()


def empty_field(shape: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """(rows, columns) noise with, at times, a smooth blob of signal: an air scan or a lost coil."""
    noise = torch.from_numpy(rng.rayleigh(rng.uniform(0.02, 0.3), shape)).float()
    if rng.random() < 0.5:
        r = torch.linspace(-1, 1, shape[0])[:, None] - rng.uniform(-0.5, 0.5)
        c = torch.linspace(-1, 1, shape[1])[None, :] - rng.uniform(-0.5, 0.5)
        noise = noise + float(rng.uniform(0.1, 1)) * torch.exp(-(r**2 + c**2) / float(rng.uniform(0.02, 0.5)))
    return noise
