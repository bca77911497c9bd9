"""DICOM files to frames: single-frame and enhanced multi-frame MR, any transfer syntax, pixels decoded when asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from bundle.geometry import SlicePlane
from bundle.study.files import StudyFile
from bundle.study.frames import Frame, Skipped
from bundle.study.types import StudyError

#: Documents and states that hold no image of the patient: left out without a word.
_NO_IMAGE_MODALITIES = frozenset({"SR", "PR", "KO", "SEG", "DOC", "REG", "RWV"})


def looks_like_dicom(file: BinaryIO) -> bool:
    """Whether a file has DICOM's preamble, or begins as a data set without one does (group 0002 or 0008)."""
    start = file.read(132)
    file.seek(0)
    return start[128:132] == b"DICM" or start[:2] in (b"\x08\x00", b"\x02\x00") or start[:4] == b"\x00\x08\x00\x05"


def read_frames(file: StudyFile) -> tuple[list[Frame], list[Skipped]]:
    """Frames of one DICOM file, and why some, or the file as a whole, cannot be used."""
    with file.open() as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        try:
            header = dcmread(stream, stop_before_pixels=True, force=True)
        except (InvalidDicomError, EOFError, OSError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError):
            return [], [Skipped(file.path, "damaged or truncated DICOM file")]
        left = size - stream.tell()
    if str(header.get("Modality", "")).upper() in _NO_IMAGE_MODALITIES or "DirectoryRecordSequence" in header:
        return [], []
    reason = _unusable(header, left)
    if reason:
        return [], [Skipped(file.path, reason)]
    count = int(header.get("NumberOfFrames", 1) or 1)
    pixels = _Pixels(file, count)
    frames, skipped = [], []
    for index in range(count):
        try:
            frames.append(_frame(header, index if "PerFrameFunctionalGroupsSequence" in header else None, pixels, index))
        except _Unusable as error:
            skipped.append(Skipped(file.path, str(error)))
        if count > 1 and "PerFrameFunctionalGroupsSequence" not in header:
            return [], [Skipped(file.path, "several frames and nothing that says where each lies")]
    return frames, skipped


class _Unusable(ValueError):
    """Why a frame has no place in patient space."""


def _unusable(header: Dataset, bytes_left: int) -> str:
    """Why a file as a whole is of no use; empty if it is."""
    if "Rows" not in header or "Columns" not in header:
        return "damaged or truncated DICOM file" if "SOPClassUID" not in header or bytes_left <= 0 else "no image in it"
    modality = str(header.get("Modality", "") or "").upper()
    if modality not in ("", "MR", "OT"):
        return f"not MR ({modality})"
    if int(header.get("SamplesPerPixel", 1) or 1) != 1:
        return "a colour image, not an MR slice"
    syntax = header.file_meta.get("TransferSyntaxUID") if hasattr(header, "file_meta") else None
    expected = 1
    if syntax is None or not syntax.is_compressed:
        bits = int(header.get("BitsAllocated", 16) or 16)
        expected = int(header.Rows) * int(header.Columns) * int(header.get("NumberOfFrames", 1) or 1) * bits // 8
    return "truncated: its pixels end too early" if bytes_left < expected else ""


class _Pixels:
    """Decodes a file's pixels once; a multi-frame file keeps them, since its frames are asked for one by one."""

    def __init__(self, file: StudyFile, count: int) -> None:
        self.file = file
        self.count = count
        self._kept: tuple[Dataset, NDArray] | None = None

    def decoded(self) -> tuple[Dataset, NDArray]:
        if self._kept is not None:
            return self._kept
        with self.file.open() as stream:
            try:
                data: Dataset = dcmread(stream, force=True)
                if not hasattr(data, "file_meta") or "TransferSyntaxUID" not in data.file_meta:
                    data = _with_assumed_syntax(data)
                pixels = data.pixel_array
            except Exception as error:  # whatever a decoder raises, the user gets one line
                raise StudyError(f"{self.file.path}: the image cannot be decoded ({type(error).__name__})") from error
        if self.count > 1:
            self._kept = (data, pixels)
        return data, pixels


