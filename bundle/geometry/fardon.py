"""The written rule that names a disk by its geometry (Fardon et al., Spine J 2014;14:2525), and what it measures.

The rule, as far as the text gives it: tissue beyond the rim over more than 90 degrees of the circumference is a bulge, over
less a herniation; a herniation is a protrusion where its base is wider than the displaced tissue in every plane, an
extrusion where any extent of that tissue is wider than its base in the same plane, or where a piece has lost its connection
(sequestration). What the text leaves open is set here by hand:

- Angles are seen from the disk's centre (bundle.geometry.rim.Rim). Arcs that are apart add up.
- Tissue counts as beyond the rim from BEYOND_RIM_MM on.
- A herniation may sit on a circumferential bulge: where more than half of the circumference lies beyond the rim, the level
  that half of it exceeds takes the place of the rim, and what rises above that by BEYOND_RIM_MM over less than 90 degrees is
  a herniation; it is the finding, since it is the graver one. An outline beyond the rim over 90 to 180 degrees is an
  asymmetric bulge whatever its shape.
- An outline that is given by direction has no neck, so only free tissue (Fragment) can be wider than its base.
- The axial base is the straight line between the two points at which the outline comes within BEYOND_RIM_MM of the rim (or
  of the level that took its place); the sagittal base is the disk's height at the rim in the direction of the tip.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf

import numpy as np

from bundle.geometry.rim import Rim, arcs_above, degrees_above, value_at
from bundle.geometry.spine import FINDINGS

#: Tissue beyond the rim by less than this is not called anything (readers differ below it).
BEYOND_RIM_MM = 1.5
#: Tissue beyond the rim over more of the circumference than this is a bulge.
BULGE_DEG = 90.0

#: Standard deviation, from reader to reader, of what counts as beyond the rim and of the angle that parts focal from broad.
READER_RIM_MM = 0.65
READER_ANGLE_DEG = 20.0


@dataclass(frozen=True)
class Fragment:
    """An ellipsoid of disk tissue beyond the outline: the head of an extrusion, a migrated or a sequestered piece.

    Args:
        center_uvw_mm: (3,) in the disk's axes: left, back, up.
        radii_mm: (across, outward, up): ``outward`` along ``direction_deg``, ``across`` at right angles to it in the disk's
            plane.
        direction_deg: of the outward axis, 0 back, positive to the patient's left.
        sequestered: it does not touch the disk.
    """

    center_uvw_mm: tuple[float, float, float]
    radii_mm: tuple[float, float, float]
    direction_deg: float
    sequestered: bool = False

    def half_span_mm(self, along: np.ndarray) -> float:
        """Half of its extent along a unit vector (2,) left, back of the disk's plane."""
        phi = np.radians(self.direction_deg)
        across, outward = np.array([np.cos(phi), -np.sin(phi)]), np.array([np.sin(phi), np.cos(phi)])
        return float(np.hypot(self.radii_mm[0] * (across @ along), self.radii_mm[1] * (outward @ along)))

    def reach_mm(self, rim: Rim) -> float:
        """How far it reaches beyond the rim in the direction of its centre."""
        center = np.array(self.center_uvw_mm[:2])
        distance = float(np.linalg.norm(center))
        direction = float(np.degrees(np.arctan2(*center)))
        return distance + self.half_span_mm(center / max(distance, 1e-9)) - rim.radius_at_mm(direction)


