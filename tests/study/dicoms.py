"""Small DICOM series on disk: every image has one value, its number, so that order shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from bundle.geometry import SlicePlane

SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
CORONAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
MR = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
T2 = {"ScanningSequence": "SE", "RepetitionTime": 3500, "EchoTime": 100}
T1 = {"ScanningSequence": "SE", "RepetitionTime": 500, "EchoTime": 12}
STIR = {"ScanningSequence": "IR", "RepetitionTime": 3500, "EchoTime": 60, "InversionTime": 160}
SHAPE = (12, 16)


def planes(
    directions: tuple[Sequence[float], Sequence[float]],
    count: int,
    step_mm: float = 4.0,
    start: Sequence[float] = (0, 0, 0),
    shape: tuple[int, int] = SHAPE,
    spacing: tuple[float, float] = (20.0, 15.0),
) -> list[SlicePlane]:
    """Parallel planes, ``step_mm`` apart along their normal."""
    row, column = (np.asarray(d, dtype=float) for d in directions)
    normal = np.cross(row, column)
    return [SlicePlane(np.asarray(start) + k * step_mm * normal, row, column, spacing, shape) for k in range(count)]


def dataset(plane: SlicePlane | None, number: int, study: str = "study", series: str = "series", **tags: Any) -> FileDataset:
    """One image; a tag given as None is left out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MR
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[study, series, str(number)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID = generate_uid(entropy_srcs=[study])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=[study, series])
    ds.FrameOfReferenceUID = generate_uid(entropy_srcs=[study, "frame"])
    ds.Modality, ds.PatientName, ds.PatientID = "MR", "Secret^Name", "SECRET-ID"
    ds.SeriesDescription = ""
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    ds.InstanceNumber = number
    rows, columns = plane.shape if plane is not None else SHAPE
    if plane is not None:
        ds.ImagePositionPatient = [f"{v:.5f}" for v in plane.origin_lps_mm]
        ds.ImageOrientationPatient = [f"{v:.6f}" for v in (*plane.row_direction, *plane.column_direction)]
        ds.PixelSpacing = [f"{v:.4f}" for v in plane.pixel_spacing_mm]
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = rows, columns, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = np.full((rows, columns), number, dtype="<u2").tobytes()
    for name, value in tags.items():
        if value is None:
            delattr(ds, name)
        else:
            setattr(ds, name, value)
    return ds


def with_pixels(ds: FileDataset, pixels: Any) -> FileDataset:
    """``ds`` with ``pixels`` (rows, columns) in place of its one value."""
    ds.PixelData = np.ascontiguousarray(pixels, dtype="<u2").tobytes()
    return ds


def write_volume(
    folder: Path, on: Sequence[SlicePlane], value: Callable[[np.ndarray], np.ndarray], first: int = 1, **tags: Any
) -> None:
    """Write a series whose pixels have the ``value`` of their place: (..., 3) LPS millimetres to (...)."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, plane in enumerate(on, start=first):
        rows, columns = np.indices(plane.shape)
        pixels = np.clip(np.rint(value(plane.to_patient(np.stack([columns, rows], axis=-1)))), 0, 4095)
        ds = with_pixels(dataset(plane, number, **tags), pixels)
        ds.save_as(folder / f"{tags.get('series', 'series')}-{number}", enforce_file_format=True)


def write(folder: Path, on: Sequence[SlicePlane | None], first: int = 1, **tags: Any) -> list[Path]:
    """Write a series, numbered from ``first``, into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, plane in enumerate(on, start=first):
        path = folder / f"{tags.get('series', 'series')}-{number}"
        dataset(plane, number, **tags).save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def enhanced(on: Sequence[SlicePlane], **tags: Any) -> FileDataset:
    """One enhanced multi-frame object; frame k has the value k + 1. Every frame tells its own place and directions."""
    ds = dataset(None, 1, **tags)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = ENHANCED_MR
    ds.NumberOfFrames = len(on)
    ds.Rows, ds.Columns = on[0].shape
    measures, timing = Dataset(), Dataset()
    measures.PixelSpacing = list(on[0].pixel_spacing_mm)
    measures.SliceThickness = 4.0
    timing.RepetitionTime = 3500.0
    shared = Dataset()
    shared.PixelMeasuresSequence = DicomSequence([measures])
    shared.MRTimingAndRelatedParametersSequence = DicomSequence([timing])
    ds.SharedFunctionalGroupsSequence = DicomSequence([shared])
    frames = []
    for plane in on:
        position, orientation, echo, frame = Dataset(), Dataset(), Dataset(), Dataset()
        orientation.ImageOrientationPatient = [*plane.row_direction, *plane.column_direction]
        position.ImagePositionPatient = list(plane.origin_lps_mm)
        echo.EffectiveEchoTime = 100.0
        frame.PlanePositionSequence = DicomSequence([position])
        frame.PlaneOrientationSequence = DicomSequence([orientation])
        frame.MREchoSequence = DicomSequence([echo])
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = DicomSequence(frames)
    ds.PixelData = np.concatenate([np.full(on[0].shape, k + 1, dtype="<u2").ravel() for k in range(len(on))]).tobytes()
    return ds
