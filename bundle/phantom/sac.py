"""How far a disk presses into the thecal sac."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bundle.geometry.fardon import Fragment
from bundle.geometry.rim import DIRECTIONS_DEG
from bundle.phantom.shapes import DiskShape, Spine


@dataclass(frozen=True)
class SacDeformation:
    """What a disk does to the thecal sac, which would be whole without it.

    Args:
        pressed_mm: how deep the disk or its fragments reach behind the front wall of the sac, from front to back.
        share: of the sac's depth from front to back there, in its middle: 0 untouched, 1 pressed flat.
    """

    pressed_mm: float
    share: float


def deformation(spine: Spine, shape: DiskShape) -> SacDeformation:
    """Deformation of the sac by one disk: the largest, over the surface of the disk's back half and its fragments."""
    pieces = [_surface_mm(fragment) for fragment in shape.pathology.fragments]
    points = shape.disk.center_lps_mm + np.concatenate([_back_mm(shape), *pieces]) @ shape.axes
    x, y, z = points.T
    middle, wall, half_depth, half_width, gap = spine.canal_at(z)
    present = half_depth > 1.0
    off = np.abs(x - middle) / half_width
    # The front of the sac as bundle.phantom.canal paints it.
    front = wall + gap + half_depth * (1 - (1 - np.clip(off, 0, 1) ** 2.4) ** (1 / 2.8))
    pressed = np.where(present & (off < 1), np.clip(y - front, 0, 2 * half_depth), 0.0)
    deepest = int(np.argmax(pressed))
    return SacDeformation(float(pressed[deepest]), float(pressed[deepest] / (2 * half_depth[deepest])))


def _back_mm(shape: DiskShape) -> np.ndarray:
    """(N, 3) points of the disk's back edge in its axes, at its middle and toward its endplates."""
    back = np.abs(DIRECTIONS_DEG) <= 80
    phi, radius = np.radians(DIRECTIONS_DEG[back]), shape.pathology.outline_mm[back]
    rim = np.stack([radius * np.sin(phi), radius * np.cos(phi)], axis=-1)
    half = np.maximum(shape.gap_mm / 2 - shape.wedge / 2 * rim[:, 1], 0.8)
    # The edge of the outline is rounded with 1.5 mm, so that it is whole up to there from the endplates.
    layers = [np.column_stack([rim, share * np.maximum(half - 1.5, 0)]) for share in (-1.0, -0.5, 0.0, 0.5, 1.0)]
    return np.concatenate(layers)


def _surface_mm(fragment: Fragment) -> np.ndarray:
    """(N, 3) points of a fragment's surface in the disk's axes."""
    around, up = np.meshgrid(np.radians(np.arange(0, 360, 10.0)), np.linspace(-1, 1, 15))
    ring = np.sqrt(1 - up**2)
    across, outward, rise = fragment.radii_mm
    a, o = across * ring * np.sin(around), outward * ring * np.cos(around)
    phi = np.radians(fragment.direction_deg)
    local = np.stack([a * np.cos(phi) + o * np.sin(phi), o * np.cos(phi) - a * np.sin(phi), rise * up], axis=-1)
    return np.asarray(fragment.center_uvw_mm) + local.reshape(-1, 3)