@dataclass(frozen=True)
class Measures:
    """What the rule measures of a disk.

    Args:
        beyond_rim_deg: degrees of the circumference over which the outline lies beyond the rim.
        reference_mm: level that takes the place of the rim for a focal part: that of a circumferential bulge, else 0.
        focal_deg: degrees over which the outline rises above ``reference_mm`` by BEYOND_RIM_MM.
        direction_deg: of the tip: of the outermost fragment, else of the outline's greatest excess.
        extent_mm: how far the tip lies beyond the rim (beyond ``reference_mm``).
        base_mm: width of the focal part at its base in the axial plane; 0 where the outline has none.
        width_mm: greatest extent of the displaced tissue along the base.
        height_mm: greatest extent of the displaced tissue along the disk's normal.
        base_height_mm: of the disk at the rim there, the base in the sagittal plane.
        sequestered: a piece has lost its connection.
        tip_left_mm: the tip's distance to the left of the disk's middle.
        migration_mm: how far displaced tissue reaches above (positive) or below (negative) the disk, the larger of the two;
            0 where it stays at the disk's height.
    """

    beyond_rim_deg: float
    reference_mm: float
    focal_deg: float
    direction_deg: float
    extent_mm: float
    base_mm: float
    width_mm: float
    height_mm: float
    base_height_mm: float
    sequestered: bool
    tip_left_mm: float
    migration_mm: float


def measure(excess_mm: np.ndarray, fragments: tuple[Fragment, ...], rim: Rim) -> Measures:
    """Measure an outline (360,) beyond a rim and the tissue that lies free of it."""
    reference = reference_mm(excess_mm, BEYOND_RIM_MM)
    level = reference + BEYOND_RIM_MM
    peak = int(np.argmax(excess_mm))
    direction, extent = float(peak - 180), float(excess_mm[peak] - reference)
    left = float(rim.point_mm(direction, excess_mm[peak])[0])
    outermost = max(fragments, key=lambda f: f.reach_mm(rim), default=None)
    if outermost is not None and outermost.reach_mm(rim) - reference > extent:
        extent = outermost.reach_mm(rim) - reference
        direction = float(np.degrees(np.arctan2(*outermost.center_uvw_mm[:2])))
        left = outermost.center_uvw_mm[0]
    arc = _arc_of_tip(excess_mm, level, direction)
    base, width = _base_and_width(excess_mm, fragments, rim, arc)
    base_height = rim.height_at_mm(direction)
    tall = [2 * f.radii_mm[2] for f in fragments]
    return Measures(
        beyond_rim_deg=degrees_above(excess_mm, BEYOND_RIM_MM),
        reference_mm=reference,
        focal_deg=degrees_above(excess_mm, level),
        direction_deg=direction,
        extent_mm=extent,
        base_mm=base,
        width_mm=width,
        height_mm=max([base_height if arc else 0.0, *tall]),
        base_height_mm=base_height,
        sequestered=any(f.sequestered for f in fragments),
        tip_left_mm=left,
        migration_mm=_migration_mm(fragments, rim),
    )


def reference_mm(excess_mm: np.ndarray, beyond_mm: float) -> float:
    """Level that takes the place of the rim: what half of the circumference exceeds, where that is a bulge, else 0."""
    median = float(np.median(excess_mm))
    return median if median > beyond_mm else 0.0


def _arc_of_tip(excess_mm: np.ndarray, level: float, direction_deg: float) -> tuple[float, float] | None:
    """The arc above ``level`` that holds the tip; without one there the arc of the greatest excess."""
    arcs = arcs_above(excess_mm, level)
    for start, end in arcs:
        if (direction_deg - start) % 360 <= end - start:
            return start, end
    peak = float(np.argmax(excess_mm) - 180)
    return next(((start, end) for start, end in arcs if (peak - start) % 360 <= end - start), None)


def _base_and_width(
    excess_mm: np.ndarray, fragments: tuple[Fragment, ...], rim: Rim, arc: tuple[float, float] | None
) -> tuple[float, float]:
    if arc is None:
        return 0.0, max((2 * f.radii_mm[0] for f in fragments), default=0.0)
    start, end = (rim.point_mm(d, value_at(excess_mm, d)) for d in arc)
    base = float(np.linalg.norm(end - start))
    chord = (end - start) / max(base, 1e-9)
    return base, max([base, *(2 * f.half_span_mm(chord) for f in fragments)])


