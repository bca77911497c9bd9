"""From patients and planes to MR images: painting and scanning of a batch of views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

import torch
from torch import Tensor

from bundle.geometry import SlicePlane
from bundle.phantom.acquisition import Acquisition
from bundle.phantom.mr import CHANNELS, channel_weights, profile_weights, scan


class Painter(Protocol):
    """Whoever paints a batch of planes: bundle.phantom.paint.SpinePainter, bundle.phantom.negatives.HeadPainter."""

    def paint(self, planes: Sequence[SlicePlane], contrasts: Tensor, offsets_mm: Sequence[float] | None = None) -> Tensor:
        """(B, C, rows, columns) for contrasts (B, C, len(TISSUES))."""
        ...

    def depth_below_skin_mm(self, planes: Sequence[SlicePlane]) -> Tensor:
        """(B, rows, columns) depth below the surface coil."""
        ...


class Patient(Protocol):
    """Who can be imaged."""

    def painter(self, patients: Sequence[Any], device: str | torch.device) -> Painter:
        """Who paints ``patients``, all of this one's kind, together."""
        ...


@dataclass(frozen=True, eq=False)
class View:
    """One plane of one patient, imaged in one or more contrasts. Painting takes the time; a contrast more costs little.

    Args:
        patient: who lies in the scanner.
        plane: where.
        signals: (K, len(TISSUES)) brightness of the tissues in each contrast.
        acquisitions: K of them.
        seeds: K, of what is left to chance in the scanner.
    """

    patient: Patient
    plane: SlicePlane
    signals: Tensor
    acquisitions: Sequence[Acquisition]
    seeds: Sequence[int]


@torch.no_grad()
def render(views: Sequence[View], profile: int = 1, device: str | torch.device = "cpu") -> Tensor:
    """Magnitude images (B, K, rows, columns) of B views in K contrasts; the brightest tissue is near 1.

    A view's images depend on nothing but the view, whatever the batch it is in.

    Args:
        views: of one shape and number of contrasts, their patients all of one kind.
        profile: planes through the thickness of a slice.
        device: where to work.
    """
    painter = views[0].patient.painter([v.patient for v in views], device)
    planes = [v.plane for v in views]
    count = len(views[0].signals)
    contrasts = torch.stack([torch.cat([channel_weights(signal) for signal in v.signals]) for v in views])
    painted = _through_slice(painter, planes, contrasts, profile)
    channels = painted.reshape(-1, len(CHANNELS), *painted.shape[-2:])
    depth = painter.depth_below_skin_mm(planes).repeat_interleave(count, dim=0)
    spacing = torch.tensor([p.pixel_spacing_mm for p in planes]).repeat_interleave(count, dim=0)
    acquisitions = [a for v in views for a in v.acquisitions]
    images = scan(channels, acquisitions, depth, spacing, [s for v in views for s in v.seeds])
    return images.reshape(len(views), count, *images.shape[-2:])


@torch.no_grad()
def paint_plane(
    patient: Patient, plane: SlicePlane, contrasts: Tensor, profile: int = 1, device: str | torch.device = "cpu"
) -> Tensor:
    """Brightness (C, rows, columns) of the tissue on one plane, without a scanner.

    Args:
        patient: whose tissue.
        plane: where.
        contrasts: (C, len(TISSUES)); the identity matrix gives each tissue's share of each point.
        profile: planes through the thickness of the slice.
        device: where to work.
    """
    return _through_slice(patient.painter([patient], device), [plane], contrasts[None], profile)[0]


def _through_slice(painter: Painter, planes: Sequence[SlicePlane], contrasts: Tensor, profile: int) -> Tensor:
    offsets, weights = profile_weights(profile)
    layers = (
        float(weight) * painter.paint(planes, contrasts, [float(offset) * (p.thickness_mm or 0.0) for p in planes])
        for offset, weight in zip(offsets, weights, strict=True)
    )
    return reduce(torch.add, layers)
