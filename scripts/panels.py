"""Pictures on a sheet: phantom views taken as a good scanner would, and the drawing of many panels in one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

from bundle.geometry import SlicePlane
from bundle.geometry.resample import square_plane
from bundle.phantom.acquisition import Acquisition
from bundle.phantom.render import Patient, View, render
from bundle.phantom.sequences import Sequence as Protocol
from bundle.phantom.sequences import spin_echo_signal

#: Settings in the middle of what SPIDER's headers say; STIR as of a 0.3 T study.
PROTOCOLS: dict[str, Protocol] = {
    "T2": Protocol("T2", 3600.0, 110.0, echo_train=20),
    "T1": Protocol("T1", 600.0, 11.0, echo_train=4),
    "STIR": Protocol("STIR", 4000.0, 60.0, ti_ms=165.0),
    "MYELO": Protocol("MYELO", 6000.0, 800.0, fat_fraction=0.1, echo_train=200),
}
SAGITTAL_SCANNER = Acquisition(
    voxel_mm=(1.0, 0.75), noise=0.014, coil_depth_mm=95.0, coil_correction=0.5, bias=0.06, texture=0.06, fat_shift_mm=0.6,
    saturation=0.85, saturation_depth_mm=140.0, partial_fourier=0.9,
)  # fmt: skip
AXIAL_SCANNER = Acquisition(
    voxel_mm=(0.9, 0.7), noise=0.02, coil_depth_mm=90.0, coil_correction=0.6, bias=0.05, texture=0.06, fat_shift_mm=0.6,
    phase_axis=1,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture of a sheet.

    Args:
        pixels: (rows, columns) brightness.
        title: above it.
        real: of a patient; its title has another colour, and such a sheet is never committed.
        spacing_mm: of pixels along (rows, columns).
        window_share: share of its height and width, around the middle, that decides how bright it is shown. The skin's fat
            near a surface coil is brighter than all that matters in a sagittal picture.
    """

    pixels: np.ndarray
    title: str = ""
    real: bool = False
    spacing_mm: tuple[float, float] = (1.0, 1.0)
    window_share: float = 0.85


def taken(
    patient: Patient, plane: SlicePlane, protocol: str | Protocol, scanner: Acquisition, seed: int = 0, profile: int = 3
) -> np.ndarray:
    """(rows, columns) of one view."""
    sequence = PROTOCOLS[protocol] if isinstance(protocol, str) else protocol
    view = View(patient, plane, spin_echo_signal(sequence)[None], [scanner], [seed])
    return render([view], profile)[0, 0].numpy()


def sagittal_view(center_lps_mm: ArrayLike, side_mm: float = 280.0, size_px: int = 384) -> SlicePlane:
    """A sagittal slice of 4 mm, head up and front to the left."""
    return square_plane(center_lps_mm, np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), side_mm, size_px, 4.0)


def coronal_view(center_lps_mm: ArrayLike, side_mm: float = 280.0, size_px: int = 384) -> SlicePlane:
    """A coronal slice of 4 mm, head up and the patient's right on the left."""
    return square_plane(center_lps_mm, np.array([1.0, 0, 0]), np.array([0.0, 0, -1]), side_mm, size_px, 4.0)


def axial_view(center_lps_mm: ArrayLike, axes: np.ndarray, side_mm: float, size_px: int = 320) -> SlicePlane:
    """A slice of 4 mm across ``axes`` (rows left, back, up), the patient's right on the left and the front on top."""
    return square_plane(center_lps_mm, axes[0], axes[1], side_mm, size_px, 4.0)


def draw_sheet(rows: Sequence[Sequence[Panel]], output: str | Path, title: str = "", side_in: float = 2.6) -> Path:
    """Write a sheet, one row of panels after the other, each windowed by its own brightness.

    Args:
        rows: of panels; shorter rows end early.
        output: PNG or JPG file; its folder is made.
        title: of the sheet.
        side_in: of each panel.
    """
    from matplotlib.figure import Figure

    across = max(len(row) for row in rows)
    figure = Figure(figsize=(side_in * across, (side_in + 0.25) * len(rows)), facecolor="black", layout="constrained")
    grid = figure.subplots(len(rows), across, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for line, panels in zip(grid, rows, strict=True):
        for axes, panel in zip(line, panels, strict=False):
            low, high = np.percentile(_middle(panel), [0.5, 99.6])
            ratio = panel.spacing_mm[0] / panel.spacing_mm[1]
            axes.imshow(
                panel.pixels, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=ratio, interpolation="bicubic"
            )
            axes.set_title(panel.title, color="#ffd54a" if panel.real else "white", fontsize=8)
    if title:
        figure.suptitle(title, color="white", fontsize=12)
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110, pil_kwargs={"quality": 80} if output.suffix in (".jpg", ".jpeg") else {})
    return output


def _middle(panel: Panel) -> np.ndarray:
    """What decides how bright a panel is shown."""
    edges = [round(n * (1 - panel.window_share) / 2) for n in panel.pixels.shape]
    rows, columns = (slice(edge, n - edge) for edge, n in zip(edges, panel.pixels.shape, strict=True))
    return panel.pixels[rows, columns]


def squared(pixels: np.ndarray, spacing_mm: tuple[float, float], side_mm: float) -> np.ndarray:
    """The middle ``side_mm`` square of an image, or what there is of it."""
    half = [round(side_mm / s / 2) for s in spacing_mm]
    middle = [n // 2 for n in pixels.shape]
    r, c = (slice(max(m - h, 0), m + h) for m, h in zip(middle, half, strict=True))
    return pixels[r, c]


def as_array(image: torch.Tensor) -> np.ndarray:
    """(rows, columns) of an image tensor with or without a channel."""
    return image.squeeze().cpu().numpy()