def _migration_mm(fragments: tuple[Fragment, ...], rim: Rim) -> float:
    reaches = [0.0]
    for f in fragments:
        half = rim.height_at_mm(f.direction_deg) / 2
        up = f.center_uvw_mm[2]
        reaches += [max(up + f.radii_mm[2] - half, 0.0), min(up - f.radii_mm[2] + half, 0.0)]
    return float(max(reaches, key=abs))


def classify(measures: Measures, has_fragments: bool = False) -> str:
    """normal, bulge, protrusion or extrusion, by the written rule."""
    m = measures
    focal = 0 < m.focal_deg < BULGE_DEG
    if not has_fragments and not focal:
        return "bulge" if m.beyond_rim_deg > 0 else "normal"
    wider = m.width_mm > m.base_mm + 1e-6 or m.extent_mm > m.base_mm
    taller = m.height_mm > m.base_height_mm + 1e-6 or m.extent_mm > m.base_height_mm
    return "extrusion" if m.sequestered or wider or taller else "protrusion"


def finding_of(kind: str) -> str:
    """The class of the reading: normal, bulge or herniation."""
    return "herniation" if kind in ("protrusion", "extrusion") else kind


def zone_of(tip_left_mm: float, direction_deg: float, sac_half_width_mm: float) -> str:
    """Zone of a herniation's tip: central, subarticular, foraminal or extraforaminal; anterior in the disk's front half.

    Fardon's borders are the facets' medial edges and the pedicles' medial and lateral borders; here they lie at 0.6 of the
    sac's half width, 1 mm and 10 mm beside the sac.

    Args:
        tip_left_mm: the tip's distance to the left of the disk's middle.
        direction_deg: of the tip, 0 back.
        sac_half_width_mm: half width of the thecal sac.
    """
    if abs(direction_deg) > 90:
        return "anterior"
    borders = {
        "central": 0.6 * sac_half_width_mm,
        "subarticular": sac_half_width_mm + 1,
        "foraminal": sac_half_width_mm + 10,
    }
    return next((zone for zone, border in borders.items() if abs(tip_left_mm) <= border), "extraforaminal")


def side_of(tip_left_mm: float) -> str:
    """Side of a herniation's tip: left, right (the patient's) or, within 2 mm, middle."""
    return "middle" if abs(tip_left_mm) <= 2 else "left" if tip_left_mm > 0 else "right"


def soft_label(excess_mm: np.ndarray, has_fragments: bool = False) -> np.ndarray:
    """(3,) shares of readers who call the disk normal, bulge, herniation (the order of FINDINGS).

    The model: every reader keeps to the rule, but with a border of his own for what counts as beyond the rim (normal around
    BEYOND_RIM_MM, READER_RIM_MM) and for the angle that parts focal from broad (normal around BULGE_DEG, READER_ANGLE_DEG).
    The first is integrated over nine readers at equal quantiles, the second in closed form. The two deviations are set so
    that two readers of the disks of TRAINING_PREVALENCE agree in about 80%, as two radiologists did (Spine 1995;20:1257). A
    free fragment is seen by all.
    """
    if has_fragments:
        return np.array([0.0, 0.0, 1.0])
    shares = np.zeros(len(FINDINGS))
    for offset in _READERS:
        beyond = max(BEYOND_RIM_MM + READER_RIM_MM * offset, 0.1)
        angle = degrees_above(excess_mm, beyond)
        focal = degrees_above(excess_mm, reference_mm(excess_mm, beyond) + beyond)
        if angle == 0:
            shares[0] += 1
        elif focal == 0:
            shares[1] += 1
        else:
            broad = 0.5 * (1 + erf((focal - BULGE_DEG) / (READER_ANGLE_DEG * np.sqrt(2))))
            shares[1] += broad
            shares[2] += 1 - broad
    return shares / len(_READERS)


#: Quantiles (k + 0.5) / 9 of the standard normal distribution.
_READERS = (-1.5932, -0.9674, -0.5895, -0.2822, 0.0, 0.2822, 0.5895, 0.9674, 1.5932)
