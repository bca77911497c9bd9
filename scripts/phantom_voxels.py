"""Measures a painted phantom by its voxels alone. It shares no code with the phantom's truth: it is the check on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from bundle.geometry import SlicePlane
from bundle.geometry.resample import square_plane
from bundle.phantom.paint import SpinePatient
from bundle.phantom.pathology import DiskPathology
from bundle.phantom.shapes import Spine
from bundle.phantom.tissues import TISSUES

Array = NDArray[np.float64]

_DISK, _BODY = 0, 1  # channels of paint
_BONE = ("cortex", "marrow", "fatty_marrow", "slow_flow")
_CHANNELS = torch.tensor([[t in ("annulus", "nucleus") for t in TISSUES], [t in _BONE for t in TISSUES]])
_SPACING_MM = 0.4
_BEYOND_MM, _FOCAL_DEG = 1.5, 90.0  # the rule's numbers, written down a second time on purpose


def paint(spines: Sequence[Spine], plane: SlicePlane) -> Array:
    """(spines, 2, rows, columns) share of disk and of bone at each pixel; bowel, vessels and muscle are left out.

    Painting is linear in the tissues' brightness: a brightness of 1 of some and 0 of all others gives the share of those.
    """
    patients = [SpinePatient(spine, soft_tissue=False) for spine in spines]
    contrasts = _CHANNELS.float().repeat(len(spines), 1, 1)
    shares = patients[0].painter(patients).paint([plane] * len(spines), contrasts)
    return np.asarray(shares.numpy(), dtype=np.float64)


# ---- disks ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DiskReading:
    """What the voxels say of a disk; see bundle.geometry.fardon for the terms.

    Args:
        center_lps_mm: (3,) middle between the front and the back edge in the middle of a healthy disk of this rim.
        angle_deg: degrees of the circumference beyond the rim, for a herniation those of the focal part.
        extent_mm: reach of the outline beyond the rim, of a herniation on a bulge beyond the bulge.
        base_mm: width of the part that holds the outline's peak; 0 where nothing lies beyond.
        finding: normal, bulge or herniation, by the angle and the extent of the outline.
    """

    center_lps_mm: Array
    angle_deg: float
    extent_mm: float
    base_mm: float
    finding: str


def read_disk(spine: Spine, level: str) -> DiskReading:
    """Measure one disk's outline against that of the same spine with the disk healthy, in the disk's plane."""
    shape = spine.disks[level]
    bare = replace(shape.pathology, fragments=(), changes=(), nodes=())
    healthy = replace(bare, excess_mm=np.zeros(360))
    left, back, _ = shape.axes
    plane = square_plane(shape.disk.center_lps_mm + 1.37 * left - 0.83 * back, left, back, 192 * _SPACING_MM, 192)
    seen, without = paint([_with(spine, level, p) for p in (bare, healthy)], plane)[:, _DISK]
    middle = plane.to_pixel(shape.disk.center_lps_mm)[0]  # the column of the middle sagittal slice
    front, rear = _crossings(_sample(without, np.full(1921, middle), np.arange(0, 192.1, 0.1)), 0.1)
    center = np.array([middle, (front + rear) / 2])
    rim, outline = _radii(without, center), _radii(seen, center)
    beyond = (outline - rim) * _SPACING_MM
    reference = float(np.median(beyond))
    reference = reference if reference > _BEYOND_MM else 0.0
    total, focal = (_degrees(beyond, level) for level in (_BEYOND_MM, reference + _BEYOND_MM))
    herniated = 0 < focal < _FOCAL_DEG
    finding = "herniation" if herniated else "bulge" if total > 0 else "normal"
    extent = float(beyond.max()) - (reference if herniated else 0.0)
    base = _base(beyond, outline * _SPACING_MM, reference + _BEYOND_MM) if herniated else 0.0
    return DiskReading(plane.to_patient(center), focal if herniated else total, extent, base, finding)


def read_fragment_reach_mm(spine: Spine, level: str, number: int) -> float:
    """How far a fragment reaches beyond the rim, outward from the disk's middle, where it is widest."""
    shape = spine.disks[level]
    fragment = shape.pathology.fragments[number]
    left, back, up = shape.axes
    away = fragment.center_uvw_mm[0] * left + fragment.center_uvw_mm[1] * back
    outward = away / np.linalg.norm(away)
    healthy = replace(shape.pathology, excess_mm=np.zeros(360), fragments=(), changes=(), nodes=())
    alone = replace(healthy, fragments=(fragment,))
    reaches = []
    for pathology, rise in ((alone, fragment.center_uvw_mm[2]), (healthy, 0.0)):
        start = shape.disk.center_lps_mm + rise * up
        plane = SlicePlane(start, outward, np.cross(up, outward), (0.1, 0.1), (1, 480))
        reaches.append(_crossings(paint([_with(spine, level, pathology)], plane)[0, _DISK, 0], 0.1)[1])
    return reaches[0] - reaches[1]


