"""What befalls the endplates beside a disk: Modic changes and Schmorl nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bundle.geometry.rim import Rim
from bundle.phantom.prevalence import MODIC, MODIC_TYPES, SCHMORL

#: A disk's endplates: that of the body above it and that of the body below it.
SIDES: tuple[str, str] = ("upper", "lower")


@dataclass(frozen=True)
class EndplateChange:
    """A Modic change of the marrow beside one endplate (Modic et al., Radiology 1988;166:193).

    Args:
        side: ``upper``, in the body above the disk, or ``lower``, in the body below it.
        modic: 1 edema (dark on T1, bright on T2), 2 fat (bright on both), 3 sclerosis (dark on both).
        center_uv_mm: (2,) middle of the change along the endplate in the disk's axes: left, back.
        radii_uv_mm: (2,) its half extents there.
        depth_mm: how far it reaches into the body from the endplate.
    """

    side: str
    modic: int
    center_uv_mm: tuple[float, float]
    radii_uv_mm: tuple[float, float]
    depth_mm: float


@dataclass(frozen=True)
class SchmorlNode:
    """Disk tissue that has broken through an endplate: an ellipsoid that lies half in the disk and half in the body.

    Args:
        side: of the endplate, as for EndplateChange.
        center_uvw_mm: (3,) in the disk's axes (left, back, up), on the endplate's flat plane through the body's corners.
        radii_mm: (3,) along these axes; the last is how deep it reaches beyond that plane.
    """

    side: str
    center_uvw_mm: tuple[float, float, float]
    radii_mm: tuple[float, float, float]

    def fitted(self, rim: Rim) -> SchmorlNode:
        """The node at the endplate of a disk with another rim."""
        left, back, _ = self.center_uvw_mm
        return replace(self, center_uvw_mm=(left, back, endplate_up_mm(self.side, back, rim)))


def endplate_up_mm(side: str, back_mm: float, rim: Rim) -> float:
    """Height of an endplate's flat plane over the disk's middle, ``back_mm`` behind its centre."""
    return (1 if side == "upper" else -1) * (rim.height_mm - rim.wedge * back_mm) / 2


def sample_changes(rng: np.random.Generator, pfirrmann: int, rim: Rim) -> tuple[EndplateChange, ...]:
    """Modic changes beside a disk: none, or of one type on one or both endplates.

    How often follows MODIC by Pfirrmann grade; where and how large is set by hand.
    """
    if rng.random() >= MODIC[pfirrmann]:
        return ()
    modic = 1 + int(rng.choice(3, p=MODIC_TYPES))
    sides = SIDES if rng.random() < 0.7 else (str(rng.choice(SIDES)),)
    width, depth = rim.radius_at_mm(90.0), rim.radius_at_mm(0.0)
    along = float(rng.uniform(-0.5, 0.5))
    changes = []
    for side in sides:
        center = (float(rng.normal(0, 0.2)) * width, (along + float(rng.normal(0, 0.1))) * depth)
        radii = (float(rng.uniform(0.3, 1.0)) * width, float(rng.uniform(0.3, 1.0)) * depth)
        changes.append(EndplateChange(side, modic, center, radii, float(rng.uniform(2.0, 11.0))))
    return tuple(changes)


def sample_nodes(rng: np.random.Generator, level: str, rim: Rim) -> tuple[SchmorlNode, ...]:
    """Schmorl nodes of a disk; levels without an entry in SCHMORL have none."""
    nodes = []
    for side in SIDES:
        if rng.random() >= SCHMORL.get(level, 0.0):
            continue
        u = float(rng.normal(0, 0.25)) * rim.radius_at_mm(90.0)
        v = float(np.clip(rng.normal(0.1, 0.25), -0.5, 0.5)) * rim.radius_at_mm(0.0)
        radii = (float(rng.uniform(3, 8)), float(rng.uniform(3, 8)), float(rng.uniform(2.5, 7)))
        nodes.append(SchmorlNode(side, (u, v, endplate_up_mm(side, v, rim)), radii))
    return tuple(nodes)
