"""Draws phantom patients: bodies, disks, canal and soft tissue as numbers, at random or with what is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np

from bundle.geometry import DISK_LEVELS, Disk, disk_level, unit
from bundle.geometry.rim import Rim
from bundle.phantom.pathology import DiskPathology, sample_pathology
from bundle.phantom.prevalence import TRAINING_PREVALENCE, Prevalence
from bundle.phantom.shapes import Body, DiskShape, Growth, Spine

#: Bodies of the phantom from the bottom up.
LEVELS: tuple[str, ...] = (
    *("S5", "S4", "S3", "S2", "S1", "L5", "L4", "L3", "L2", "L1"),
    *(f"T{k}" for k in range(12, 0, -1)),
    *(f"C{k}" for k in range(7, 1, -1)),
)

# Body height, depth, width and height of the disk below, in mm: typical of adults, rounded by hand and no fit to any one
# morphometric study. Sacral values are for its segments.
_SIZES: dict[str, tuple[float, float, float, float]] = {
    "S5": (14, 10, 24, 1.0), "S4": (16, 12, 30, 1.0), "S3": (18, 15, 38, 1.2), "S2": (21, 17.5, 46, 1.6),
    "S1": (26, 26.5, 52, 3.2), "L5": (27, 35.5, 51, 10.0), "L4": (27, 35.5, 49, 11.0), "L3": (27.5, 35, 46, 10.5),
    "L2": (27, 34.5, 44, 9.5), "L1": (26, 33.5, 42, 8.0), "T12": (25.5, 31.5, 41, 7.0), "T11": (23.5, 30, 38, 5.5),
    "T10": (22.5, 29, 34, 5.0), "T9": (21.5, 28, 32, 4.5), "T8": (21, 27, 31, 4.5), "T7": (20.5, 26, 30, 4.5),
    "T6": (20, 25, 29, 4.3), "T5": (19.5, 24, 28, 4.0), "T4": (19, 23, 27, 3.8), "T3": (18.5, 21.5, 26, 3.6),
    "T2": (18, 20, 27, 3.6), "T1": (17, 18, 29, 4.0), "C7": (14.5, 17, 27, 5.2), "C6": (13, 17, 25, 5.0),
    "C5": (13, 16.5, 23.5, 5.0), "C4": (13.5, 16.5, 22.5, 5.0), "C3": (14, 16.5, 22, 4.8), "C2": (20, 16, 20, 4.5),
}  # fmt: skip

# Tilt of each body in the sagittal plane, degrees that its upper end leans forward (lying down).
_TILT_DEG: dict[str, float] = {
    "S5": 38, "S4": 52, "S3": 58, "S2": 53, "S1": 45, "L5": 22, "L4": 8, "L3": -2, "L2": -9, "L1": -13, "T12": -13,
    "T11": -11, "T10": -8, "T9": -4, "T8": 0, "T7": 5, "T6": 9, "T5": 13, "T4": 17, "T3": 21, "T2": 24, "T1": 24,
    "C7": 20, "C6": 12, "C5": 4, "C4": -2, "C3": -6, "C2": -8,
}  # fmt: skip

#: What the border between lumbar spine and its neighbours may look like, and its share among patients: 4 to 30% of adults
#: in all, by definition and survey (Konin and Walz, AJNR 2010;31:1778); the shares of the kinds are set by hand.
TRANSITIONS: Mapping[str, float] = {"L6": 0.03, "sacralised L5": 0.05, "lumbarised S1": 0.03, "T13": 0.02}


class Chance:
    """A source of chance whose spread can be turned down: how much patients differ is one number.

    Args:
        rng: where the draws come from.
        variation: 1 leaves every distribution as it is, 0 gives its middle.
    """

    def __init__(self, rng: np.random.Generator, variation: float = 1.0) -> None:
        self.rng, self.variation = rng, float(variation)

    def normal(self, mean: float, deviation: float, low: float = -np.inf, high: float = np.inf) -> float:
        """Normal, cut at ``low`` and ``high``."""
        return float(min(max(mean + deviation * self.variation * self.rng.standard_normal(), low), high))

    def uniform(self, low: float, high: float) -> float:
        """Uniform between ``low`` and ``high``."""
        middle = (low + high) / 2
        return float(middle + (self.rng.uniform(low, high) - middle) * self.variation)

    def happens(self, share: float) -> bool:
        """Whether something rare happens; never without variation."""
        return bool(self.rng.random() < share * self.variation)


def sample_transition(rng: np.random.Generator, shares: Mapping[str, float] = TRANSITIONS) -> str | None:
    """A key of ``shares`` with its chance, or None."""
    at = np.cumsum(list(shares.values())).searchsorted(rng.random(), side="right")
    return list(shares)[int(at)] if at < len(shares) else None


def sample_spine(
    seed: int,
    prevalence: Prevalence = TRAINING_PREVALENCE,
    findings: Mapping[str, str] | None = None,
    transition: str | None = None,
    variation: float = 1.0,
    surgery: float = 0.03,
    top: str = "T7",
) -> Spine:
    """A spine drawn at random, with L3 near the origin of patient space.

    Args:
        seed: the same seed gives the same spine.
        prevalence: shares of normal, bulge and herniation by level.
        findings: class of some levels, instead of a draw.
        transition: key of TRANSITIONS, for a spine that is not ordinary.
        variation: how much patients differ from the mean: 1 as adults do, 0 not at all (for ablations).
        surgery: share of patients who were operated on.
        top: highest body, one of LEVELS.

    Raises:
        ValueError: ``transition`` is none of TRANSITIONS, or ``top`` none of LEVELS.
    """
    if transition is not None and transition not in TRANSITIONS:
        raise ValueError(f"{transition!r} is no transition: choose one of {', '.join(TRANSITIONS)}")
    levels = list(LEVELS[: LEVELS.index(top) + 1])
    if transition == "L6":
        levels.insert(levels.index("L5"), "L6")
    chance = Chance(np.random.default_rng(seed), variation)
    habit = _sample_habit(chance)
    bodies, shapes = _column(chance, levels, habit, transition, prevalence, findings or {})
    shift = -next(b.center_lps_mm for b in bodies if b.level == "L3")
    shift = shift + np.array([chance.normal(0, 8) for _ in range(3)])
    bodies = [replace(b, center_lps_mm=b.center_lps_mm + shift) for b in bodies]
    disks = {}
    for lower, upper in pairwise(bodies):
        name = disk_level(upper.level, lower.level)
        disks[name] = _disk_between(upper, lower, *shapes[name])
    conus_level = str(chance.rng.choice(["T12", "L1", "L2"], p=[0.25, 0.55, 0.20]))
    conus = next(b for b in bodies if b.level == conus_level).center_lps_mm[2] + chance.normal(0, 6)
    operated = _sample_surgery(chance, surgery)
    return Spine(
        tuple(bodies), disks, _canal(chance, bodies, disks, habit), float(conus), habit,
        int(chance.rng.integers(2**31)), transition, _growths(chance, bodies, disks, habit), *operated,
    )  # fmt: skip


def _sample_habit(chance: Chance) -> dict[str, float]:
    """Numbers of the whole patient: size, age, soft tissue and posterior elements."""
    female = chance.happens(0.5)
    age = chance.uniform(18, 85)
    size = chance.normal(0.96 if female else 1.05, 0.055, 0.82, 1.2)
    old = (age - 18) / 67
    return {
        "female": float(female), "age": age, "size": size,
        "lordosis": chance.normal(0.92, 0.28, 0.2, 1.8), "sacral": chance.normal(0, 9),
        # Scoliosis: degrees of lean at its height.
        "curve": chance.normal(0, 4) if not chance.happens(0.25) else chance.normal(0, 10), "phase": chance.uniform(0, 6.28),
        "depth_share": chance.normal(1, 0.05), "height_share": chance.normal(1, 0.05),
        "disk_share": chance.normal(1.02 - 0.08 * old, 0.13, 0.6, 1.35), "cleft": chance.uniform(0.0, 0.7),
        "back_fat": chance.uniform(5, 45), "muscle_depth": chance.uniform(26, 44),
        "muscle_fat": float(np.clip(chance.uniform(0.02, 0.3) + 0.45 * old * chance.uniform(0, 1), 0, 0.95)),
        "cleft_fat": chance.uniform(0.3, 1.5), "front": chance.uniform(70, 170), "half_width": chance.uniform(140, 195),
        "belly_fat": chance.uniform(8, 45), "belly": chance.uniform(-0.15, 0.15), "psoas": chance.uniform(0.75, 1.2),
        "spinous": chance.uniform(0.8, 1.3), "spinous_tall": chance.uniform(0.95, 1.35), "bowel": chance.uniform(0.3, 1.0),
        "facet": chance.uniform(0.85, 1.2) + 0.25 * old * chance.uniform(0, 1), "facet_deg": chance.normal(0, 6),
        "joint_gap": chance.uniform(0.7, 1.4), "flavum": chance.uniform(0.7, 1.2) + 0.6 * old * chance.uniform(0, 1),
        "crest": chance.uniform(0.4, 1.8), "epidural": chance.uniform(0.3, 3.5), "roots": chance.uniform(0.5, 0.85),
        "settled": chance.uniform(0.25, 0.65),
        "sac_depth": chance.normal(7.0, 1.0, 4.5, 10) * size, "sac_width": chance.normal(9.6, 1.4, 6.5, 14) * size,
        "triangle": chance.uniform(0.15, 0.6),
        "osteophytes": old * chance.uniform(0, 1),
    }  # fmt: skip


def _column(
    chance: Chance,
    levels: list[str],
    habit: Mapping[str, float],
    transition: str | None,
    prevalence: Prevalence,
    findings: Mapping[str, str],
) -> tuple[list[Body], dict[str, tuple[DiskPathology, float, float]]]:
    """Bodies from the bottom up, and pathology, cleft and remnant of the disk below each."""
    bodies: list[Body] = []
    shapes: dict[str, tuple[DiskPathology, float, float]] = {}
    anchor = np.zeros(3)  # upper endplate centre of the last body placed
    for k, level in enumerate(levels):
        axes = _axes(chance, k, level, habit, transition)
        half_width, depths, heights = _body_size(chance, level, habit, transition)
        center = np.zeros(3)
        if bodies:
            lower = bodies[-1]
            name = disk_level(level, lower.level)
            gap = _gap(chance, level, habit, transition)
            size = (min(depths[1], lower.half_depth_mm[0]), half_width, gap)
            shapes[name] = _disk_habit(chance, name, size, habit, transition, prevalence, findings)
            if level[0] != "S":
                gap *= shapes[name][0].height_share  # a worn disk is a lower one
            mean_up = unit(lower.axes[2] + axes[2])
            slip = chance.normal(0, 0.6)
            if level in ("L4", "L5") and chance.happens(0.06):
                slip -= chance.uniform(3, 9)  # spondylolisthesis: forward
            center = anchor + gap * mean_up + sum(heights) / 2 * axes[2] + slip * axes[1]
            # Front walls of S1 and L5 are in line, not their centres, since S1 is thinner than L5.
            center = center + (lower.half_depth_mm[0] - depths[1]) * 0.35 * axes[1]
        sacral = level[0] == "S"
        dent = {"L": 1.2, "T": 1.5, "S": 0.0, "C": 0.3}[level[0]] if level not in ("L5", "L6") else 0.0
        body = Body(
            level, center, axes, half_width, depths, heights,
            waist=chance.normal(0.04 if sacral else 0.09, 0.025, 0.0, 0.2),
            concavity_mm=chance.normal(0.3 if sacral else 1.4, 0.6, 0, 3.2),
            dent_mm=chance.normal(dent, 0.5) if dent or sacral else 0.0,
        )  # fmt: skip
        if bodies:  # however bodies are tilted and wedged, their edges do not meet
            heights_left = (body.corners_lps_mm()[[3, 2]] - bodies[-1].corners_lps_mm()[[0, 1]]) @ mean_up
            body = replace(body, center_lps_mm=center + max(1.5 - float(heights_left.min()), 0.0) * mean_up)
        bodies.append(body)
        anchor = body.center_lps_mm + axes[2] * sum(heights) / 2
    return bodies, shapes


def _axes(chance: Chance, place: int, level: str, habit: Mapping[str, float], transition: str | None) -> np.ndarray:
    """(3, 3) axes (left, back, up) of a body: tilted forward, leaning to the left and twisted with the patient's curve."""
    if level[0] == "S":
        tilt = _TILT_DEG[level] + habit["sacral"] + chance.normal(0, 4) + 8 * (habit["lordosis"] - 1)
    else:
        tilt = _TILT_DEG.get(level, _TILT_DEG["L5"]) * habit["lordosis"] + chance.normal(0, 2.2)
        if transition == "sacralised L5" and level == "L5":  # it follows the sacrum, as S1 does
            tilt = _TILT_DEG["S1"] + habit["sacral"] + 8 * (habit["lordosis"] - 1) - 6 + chance.normal(0, 2.2)
    lean = habit["curve"] * np.sin(0.5 * place + habit["phase"])
    twist = 0.4 * habit["curve"] * np.cos(0.5 * place + habit["phase"]) + chance.normal(0, 1)
    t, s, r = np.radians([tilt, lean, twist])
    up = np.array([np.sin(s), -np.sin(t) * np.cos(s), np.cos(t) * np.cos(s)])
    left = np.array([np.cos(r), np.sin(r), 0.0])
    left = unit(left - (left @ up) * up)
    return np.stack([left, np.cross(up, left), up])


