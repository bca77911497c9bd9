"""Draws docs/anatomy.jpg: the phantom's anatomy in three dimensions, from tissue fractions on a volume.

python -m scripts.anatomy_picture --seed 12
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fire
import numpy as np
import torch
from torch import Tensor

from bundle.geometry import unit
from bundle.geometry.resample import square_plane
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.paint import SpinePatient
from bundle.phantom.render import paint_plane
from bundle.phantom.shapes import Spine
from bundle.phantom.tissues import TISSUES

_BACKGROUND = (0.055, 0.065, 0.085)
_LIGHTS = (((-0.55, -0.65, -0.75), 0.78), ((0.8, -0.1, -0.6), 0.26), ((0.1, 0.9, -0.3), 0.10))


@dataclass(frozen=True)
class Group:
    """Tissues that are drawn in one colour.

    Args:
        tissues: their names.
        color: red, green, blue from 0 to 1.
    """

    tissues: tuple[str, ...]
    color: tuple[float, float, float]


GROUPS: dict[str, Group] = {
    "cortex": Group(("cortex", "sclerosis"), (0.96, 0.90, 0.78)),
    "marrow": Group(("marrow", "fatty_marrow", "oedema", "haemangioma"), (0.86, 0.62, 0.46)),
    "annulus": Group(("annulus",), (0.55, 0.72, 0.80)),
    "nucleus": Group(("nucleus",), (0.22, 0.50, 0.74)),
    "fluid": Group(("csf",), (0.45, 0.80, 0.90)),
    "nerve": Group(("nerve",), (1.0, 0.83, 0.22)),
    "ligament": Group(("ligament",), (0.86, 0.80, 0.58)),
    "joint": Group(("cartilage", "fluid"), (0.70, 0.88, 0.90)),
    "muscle": Group(("muscle",), (0.66, 0.24, 0.20)),
    "vessel": Group(("vessel",), (0.80, 0.16, 0.15)),
    "vein": Group(("slow_flow",), (0.25, 0.35, 0.75)),
    "fat": Group(("fat",), (0.95, 0.86, 0.55)),
}


@dataclass(frozen=True, eq=False)
class Volume:
    """Fractions of GROUPS on a grid along the axes of patient space.

    Args:
        shares: (groups, Z, Y, X).
        origin_lps_mm: (3,) of the first voxel.
        spacing_mm: of all axes.
    """

    shares: Tensor
    origin_lps_mm: np.ndarray
    spacing_mm: float

    def coordinates(self) -> tuple[Tensor, Tensor, Tensor]:
        """x, y, z in LPS millimetres, each ready to be broadcast over (Z, Y, X)."""
        z, y, x = (
            torch.arange(n) * self.spacing_mm + float(o) for n, o in zip(self.shares.shape[1:], self._zyx, strict=True)
        )
        return x[None, None, :], y[None, :, None], z[:, None, None]

    @property
    def _zyx(self) -> np.ndarray:
        return self.origin_lps_mm[::-1]


@dataclass(frozen=True, eq=False)
class Camera:
    """A view without perspective.

    Args:
        toward_lps: direction in which one looks.
        center_lps_mm: shown in the middle.
        size_mm: (height, width) of the picture.
    """

    toward_lps: tuple[float, float, float]
    center_lps_mm: np.ndarray
    size_mm: tuple[float, float]

    @property
    def axes(self) -> np.ndarray:
        """(3, 3) unit rows: to the right in the picture, down in it, away from the viewer."""
        away = unit(self.toward_lps)
        right = unit(np.cross(away, [0.0, 0.0, 1.0]))
        return np.stack([right, np.cross(away, right), away])

    def project(self, points_lps_mm: np.ndarray) -> np.ndarray:
        """(..., 2) millimetres to the right and down from the picture's upper left corner."""
        seen = (np.asarray(points_lps_mm) - self.center_lps_mm) @ self.axes.T
        return seen[..., :2] + np.array(self.size_mm)[::-1] / 2


