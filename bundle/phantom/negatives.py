"""What is not a lumbar spine: a head, and empty fields. The networks must learn to refuse them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bundle.geometry import SlicePlane
from bundle.phantom.paint import Canvas, soft


class HeadPainter:
    """A head: scalp, skull, cortex with folds, white matter, ventricles, brain stem and a bit of neck.

    Takes the place of a Painter wherever a patient without a lumbar spine is wanted.

    Args:
        seed: of its shape.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.size = np.array([68.0, 88.0, 68.0]) * rng.normal(1, 0.05)
        self.folds = torch.from_numpy(rng.normal(0, 1, (8, 4))).float()

    def points_behind_skin_mm(self, plane: SlicePlane, device: torch.device) -> Tensor:
        """(rows, columns) zeros: a head coil surrounds the head."""
        return torch.zeros(plane.shape, device=device)

    def paint(self, canvas: Canvas) -> Tensor:
        """Paint the head around the origin of patient space; returns the canvas's image."""
        full = (slice(None), slice(None))
        p = canvas.points
        size = torch.tensor(self.size, dtype=torch.float32, device=p.device)
        ratio = (p / size).norm(dim=-1)
        small = float(self.size.min())
        depth = (1.18 - ratio) * small
        neck = torch.minimum(45 - torch.sqrt(p[..., 0] ** 2 + (p[..., 1] - 15) ** 2), -20 - p[..., 2])
        canvas.paint(full, soft(torch.maximum(depth, neck)), "fat")
        canvas.paint(full, soft(neck - 6), "muscle")
        canvas.paint(full, soft(depth - 6), "cortex")
        canvas.paint(full, soft(depth - 12), "csf")
        wave = sum(torch.sin((p @ k[:3]) * 0.16 + k[3]) for k in self.folds)
        canvas.paint(full, soft(depth - 14 - 1.2 * wave), "organ")
        canvas.paint(full, soft(depth - 19 - 2.5 * wave), "muscle")
        for side in (-1.0, 1.0):
            center = torch.tensor([side * 12.0, 0.0, 8.0], device=p.device)
            axes = torch.tensor([6.0, 28.0, 9.0], device=p.device)
            canvas.paint(full, soft((1 - ((p - center) / axes).norm(dim=-1)) * 6), "csf")
        stem = torch.minimum(11 - torch.sqrt(p[..., 0] ** 2 + (p[..., 1] - 8) ** 2), -15 - p[..., 2])
        canvas.paint(full, soft(stem + 4), "csf")
        canvas.paint(full, soft(stem), "nerve")
        cerebellum = (1 - ((p - torch.tensor([0.0, 42.0, -38.0], device=p.device)) / 26).norm(dim=-1)) * 26
        canvas.paint(full, soft(cerebellum + 1.5 * wave), "organ")
        return canvas.image


def empty_field(shape: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """(1, rows, columns) noise with, at times, a smooth blob of signal: an air scan or a lost coil."""
    noise = torch.from_numpy(rng.rayleigh(rng.uniform(0.02, 0.3), (1, *shape))).float()
    if rng.random() < 0.5:
        r = torch.linspace(-1, 1, shape[0])[:, None] - rng.uniform(-0.5, 0.5)
        c = torch.linspace(-1, 1, shape[1])[None, :] - rng.uniform(-0.5, 0.5)
        noise = noise + float(rng.uniform(0.1, 1)) * torch.exp(-(r**2 + c**2) / float(rng.uniform(0.02, 0.5)))
    return noise