def _body_size(
    chance: Chance, level: str, habit: Mapping[str, float], transition: str | None
) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """Half width, half depths (upper, lower end) and half heights (front, back) of a body in mm."""
    height, depth, width, _ = _SIZES.get(level, _SIZES["L5"])
    sacral, size = level[0] == "S", habit["size"]
    h = height * size * habit["height_share"] * chance.normal(1, 0.03) / 2
    # The sacrum decides the names of all bodies above it, so it has to vary most.
    d = depth * size * habit["depth_share"] * (chance.normal(1.06, 0.08) if sacral else chance.normal(1, 0.03)) / 2
    w = width * size * chance.normal(1, 0.03) / 2
    if sacral and not (transition == "lumbarised S1" and level == "S1"):
        taper = {"S1": 0.25, "S2": 0.12}.get(level, 0.11) + chance.normal(0, 0.05)
        # Outlines of lumbar-t1: S1 narrows to little more than half of its depth, and is higher in front.
        wedge = {"S1": 0.10, "S2": 0.05}.get(level, 0.03) + chance.normal(0, 0.03)
        return w, (d * (1 + taper), d * (1 - taper)), (h * (1 + wedge), h * (1 - wedge))
    wedge = chance.normal(0, 0.03)
    if level in ("L5", "L6") and transition != "sacralised L5":  # a sacralised L5 is squared like a sacral segment
        wedge += 0.10
    if level[0] in "LT" and chance.happens(0.03):  # an old compression fracture
        wedge -= chance.uniform(0.1, 0.3)
        h *= chance.uniform(0.75, 0.95)
    return w, (d * chance.normal(1.0, 0.02), d * chance.normal(1.01, 0.02)), (h * (1 + wedge), h * (1 - wedge))


