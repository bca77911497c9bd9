"""The shape of one phantom spine: bodies, disks, canal and soft tissue as numbers, drawn at random or built on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bundle.geometry import DISK_LEVELS, Disk, disk_level, unit
from bundle.phantom.pathology import DiskPathology, sample_pathology
from bundle.phantom.prevalence import TRAINING_PREVALENCE, Prevalence
from bundle.phantom.rim import SUPERELLIPSE, Rim

#: Bodies of the phantom from the bottom up.
LEVELS: tuple[str, ...] = (
    "S5", "S4", "S3", "S2", "S1", "L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9", "T8", "T7",
)  # fmt: skip

# Body height, depth, width and height of the disk below, in mm: typical of adults, rounded by hand and no fit to any one
# morphometric study. Sacral values are for its segments.
_SIZES: dict[str, tuple[float, float, float, float]] = {
    "S5": (15, 9, 24, 1.0), "S4": (17, 11, 30, 1.0), "S3": (20, 14, 38, 1.5), "S2": (24, 18, 46, 2.0),
    "S1": (29, 27, 52, 4.0), "L5": (27.5, 35, 51, 10.0), "L4": (27.5, 35, 49, 11.0), "L3": (28, 34.5, 46, 10.5),
    "L2": (27.5, 34, 44, 9.5), "L1": (26.5, 33, 42, 8.0), "T12": (25.5, 31.5, 41, 7.0), "T11": (23.5, 30, 38, 5.5),
    "T10": (22.5, 29, 34, 5.0), "T9": (21.5, 28, 32, 4.5), "T8": (21, 27, 31, 4.5), "T7": (20.5, 26, 30, 4.5),
}  # fmt: skip

# Tilt of each body in the sagittal plane, degrees that its upper end leans forward (lordosis, lying down).
_TILT_DEG: dict[str, float] = {
    "S5": 34, "S4": 48, "S3": 57, "S2": 53, "S1": 43, "L5": 22, "L4": 8, "L3": -2, "L2": -9, "L1": -13, "T12": -13,
    "T11": -11, "T10": -8, "T9": -4, "T8": 0, "T7": 5,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Body:
    """A vertebral body: a rounded, waisted block in its own axes.

    Args:
        level: its name.
        center_lps_mm: (3,).
        axes: (3, 3) unit rows in LPS: to the patient's left, to the back, up.
        half_width_mm: at the ends.
        half_depth_mm: (at the upper end, at the lower end).
        half_height_mm: (at the front, at the back).
        waist: share by which the middle is thinner than the ends.
        concavity_mm: depth of each endplate's hollow.
        dent_mm: hollow of the back wall at the midline.
    """

    level: str
    center_lps_mm: np.ndarray
    axes: np.ndarray
    half_width_mm: float
    half_depth_mm: tuple[float, float]
    half_height_mm: tuple[float, float]
    waist: float
    concavity_mm: float
    dent_mm: float

    def to_patient(self, uvw_mm: np.ndarray) -> np.ndarray:
        """LPS millimetres (..., 3) of points (..., 3) in the body's axes."""
        return self.center_lps_mm + np.asarray(uvw_mm) @ self.axes

    def half_depth_at(self, up: np.ndarray) -> np.ndarray:
        """Half depth of the mid-sagittal section at ``up`` (-1 lower end ... 1 upper end)."""
        top, bottom = self.half_depth_mm
        return ((top + bottom) / 2 + (top - bottom) / 2 * up) * (1 - self.waist * (1 - up**2))

    def corners_lps_mm(self, left_mm: float = 0.0) -> np.ndarray:
        """(4, 3) upper front, upper back, lower back, lower front, in the section ``left_mm`` left of the middle."""
        section = self.section(left_mm)
        front, back = self.half_height_mm
        if section <= 0:
            raise ValueError(f"the section {left_mm} mm from the middle misses the body")
        top, bottom = (d * section for d in self.half_depth_mm)
        return self.to_patient(
            np.array([[left_mm, -top, front], [left_mm, top, back], [left_mm, bottom, -back], [left_mm, -bottom, -front]])
        )

    def section(self, left_mm: float) -> float:
        """Share of its depth that the body has ``left_mm`` from its middle; 0 outside."""
        ratio = min(abs(left_mm) / self.half_width_mm, 1.0)
        return float((1 - ratio**SUPERELLIPSE) ** (1 / SUPERELLIPSE))

    def outline_lps_mm(self, left_mm: float = 0.0, points: int = 24) -> np.ndarray:
        """(N, 3) points on the outline of the sagittal section ``left_mm`` from the middle."""
        section = self.section(left_mm)
        t = np.linspace(-1, 1, points)
        front, back = self.half_height_mm
        middle, slope = (front + back) / 2, (back - front) / 2
        outline = []
        for sign, depth in ((1.0, self.half_depth_mm[0]), (-1.0, self.half_depth_mm[1])):
            v = t * depth * section
            hollow = self.concavity_mm * (1 - np.clip(np.abs(t), 0, 1) ** 2)
            outline.append(np.stack([np.full_like(v, left_mm), v, sign * (middle + slope * t - hollow)], axis=-1))
        for side in (-1.0, 1.0):
            v = side * self.half_depth_at(t) * section
            outline.append(np.stack([np.full_like(v, left_mm), v, t * (middle + slope * side)], axis=-1))
        return self.to_patient(np.concatenate(outline))


