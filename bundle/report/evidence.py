"""The DICOM images that a report speaks of: their headers, mended as far as a new object of the study needs it.

Needs only pydicom. What is copied from the images is a list of attributes, not whatever a header holds: a private, wrong or
outdated value of a source must not make the report's own objects invalid.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from bundle.geometry import SlicePlane
from bundle.study.dicom import looks_like_dicom
from bundle.study.files import StudyFile, files_of

#: Type 2 attributes of patient and study: there, if only empty.
_PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime", "AccessionNumber",
    "ReferringPhysicianName",
)  # fmt: skip
_IF_THERE = ("IssuerOfPatientID", "PatientAge", "StudyDescription", "PatientIdentityRemoved", "DeidentificationMethod")
_EQUIPMENT = ("Manufacturer", "ManufacturerModelName", "InstitutionName", "StationName", "SoftwareVersions")
_IMAGE = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Rows", "Columns",
    "SamplesPerPixel", "PhotometricInterpretation", "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient",
    "SliceThickness", "SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept", "RescaleType", "WindowCenter",
    "WindowWidth", "BitsStored", "PixelRepresentation",
)  # fmt: skip
#: Only together: some scanners write shared groups into single-frame images.
_MULTI_FRAME = ("NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns")
#: What a value must look like; another is left out.
_FORMS = {
    "PatientBirthDate": r"\d{8}",
    "PatientSex": r"[MFO]",
    "PatientAge": r"\d{3}[DWMY]",
    "StudyDate": r"\d{8}",
    "StudyTime": r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?",
    "PatientIdentityRemoved": r"YES|NO",
}
_LONGEST = {"PatientID": 64, "StudyID": 16, "AccessionNumber": 16, "StationName": 16}
_LONG_STRING = 64
_CONTROL = re.compile(r"[\x00-\x1a\x1c-\x1f\x7f\\]")


@dataclass(frozen=True, eq=False)
class SourceImage:
    """An image file of the study.

    Args:
        header: what new objects may copy and refer to; no pixels.
        file: where it is.
    """

    header: Dataset
    file: StudyFile


@dataclass(frozen=True, eq=False)
class Place:
    """Where something of a report lies: an image, and the frame of it (from 1) if it is a multi-frame image."""

    image: SourceImage
    frame: int | None = None

    @property
    def header(self) -> Dataset:
        """Of the image."""
        return self.image.header

    @property
    def uid(self) -> str:
        """As ``report.json`` calls it."""
        return str(self.header.SOPInstanceUID) + ("" if self.frame is None else f"#{self.frame}")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.header.Rows), int(self.header.Columns)

    @property
    def plane(self) -> SlicePlane | None:
        """Where the pixels lie in the patient; None where the header does not say."""
        groups = [] if self.frame is None else _groups(self.header, self.frame)
        position = _value(self.header, groups, "PlanePositionSequence", "ImagePositionPatient")
        orientation = _value(self.header, groups, "PlaneOrientationSequence", "ImageOrientationPatient")
        spacing = _value(self.header, groups, "PixelMeasuresSequence", "PixelSpacing")
        try:
            row, column = np.asarray(orientation, dtype=float).reshape(2, 3)
            first, second = (float(s) for s in spacing)
            return SlicePlane(np.asarray(position, dtype=float), row, column, (first, second), self.shape)
        except (TypeError, ValueError):
            return None

    def distance_mm(self, point_lps_mm: ArrayLike) -> float:
        """From the image's plane to a point (3,); infinite where the plane is not known."""
        plane = self.plane
        return np.inf if plane is None else abs(float((np.asarray(point_lps_mm) - plane.origin_lps_mm) @ plane.normal))