def _disk_habit(
    chance: Chance,
    name: str,
    size_mm: tuple[float, float, float],
    habit: Mapping[str, float],
    transition: str | None,
    prevalence: Prevalence,
    findings: Mapping[str, str],
) -> tuple[DiskPathology, float, float]:
    """Pathology, cleft and remnant of the disk ``name`` with its half depth, half width and healthy height."""
    upper, lower = name.split("-")
    finding = findings.get(name) if name in DISK_LEVELS or "L6" in name else "normal"
    half_depth, half_width, height = size_mm
    pathology = sample_pathology(
        chance.rng, name, half_depth, prevalence, finding, half_width, height, habit["sac_width"], habit["age"]
    )
    cleft = habit["cleft"] * chance.uniform(0.5, 1.4) if upper[0] == "L" else 0.0
    remnant = 1.0
    if upper[0] == "S" and not (transition == "lumbarised S1" and name == "S1-S2"):
        remnant = chance.uniform(0.45, 1.0) if upper == "S1" else chance.uniform(0.15, 0.8)
    elif transition == "sacralised L5" and lower == "S1":
        remnant = chance.uniform(0.5, 0.85)
    return pathology, min(cleft, 1.0), remnant


def _gap(chance: Chance, level: str, habit: Mapping[str, float], transition: str | None) -> float:
    """Height in mm of the disk below a body, while it is healthy."""
    gap = _SIZES.get(level, _SIZES["L5"])[3] * habit["size"]
    if transition == "lumbarised S1" and level == "S1":
        return gap * 2.2 * chance.normal(1, 0.13, 0.6, 1.4)
    if transition == "sacralised L5" and level == "L5":
        return gap * chance.uniform(0.25, 0.5)
    if level[0] == "S":  # what is left of the sacral disks differs more from patient to patient than a lumbar disk does
        return gap * chance.normal(1.1, 0.4, 0.3, 2.2)
    return gap * habit["disk_share"] * chance.normal(1, 0.13, 0.5, 1.4)