@dataclass(frozen=True, eq=False)
class DiskShape:
    """A disk of the phantom in its own axes (rows: left, back, up), with its pathology."""

    disk: Disk
    axes: np.ndarray
    half_width_mm: float
    half_depth_mm: float
    gap_mm: float
    wedge: float  # millimetres of height lost for each millimetre toward the back
    dent_mm: float
    pathology: DiskPathology


@dataclass(frozen=True, eq=False)
class Spine:
    """One phantom patient.

    Args:
        bodies: from the bottom up.
        disks: by level; every pair of neighbouring bodies has one.
        canal: knots along the canal, columns ``z, x, y_front, sac half depth, sac half width, sac gap`` in millimetres,
            from the bottom up; y_front is the back wall of bodies and disks.
        conus_z_mm: height at which the cord ends.
        soft: numbers of the soft tissue (see Painter for each).
        seed: of what is left to chance when the spine is painted (roots, bowel, texture).
    """

    bodies: tuple[Body, ...]
    disks: Mapping[str, DiskShape]
    canal: np.ndarray
    conus_z_mm: float
    soft: Mapping[str, float]
    seed: int

    def body(self, level: str) -> Body:
        """The body of ``level``."""
        return next(b for b in self.bodies if b.level == level)


def _rotation(tilt_deg: float, lean_deg: float, twist_deg: float) -> np.ndarray:
    """Axes (left, back, up) tilted forward, leaning to the left and twisted to the left."""
    t, s, r = np.radians([tilt_deg, lean_deg, twist_deg])
    up = np.array([np.sin(s), -np.sin(t) * np.cos(s), np.cos(t) * np.cos(s)])
    left = np.array([np.cos(r), np.sin(r), 0.0])
    left = unit(left - (left @ up) * up)
    return np.stack([left, np.cross(up, left), up])