@dataclass(frozen=True, eq=False)
class Evidence:
    """The images of the study that a report names, by SOP Instance UID, in the order of their series and numbers."""

    images: Mapping[str, SourceImage] = field(default_factory=dict)

    def place(self, uid: str) -> Place | None:
        """Where an image of ``report.json`` is; None for one that is in no file, such as a slice cut from a volume."""
        instance, _, frame = uid.partition("#")
        image = self.images.get(instance)
        if image is None:
            return None
        if not frame:
            return Place(image)
        count = int(image.header.get("NumberOfFrames", 1) or 1)
        return Place(image, int(frame)) if frame.isdecimal() and 1 <= int(frame) <= count else None

    def frame_of_reference(self, uid: str) -> str:
        """Frame of Reference UID of an image, or of the series that ``<series>#axial-<number>`` was cut from; else empty."""
        instance, _, _ = uid.partition("#")
        headers = [self.images[instance].header] if instance in self.images else []
        headers += [image.header for image in self.images.values() if image.header.SeriesInstanceUID == instance]
        return next((str(h.FrameOfReferenceUID) for h in headers if h.get("FrameOfReferenceUID")), "")

    @property
    def headers(self) -> list[Dataset]:
        """All of them."""
        return [image.header for image in self.images.values()]


@contextmanager
def quiet() -> Iterator[None]:
    """Pydicom and highdicom quote names and other values of a header in warnings and logs: none of them is shown."""
    logs = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


def find_evidence(document: Mapping[str, Any], sources: Iterable[str | Path]) -> Evidence:
    """The images that a report names, and those of the series that were read.

    Args:
        document: ``report.json``.
        sources: files, folders or archives of the study; members of archives too.

    Returns:
        Nothing where the study is not DICOM, or says so little that a new object cannot belong to it. All headers have the
        same patient and study, in Unicode.

    Raises:
        StudyError: a source is not there.
    """
    series = {str(entry["series_instance_uid"]) for entry in document["series"].values() if entry is not None}
    named = _named_instances(document)
    found: dict[str, tuple[Dataset, StudyFile]] = {}
    with quiet():
        for file in _files(sources):
            header = _read(file)
            if header is None or str(header.StudyInstanceUID) != document["study"]["study_instance_uid"]:
                continue
            if str(header.SOPInstanceUID) in named or str(header.SeriesInstanceUID) in series:
                found[str(header.SOPInstanceUID)] = header, file
        ordered = sorted(found.values(), key=lambda entry: _order(entry[0]))
        common = _common([header for header, _ in ordered])
        return Evidence({str(h.SOPInstanceUID): SourceImage(_mended(h, common), file) for h, file in ordered})


def box_corners(xyxy: Sequence[float]) -> list[list[float]]:
    """Corners of a box, [column, row], clockwise from the top left."""
    left, top, right, bottom = xyxy
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def inside(points_px: ArrayLike, shape: tuple[int, int]) -> NDArray[np.float64] | None:
    """A closed polygon in DICOM's pixel coordinates, cut off at the image's edges.

    Args:
        points_px: (N, 2) column and row of its corners, pixel centres at whole numbers.
        shape: rows and columns of the image.

    Returns:
        (M, 2) column and row, the first point again at the end, (0, 0) being the outer corner of the first pixel, as DICOM
        PS3.3 C.18.6 and C.10.5 have it. None where it lies outside the image.
    """
    from matplotlib.path import Path as Outline
    from matplotlib.transforms import Bbox

    points = np.asarray(points_px, dtype=np.float64) + 0.5
    box = Bbox([[0.0, 0.0], [float(shape[1]), float(shape[0])]])
    parts: list[Any] = Outline(np.vstack([points, points[:1]]), closed=True).clip_to_bbox(box).to_polygons()
    if not parts or len(parts[0]) < 4:
        return None
    kept = np.asarray(parts[0], dtype=np.float64)
    rounded = np.asarray(np.round(np.clip(kept, 0.0, [shape[1], shape[0]]), 2), dtype=np.float64)
    return rounded if np.array_equal(rounded[0], rounded[-1]) else np.vstack([rounded, rounded[:1]])