def _sample_surgery(chance: Chance, share: float) -> tuple[frozenset[str], tuple[str, ...]]:
    """Levels without an arch, and levels with pedicle screws."""
    if not chance.happens(share):
        return frozenset(), ()
    lowest = int(chance.rng.choice([3, 4, 5], p=[0.2, 0.4, 0.4]))
    levels = tuple(f"L{k}" for k in range(lowest - int(chance.rng.integers(1, 3)) + 1, lowest + 1))
    screws = tuple(f"L{k}" for k in range(lowest - 1, lowest + 1)) if chance.rng.random() < 0.5 else ()
    return frozenset(levels), screws


def _growths(
    chance: Chance, bodies: list[Body], disks: Mapping[str, DiskShape], habit: Mapping[str, float]
) -> tuple[Growth, ...]:
    """Osteophytes at the rims of worn disks, and haemangiomas (in a tenth of all spines, most of them in one body)."""
    found = []
    for lower, upper in pairwise(bodies):
        if upper.level[0] not in "LT":
            continue
        worn = habit["osteophytes"] * (1.3 - disks[disk_level(upper.level, lower.level)].pathology.hydration)
        for body, end in ((upper, -1.0), (lower, 1.0)):
            if (body.level[0] == "S" and body.level != "S1") or not chance.happens(min(worn, 0.8)):
                continue
            top, bottom = body.half_depth_mm
            depth, height = (top if end > 0 else bottom), body.half_height_mm[0]
            long = chance.uniform(1.5, 7.0)
            root = np.array([0.0, -0.92 * depth, end * (height - 2.5)])
            tip = root + np.array([0.0, -0.08 * depth - long, end * chance.uniform(0.0, 4.0)])
            found.append(Growth(body.level, "osteophyte", np.stack([root, tip]), (0.6 * body.half_width_mm, 3.0, 2.6), 0.45))
    for body in bodies:
        if body.level[0] in "LT" and chance.happens(0.012):
            center = np.array([chance.uniform(-8, 8), chance.uniform(-9, 9), chance.uniform(-6, 6)])
            radius = chance.uniform(4, 10)
            found.append(
                Growth(body.level, "haemangioma", np.stack([center, np.add(center, (0, 2, 1))]), (radius, radius, radius))
            )
    return tuple(found)