def sample_spine(
    seed: int,
    prevalence: Prevalence = TRAINING_PREVALENCE,
    findings: Mapping[str, str] | None = None,
) -> Spine:
    """A spine drawn at random, with L3 near the origin of patient space.

    Args:
        seed: the same seed gives the same spine.
        prevalence: shares of normal, bulge and herniation by level.
        findings: class of some levels, instead of a draw.
    """
    rng = np.random.default_rng(seed)
    findings = findings or {}
    size = float(np.clip(rng.normal(1.0, 0.07), 0.82, 1.2))
    lordosis = float(np.clip(rng.normal(1.0, 0.28), 0.3, 1.8))
    sacral = float(rng.normal(0, 9))
    curve = rng.normal(0, 4) if rng.random() < 0.75 else rng.normal(0, 10)  # scoliosis, degrees of lean at its height
    phase = rng.uniform(0, 2 * np.pi)
    depth_share, height_share = rng.normal(1, 0.05, 2)
    disk_share = float(np.clip(rng.normal(1.0, 0.14), 0.6, 1.35))
    bodies: list[Body] = []
    disks: dict[str, DiskShape] = {}
    anchor = np.zeros(3)  # upper endplate centre of the last body placed
    for k, level in enumerate(LEVELS):
        height, depth, width, gap = _SIZES[level]
        tilt = _TILT_DEG[level] * lordosis + rng.normal(0, 2.2)
        if level[0] == "S":
            tilt = _TILT_DEG[level] + sacral + rng.normal(0, 4) + 8 * (lordosis - 1)
        axes = _rotation(tilt, curve * np.sin(0.5 * k + phase), 0.4 * curve * np.cos(0.5 * k + phase) + rng.normal(0, 1))
        h = height * size * height_share * rng.normal(1, 0.03) / 2
        # The sacrum decides the names of all bodies above it, so it has to vary most.
        d = depth * size * depth_share * (rng.normal(1.06, 0.08) if level[0] == "S" else rng.normal(1, 0.03)) / 2
        w = width * size * rng.normal(1, 0.03) / 2
        wedge = rng.normal(0, 0.03)
        if level == "L5":
            wedge += 0.10
        if level[0] in "LT" and rng.random() < 0.03:  # an old compression fracture
            wedge -= rng.uniform(0.1, 0.3)
            h *= rng.uniform(0.75, 0.95)
        front, back = h * (1 + wedge), h * (1 - wedge)
        if level[0] == "S":
            taper = {"S1": 0.16, "S2": 0.14}.get(level, 0.12) + rng.normal(0, 0.06)
            depths = (d * (1 + taper), d * (1 - taper))
            front, back = h * 1.02, h * 0.98
        else:
            depths = (d * rng.normal(1.0, 0.02), d * rng.normal(1.01, 0.02))
        if level[0] == "S":  # what is left of the sacral disks differs more from patient to patient than a lumbar disk does
            gap = gap * size * float(np.clip(rng.normal(1.1, 0.4), 0.3, 2.2))
        else:
            gap = gap * size * disk_share * float(np.clip(rng.normal(1, 0.13), 0.5, 1.4))
        pathology = None
        if bodies:
            name = disk_level(level, bodies[-1].level)
            if name in DISK_LEVELS:
                pathology = sample_pathology(
                    rng, name, min(d, bodies[-1].half_depth_mm[0]), prevalence, findings.get(name), w, gap
                )
                gap *= pathology.height_share
            else:
                pathology = sample_pathology(rng, name, d, finding="normal")
            mean_up = unit(bodies[-1].axes[2] + axes[2])
            facing = float(np.clip(bodies[-1].axes[2] @ axes[2], -1, 1))
            gap = max(gap, min(d, bodies[-1].half_depth_mm[0]) * np.tan(np.arccos(facing)) + 1.5)  # edges do not meet
            slip = rng.normal(0, 0.6)
            if level in ("L4", "L5") and rng.random() < 0.05:
                slip -= rng.uniform(3, 8)  # spondylolisthesis: forward
            center = anchor + gap * mean_up + ((front + back) / 2) * axes[2] + slip * axes[1]
            # Front walls of S1 and L5 are in line, not their centres, since S1 is thinner than L5.
            center = center + (bodies[-1].half_depth_mm[0] - depths[1]) * 0.35 * axes[1]
        else:
            center = np.zeros(3)
        body = Body(
            level, center, axes, w, depths, (front, back),
            waist=float(np.clip(rng.normal(0.09 if level[0] != "S" else 0.04, 0.025), 0.0, 0.2)),
            concavity_mm=float(np.clip(rng.normal(1.4 if level[0] != "S" else 0.3, 0.6), 0, 3.2)),
            dent_mm=float(rng.normal({"L": 1.2, "T": 1.5, "S": 0.0}[level[0]], 0.5)) if level != "L5" else 0.0,
        )  # fmt: skip
        if bodies and pathology is not None:
            heights = (body.corners_lps_mm()[[3, 2]] - bodies[-1].corners_lps_mm()[[0, 1]]) @ mean_up
            body = _moved(body, max(1.5 - float(heights.min()), 0.0) * mean_up)  # nor do those of wedged bodies
            disks[disk_level(level, bodies[-1].level)] = _disk_between(body, bodies[-1], pathology)
        bodies.append(body)
        anchor = body.center_lps_mm + axes[2] * (front + back) / 2
    shift = -next(b.center_lps_mm for b in bodies if b.level == "L3") + rng.normal(0, 8, 3)
    bodies = [_moved(b, shift) for b in bodies]
    disks = {
        disk_level(upper.level, lower.level): _disk_between(
            upper, lower, disks[disk_level(upper.level, lower.level)].pathology
        )
        for lower, upper in pairwise(bodies)
    }
    conus_level = str(rng.choice(["T12", "L1", "L2"], p=[0.25, 0.55, 0.20]))
    conus = next(b for b in bodies if b.level == conus_level).center_lps_mm[2] + rng.normal(0, 6)
    soft = {
        "back_fat": rng.uniform(6, 45), "muscle_depth": rng.uniform(28, 48), "muscle_fat": rng.beta(1.2, 2.5),
        "front": rng.uniform(70, 170), "half_width": rng.uniform(140, 195), "belly_fat": rng.uniform(8, 45),
        "psoas": rng.uniform(0.8, 1.3), "spinous": rng.uniform(0.75, 1.3), "bowel": rng.uniform(0.3, 1.0),
        "facet": rng.uniform(0.85, 1.35), "epidural": rng.uniform(0.5, 1.5), "roots": rng.uniform(0.55, 1.0),
    }  # fmt: skip
    canal = _canal(rng, bodies, disks, size)
    return Spine(tuple(bodies), disks, canal, float(conus), soft, int(rng.integers(2**31)))