def paint_volume(spine: Spine, low_lps_mm: np.ndarray, high_lps_mm: np.ndarray, spacing_mm: float) -> Volume:
    """Tissue of ``spine`` in a box, painted on axial planes."""
    patient = SpinePatient(spine)
    contrasts = torch.zeros(len(GROUPS), len(TISSUES))
    for k, group in enumerate(GROUPS.values()):
        for tissue in group.tissues:
            contrasts[k, TISSUES.index(tissue)] = 1.0
    columns, rows, layers = (int(n) for n in np.ceil((high_lps_mm - low_lps_mm) / spacing_mm))
    side = max(columns, rows)
    planes = []
    for k in range(layers):
        middle = low_lps_mm + np.array([(side - 1) / 2, (side - 1) / 2, k]) * spacing_mm
        plane = square_plane(middle, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), side * spacing_mm, side)
        planes.append(paint_plane(patient, plane, contrasts)[:, :rows, :columns])
    return Volume(torch.stack(planes, dim=1), low_lps_mm, spacing_mm)


Mask = Callable[[str, Tensor, Tensor, Tensor], Tensor | float]


def shaded(volume: Volume, camera: Camera, mask: Mask, pixels_per_mm: float = 3.0, step_mm: float = 0.5) -> np.ndarray:
    """(rows, columns, 3) picture, 0 to 1: rays through the volume, the surfaces lit by _LIGHTS.

    Args:
        volume: what is seen.
        camera: from where.
        mask: share of a group that is kept at points x, y, z: what is cut away is 0.
        pixels_per_mm: of the picture.
        step_mm: along the rays.
    """
    solid = _solid(volume, mask)
    right, down, away = torch.as_tensor(camera.axes, dtype=torch.float32)
    rows, columns = (round(s * pixels_per_mm) for s in camera.size_mm)
    r = (torch.arange(columns) + 0.5) / pixels_per_mm - camera.size_mm[1] / 2
    d = (torch.arange(rows) + 0.5) / pixels_per_mm - camera.size_mm[0] / 2
    start = torch.as_tensor(camera.center_lps_mm, dtype=torch.float32)
    start = start + r[None, :, None] * right + d[:, None, None] * down
    extent = torch.tensor(volume.shares.shape[:0:-1]) * volume.spacing_mm  # x, y, z
    reach = float(extent.norm()) / 2
    low = torch.as_tensor(volume.origin_lps_mm, dtype=torch.float32)
    color, left = torch.zeros(rows * columns, 3), torch.ones(rows * columns)
    depth, start = torch.full((rows * columns,), reach), start.reshape(-1, 3)
    going = inside = torch.arange(rows * columns)
    for number, along in enumerate(torch.arange(-reach, reach, step_mm)):
        if number % 8 == 0:  # rays that met something or are past the volume are done
            going = going[left[going] > 0.02]
            inside = going[((start[going] + (along + 4 * step_mm) * away - low - extent / 2).abs() < extent / 2 + 4).all(1)]
        if len(inside) == 0:
            continue
        place = 2 * (start[inside] + along * away - low) / (extent - volume.spacing_mm) - 1
        seen = torch.nn.functional.grid_sample(solid, place[None, None, None], align_corners=True)[0, :, 0, 0]  # (7, rays)
        opacity = ((seen[3] - 0.25) / 0.4).clamp(0, 1)
        met = opacity > 0
        if not bool(met.any()):
            continue
        rays, seen, before = inside[met], seen[:, met], left[inside[met]]
        share = before * opacity[met]
        color[rays] += share[:, None] * _lit(seen[:3] / seen[3].clamp(min=0.05), seen[4:], (right, down, away))
        left[rays] = before - share
        depth[rays] = torch.where((before > 0.5) & (left[rays] <= 0.5), along, depth[rays])
    color, left, depth = color.view(rows, columns, 3), left.view(rows, columns), depth.view(rows, columns)
    return _finished(color.numpy(), left.numpy(), depth.numpy(), pixels_per_mm)


