"""What a scanner does to one image: each fault is one function, and costs nothing where it does not occur.

Images are (rows, columns) tensors of brightness on any device. ``axis`` is an image axis: 0 along the rows' index, 1 along
the columns'. Randomness comes from a generator on the image's device, so that nothing is copied.
"""

from __future__ import annotations

import io
import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from bundle.phantom.acquisition import Export

Spacing = tuple[float, float]


@lru_cache(maxsize=256)
def _spread(size: int, knots: int, device: torch.device) -> Tensor:
    """(size, knots) matrix of cubic interpolation from knots to pixels."""
    eye = torch.eye(knots)[None, None]
    return interpolate(eye, size=(size, knots), mode="bicubic", align_corners=True)[0, 0].to(device)


def smooth_field(shape: tuple[int, int], knots: tuple[int, int], generator: torch.Generator) -> Tensor:
    """(rows, columns) random field of about unit strength with as many knots along each axis."""
    values = torch.randn(knots, generator=generator, device=generator.device)
    rows, columns = (_spread(size, count, generator.device) for size, count in zip(shape, knots, strict=True))
    return rows @ values @ columns.T


def grain(shape: tuple[int, int], spacing_mm: Spacing, strength: float, generator: torch.Generator) -> Tensor:
    """(rows, columns) factors: fine grain (2.2 mm) and patches (16 mm) of the tissue."""

    def of_size(size_mm: float) -> Tensor:
        fov_mm = [n * s for n, s in zip(shape, spacing_mm, strict=True)]
        count = [min(max(round(f / size_mm), 4), n) for f, n in zip(fov_mm, shape, strict=True)]
        return smooth_field(shape, (count[0], count[1]), generator)

    return (1 + 0.7 * strength * (of_size(2.2) + of_size(16.0))).clamp_(min=0.2)


def shifted(image: Tensor, pixels: float, axis: int) -> Tensor:
    """The image moved by any, also broken, number of pixels along ``axis``, towards higher indices; nothing comes round."""
    if pixels == 0:
        return image
    size = image.shape[axis]
    margin = math.ceil(abs(pixels)) + 4
    where = (0, 0, margin, margin) if axis == 0 else (margin, margin, 0, 0)
    wide = pad(image[None, None], where, mode="replicate")[0, 0]
    k = torch.fft.rfftfreq(wide.shape[axis], device=image.device)
    ramp = torch.polar(torch.ones_like(k), -2 * math.pi * pixels * k)
    spectrum = torch.fft.rfft(wide, dim=axis) * (ramp[:, None] if axis == 0 else ramp)
    return torch.fft.irfft(spectrum, n=wide.shape[axis], dim=axis).narrow(axis, margin, size)


def flow_voids(csf: Tensor, strength: float, spacing_mm: Spacing, generator: torch.Generator) -> Tensor:
    """CSF with streaks of lost signal where it flows fast: longer (30 mm) along the rows' index than across it (8 mm)."""
    knots = [max(round(n * s / size), 3) for n, s, size in zip(csf.shape, spacing_mm, (30.0, 8.0), strict=True)]
    field = smooth_field((csf.shape[0], csf.shape[1]), (knots[0], knots[1]), generator)
    return csf * (1 - strength * torch.sigmoid(4 * (field - 0.6)))


def ghosts(moving: Tensor, strength: float, spacing: float, axis: int) -> Tensor:
    """Ghosts of what moves in a rhythm: two copies on each side along the phase axis, and what the original loses.

    A periodic change of strength a puts shares a/2 of the signal at the first and, as it is no pure sine, some at the second
    multiple of the spacing; they come round at the image's edge. Their signs differ, so they darken where they meet signal.
    """
    step = max(round(spacing * moving.shape[axis]), 1)
    near = torch.roll(moving, step, axis) - torch.roll(moving, -step, axis)
    far = torch.roll(moving, 2 * step, axis) + torch.roll(moving, -2 * step, axis)
    return strength * (near + 0.4 * far - 0.5 * moving)


def abdominal_wall(image: Tensor, depth_mm: Tensor, begins_mm: float) -> Tensor:
    """The part of the image that moves with the breath: all the more, the further in front."""
    return image * ((depth_mm - begins_mm) / 60.0).clamp(0, 1)


def sensitivity(depth_mm: Tensor, half_mm: float) -> Tensor:
    """Surface array at the back: half of the signal at ``half_mm``, a quarter at twice that."""
    return torch.exp2(depth_mm.clamp(min=0) * (-1 / half_mm))