def _disk_between(upper: Body, lower: Body, pathology: DiskPathology, cleft: float, remnant: float) -> DiskShape:
    top, bottom = upper.ends_lps_mm()[[3, 2]], lower.ends_lps_mm()[[0, 1]]  # front, back of the facing endplates
    front, back = (top + bottom) / 2
    origin = (front + back) / 2
    up = unit(upper.axes[2] + lower.axes[2])
    left = unit(upper.axes[0] + lower.axes[0])
    posterior = unit((back - front) - ((back - front) @ up) * up)
    left = unit(left - (left @ up) * up - (left @ posterior) * posterior)
    heights = (top - bottom) @ up
    depth = (upper.half_depth_mm[1] + lower.half_depth_mm[0]) / 2
    half_width, wedge = (upper.half_width_mm + lower.half_width_mm) / 2, float((heights[0] - heights[1]) / (2 * depth))
    dent = (upper.dent_mm + lower.dent_mm) / 2
    rim = Rim.superellipse(half_width, depth, float(heights.mean()), wedge, dent)
    half_depth, center = rim.radius_at_mm(0), origin - dent / 2 * posterior
    disk = Disk(
        disk_level(upper.level, lower.level), center, up, center - half_depth * posterior, center + half_depth * posterior,
        rim.height_mm, 2 * half_depth * wedge,
    )  # fmt: skip
    return DiskShape(
        disk, np.stack([left, posterior, up]), half_width, half_depth, rim.height_mm, wedge, dent, pathology.fitted(rim),
        cleft, remnant,
    )  # fmt: skip


