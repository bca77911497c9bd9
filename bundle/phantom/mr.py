"""The scanner: turns painted tissue into an MR image with the resolution, coil, noise and faults of an acquisition."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from bundle.phantom import artefacts
from bundle.phantom.acquisition import Acquisition
from bundle.phantom.tissues import PROPERTIES, TISSUES

#: What the scanner treats apart: water that rests, fat (chemical shift), CSF (pulsation), metal (its share, not its signal).
CHANNELS: tuple[str, ...] = ("water", "fat", "csf", "metal")
#: Beyond the image on each side while k-space is cut, so that one edge does not ring into the opposite one.
_MARGIN_PX = 16
#: What moves with the breath begins so deep below the back's skin.
_BREATHING_DEPTH_MM = 140.0


def channel_weights(signal: Tensor) -> Tensor:
    """(len(CHANNELS), len(TISSUES)) matrix that splits the tissues' brightness into the channels which scan takes.

    The first three rows add up to ``signal``; a tissue's share of fat is that of its protons, whatever the protocol.

    Args:
        signal: (len(TISSUES),) brightness, from spin_echo_signal or sample_contrast.
    """
    fat = torch.tensor([t.fat for t in PROPERTIES], dtype=signal.dtype, device=signal.device)
    csf = torch.tensor([t == "csf" for t in TISSUES], dtype=signal.dtype, device=signal.device)
    metal = torch.tensor([t == "metal" for t in TISSUES], dtype=signal.dtype, device=signal.device)
    return torch.stack([signal * (1 - fat) * (1 - csf), signal * fat, signal * csf, metal])


def profile_weights(planes: int) -> tuple[np.ndarray, np.ndarray]:
    """Slice profile: (offsets as a share of the slice's thickness, weights that sum to 1), both (planes,).

    A windowed-sinc pulse excites no box but a bell with shoulders, whose full width at half maximum is the thickness: here
    the box convolved with a Gaussian of 0.16 thicknesses. The planes are spread over 1.6 thicknesses.
    """
    if planes < 1:
        raise ValueError(f"a slice needs at least one plane through its thickness, not {planes}")
    offsets = (np.arange(planes) - (planes - 1) / 2) * (1.6 / planes)
    edge = 0.16 * math.sqrt(2)
    weights = np.array([math.erf((0.5 - o) / edge) + math.erf((0.5 + o) / edge) for o in offsets])
    return offsets, weights / weights.sum()


@torch.no_grad()
def scan(
    channels: Tensor,
    acquisitions: Sequence[Acquisition],
    depth_mm: Tensor,
    pixel_spacing_mm: Tensor,
    seeds: Sequence[int],
) -> Tensor:
    """(B, rows, columns) magnitude images of painted tissue; the brightest tissue is near 1, noise included.

    A member's image depends on nothing but its own channels, acquisition, depth, spacing and seed. Each is worked on by
    itself, so that a fault which it does not have costs nothing. Random numbers are drawn on the device of ``channels``: the
    same seed gives other noise on another kind of device.

    Args:
        channels: (B, len(CHANNELS), rows, columns), painted with channel_weights.
        acquisitions: B of them.
        depth_mm: (B, rows, columns) below the skin of the back.
        pixel_spacing_mm: (B, 2) between rows and between columns.
        seeds: B whole numbers.
    """
    # One question to the device for the whole batch.
    has_metal = (channels[:, CHANNELS.index("metal")].amax(dim=(1, 2)) > 0.05).tolist()
    spacings = pixel_spacing_mm.tolist()
    images = []
    for member, (acquisition, seed) in enumerate(zip(acquisitions, seeds, strict=True)):
        generator = torch.Generator(channels.device).manual_seed(int(seed))
        spacing = (float(spacings[member][0]), float(spacings[member][1]))
        image = _magnetisation(channels[member], acquisition, depth_mm[member], spacing, has_metal[member], generator)
        images.append(_received(image, acquisition, depth_mm[member], spacing, generator))
    return torch.stack(images)


def _magnetisation(
    channels: Tensor,
    a: Acquisition,
    depth_mm: Tensor,
    spacing: artefacts.Spacing,
    has_metal: bool,
    generator: torch.Generator,
) -> Tensor:
    """(rows, columns) signal that reaches the coil, where the scanner believes it to be."""
    water, fat, csf, metal = channels
    shape = (water.shape[0], water.shape[1])
    phase, frequency = a.phase_axis, 1 - a.phase_axis
    image = water + artefacts.shifted(fat, a.fat_shift_mm / spacing[frequency], frequency)
    if a.texture > 0:
        image = image * artefacts.grain(shape, spacing, a.texture, generator)
    if a.flow_void > 0:
        csf = artefacts.flow_voids(csf, a.flow_void, spacing, generator)
    image = image + csf
    if a.saturation > 0:
        band = artefacts.saturation_band(depth_mm, a.saturation, a.saturation_depth_mm, a.saturation_tilt, spacing[0])
        image = image * band
    if has_metal and a.metal_mm > 0:
        image = artefacts.around_metal(image, metal, a.metal_mm, spacing, frequency)
    if a.pulsation > 0:
        image = image + artefacts.ghosts(csf, a.pulsation, a.ghost_spacing, phase)
    if a.breathing > 0:
        wall = artefacts.abdominal_wall(image, depth_mm, _BREATHING_DEPTH_MM)
        image = image + artefacts.ghosts(wall, a.breathing, a.ghost_spacing, phase)
    return image


def _received(
    image: Tensor, a: Acquisition, depth_mm: Tensor, spacing: artefacts.Spacing, generator: torch.Generator
) -> Tensor:
    """(rows, columns) magnitude image after coil, k-space and export."""
    shape = (image.shape[0], image.shape[1])
    coil = artefacts.sensitivity(depth_mm, a.coil_depth_mm) if a.coil_depth_mm > 0 else None
    if coil is not None:
        image = image * coil
    of_series = torch.Generator(image.device).manual_seed(a.field_seed)
    if a.coil_elements > 0:
        image = image * artefacts.coil_elements(depth_mm, a.coil_elements, spacing, of_series)
    if a.bias > 0:
        image = image * torch.exp(a.bias * artefacts.smooth_field(shape, (4, 4), of_series))
    if a.wrap > 0:
        image = artefacts.wrapped(image, a.wrap, round(a.wrap_mm / spacing[a.phase_axis]), a.phase_axis)
    image = _through_kspace(image, a, spacing, generator)
    if a.zipper > 0:
        artefacts.add_zipper(image, a.zipper, a.zipper_place, a.phase_axis, generator)
    if a.spike > 0:
        artefacts.add_spike(image, a.spike, generator)
        image = image.abs()
    if coil is not None and a.coil_correction > 0:
        image = image / coil.clamp(min=0.05) ** a.coil_correction
    if a.border > 0:
        image = artefacts.cut_corners(image, a.border)
    if a.export is not None:
        image = artefacts.exported(image, a.export)
    return image


def _through_kspace(image: Tensor, a: Acquisition, spacing: artefacts.Spacing, generator: torch.Generator) -> Tensor:
    """Magnitude of the image with the noise, resolution and motion with which its k-space was sampled."""
    rows, columns = image.shape
    margin = min(_MARGIN_PX, rows - 1, columns - 1)
    wide = (rows + 2 * margin, columns + 2 * margin)
    partial = [a.partial_fourier if axis == a.phase_axis else 1.0 for axis in (0, 1)]
    windows = [artefacts.window(n, s, v, p) for n, s, v, p in zip(wide, spacing, a.voxel_mm, partial, strict=True)]
    if windows[0] is None and windows[1] is None and a.motion_mm <= 0:
        return _with_noise(image, a.noise, generator)
    # What is cut away takes noise with it; what is left must have the noise that was asked for.
    power = math.prod(float((w**2).mean()) for w in windows if w is not None)
    signal = _with_complex_noise(
        pad(image[None, None], (margin,) * 4, mode="reflect")[0, 0], a.noise / math.sqrt(power), generator
    )
    spectrum = torch.fft.fft2(signal)
    if windows[0] is not None:
        spectrum *= windows[0].to(image.device)[:, None]
    if windows[1] is not None:
        spectrum *= windows[1].to(image.device)
    if a.motion_mm > 0:
        spectrum *= artefacts.motion_phases(wide, spacing, a.motion_mm, a.shots, a.phase_axis, generator)
    return torch.fft.ifft2(spectrum)[margin : margin + rows, margin : margin + columns].abs()


def _with_complex_noise(image: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """(rows, columns) complex image with noise in both parts."""
    if noise <= 0:
        return torch.complex(image, torch.zeros_like(image))
    parts = torch.randn((2, *image.shape), generator=generator, device=image.device).mul_(noise)
    return torch.complex(parts[0].add_(image), parts[1])


def _with_noise(image: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """(rows, columns) magnitude of an image whose k-space was sampled whole."""
    return _with_complex_noise(image, noise, generator).abs() if noise > 0 else image.abs()
