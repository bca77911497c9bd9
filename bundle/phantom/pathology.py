"""Disks with their pathology, drawn at random: outline, fragments, wear, endplates; the class follows by the rule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bundle.geometry import FINDINGS
from bundle.geometry.fardon import (
    BEYOND_RIM_MM,
    BULGE_DEG,
    Fragment,
    Measures,
    classify,
    finding_of,
    measure,
    side_of,
    soft_label,
    zone_of,
)
from bundle.geometry.rim import DIRECTIONS_DEG, Rim
from bundle.phantom.endplates import EndplateChange, SchmorlNode, sample_changes, sample_nodes
from bundle.phantom.prevalence import TRAINING_PREVALENCE, Prevalence, pfirrmann_shares

#: (least, most) hydration of each Pfirrmann grade: 1 white, 2 white with bands, 3 grey, 4 dark grey, 5 black. Set by hand.
_HYDRATION: dict[int, tuple[float, float]] = {1: (0.85, 1), 2: (0.62, 0.88), 3: (0.32, 0.62), 4: (0.1, 0.32), 5: (0, 0.1)}
#: (least, most) share of its height that a disk of each grade keeps: 3 normal to slightly lower, 4 up to moderately lower, 5
#: collapsed (Pfirrmann et al., Spine 2001;26:1873); millimetres are not given there, the shares are set by hand.
_HEIGHT: dict[int, tuple[float, float]] = {1: (1, 1), 2: (0.95, 1), 3: (0.88, 1), 4: (0.7, 0.92), 5: (0.45, 0.7)}

#: Disk half width over half depth, and height in mm, where the caller gives none.
_WIDTH_TO_DEPTH, _HEIGHT_MM = 1.38, 9.0


@dataclass(frozen=True, eq=False)
class DiskPathology:
    """How a disk departs from its rim, how worn it is and what its endplates show.

    Args:
        excess_mm: (360,) outline beyond the rim by direction in the disk's plane (bundle.geometry.rim.DIRECTIONS_DEG): index
            180 is the patient's back, larger indices turn to the patient's left; along the line from the centre.
        fragments: tissue beyond that outline.
        rim: what the outline is measured against; its height is that of the disk as it is, after any loss.
        pfirrmann: grade 1 to 5.
        hydration: 0 (black disk) to 1 (bright nucleus), within the grade's range.
        height_share: of its height that the disk has kept, within the grade's range.
        canal_half_width_mm: half width of the thecal sac, which parts the zones.
        changes: Modic changes of its endplates.
        nodes: its Schmorl nodes.
    """

    excess_mm: np.ndarray
    fragments: tuple[Fragment, ...]
    rim: Rim
    pfirrmann: int
    hydration: float
    height_share: float = 1.0
    canal_half_width_mm: float = 10.0
    changes: tuple[EndplateChange, ...] = ()
    nodes: tuple[SchmorlNode, ...] = ()

    def fitted(self, rim: Rim, canal_half_width_mm: float | None = None) -> DiskPathology:
        """The same pathology of a disk with another rim: fragments and nodes keep their place beside rim and endplates."""
        return replace(
            self,
            fragments=tuple(_moved(f, self.rim, rim) for f in self.fragments),
            rim=rim,
            canal_half_width_mm=canal_half_width_mm or self.canal_half_width_mm,
            nodes=tuple(node.fitted(rim) for node in self.nodes),
        )

    @property
    def outline_mm(self) -> np.ndarray:
        """(360,) distance of the outline from the disk's centre by direction."""
        return self.rim.radius_mm + self.excess_mm

    @cached_property
    def measures(self) -> Measures:
        """What the rule measures."""
        return measure(self.excess_mm, self.fragments, self.rim)

    @cached_property
    def kind(self) -> str:
        """normal, bulge, protrusion or extrusion, by the rule of bundle.geometry.fardon."""
        return classify(self.measures, bool(self.fragments))

    @property
    def finding(self) -> str:
        """The class of the reading: normal, bulge or herniation."""
        if not self.fragments and self.excess_mm.max() <= BEYOND_RIM_MM:  # most disks: there is nothing to measure
            return "normal"
        return finding_of(self.kind)

    @property
    def angle_deg(self) -> float:
        """Degrees of the circumference that name the disk: of the focal part of a herniation, else all beyond the rim."""
        return self.measures.focal_deg if self.finding == "herniation" else self.measures.beyond_rim_deg

    @property
    def direction_deg(self) -> float:
        """Direction of a herniation's tip, 0 back, positive to the patient's left; 0 without a herniation."""
        return self.measures.direction_deg if self.finding == "herniation" else 0.0

    @property
    def extent_mm(self) -> float:
        """How far the disk reaches beyond its rim; of a herniation on a bulge, beyond the bulge."""
        return self.measures.extent_mm if self.finding == "herniation" else self.reach_mm

    @property
    def reach_mm(self) -> float:
        """How far the disk with its fragments reaches beyond its rim."""
        return self.measures.extent_mm + self.measures.reference_mm

    @property
    def base_mm(self) -> float:
        """Width of a herniation at its base in the axial plane; 0 without one."""
        return self.measures.base_mm if self.finding == "herniation" else 0.0

    @property
    def migration_mm(self) -> float:
        """How far displaced tissue reaches above (positive) or below (negative) the disk."""
        return self.measures.migration_mm

    @property
    def sequestered(self) -> bool:
        """A piece has lost its connection to the disk."""
        return self.measures.sequestered

    @property
    def zone(self) -> str | None:
        """Zone of a herniation's tip, see bundle.geometry.fardon.zone_of; None without a herniation."""
        if self.finding != "herniation":
            return None
        return zone_of(self.measures.tip_left_mm, self.measures.direction_deg, self.canal_half_width_mm)

    @property
    def side(self) -> str | None:
        """Side of a herniation's tip: left, right (the patient's) or, within 2 mm, middle; None without a herniation."""
        return side_of(self.measures.tip_left_mm) if self.finding == "herniation" else None

    @property
    def angle_margin_deg(self) -> float:
        """Degrees beyond the border between focal and broad; negative of a focal outline, -90 of one within the rim."""
        return self.angle_deg - BULGE_DEG

    @property
    def extent_margin_mm(self) -> float:
        """Millimetres beyond what counts as beyond the rim (or, of a herniation on a bulge, beyond the bulge)."""
        return self.extent_mm - BEYOND_RIM_MM

    def soft_label(self) -> np.ndarray:
        """(3,) shares of readers who call the disk normal, bulge, herniation; see bundle.geometry.fardon.soft_label."""
        return self._soft_label.copy()

    @cached_property
    def _soft_label(self) -> np.ndarray:
        return soft_label(self.excess_mm, bool(self.fragments))

    @property
    def borderline(self) -> float:
        """Share of readers who would call the disk something else than the rule does."""
        return float(1 - self._soft_label[FINDINGS.index(self.finding)])