def coil_elements(depth_mm: Tensor, strength: float, spacing_mm: Spacing, generator: torch.Generator) -> Tensor:
    """Factors of the array's single elements, 60 mm apart: brighter and darker near the skin, even further in."""
    knots = [max(round(n * s / 60.0) + 1, 2) for n, s in zip(depth_mm.shape, spacing_mm, strict=True)]
    field = smooth_field((depth_mm.shape[0], depth_mm.shape[1]), (knots[0], knots[1]), generator)
    return (1 + strength * field * torch.exp(depth_mm.clamp(min=0) * (-1 / 25))).clamp_(min=0.1)


def saturation_band(depth_mm: Tensor, strength: float, begins_mm: float, tilt: float, row_mm: float) -> Tensor:
    """Factors of an anterior saturation band whose edge is 8 mm wide."""
    rows = depth_mm.shape[0]
    down = (torch.arange(rows, device=depth_mm.device, dtype=depth_mm.dtype)[:, None] - rows / 2) * (row_mm * tilt)
    return 1 - strength * torch.sigmoid((depth_mm - begins_mm - down) * 0.5)


def wrapped(image: Tensor, strength: float, width_px: int, axis: int) -> Tensor:
    """The image with what lies beyond its edges along ``axis`` folded onto the other side.

    Nothing is painted outside the image, so its own edge is taken to go on as its mirror image. The fold fades with the
    distance from the edge, as the coil's signal does.
    """
    size = image.shape[axis]
    width = min(width_px, size // 2)
    if width < 1:
        return image
    fade = torch.linspace(strength, 0, width, device=image.device)
    fade = fade[:, None] if axis == 0 else fade
    result = image.clone()
    # Beyond the last line, the mirror image begins with the last line itself; it appears from the first line on.
    result.narrow(axis, 0, width).add_(image.narrow(axis, size - width, width).flip(axis) * fade)
    result.narrow(axis, size - width, width).add_(image.narrow(axis, 0, width).flip(axis) * fade.flip(0))
    return result


def around_metal(image: Tensor, metal: Tensor, edge_mm: float, spacing_mm: Spacing, axis: int) -> Tensor:
    """Signal displaced along the frequency ``axis`` by the field of ``metal``: piled up, pulled apart, lost.

    The field is that of the magnetised shape itself, a dipole's outside (1/3 - kz^2/k^2 in k-space; Salomir et al., Concepts
    Magn Reson B 2003;19B:26), as if it went on through the slice, with the main field along the rows' index. Where it is
    strong, the slice profile misses the spins. On a GPU, sums come in any order, so the last digits may differ.

    Args:
        image: painted, without signal in the metal.
        metal: (rows, columns) share of metal.
        edge_mm: displacement at a field of 1/3, about that at the metal's edge.
        spacing_mm: of rows and columns.
        axis: frequency encoding.
    """
    kz = torch.fft.fftfreq(image.shape[0], spacing_mm[0], device=image.device)[:, None]
    kx = torch.fft.rfftfreq(image.shape[1], spacing_mm[1], device=image.device)[None]
    k2 = kz**2 + kx**2
    kernel = (1 / 3 - kz**2 / k2.clamp(min=1e-12)) * torch.exp(-k2 * (2 * math.pi * 1.0) ** 2 / 2)
    kernel[0, 0] = 0
    field = torch.fft.irfft2(torch.fft.rfft2(metal) * kernel, s=image.shape)
    moved_mm = 3 * edge_mm * field
    kept = image * torch.exp(-((moved_mm / 8.0) ** 2))
    return _carried(kept, moved_mm / spacing_mm[axis], axis)


def _carried(image: Tensor, moved_px: Tensor, axis: int, fine: int = 4) -> Tensor:
    """Each pixel's signal put down where its displacement along ``axis`` takes it; what leaves the image is lost."""
    if axis == 0:
        return _carried(image.T, moved_px.T, 1, fine).T.contiguous()
    rows, columns = image.shape
    # Parts of pixels are moved, so that signal which is pulled apart thins out and does not fall into stripes.
    size = (rows, columns * fine)
    moved = interpolate(moved_px[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
    start = (torch.arange(columns * fine, device=image.device) + 0.5) / fine - 0.5
    place = start + moved
    low = place.floor()
    value = image.repeat_interleave(fine, dim=1) / fine
    value *= (place >= -0.5) & (place < columns - 0.5)
    result = image.new_zeros(rows, columns)
    for index, share in ((low, 1 - (place - low)), (low + 1, place - low)):
        result.scatter_add_(1, index.clamp(0, columns - 1).long(), value * share)
    return result


def window(size: int, spacing_mm: float, voxel_mm: float, partial: float) -> Tensor | None:
    """(size,) weights of the spatial frequencies along one axis, FFT order, on the CPU; None where all were sampled.

    A Fermi window, as scanners apply it, since a plain cut rings more than real images do; with partial Fourier, the far end
    of one half is missing.
    """
    if voxel_mm <= spacing_mm and partial >= 1:
        return None
    k = torch.fft.fftfreq(size) * 2  # -1 to 1
    limit = min(1.0, spacing_mm / max(voxel_mm, 1e-6))
    weights = torch.sigmoid((limit - k.abs()) / (0.04 * limit)) if voxel_mm > spacing_mm else torch.ones_like(k)
    if partial < 1:
        weights = weights * torch.sigmoid((k + limit * (2 * partial - 1)) / 0.03)
    return weights


def motion_phases(
    shape: tuple[int, int], spacing_mm: Spacing, motion_mm: float, shots: int, axis: int, generator: torch.Generator
) -> Tensor:
    """(rows, columns) complex factors of k-space, FFT order: each excitation saw the patient a little further on his way."""
    steps = torch.randn((2, shots), generator=generator, device=generator.device)
    place = steps.cumsum(1) * (motion_mm * math.sqrt(2 / shots))  # a random walk, motion_mm away on average over its time
    line = torch.arange(shape[axis], device=generator.device) % shots
    along = place[:, line]  # (2, lines): displacement along rows and columns for each phase encoding line
    k = [torch.fft.fftfreq(n, s, device=generator.device) for n, s in zip(shape, spacing_mm, strict=True)]
    if axis == 0:
        phase = along[0][:, None] * k[0][:, None] + along[1][:, None] * k[1][None]
    else:
        phase = along[0][None] * k[0][:, None] + along[1][None] * k[1][None]
    return torch.polar(torch.ones_like(phase), -2 * math.pi * phase)


def add_zipper(image: Tensor, strength: float, place: float, phase_axis: int, generator: torch.Generator) -> None:
    """Interference at one frequency: a dotted line along the phase axis, a pixel or two wide. In place."""
    across = 1 - phase_axis
    index = min(int(place * image.shape[across]), image.shape[across] - 1)
    line = torch.randn(image.shape[phase_axis], generator=generator, device=image.device).abs_() * strength
    image.select(across, index).add_(line)
    image.select(across, max(index - 1, 0)).add_(line, alpha=0.4)


def add_spike(image: Tensor, strength: float, generator: torch.Generator) -> None:
    """A spike in k-space: parallel stripes over the whole image. In place."""
    angles = torch.rand(2, generator=generator, device=image.device) * (0.8 * math.pi) + 0.1 * math.pi
    rows, columns = (torch.arange(n, device=image.device) * a for n, a in zip(image.shape, angles, strict=True))
    image.add_(strength * (torch.outer(rows.cos(), columns.cos()) - torch.outer(rows.sin(), columns.sin())))


def cut_corners(image: Tensor, depth: float) -> Tensor:
    """Black beyond the curved edge that the correction for non-linear gradients leaves."""
    r, c = ((torch.arange(n, device=image.device) + 0.5) * (2 / n) - 1 for n in image.shape)
    inside = (r.abs()[:, None] <= 1 - depth * c[None] ** 2) & (c.abs()[None] <= 1 - depth * r[:, None] ** 2)
    return image * inside


def exported(image: Tensor, export: Export) -> Tensor:
    """The image as its 8-bit file shows it, 0 to 1."""
    # Every sixteenth pixel tells the brightest few per cent well enough, and sorts sixteen times faster.
    sample = image[::4, ::4].flatten().sort().values if export.clipped > 0 else image.amax().reshape(1)
    white = sample[round((1 - export.clipped) * (len(sample) - 1))].clamp(min=1e-6)
    shown = ((image / white - export.black) / (1 - export.black)).clamp(0, 1)
    if export.gamma != 1:
        shown = shown**export.gamma
    levels = (shown * 255).round()
    if export.jpeg_quality > 0:
        levels = _through_jpeg(levels, export.jpeg_quality)
    return levels / 255


def _through_jpeg(levels: Tensor, quality: int) -> Tensor:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(levels.to("cpu", torch.uint8).numpy()).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).to(levels.device, levels.dtype)