def _solid(volume: Volume, mask: Mask) -> Tensor:
    """(1, 7, Z, Y, X): colour times opacity, opacity, and its slope outward along x, y, z."""
    from scipy.ndimage import gaussian_filter

    x, y, z = volume.coordinates()
    opacity, color = torch.zeros(volume.shares.shape[1:]), torch.zeros(3, *volume.shares.shape[1:])
    for share, (name, group) in zip(volume.shares, GROUPS.items(), strict=True):
        kept = share * mask(name, x, y, z)
        opacity += kept
        color += kept * torch.tensor(group.color)[:, None, None, None]
    smooth = torch.from_numpy(gaussian_filter(opacity.numpy(), 1.1))
    slope = torch.stack(torch.gradient(-smooth)[::-1])
    return torch.cat([color, opacity[None], slope])[None]


def _lit(color: Tensor, slope: Tensor, axes: Sequence[Tensor]) -> Tensor:
    """(rays, 3) of surfaces of ``color`` (3, rays) that fall off along ``slope`` (3, rays)."""
    normal = torch.stack([sum(slope[k] * axis[k] for k in range(3)) for axis in axes])  # type: ignore[misc]
    normal = normal / normal.norm(dim=0).clamp(min=1e-4)
    light = torch.full(color.shape[1:], 0.26)
    for direction, strength in _LIGHTS:
        toward = torch.tensor(unit(direction), dtype=torch.float32)
        light = light + strength * (normal * toward[:, None]).sum(0).clamp(min=0)
    half = torch.tensor(unit(np.array(unit(_LIGHTS[0][0])) + np.array([0.0, 0.0, -1.0])), dtype=torch.float32)
    gloss = 0.16 * (normal * half[:, None]).sum(0).clamp(min=0) ** 24
    return (color * light + gloss).T


def _finished(color: np.ndarray, left: np.ndarray, depth: np.ndarray, pixels_per_mm: float) -> np.ndarray:
    """With the background, and darker in hollows."""
    from scipy.ndimage import gaussian_filter

    shade = np.zeros_like(depth)
    for width_mm in (2.0, 6.0, 16.0):
        shade += np.clip((depth - gaussian_filter(depth, width_mm * pixels_per_mm)) / (2.5 * width_mm), 0, 0.5)
    color = color * (1 - 0.45 * np.clip(shade, 0, 1))[..., None]
    return np.clip(color + left[..., None] * np.array(_BACKGROUND), 0, 1) ** 0.9


def main(
    output: str = "docs/anatomy.jpg", seed: int = 12, spacing_mm: float = 0.8, pixels_per_mm: float = 3.0, dpi: float = 110
) -> None:
    """Draw the picture: from behind, from the front, and cut in the middle.

    Args:
        output: JPG or PNG file.
        seed: of the patient, who has a herniation at L4-L5.
        spacing_mm: of the volume.
        pixels_per_mm: of the pictures.
        dpi: of the file.
    """
    from matplotlib.figure import Figure

    spine = sample_spine(seed, findings={"L4-L5": "herniation"}, surgery=0.0, variation=0.6)
    center = np.array([*spine.body("L3").center_lps_mm[:2], spine.body("L4").center_lps_mm[2] + 8.0])
    low, high = center - np.array([62.0, 62.0, 112.0]), center + np.array([62.0, 84.0, 96.0])
    volume = paint_volume(spine, low, high, spacing_mm)
    heights = volume.coordinates()[2].flatten().numpy()
    middle, walls = np.array([spine.canal_at(float(z))[:2] for z in heights]).T
    middle = np.polyval(np.polyfit(heights, middle, 3), heights)  # a smooth cut
    at_x, wall = (torch.as_tensor(v, dtype=torch.float32)[:, None, None] for v in (middle, walls))
    size = (198.0, 128.0)
    look_at = center + np.array([0.0, 12.0, -10.0])
    views = (
        ("From the left and behind", Camera((-0.72, -0.66, -0.2), look_at, size), _without_left_muscle(at_x, wall)),
        ("From the left and the front", Camera((-0.62, 0.76, -0.18), look_at, size), _without_left_muscle(at_x, wall)),
        ("Cut in the middle, from the left", Camera((-0.97, 0.16, -0.12), look_at, size), _right_half(at_x, wall)),
    )
    figure = Figure(figsize=(15.6, 8.3), facecolor=_BACKGROUND)
    axes = figure.subplots(1, len(views))
    figure.subplots_adjust(0.005, 0.01, 0.995, 0.95, 0.01, 0)
    for panel, (title, camera, mask) in zip(axes, views, strict=True):
        panel.imshow(shaded(volume, camera, mask, pixels_per_mm), extent=(0, size[1], size[0], 0), interpolation="bicubic")
        panel.set_title(title, color="white", fontsize=13)
        panel.axis("off")
        _label(panel, spine, camera)
    _legend(figure)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=dpi, facecolor=_BACKGROUND, pil_kwargs={"quality": 82} if output.endswith("jpg") else {})
    print(output)