def _moved(body: Body, shift: np.ndarray) -> Body:
    return Body(**{**body.__dict__, "center_lps_mm": body.center_lps_mm + shift})


def _disk_between(upper: Body, lower: Body, pathology: DiskPathology) -> DiskShape:
    top, bottom = upper.corners_lps_mm()[[3, 2]], lower.corners_lps_mm()[[0, 1]]  # front, back of the facing endplates
    front, back = (top + bottom) / 2
    center = (front + back) / 2
    up = unit(upper.axes[2] + lower.axes[2])
    left = unit(upper.axes[0] + lower.axes[0])
    posterior = unit((back - front) - ((back - front) @ up) * up)
    left = unit(left - (left @ up) * up - (left @ posterior) * posterior)
    heights = (top - bottom) @ up
    depth = (upper.half_depth_mm[1] + lower.half_depth_mm[0]) / 2
    half_width, wedge = (upper.half_width_mm + lower.half_width_mm) / 2, float((heights[0] - heights[1]) / (2 * depth))
    dent = (upper.dent_mm + lower.dent_mm) / 2
    rim = Rim.superellipse(half_width, depth, float(heights.mean()), wedge, dent)
    disk = Disk(
        disk_level(upper.level, lower.level), center, up, center - depth * posterior, center + depth * posterior,
        float(heights.mean()), float(heights[0] - heights[1]),
    )  # fmt: skip
    return DiskShape(
        disk,
        np.stack([left, posterior, up]),
        half_width,
        depth,
        float(heights.mean()),
        wedge,
        dent,
        pathology.fitted(rim),
    )


def _canal(rng: np.random.Generator, bodies: list[Body], disks: Mapping[str, DiskShape], size: float) -> np.ndarray:
    """Knots of the canal; see Spine."""
    depth = float(np.clip(rng.normal(7.2, 1.0), 5, 10)) * size
    width = float(np.clip(rng.normal(10.0, 1.4), 7, 14)) * size
    end = rng.choice(["S1", "S2", "S3"], p=[0.2, 0.65, 0.15])
    end_z = next(b for b in bodies if b.level == end).center_lps_mm[2]
    lumbosacral_gap = abs(rng.normal(3.0, 2.0))
    knots = []
    for lower, upper in pairwise(bodies):
        wall = lower.center_lps_mm + lower.axes[1] * float(lower.half_depth_at(np.zeros(1))[0])
        shape = disks[disk_level(upper.level, lower.level)]
        knots.append((wall, 1.2, lower.level))
        knots.append((shape.disk.back_lps_mm, 0.4, upper.level))
    rows = []
    for point, gap, level in knots:
        # The sac tapers over the last four centimetres, and away from the wall where epidural fat fills the canal.
        full = float(np.clip((point[2] - end_z) / 40, 0.0, 1.0)) ** 0.7
        away = gap + lumbosacral_gap * (1 - full) + (lumbosacral_gap * 0.7 if level in ("S1", "L5") else 0.0)
        sac_depth = depth * (0.25 + 0.75 * full) if full > 0 else 0.1
        rows.append([point[2], point[0], point[1], sac_depth, width * (0.3 + 0.7 * full) if full > 0 else 0.1, away])
    table = np.asarray(rows)
    return table[np.argsort(table[:, 0])]