def _named_instances(document: Mapping[str, Any]) -> set[str]:
    boxes = [box["sop_instance_uid"] for vertebra in document["vertebrae"] for box in vertebra["boxes"]]
    slices = [match["sop_instance_uid"] for match in document["axial_slices"]]
    rois = [roi["sop_instance_uid"] for disk in document["disks"] for roi in disk["rois"].values() if roi is not None]
    return {uid.partition("#")[0] for uid in (*boxes, *slices, *rois)}


def _files(sources: Iterable[str | Path]) -> Iterable[StudyFile]:
    """All files; a member of an archive stands for the archive, which is opened once."""
    places = dict.fromkeys(_existing(Path(source)) for source in sources)
    for place in places:
        yield from files_of(place)


def _existing(path: Path) -> Path:
    if path.exists():
        return path
    return next((parent for parent in path.parents if parent.is_file()), path)


def _read(file: StudyFile) -> Dataset | None:
    """Header of an image file; None for any other file, and for one that nothing can refer to."""
    with file.open() as stream:
        if not looks_like_dicom(stream):
            return None
        try:
            header = dcmread(stream, stop_before_pixels=True, force=True)
            return header if all(header.get(name) for name in _NEEDED) else None
        except Exception:  # whatever a damaged file raises: the study's reader has said so already
            return None


def _order(header: Dataset) -> tuple[int, str, int, str]:
    return (
        _whole(header.get("SeriesNumber")), str(header.SeriesInstanceUID),
        _whole(header.get("InstanceNumber")), str(header.SOPInstanceUID),
    )  # fmt: skip


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def _common(headers: Sequence[Dataset]) -> dict[str, str]:
    """Patient, study and equipment of the study, the first value that is there."""
    values = {name: _text(headers, name) for name in (*_PATIENT_AND_STUDY, *_IF_THERE, *_EQUIPMENT)}
    if values["PatientIdentityRemoved"] == "YES" and not values["DeidentificationMethod"]:
        values["DeidentificationMethod"] = "not stated in the images"  # required beside YES
    return {name: value for name, value in values.items() if value or name in _PATIENT_AND_STUDY}


def _text(headers: Sequence[Dataset], name: str) -> str:
    for header in headers:
        try:
            value = header.get(name)
        except Exception:  # a value that cannot be decoded counts as missing
            continue
        if isinstance(value, MultiValue):
            value = value[0] if len(value) else ""
        text = _CONTROL.sub(" ", str(value if value is not None else "")).strip()
        text = text[: _LONGEST.get(name, _LONG_STRING)] if name not in ("PatientName", "ReferringPhysicianName") else text
        if text and (name not in _FORMS or re.fullmatch(_FORMS[name], text)):
            return text
    return ""


def _mended(header: Dataset, common: Mapping[str, str]) -> Dataset:
    mended = Dataset()
    mended.SpecificCharacterSet = "ISO_IR 192"
    for name in (*_IMAGE, *(_MULTI_FRAME if "PerFrameFunctionalGroupsSequence" in header else ())):
        if name in header and (header[name].value not in (None, "") or name in _NEEDED):
            mended[name] = header[name]
    mended.Modality = "MR"
    mended.SamplesPerPixel = 1
    for name, value in common.items():
        setattr(mended, name, value)
    return mended


def _groups(header: Dataset, frame: int) -> list[Dataset]:
    own, shared = header.get("PerFrameFunctionalGroupsSequence"), header.get("SharedFunctionalGroupsSequence")
    return [*([own[frame - 1]] if own and frame <= len(own) else []), *list(shared or [])[:1]]


def _value(header: Dataset, groups: Sequence[Dataset], sequence: str, name: str) -> Any:
    for group in groups:
        items = group.get(sequence)
        if items and name in items[0]:
            return items[0].get(name)
    return header.get(name)