def sample_pathology(
    rng: np.random.Generator,
    level: str,
    half_depth_mm: float,
    prevalence: Prevalence = TRAINING_PREVALENCE,
    finding: str | None = None,
    half_width_mm: float | None = None,
    height_mm: float | None = None,
    canal_half_width_mm: float = 10.0,
    age_years: float = 50.0,
) -> DiskPathology:
    """A disk of ``level`` drawn from ``prevalence``, or with the given ``finding``.

    Shapes are drawn from ranges that cross every border of the rule, and drawn again until the rule gives the wanted
    finding, so borderline disks of both sides occur.

    Args:
        rng: source of chance.
        level: of the disk; levels without an entry use that of L3-L4.
        half_depth_mm: of the disk.
        prevalence: shares of normal, bulge and herniation by level.
        finding: draw this class.
        half_width_mm: of the disk; 1.38 times its half depth by default.
        height_mm: of a healthy disk there, before ``height_share``; 9 mm by default.
        canal_half_width_mm: half width of the thecal sac.
        age_years: of the patient, for the wear of the disk.

    Raises:
        ValueError: the table has neither the level nor L3-L4.
    """
    shares = prevalence.get(level) or prevalence.get("L3-L4")
    if shares is None:
        raise ValueError(f"the prevalence table has neither {level} nor L3-L4")
    wanted = finding or str(rng.choice(FINDINGS, p=np.asarray(shares) / sum(shares)))
    pfirrmann = 1 + int(rng.choice(5, p=pfirrmann_shares(wanted, age_years)))
    height_share = float(rng.uniform(*_HEIGHT[pfirrmann]))
    height = height_share * (height_mm or _HEIGHT_MM)
    rim = Rim.superellipse(half_width_mm or _WIDTH_TO_DEPTH * half_depth_mm, half_depth_mm, height)
    hydration = float(rng.uniform(*_HYDRATION[pfirrmann]))
    changes, nodes = sample_changes(rng, pfirrmann, rim), sample_nodes(rng, level, rim)
    draw = {"normal": _draw_normal, "bulge": _draw_bulge, "herniation": _draw_herniation}[wanted]
    for _ in range(1000):
        excess, fragments = draw(rng, rim)
        drawn = DiskPathology(
            excess, fragments, rim, pfirrmann, hydration, height_share, canal_half_width_mm, changes, nodes
        )  # fmt: skip
        if drawn.finding == wanted:
            return drawn
    raise RuntimeError(f"no lawful {wanted} was drawn at {level}")  # unreachable unless the ranges below are changed


def _moved(fragment: Fragment, old: Rim, new: Rim) -> Fragment:
    """The fragment as far from the new rim as it was from the old, and as far above or below the disk."""
    left, back, up = fragment.center_uvw_mm
    direction = float(np.degrees(np.arctan2(left, back)))
    out = new.radius_at_mm(direction) - old.radius_at_mm(direction)
    before, after = old.height_at_mm(direction) / 2, new.height_at_mm(direction) / 2
    at = up * after / before if abs(up) < before else up + np.sign(up) * (after - before)
    phi = np.radians(direction)
    center = (float(left + out * np.sin(phi)), float(back + out * np.cos(phi)), float(at))
    return replace(fragment, center_uvw_mm=center)