def fragment_is_free(spine: Spine, level: str, number: int) -> bool:
    """Whether no disk tissue joins a fragment to its disk, in the plane through its middle and the disk's axis."""
    shape = spine.disks[level]
    fragment = shape.pathology.fragments[number]
    left, back, up = shape.axes
    middle = shape.disk.center_lps_mm + np.asarray(fragment.center_uvw_mm) @ shape.axes
    away = fragment.center_uvw_mm[0] * left + fragment.center_uvw_mm[1] * back
    outward = away / np.linalg.norm(away)
    plane = square_plane(middle - 10 * outward, outward, -up, 80.0, 320)
    bare = replace(shape.pathology, changes=(), nodes=())
    labels, _ = ndimage.label(paint([_with(spine, level, bare)], plane)[0, _DISK] >= 0.5)
    places = plane.to_pixel(np.stack([middle, shape.disk.center_lps_mm]))
    (piece, disk) = (int(labels[row, column]) for column, row in np.round(places).astype(int))
    return piece != disk


def _with(spine: Spine, level: str, pathology: DiskPathology) -> Spine:
    return replace(spine, disks={**spine.disks, level: replace(spine.disks[level], pathology=pathology)})


def _sample(image: Array, columns: Array, rows: Array) -> Array:
    return np.asarray(ndimage.map_coordinates(image, [rows, columns], order=1, mode="nearest"))


def _crossings(profile: Array, step: float) -> tuple[float, float]:
    """First and last place, in units of ``step``, where a profile crosses one half."""
    above = np.flatnonzero(profile >= 0.5)
    first, last = int(above[0]), int(above[-1])

    def between(k: int) -> float:
        return float((0.5 - profile[k]) / (profile[k + 1] - profile[k]))

    start = first - 1 + between(first - 1) if first > 0 else 0.0
    return start * step, (last + between(last)) * step if last < len(profile) - 1 else last * step


def _radii(image: Array, center: Array) -> Array:
    """(720,) pixels from the centre to the outline, by half degrees from straight back toward the left."""
    steps = np.arange(0, 95, 0.25)
    phi = np.radians(np.arange(720) / 2)[:, None]
    profiles = _sample(image, center[0] + steps * np.sin(phi), center[1] + steps * np.cos(phi))
    # From outside inward, so that a dark nucleus or a hollow does not matter.
    return np.array([_crossings(profile, 0.25)[1] for profile in profiles])


def _degrees(profile: Array, level: float) -> float:
    here, there = profile - level, np.roll(profile, -1) - level
    share = np.where(here > 0, 1.0, 0.0)
    mixed = (here > 0) != (there > 0)
    share = np.where(mixed, np.maximum(here, there) / np.where(mixed, np.abs(here - there), 1), share)
    return float(share.sum() / 2)


def _base(beyond: Array, outline_mm: Array, level: float) -> float:
    """Straight line between the ends of the part that holds the peak."""
    peak = int(np.argmax(beyond))
    ends = []
    for way in (1, -1):
        k = peak
        while beyond[(k + way) % 720] > level:
            k += way
        inside, outside = beyond[k % 720], beyond[(k + way) % 720]
        share = (inside - level) / (inside - outside)
        radius = (1 - share) * outline_mm[k % 720] + share * outline_mm[(k + way) % 720]
        phi = np.radians((k + way * share) / 2)
        ends.append(radius * np.array([np.sin(phi), np.cos(phi)]))
    return float(np.linalg.norm(ends[0] - ends[1]))