def _with_assumed_syntax(data: Dataset) -> Dataset:
    """A data set without file meta information: pydicom has found out how it is written, so say so for the decoder."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    meta = getattr(data, "file_meta", None) or FileMetaDataset()
    implicit, little = getattr(data, "original_encoding", (True, True))
    meta.TransferSyntaxUID = (
        ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little is not False else ExplicitVRBigEndian
    )
    data.file_meta = meta
    return data


def _load(pixels: _Pixels, index: int, groups: Callable[[Dataset], Sequence[Dataset]]) -> NDArray[np.float32]:
    data, array = pixels.decoded()
    image = np.asarray(array[index] if array.ndim == 3 else array, dtype=np.float32)
    scale = _first(groups(data), "PixelValueTransformationSequence") or data
    slope, intercept = _number(scale.get("RescaleSlope")), _number(scale.get("RescaleIntercept"))
    image = image * (1.0 if slope is None else slope) + (intercept or 0.0)
    if str(data.get("PhotometricInterpretation", "")).upper() == "MONOCHROME1":
        image = image.max() - image
    return image.astype(np.float32)


def _groups(data: Dataset, index: int | None) -> list[Dataset]:
    """Functional groups of a frame, its own before the shared ones; none for a single-frame image."""
    if index is None:
        return []
    shared = data.get("SharedFunctionalGroupsSequence") or []
    return [data.PerFrameFunctionalGroupsSequence[index], *list(shared)[:1]]


def _first(groups: Sequence[Dataset], sequence: str) -> Dataset | None:
    for group in groups:
        items = group.get(sequence)
        if items:
            return items[0]
    return None


def _frame(header: Dataset, group_index: int | None, pixels: _Pixels, index: int) -> Frame:
    if group_index is not None and group_index >= len(header.PerFrameFunctionalGroupsSequence):
        raise _Unusable("fewer functional groups than frames")
    groups = _groups(header, group_index)

    def item(sequence: str) -> Dataset:
        return _first(groups, sequence) or header

    measures = item("PixelMeasuresSequence")
    plane = _plane(
        item("PlanePositionSequence").get("ImagePositionPatient"),
        item("PlaneOrientationSequence").get("ImageOrientationPatient"),
        measures.get("PixelSpacing"),
        (int(header.Rows), int(header.Columns)),
        _number(measures.get("SliceThickness")),
    )
    timing, echo = item("MRTimingAndRelatedParametersSequence"), item("MREchoSequence")
    modifier, kind, content = item("MRModifierSequence"), item("MRImageFrameTypeSequence"), item("FrameContentSequence")
    inversions = modifier.get("InversionTimes", modifier.get("InversionTime"))
    sequence = _texts(header.get("ScanningSequence")) or _texts(header.get("EchoPulseSequence"))
    if str(modifier.get("InversionRecovery", "")).upper() == "YES":
        sequence = (*sequence, "IR")
    options = _texts(header.get("ScanOptions"))
    if str(modifier.get("SpectrallySelectedSuppression", "")).upper() in ("FAT", "FAT_AND_WATER"):
        options = (*options, "FS")
    sop_uid = str(header.get("SOPInstanceUID") or pixels.file.path.name)
    return Frame(
        study_uid=str(header.get("StudyInstanceUID") or ""),
        # Without a series UID, the folder is all that says what belongs together.
        series_uid=str(header.get("SeriesInstanceUID") or pixels.file.path.parent.name),
        sop_uid=sop_uid if group_index is None else f"{sop_uid}#{index + 1}",
        plane=plane,
        load_pixels=partial(_load, pixels, index, partial(_groups, index=group_index)),
        source=Path(pixels.file.path),
        description=str(header.get("SeriesDescription") or header.get("ProtocolName") or "").strip(),
        body_part=str(header.get("BodyPartExamined") or "").strip(),
        image_type=_texts(kind.get("FrameType")) or _texts(header.get("ImageType")),
        scanning_sequence=sequence,
        scan_options=options,
        echo_ms=_positive(echo.get("EffectiveEchoTime", echo.get("EchoTime"))),
        repetition_ms=_positive(timing.get("RepetitionTime")),
        inversion_ms=_positive(inversions[0] if isinstance(inversions, (list, tuple)) and inversions else inversions),
        acquisition=_whole(content.get("FrameAcquisitionNumber", header.get("AcquisitionNumber"))),
        temporal=_whole(content.get("TemporalPositionIndex", header.get("TemporalPositionIdentifier"))),
        instance=_whole(header.get("InstanceNumber")) if group_index is None else index + 1,
        frame_of_reference=str(header.get("FrameOfReferenceUID") or ""),
    )


def _plane(position: Any, orientation: Any, spacing: Any, shape: tuple[int, int], thickness: float | None) -> SlicePlane:
    if not position or not orientation or len(position) != 3 or len(orientation) != 6:
        raise _Unusable("no ImagePositionPatient or ImageOrientationPatient, so its place in the patient is unknown")
    if not spacing or len(spacing) != 2:
        raise _Unusable("no PixelSpacing, so nothing in it can be measured")
    try:
        values = [float(v) for v in (*position, *orientation, *spacing)]
        return SlicePlane(
            np.array(values[:3]), np.array(values[3:6]), np.array(values[6:9]), (values[9], values[10]), shape, thickness
        )
    except (TypeError, ValueError) as error:
        raise _Unusable(f"its place in the patient is not valid ({error})") from error


def _texts(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    values = [value] if isinstance(value, str) else list(value)
    return tuple(str(v).strip().upper() for v in values)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
