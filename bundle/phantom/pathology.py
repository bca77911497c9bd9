"""Disk pathology by definition: the disk's outline against the rim of its bodies (Fardon et al., Spine J 2014;14:2525)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bundle.geometry import FINDINGS

#: Tissue beyond the rim by less than this is not called anything (readers differ below it).
BEYOND_RIM_MM = 1.5
_DIRECTIONS_DEG = np.arange(360.0) - 180.0

#: Share of normal, bulging and herniated disks by level: more toward the sacrum, as in every series; set by hand, so
#: that each class is frequent enough to learn at each level.
PREVALENCE: Mapping[str, tuple[float, float, float]] = {
    "L1-L2": (0.70, 0.20, 0.10),
    "L2-L3": (0.60, 0.28, 0.12),
    "L3-L4": (0.45, 0.38, 0.17),
    "L4-L5": (0.25, 0.42, 0.33),
    "L5-S1": (0.35, 0.35, 0.30),
}


@dataclass(frozen=True, eq=False)
class DiskPathology:
    """How a disk departs from its rim.

    Args:
        kind: normal, bulge, protrusion or extrusion.
        excess_mm: (360,) outline beyond the rim by direction in the disk's plane: index 180 is the patient's back, larger
            indices turn to the patient's left.
        direction_deg: of the focal part, 0 back, positive left; 0 where there is none.
        extent_mm: largest excess.
        base_mm: width of the focal part at the rim; 0 where there is none.
        fragment_mm: size (across, outward, up) of an extrusion's head beyond its neck; zeros where there is none.
        migration_mm: of that head, positive to the patient's head.
        hydration: 0 (black disk) to 1 (bright nucleus).
    """

    kind: str
    excess_mm: np.ndarray
    direction_deg: float
    extent_mm: float
    base_mm: float
    fragment_mm: tuple[float, float, float]
    migration_mm: float
    hydration: float

    @property
    def finding(self) -> str:
        """The class of the reading: normal, bulge or herniation."""
        return "herniation" if self.kind in ("protrusion", "extrusion") else self.kind

    @property
    def angle_deg(self) -> float:
        """Degrees of the circumference over which the outline lies beyond the rim."""
        return float(np.count_nonzero(self.excess_mm > BEYOND_RIM_MM))


def _lobe(center_deg: float, width_deg: float, sharpness: float) -> np.ndarray:
    """(360,) bump of height 1 that falls to one half at ``width_deg`` / 2 from its centre."""
    off = np.abs((_DIRECTIONS_DEG - center_deg + 180) % 360 - 180)
    return 0.5 ** ((off / (width_deg / 2)) ** sharpness)


def sample_pathology(
    rng: np.random.Generator,
    level: str,
    half_depth_mm: float,
    prevalence: Mapping[str, tuple[float, float, float]] = PREVALENCE,
    finding: str | None = None,
) -> DiskPathology:
    """A disk of ``level`` drawn from ``prevalence``, or with the given ``finding``.

    A bulge reaches beyond the rim over more than 90 degrees, a herniation over less; both hold by construction and are
    checked, so a draw on the wrong side of the rule is drawn again.

    Args:
        rng: source of chance.
        level: of the disk; levels without an entry use that of L3-L4.
        half_depth_mm: of the disk, which turns an angle into the width of a base.
        prevalence: shares of normal, bulge and herniation by level.
        finding: draw this class.
    """
    shares = prevalence.get(level, prevalence["L3-L4"])
    wanted = finding or str(rng.choice(FINDINGS, p=np.asarray(shares) / sum(shares)))
    for _ in range(1000):
        drawn = _draw(rng, wanted, half_depth_mm)
        beyond = drawn.angle_deg
        lawful = {"normal": beyond == 0, "bulge": beyond > 90, "herniation": 0 < beyond < 90}[wanted]
        if lawful:
            return drawn
    raise RuntimeError(f"no lawful {wanted} was drawn at {level}")  # unreachable unless the ranges below are changed


def _draw(rng: np.random.Generator, finding: str, half_depth_mm: float) -> DiskPathology:
    ripple = sum(rng.normal(0, 0.25) * np.cos(np.radians(_DIRECTIONS_DEG * k) + rng.uniform(0, 6.3)) for k in (2, 3, 4))
    excess = 0.2 + 0.5 * np.asarray(ripple)
    if finding == "normal":
        hydration = float(rng.beta(3, 1.6))
        return DiskPathology("normal", excess, 0.0, float(excess.max()), 0.0, (0.0, 0.0, 0.0), 0.0, hydration)
    hydration = float(rng.beta(1.4, 2.8))
    if finding == "bulge":
        side = rng.normal(0, 40)
        lobe = _lobe(side, rng.uniform(130, 330), rng.uniform(3, 6))
        excess = excess + rng.uniform(2.2, 5.0) * lobe
        return DiskPathology("bulge", excess, 0.0, float(excess.max()), 0.0, (0.0, 0.0, 0.0), 0.0, hydration)
    direction = float(np.clip(rng.normal(0, 22), -65, 65))
    extent = float(rng.uniform(3.0, 9.0))
    width = float(rng.uniform(24, 70))
    base = 2 * half_depth_mm * np.tan(np.radians(width) / 2)
    excess = excess + extent * _lobe(direction, width, rng.uniform(2, 3.5))
    if extent < base and rng.random() < 0.65:
        return DiskPathology("protrusion", excess, direction, extent, base, (0.0, 0.0, 0.0), 0.0, hydration)
    head = (base * rng.uniform(1.0, 1.5), extent * rng.uniform(0.9, 1.4), extent * rng.uniform(1.0, 2.0))
    migration = float(rng.normal(0, 4))
    return DiskPathology("extrusion", excess, direction, float(excess.max()) + head[1] / 2, base, head, migration, hydration)