# ---- bodies --------------------------------------------------------------------------------------------------------------


def bare_bones(spine: Spine) -> Spine:
    """The spine without what grows on, in or out of its bodies, so that a body's voxels are the body's alone."""
    disks = {
        level: replace(s, pathology=replace(s.pathology, changes=(), nodes=(), fragments=()))
        for level, s in spine.disks.items()
    }
    return replace(spine, disks=disks, growths=(), screws=(), laminectomy=frozenset(b.level for b in spine.bodies))


def read_box(spine: Spine, level: str, plane: SlicePlane) -> Array:
    """(4,) column and row of the least, then of the largest extent of a body on a sagittal slice that shows it alone."""
    image = paint([bare_bones(spine)], plane)[0, _BODY]
    image = np.where(_component(image, plane.to_pixel(spine.body(level).center_lps_mm)), image, 0.0)
    lines = [image[r] for r in range(image.shape[0]) if image[r].max() >= 0.5]
    columns = np.array([_crossings(line, 1.0) for line in lines])
    lines = [image[:, c] for c in range(image.shape[1]) if image[:, c].max() >= 0.5]
    rows = np.array([_crossings(line, 1.0) for line in lines])
    return np.array([columns[:, 0].min(), rows[:, 0].min(), columns[:, 1].max(), rows[:, 1].max()])


def read_corners(spine: Spine, level: str) -> Array:
    """(4, 3) LPS corners of a body's middle sagittal section: where curves along its ends and walls meet."""
    body = spine.body(level)
    plane = square_plane(body.center_lps_mm, body.axes[1], -body.axes[2], 60.0, 160)
    image = paint([bare_bones(spine)], plane)[0, _BODY]
    image = np.where(_component(image, plane.to_pixel(body.center_lps_mm)), image, 0.0)
    mm = 60.0 / 160
    rows = np.flatnonzero(image.max(1) >= 0.5)
    columns = np.flatnonzero(image.max(0) >= 0.5)
    walls = np.array([_crossings(image[r], 1.0) for r in rows])  # front, back by row
    ends = np.array([_crossings(image[:, c], 1.0) for c in columns])  # upper, lower by column
    found = []
    for end, wall in ((0, 0), (0, 1), (1, 1), (1, 0)):
        # A start a fifth of the way in, where an end is surely an end and a wall a wall.
        row = float(ends[int((0.8 if wall else 0.2) * len(ends)), end])
        column = float(walls[int((0.8 if end else 0.2) * len(walls)), wall])
        for _ in range(6):
            along_end = _curve(columns, ends[:, end], column, -1 if wall else 1, 2.4 / mm, 9 / mm)
            row = float(np.polyval(along_end, 0.0))
            along_wall = _curve(rows, walls[:, wall], row, -1 if end else 1, 2.4 / mm, 8 / mm)
            column = float(np.polyval(along_wall, 0.0))
            # The curves are centred on the last estimate, so one more turn moves both onto the crossing.
        found.append([column, row])
    return plane.to_patient(np.array(found))


def _curve(at: NDArray[np.int64], values: Array, corner: float, way: int, near: float, far: float) -> Array:
    """Parabola through an edge beside a corner, beyond its rounding, in the distance from the corner."""
    away = (at - corner) * way
    used = (away > near) & (away < far)
    return np.asarray(np.polyfit(away[used], values[used], 2))


def _component(image: Array, center: Array) -> NDArray[np.bool_]:
    """Pixels of the solid around ``center``, and one more all round, so that its edge can be interpolated."""
    labels, _ = ndimage.label(image >= 0.5)
    column, row = np.round(center).astype(int)
    return np.asarray(ndimage.binary_dilation(labels == labels[row, column]))
