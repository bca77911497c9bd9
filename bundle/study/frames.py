"""One image as its header describes it, before images are gathered into series."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.geometry import SlicePlane


@dataclass(frozen=True, eq=False)
class Frame:
    """One image, or one frame of a multi-frame object, with what its header says.

    Args:
        study_uid, series_uid, sop_uid: UIDs; ``sop_uid`` ends in ``#frame`` for a frame of a multi-frame object.
        plane: where it lies.
        load_pixels: as in StudyImage.
        source: the file.
        description: Series Description, else Protocol Name, as it stands.
        body_part: Body Part Examined.
        image_type: Image Type (or Frame Type), upper case.
        scanning_sequence: Scanning Sequence, upper case (``SE``, ``IR``, ``GR``, ``EP``).
        scan_options: Scan Options, upper case.
        echo_ms, repetition_ms, inversion_ms: None where absent or 0.
        acquisition, temporal, instance: numbers that tell repeated images apart; None where absent.
        frame_of_reference: its UID, or empty.
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    plane: SlicePlane
    load_pixels: Callable[[], NDArray[np.float32]]
    source: Path
    description: str = ""
    body_part: str = ""
    image_type: tuple[str, ...] = ()
    scanning_sequence: tuple[str, ...] = ()
    scan_options: tuple[str, ...] = ()
    echo_ms: float | None = None
    repetition_ms: float | None = None
    inversion_ms: float | None = None
    acquisition: int | None = None
    temporal: int | None = None
    instance: int | None = None
    frame_of_reference: str = ""


@dataclass(frozen=True)
class Skipped:
    """A file that looks like an image and cannot be used, with the reason."""

    source: Path
    reason: str
