"""Where sagittal slices cut vertebral bodies: the outline of each section, as it is painted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bundle.geometry import SlicePlane
from bundle.phantom.blocks import body_depth
from bundle.phantom.shapes import Body, body_sizes, corners_uvw_mm

_RAYS, _AT_CORNER = 64, 13


def sections_lps_mm(bodies: Sequence[Body], plane: SlicePlane) -> tuple[np.ndarray, np.ndarray]:
    """Sections that a plane cuts out of bodies.

    The plane must meet the line through each body's centre along its first axis inside the body, and not be parallel to it.

    Returns:
        (bodies, N, 3) outlines, the surface of the painted solid; (bodies, 4, 3) corners, see Body.corners_lps_mm.
    """
    axes = np.stack([b.axes for b in bodies])
    centers = np.stack([b.center_lps_mm for b in bodies])
    across, back, up = np.moveaxis(axes @ plane.normal, -1, 0)
    # Points of the plane are (left + lean_v * v + lean_w * w, v, w) in the body's axes.
    left, lean_v, lean_w = -plane.signed_distance_mm(centers) / across, -back / across, -up / across
    numbers = torch.as_tensor(body_sizes(bodies))
    depth, height = numbers[:, 1:3].mean(1), numbers[:, 3:5].mean(1)
    to_v, to_w = _directions(depth, height)
    lean = [torch.as_tensor(x)[:, None] for x in (left, lean_v, lean_w)]
    columns = [c[:, None] for c in numbers.unbind(1)]

    def at(s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        v, w = s * to_v, s * to_w
        return lean[0] + lean[1] * v + lean[2] * w, v, w

    # A secant held between a point inside and one outside (Illinois).
    low, high = torch.zeros_like(to_v), torch.full_like(to_v, 1.6)
    f_low, f_high = body_depth(at(low), columns), body_depth(at(high), columns)
    for _ in range(6):
        s = high - f_high * (high - low) / (f_high - f_low)
        f = body_depth(at(s), columns)
        crossed = f * f_high < 0
        low, f_low = torch.where(crossed, high, low), torch.where(crossed, f_high, 0.5 * f_low)
        high, f_high = s, f
    uvw = torch.stack(at(high), dim=-1).numpy()
    corners = corners_uvw_mm(bodies, left[:, None], lean_v[:, None], lean_w[:, None])
    return centers[:, None] + uvw @ axes, centers[:, None] + corners @ axes


def _directions(depth: Tensor, height: Tensor) -> tuple[Tensor, Tensor]:
    """(bodies, N) v and w of rays that reach the edge of the box ``depth`` by ``height`` at 1, closest at its corners."""
    around = torch.linspace(0, 2 * torch.pi, _RAYS + 1, dtype=torch.float64)[:-1]
    corner = torch.tensor([1.0, 3, 5, 7], dtype=torch.float64)[:, None] * torch.pi / 4
    near = (corner + torch.linspace(-0.2, 0.2, _AT_CORNER, dtype=torch.float64)).flatten()
    angle = torch.cat([around, near]).sort().values
    v, w = torch.cos(angle), torch.sin(angle)
    scale = torch.maximum(v.abs(), w.abs())
    return depth[:, None] * (v / scale), height[:, None] * (w / scale)
