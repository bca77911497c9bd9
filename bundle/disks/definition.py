"""What the definition calls a disk whose outline is known, beside what the classifier calls it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bundle.disks.outputs import MM_PER_UNIT, PROFILE_DIRECTIONS
from bundle.disks.types import Definition, DiskOutline, Focal
from bundle.geometry import FINDINGS
from bundle.geometry.fardon import classify, finding_of, measure, side_of, soft_label, zone_of
from bundle.geometry.rim import DIRECTIONS_DEG, Rim

#: Half width of the thecal sac as a share of the rim's to either side, by which zones are parted: an outline shows no sac.
#: That of the phantom's patients, 0.41 (standard deviation 0.07).
SAC_TO_RIM = 0.41


def outline_from(parts: Mapping[str, Tensor]) -> DiskOutline:
    """The outline of one disk in what the network gives for it (bundle.disks.outputs.split_outputs), in millimetres."""
    lengths = {name: np.asarray(parts[name], dtype=np.float64) * MM_PER_UNIT for name in ("rim", "excess", "center")}
    return DiskOutline(lengths["rim"], lengths["excess"], lengths["center"])


def by_definition(outline: DiskOutline) -> Definition:
    """Class and measures of a disk by its outline in the axial view.

    The outline is a periodic cubic spline through its 24 directions. It is called what most readers would call it who all
    keep to the rule, each with borders of his own (bundle.geometry.fardon.soft_label): a network's outline is uncertain by
    some tenths of a millimetre, and by one sharp border a ripple on a bulge would be a herniation. An outline has no neck
    and shows no tissue that is not joined to it: by it alone an extrusion cannot be told from a protrusion, and a
    sequestered piece is missed.
    """
    excess = _profile(outline.excess_mm)
    rim = Rim(_profile(outline.rim_mm), height_mm=float("inf"))  # what is measured along the disk's normal is not used
    measures = measure(excess, (), rim)
    readers = soft_label(excess)
    finding = FINDINGS[int(np.argmax(readers))]
    if finding == "herniation":
        finding = finding_of(classify(measures))  # without an arc of less than 90 degrees there is nothing to measure
    focal = None
    if finding == "herniation":
        sac_half_width_mm = SAC_TO_RIM * (rim.radius_at_mm(90) + rim.radius_at_mm(-90)) / 2
        focal = Focal(
            measures.extent_mm,
            measures.base_mm,
            measures.focal_deg,
            measures.direction_deg,
            zone_of(measures.tip_left_mm, measures.direction_deg, sac_half_width_mm),
            side_of(measures.tip_left_mm),
        )
    return Definition(finding, tuple(float(share) for share in readers), float(excess.max()), measures.beyond_rim_deg, focal)


def _profile(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(24,) by PROFILE_DIRECTIONS -> (360,) by DIRECTIONS_DEG."""
    from scipy.interpolate import CubicSpline

    at = np.linspace(-180, 180, PROFILE_DIRECTIONS + 1)
    return np.asarray(CubicSpline(at, np.append(values, values[0]), bc_type="periodic")(DIRECTIONS_DEG))
