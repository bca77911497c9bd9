"""What steps 2 to 4 find out about axial slices and disks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bundle.geometry import Disk, SlicePlane
from bundle.study.types import StudyImage


@dataclass(frozen=True, eq=False)
class SliceMatch:
    """Step 2 for one axial slice.

    Args:
        image: the slice.
        level: of the disk that it passes through, or None.
        distance_mm: of the nearest disk's reference point from the slice, signed: positive where the slice lies on the
            head's side of the point; None if no disk is known.
        angle_deg: 0 to 90, between the slice and that disk; None if no disk is known.
        margin_mm: how far the decision is from changing: from the limit of the disk's body, inside and outside alike.
    """

    image: StudyImage
    level: str | None
    distance_mm: float | None
    angle_deg: float | None
    margin_mm: float | None


@dataclass(frozen=True, eq=False)
class DiskRoi:
    """A square cut around a disk, resampled to one size in millimetres.

    Args:
        pixels: (slices, size, size) float32; the middle one is the best slice, the others its neighbours.
        plane: of the best slice's square, so that a point in it maps back to patient space. In an axial ROI columns run
            to the patient's left and rows to the back; in a sagittal ROI columns run to the back and rows to the feet.
        images: the slices that it was cut from, in order; a missing neighbour repeats the best slice.
    """

    pixels: NDArray[np.float32]
    plane: SlicePlane
    images: tuple[StudyImage, ...]


@dataclass(frozen=True, eq=False)
class DiskOutline:
    """What the network takes for the disk's outline in the axial view.

    Args:
        rim_mm: (24,) distance of the vertebral rim from the disk's centre, every 15 degrees from -180; 0 is the back,
            positive to the patient's left.
        excess_mm: (24,) how far the disk's outline lies beyond the rim in these directions.
        center_mm: (2,) the disk's centre, from the axial ROI's centre to the patient's left and back.
    """

    rim_mm: NDArray[np.float64]
    excess_mm: NDArray[np.float64]
    center_mm: NDArray[np.float64]


@dataclass(frozen=True)
class Focal:
    """The focal part of a disk that is a herniation by its outline.

    Args:
        extent_mm: how far its tip lies beyond the rim, or beyond the bulge that it sits on.
        base_mm: its width at the base, in the axial plane.
        arc_deg: degrees of the circumference that it takes.
        direction_deg: of its tip from the disk's centre, 0 back, positive to the patient's left.
        zone: of its tip: central, subarticular, foraminal, extraforaminal or anterior.
        side: of its tip: left, right (the patient's) or middle.
    """

    extent_mm: float
    base_mm: float
    arc_deg: float
    direction_deg: float
    zone: str
    side: str


@dataclass(frozen=True)
class Definition:
    """A disk by the definition (bundle.geometry.fardon), as far as an axial outline shows it.

    Args:
        finding: one of FINDINGS, what most readers would call such an outline.
        readers: (3,) shares of readers who would call it each of FINDINGS: near the definition's borders more than one.
        reach_mm: greatest distance of the outline beyond the rim; negative where it lies within all round.
        beyond_rim_deg: degrees of the circumference over which the outline lies beyond the rim.
        focal: of a herniation, else None.
    """

    finding: str
    readers: tuple[float, ...]
    reach_mm: float
    beyond_rim_deg: float
    focal: Focal | None = None


@dataclass(frozen=True, eq=False)
class DiskReading:
    """All that is known about one disk; ``finding`` is None where it cannot be judged, and ``flags`` say why.

    Args:
        level: ``L1-L2`` ... ``L5-S1``.
        disk: where it is; None if it was not found or there is no patient space.
        matches: its axial slices, the best first.
        axial: ROI of the best axial slice and its neighbours.
        sagittal: ROI of the sagittal slices through the disk's middle.
        probabilities: of FINDINGS, summing to 1.
        finding: one of FINDINGS.
        views: those of ``axial`` and ``sagittal`` that were judged.
        flags: codes for the report.
        prediction_set: the findings among which the right one is, with the coverage of conformal sets; empty without them.
        uncertainty: entropy of the probabilities, 0 (sure) to 1; None if it was not judged.
        pfirrmann: grade 1 to 5 of the disk's wear; None if it was not graded.
        outline: in the axial view; None without one.
        definition: what the definition calls that outline; None without one.
        measurements: by name with the unit in it (``slip_mm``); see bundle.disks.measure.
    """

    level: str
    disk: Disk | None = None
    matches: tuple[SliceMatch, ...] = ()
    axial: DiskRoi | None = None
    sagittal: DiskRoi | None = None
    probabilities: dict[str, float] | None = None
    finding: str | None = None
    views: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    prediction_set: tuple[str, ...] = ()
    uncertainty: float | None = None
    pfirrmann: int | None = None
    outline: DiskOutline | None = None
    definition: Definition | None = None
    measurements: dict[str, float] = field(default_factory=dict)
