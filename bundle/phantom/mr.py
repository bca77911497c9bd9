"""The scanner: turns painted tissue into an MR image with its resolution, coil, bias and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from bundle.geometry import SlicePlane
from bundle.phantom.paint import Canvas


@dataclass(frozen=True)
class Acquisition:
    """How one series was taken.

    Args:
        resolution: share of k-space that was sampled along (rows, columns); the rest is filled with zeros.
        noise: standard deviation of the noise in each of the two channels, as a share of the brightest tissue.
        coil_depth_mm: depth at which a surface coil at the back has lost half of its signal; 0 for none.
        bias: strength of the smooth field that is left, as the logarithm's standard deviation.
        texture: grain of the tissue itself, as a share of its brightness.
    """

    resolution: tuple[float, float] = (0.8, 0.8)
    noise: float = 0.015
    coil_depth_mm: float = 180.0
    bias: float = 0.1
    texture: float = 0.05


def sample_acquisition(rng: np.random.Generator) -> Acquisition:
    """An acquisition between a good and a poor scanner's."""
    return Acquisition(
        resolution=(float(rng.uniform(0.5, 1.0)), float(rng.uniform(0.5, 1.0))),
        noise=float(np.exp(rng.uniform(np.log(0.004), np.log(0.06)))),
        coil_depth_mm=float(rng.uniform(50, 250)) if rng.random() < 0.8 else 0.0,
        bias=float(rng.uniform(0, 0.3)),
        texture=float(rng.uniform(0, 0.14)),
    )


def _smooth_field(shape: tuple[int, int], cells: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """(1, 1, rows, columns) random field of unit strength with ``cells`` knots along each side."""
    knots = torch.randn((1, 1, cells, cells), generator=generator).to(device)
    return torch.nn.functional.interpolate(knots, size=shape, mode="bicubic", align_corners=True)


class PatientPainter(Protocol):
    """Whoever can be imaged: a spine's Painter, a HeadPainter."""

    def paint(self, canvas: Canvas) -> Tensor:
        """Paint the patient; returns the canvas's image."""
        ...

    def points_behind_skin_mm(self, plane: SlicePlane, device: torch.device) -> Tensor:
        """(rows, columns) depth below the surface coil."""
        ...


def paint_slice(painter: PatientPainter, plane: SlicePlane, contrasts: Tensor, profile: int = 1) -> Tensor:
    """(C, rows, columns) brightness of tissue, averaged over ``profile`` planes through the slice's thickness."""
    thickness = plane.thickness_mm or 0.0
    offsets = (np.arange(profile) - (profile - 1) / 2) / profile * thickness
    return torch.stack([painter.paint(Canvas(plane, contrasts, float(o))) for o in offsets]).mean(0)


def scan(painter: PatientPainter, plane: SlicePlane, image: Tensor, acquisition: Acquisition, seed: int) -> Tensor:
    """Magnitude image (C, rows, columns) of painted tissue; the brightest tissue is near 1, noise included.

    Args:
        painter: of the patient.
        plane: of the image.
        image: (C, rows, columns) from paint_slice.
        acquisition: the scanner's settings.
        seed: of texture, bias and noise.
    """
    device = image.device
    generator = torch.Generator().manual_seed(seed)
    rows, columns = plane.shape
    if acquisition.texture > 0:
        grain = _smooth_field((rows, columns), max(rows // 3, 4), generator, device)[0]
        patches = _smooth_field((rows, columns), max(rows // 14, 4), generator, device)[0]
        image = image * (1 + acquisition.texture * (0.7 * grain + 0.7 * patches)).clamp(min=0.2)
    if acquisition.bias > 0:
        image = image * torch.exp(acquisition.bias * _smooth_field((rows, columns), 3, generator, device)[0])
    if acquisition.coil_depth_mm > 0:
        points = painter.points_behind_skin_mm(plane, device)
        image = image * 2.0 ** (-(points.clamp(min=0) / acquisition.coil_depth_mm))
    kspace = torch.fft.fftshift(torch.fft.fft2(image), dim=(-2, -1))
    for axis, (size, share) in enumerate(((rows, acquisition.resolution[0]), (columns, acquisition.resolution[1]))):
        if share < 1:
            k = torch.linspace(-1, 1, size, device=device).abs()
            # A Fermi filter, as scanners apply it: a plain cut would ring more than real images do.
            window = torch.sigmoid((share - k) / 0.04)
            kspace = kspace * (window[:, None] if axis == 0 else window[None, :])
    image = torch.fft.ifft2(torch.fft.ifftshift(kspace, dim=(-2, -1))).real
    noise = torch.randn((2, *image.shape), generator=generator).to(device) * acquisition.noise
    return torch.sqrt((image + noise[0]) ** 2 + noise[1] ** 2)