def _canal(chance: Chance, bodies: list[Body], disks: Mapping[str, DiskShape], habit: Mapping[str, float]) -> np.ndarray:
    """Knots of the canal; see Spine."""
    depth, width = habit["sac_depth"], habit["sac_width"]
    end = str(chance.rng.choice(["S1", "S2", "S3"], p=[0.2, 0.65, 0.15]))
    end_z = next(b for b in bodies if b.level == end).center_lps_mm[2]
    lumbosacral_gap = abs(chance.normal(2.5, 2.0))
    narrow = {level: chance.uniform(0.55, 0.85) for level in ("L2-L3", "L3-L4", "L4-L5") if chance.happens(0.12)}
    knots = []
    for lower, upper in pairwise(bodies):
        wall = lower.center_lps_mm + lower.axes[1] * float(lower.half_depth_at(np.zeros(1))[0])
        name = disk_level(upper.level, lower.level)
        knots.append((wall, 1.0, lower.level, 1.0))
        # At the disk the sac touches it: there is no fat in front of it above the sacrum.
        knots.append((disks[name].disk.back_lps_mm, 0.2, upper.level, narrow.get(name, 1.0)))
    rows = []
    for point, gap, level, share in knots:
        # The sac tapers over the last four centimetres, and away from the wall where epidural fat fills the canal.
        full = float(np.clip((point[2] - end_z) / 40, 0.0, 1.0)) ** 0.7
        away = gap + lumbosacral_gap * (1 - full) + (lumbosacral_gap * 0.7 if level in ("S1", "L5", "L6") else 0.0)
        sac_depth = share * depth * (0.25 + 0.75 * full) if full > 0 else 0.1
        rows.append([point[2], point[0], point[1], sac_depth, share * width * (0.3 + 0.7 * full) if full > 0 else 0.1, away])
    table = np.asarray(rows)
    return table[np.argsort(table[:, 0])]
