"""What a reader measures beside the classes, from the corners of the bodies alone: heights, slip, lordosis.

All of it is measured in the mid-sagittal plane of the bodies as they were found, whose corners have an error of a millimetre
or two (model card). A ratio or an angle holds in a picture of unknown pixel size too; millimetres do not.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform
from numpy.typing import NDArray

from bundle.geometry import Disk, Vertebra, unit


def height_index(disk: Disk, upper: Vertebra) -> float | None:
    """Disk height index: mean height of the disk, as a share of the mean height of the body above it.

    Height against the body's own takes out the patient's size (after Masuda et al., Spine 2005;30:5, with the upper body
    alone, since S1 has no lower endplate to measure to). None where the body's corners are not known.
    """
    if upper.corners_lps_mm is None:
        return None
    front_top, back_top, back_bottom, front_bottom = np.asarray(upper.corners_lps_mm)
    height = (np.linalg.norm(front_top - front_bottom) + np.linalg.norm(back_top - back_bottom)) / 2
    return float(disk.height_mm / height) if height > 0 else None


def slip_mm(upper: Vertebra, lower: Vertebra) -> float | None:
    """How far the upper body has slipped forward on the lower one (negative: backward), as for a listhesis.

    From the lower body's upper back corner to the upper body's lower back corner, along the lower body's upper endplate.
    None where corners are not known.
    """
    if upper.corners_lps_mm is None or lower.corners_lps_mm is None:
        return None
    front, back = np.asarray(lower.corners_lps_mm)[:2]
    return float((np.asarray(upper.corners_lps_mm)[2] - back) @ unit(front - back))


def slip_share(upper: Vertebra, lower: Vertebra) -> float | None:
    """slip_mm as a share of the depth of the lower body's upper endplate (Taillard): 0.25 and more is a second degree."""
    slip = slip_mm(upper, lower)
    if slip is None:
        return None
    front, back = np.asarray(lower.corners_lps_mm)[:2]
    return slip / float(np.linalg.norm(front - back))


def lordosis_deg(vertebrae: Iterable[Vertebra]) -> float | None:
    """Lumbar lordosis L1-S1: angle between the upper endplates of L1 and S1, positive if lordotic (Cobb).

    Seen in the plane of the two endplates' front-to-back lines; None unless both bodies' corners are known.
    """
    by_level = {v.level: v for v in vertebrae if v.corners_lps_mm is not None}
    if "L1" not in by_level or "S1" not in by_level:
        return None
    slopes = [_slope_deg(np.asarray(by_level[level].corners_lps_mm)) for level in ("S1", "L1")]
    return slopes[0] - slopes[1]


def _slope_deg(corners_lps_mm: NDArray[np.float64]) -> float:
    """How far a body's upper endplate falls toward the front, in the sagittal plane."""
    away = corners_lps_mm[1] - corners_lps_mm[0]
    return float(np.degrees(np.arctan2(away[2], away[1])))


class MeasureDisksd(MapTransform):
    """Measures each disk; ``readings`` get their ``measurements``.

    ``height_index``, ``slip_share``; and, where the study has a patient space, ``slip_mm``.

    Args:
        keys: of the readings.
        vertebrae_key: of the vertebrae in the space in which the disks lie.
        study_key: of the study as it was read.
        placed_key: of the study in which the disks lie; another one where the scale is a guess.
        allow_missing_keys: as in MapTransform.
    """

    def __init__(
        self,
        keys: KeysCollection = "readings",
        vertebrae_key: str = "placed_vertebrae",
        study_key: str = "study",
        placed_key: str = "placed",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.vertebrae_key, self.study_key, self.placed_key = vertebrae_key, study_key, placed_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with readings that are measured."""
        item = dict(data)
        by_level = {v.level: v for v in item[self.vertebrae_key]}
        in_mm = item[self.placed_key] is item[self.study_key]
        for key in self.key_iterator(item):
            measured = []
            for reading in item[key]:
                upper, lower = (by_level.get(name) for name in reading.level.split("-"))
                if reading.disk is not None and upper is not None and lower is not None:
                    values = {
                        "height_index": height_index(reading.disk, upper),
                        "slip_share": slip_share(upper, lower),
                        "slip_mm": slip_mm(upper, lower) if in_mm else None,
                    }
                    reading = replace(reading, measurements={k: v for k, v in values.items() if v is not None})
                measured.append(reading)
            item[key] = tuple(measured)
        return item
