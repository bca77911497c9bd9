"""What a study is to the pipeline: images with planes, gathered into series; no DICOM beyond this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bundle.geometry import SlicePlane

Orientation = Literal["sagittal", "axial", "coronal", "oblique", "unknown"]
#: ``T2FS`` is any fat-suppressed T2-like contrast (STIR, SPAIR, Dixon water).
Weighting = Literal["T2", "T2FS", "T1", "PD", "unknown"]


class StudyError(Exception):
    """A study cannot be read; the message is one line for the user and names the file, never the patient."""


@dataclass(frozen=True, eq=False)
class StudyImage:
    """One 2-D image of a study.

    Args:
        sop_instance_uid: of the image (with ``#frame`` for a frame of a multi-frame object, counted from 1); the file's name
            for NIfTI (``name#slice``), PNG and JPG; ``<series UID>#axial-<number>`` or ``#sagittal-<number>`` for a slice
            that was cut from a volume and is in no file.
        plane: where its pixels lie in the patient; None for PNG and JPG.
        load_pixels: decodes the image when called: (rows, columns), float32, rescaled, light on dark (MONOCHROME1 is
            inverted). Raises StudyError if the file cannot be decoded.
        source: the file it came from.
        shape: (rows, columns).
    """

    sop_instance_uid: str
    plane: SlicePlane | None
    load_pixels: Callable[[], NDArray[np.float32]]
    source: Path
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Series:
    """Images of one series that are wanted together, in patient order.

    Args:
        series_instance_uid: of the series; the file's name for NIfTI, PNG and JPG.
        images: stack by stack; within a stack from the patient's right to left (sagittal), from head to feet (axial), from
            front to back (coronal).
        stacks: indices into ``images``, one tuple a stack, in the order of ``images``.
        orientation: by the planes' normals.
        weighting: by what the headers still say.
        description: Series Description as it stands, for the reason of a choice; may be empty.
        notes: what the reader mended, left out or made: ``duplicate_slices_dropped``, ``slices_missing``,
            ``axial_series_joined``, ``axial_reformatted``, ``sagittal_reformatted``.
    """

    series_instance_uid: str
    images: tuple[StudyImage, ...]
    stacks: tuple[tuple[int, ...], ...]
    orientation: Orientation
    weighting: Weighting
    description: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Study:
    """One study, with the two series that are read.

    Args:
        name: of the folder, archive or file that it came from, without ending: the name of its output folder.
        study_instance_uid: of the study; the file's name for NIfTI, PNG and JPG.
        series: all image series that were found, also those not chosen, as they were filed.
        sagittal: the series read in step 1; None if there is none. It may be cut from a volume among ``series``.
        axial: the series read in steps 2 to 4; None if there is none. It may be cut from a volume among ``series``, or join
            several of them.
        reasons: why ``sagittal`` and ``axial`` were chosen, one sentence each, by those keys.
        flags: codes for the report, such as ``no_axial_series``.
    """

    name: str
    study_instance_uid: str
    series: tuple[Series, ...]
    sagittal: Series | None
    axial: Series | None
    reasons: dict[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