def _without_left_muscle(middle: Tensor, wall: Tensor) -> Mask:
    """Muscle of the patient's right only, nothing of fat, bowel and fascia."""

    def kept(name: str, x: Tensor, y: Tensor, z: Tensor) -> Tensor | float:
        if name == "fat":
            return 0.0
        if name == "muscle":
            return ((x < middle - 3) & (y > wall - 42)).float()
        if name in ("ligament", "joint"):
            return (((x - middle).abs() < 24) & (y > wall - 6) & (y < wall + 34)).float()  # flavum and dura, no fascia
        if name in ("cortex", "marrow"):
            return (x < middle + 52).float()  # without the left iliac bone, which hides the joint of L5
        return 1.0

    return kept


def _right_half(middle: Tensor, wall: Tensor) -> Mask:
    """What lies to the right of the midline, with the fat of the canal and between the spinous processes."""

    def kept(name: str, x: Tensor, y: Tensor, z: Tensor) -> Tensor | float:
        half = (middle - x + 0.5).clamp(0, 1)  # over a millimetre, so that the cut shows no steps
        if name == "fat":
            return half * ((x > middle - 22) & (y > wall - 3) & (y < wall + 48))
        if name == "muscle":
            return half * (y > wall - 42)
        if name in ("ligament", "joint"):
            return half * ((x > middle - 24) & (y > wall - 6) & (y < wall + 50))
        return half

    return kept


def _label(panel: Any, spine: Spine, camera: Camera) -> None:
    """Names of the bodies, on them."""
    for body in spine.bodies:
        x, y = camera.project(body.center_lps_mm - 0.6 * body.half_depth_mm[0] * body.axes[1])
        if body.level in ("T12", "L1", "L2", "L3", "L4", "L5", "S1") and 4 < y < camera.size_mm[0] - 4:
            panel.text(
                x, y, body.level, color="#10131a", fontsize=10, fontweight="bold", ha="center", va="center", alpha=0.8
            )


def _legend(figure: Any) -> None:
    """What the colours mean, along the lower edge."""
    names = {
        "cortex": "bone", "marrow": "marrow", "annulus": "annulus", "nucleus": "nucleus", "fluid": "spinal fluid",
        "nerve": "cord and roots", "ligament": "ligaments, dura", "muscle": "muscle", "vessel": "vessels", "fat": "fat",
    }  # fmt: skip
    for k, (group, text) in enumerate(names.items()):
        figure.text(0.03 + 0.097 * k, 0.012, "●", color=GROUPS[group].color, fontsize=14, va="bottom")
        figure.text(0.043 + 0.097 * k, 0.014, text, color="white", fontsize=10.5, va="bottom")


if __name__ == "__main__":
    fire.Fire(main)