Drawn = tuple[np.ndarray, tuple[Fragment, ...]]


def _lobe(center_deg: float, width_deg: float, sharpness: float) -> np.ndarray:
    """(360,) bump of height 1 that falls to one half at ``width_deg`` / 2 from its centre; flatter with ``sharpness``."""
    off = np.abs((DIRECTIONS_DEG - center_deg + 180) % 360 - 180)
    return np.asarray(0.5 ** ((off / (width_deg / 2)) ** sharpness))


def _ripple(rng: np.random.Generator) -> np.ndarray:
    """(360,) what any outline has, well within BEYOND_RIM_MM."""
    phi = np.radians(DIRECTIONS_DEG)
    waves = sum(rng.normal(0, 0.125) * np.cos(phi * k + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4))
    return 0.2 + np.asarray(waves)


def _draw_normal(rng: np.random.Generator, rim: Rim) -> Drawn:
    """Within the rim; two in five come near the border, all round or in one place."""
    excess = _ripple(rng)
    if rng.random() < 0.4:
        excess = excess + rng.uniform(0.2, 1.5) * _lobe(rng.normal(0, 40), rng.uniform(30, 340), rng.uniform(2, 6))
    return excess, ()


def _draw_bulge(rng: np.random.Generator, rim: Rim) -> Drawn:
    """Circumferential (60%) or asymmetric, from about 80 degrees and from just beyond the rim on."""
    if rng.random() < 0.6:
        lobe = _lobe(rng.normal(0, 30), rng.uniform(170, 340), rng.uniform(4, 8))
    else:
        lobe = _lobe(rng.normal(0, 50), rng.uniform(70, 180), rng.uniform(3, 8))
    height = 1.1 + rng.gamma(2.2, 0.8)
    return _ripple(rng) + min(height, 6.0) * lobe, ()


def _direction(rng: np.random.Generator) -> float:
    """Direction of a herniation: most lie behind the canal's middle or beside it, one in ten in the foramen or beyond."""
    if rng.random() < 0.1:
        return float(rng.choice([-1, 1]) * rng.uniform(40, 80))
    return float(np.clip(rng.normal(0, 20), -50, 50))


def _draw_herniation(rng: np.random.Generator, rim: Rim) -> Drawn:
    direction = _direction(rng)
    excess = _ripple(rng)
    if rng.random() < 0.25:  # on a circumferential bulge
        excess = excess + rng.uniform(1.5, 3.5) * _lobe(rng.normal(0, 20), rng.uniform(240, 350), rng.uniform(5, 9))
    kind = rng.random()
    if kind < 0.62:
        width, extent = rng.uniform(18, 85), 1.3 + rng.gamma(2.5, 1.3)
        return excess + min(extent, 9.0) * _lobe(direction, width, rng.uniform(2, 4)), ()
    if kind < 0.94:
        excess = excess + rng.uniform(1.5, 5.5) * _lobe(direction, rng.uniform(14, 50), rng.uniform(2, 4))
        return excess, (_head(rng, rim, excess, direction),)
    if rng.random() < 0.6:  # what is left where a piece came from
        excess = excess + rng.uniform(0.5, 3.5) * _lobe(direction, rng.uniform(18, 50), rng.uniform(2, 4))
    return excess, (_sequester(rng, rim, excess, direction),)


def _head(rng: np.random.Generator, rim: Rim, excess: np.ndarray, direction: float) -> Fragment:
    """The head of an extrusion, joined to the outline; it may have migrated as far as it still overlaps the disk."""
    outward = rng.uniform(1.6, 4.2)
    across = outward * rng.uniform(0.9, 2.2)
    up = rng.uniform(2.5, 6.0)
    half = rim.height_at_mm(direction) / 2
    migration = 0.0
    if rng.random() < 0.5:
        up = rng.uniform(4.0, 9.0)
        migration = rng.choice([-1, 1], p=[0.6, 0.4]) * rng.uniform(0, 0.75) * (half + 0.7 * up)
    # Its centre lies at most half its radius beyond the outline, less where it rises above the disk, so that they overlap.
    beyond = outward * rng.uniform(-0.2, 0.5) * max(1 - abs(migration) / (half + up), 0.0)
    left, back = rim.point_mm(direction, excess[round(direction) + 180] + beyond)
    return Fragment((float(left), float(back), float(migration)), (float(across), float(outward), float(up)), direction)


def _sequester(rng: np.random.Generator, rim: Rim, excess: np.ndarray, direction: float) -> Fragment:
    """A free piece above or below the disk, behind a body."""
    direction = float(np.clip(direction, -45, 45))
    outward = rng.uniform(1.6, 3.5)
    across, up = outward * rng.uniform(1.0, 2.0), rng.uniform(3.5, 8.0)
    away = rim.height_at_mm(direction) / 2 + up + rng.uniform(1.0, 6.0)
    left, back = rim.point_mm(direction, outward + rng.uniform(0.3, 1.5))
    center = (float(left), float(back), float(rng.choice([-1, 1], p=[0.6, 0.4]) * away))
    return Fragment(center, (float(across), float(outward), float(up)), direction, sequestered=True)
