"""Writes a phantom's examination as a DICOM study, with its truth beside it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)
from tqdm import tqdm

from bundle.geometry import SlicePlane, group_into_stacks
from bundle.geometry.stacks import Stack
from bundle.phantom.anatomy import Spine
from bundle.phantom.enhanced import enhanced_attributes
from bundle.phantom.mr import PatientPainter
from bundle.phantom.paint import Painter
from bundle.phantom.study import Examination, SeriesPlan, lumbar_examination, render
from bundle.phantom.tissues import Sequence as MrSequence
from bundle.phantom.truth import as_dict, disk_at
from bundle.phantom.vendors import Filing
from bundle.whole_folder import whole_folder

TRANSFER_SYNTAXES: Mapping[str, UID] = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "rle": RLELossless,
    "jpegls": JPEGLSLossless,
    "jpeg2000": JPEG2000Lossless,
}
_MR_IMAGE_STORAGE = UID("1.2.840.10008.5.1.4.1.1.4")
_ENHANCED_MR_IMAGE_STORAGE = UID("1.2.840.10008.5.1.4.1.1.4.1")
_TRUTH = "truth.json"
_SEQUENCE_TAGS = {"T1": ("SE", "SK"), "T2": ("SE", "SK"), "PD": ("SE", "SK"), "T2FS": ("SE", "SK"), "STIR": ("IR", "SK")}
#: What strict de-identifications take away, as seen in archives: equipment and protocol, though they name nobody. They leave
#: the standard with the Modality alone; the rest stays in a form that is allowed and says nothing.
_REMOVED = ("Modality", "StudyDescription", "ProtocolName", "BodyPartExamined", "SequenceName", "AngioFlag")
_SAYING_NOTHING: Mapping[bool, Mapping[str, Any]] = {
    False: {
        **dict.fromkeys(("Manufacturer", "ScanOptions", "RepetitionTime", "EchoTime", "EchoTrainLength", "Laterality"), ""),
        "ScanningSequence": "RM",
        "SequenceVariant": "NONE",
        "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
    },
    # Multi-frame objects cannot be without a manufacturer and timing.
    True: dict.fromkeys(("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber"), "REMOVED"),
}
_REMOVED_SINGLE_FRAME = (
    "ManufacturerModelName", "SoftwareVersions", "MagneticFieldStrength", "InversionTime", "FlipAngle"
)  # fmt: skip


class FolderError(ValueError):
    """The folder of a study is something else; the message is one line for the user."""


def uid(*names: object) -> UID:
    """The same UID for the same names, and another for others."""
    # generate_uid joins its sources with nothing between them: 1, 11 and 11, 1 would be one UID.
    return generate_uid(entropy_srcs=["lumbar-disk-bundle phantom", *(f"/{name}" for name in names)])


def write_study(
    folder: str | Path, spine: Spine, seed: int = 0, examination: Examination | None = None, progress: bool = False
) -> dict[str, Any]:
    """Write an examination of ``spine`` as ``folder``: one subfolder a series, and ``truth.json``; whole, or not at all.

    Args:
        folder: is made; of an older phantom study there the series and the truth are replaced, other files are kept.
        spine: the patient.
        seed: of the examination and its noise.
        examination: default lumbar_examination(spine, seed), filed plainly.
        progress: show a bar over the images.

    Returns:
        The truth, as written; see docs/phantom.md.

    Raises:
        FolderError: ``folder`` holds something else than a phantom study.
    """
    place = Path(folder)
    kept = files_kept(place)
    if examination is None:
        examination = Examination(tuple(lumbar_examination(spine, seed)))
    name = f"{seed}-{spine.seed}" + ("" if examination.vendor == "plain" else f"-{examination.vendor}")
    name += "-enhanced" if examination.filing.enhanced else ""
    images = sum(len(plan.planes) for plan in examination.plans)
    with whole_folder(place) as part, tqdm(total=images, unit="image", disable=not progress) as bar:
        written = write_series(part, Painter(spine), examination.plans, name, seed, examination.filing, bar.update)
        truth = {**as_dict(spine), **_truth_of_series(spine, examination, written, name)}
        (part / _TRUTH).write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
        for file in kept:
            shutil.copy2(file, part / file.name)
    return truth


def files_kept(place: Path) -> list[Path]:
    """Files beside an older phantom study at ``place``, such as a README, which a new one there keeps.

    Raises:
        FolderError: anything else is at ``place``, which must survive a wrong argument.
    """
    if not place.exists():
        return []
    entries = sorted(place.iterdir()) if place.is_dir() else []
    foreign = [e for e in entries if e.is_dir() and not re.match(r"\d\d", e.name)]
    if not place.is_dir() or foreign or (entries and not (place / _TRUTH).is_file()):
        raise FolderError(f"{place} exists and is no phantom study; name another folder")
    return [e for e in entries if e.is_file() and e.name != _TRUTH]


def write_series(
    folder: Path,
    painter: PatientPainter,
    plans: Sequence[SeriesPlan],
    name: str,
    seed: int = 0,
    filing: Filing | None = None,
    rendered: Callable[[], object] = lambda: None,
) -> list[list[str]]:
    """Write ``plans`` of one patient as DICOM files; returns the SOP Instance UIDs of each series.

    Args:
        folder: of the study.
        painter: the patient.
        plans: its series.
        name: tells this study from others: the UIDs and the made-up patient's ID follow from it.
        seed: of the noise.
        filing: how they are written; default Filing().
        rendered: is called after each image.

    Returns:
        By series, in the order of its planes; of a frame of a multi-frame object ``<UID>#<frame>``, counted from 1.
    """
    filing = filing if filing is not None else Filing()
    uids: list[list[str]] = []
    for number, plan in enumerate(plans, start=1):
        where = folder / series_folder(plan, number, filing)
        where.mkdir(parents=True, exist_ok=True)
        stored = _stored(render(painter, plan, seed + 1000 * number), filing, rendered)
        objects = (_enhanced if filing.enhanced else _single_frames)(plan, stored, number, name, filing)
        uids.append([""] * len(plan.planes))
        for count, (ds, members) in enumerate(objects, start=1):
            syntax = TRANSFER_SYNTAXES[filing.transfer_syntax]
            if syntax.is_compressed:
                ds.compress(syntax, generate_instance_uid=False)
            ds.save_as(where / f"{count:04d}.dcm", enforce_file_format=True)
            for frame, index in enumerate(members, start=1):
                uids[-1][index] = f"{ds.SOPInstanceUID}#{frame}" if filing.enhanced else str(ds.SOPInstanceUID)
    return uids


def series_folder(plan: SeriesPlan, number: int, filing: Filing) -> str:
    """Name of the folder of the ``number``-th series."""
    words = "" if filing.deidentified else re.sub(r"[^A-Za-z0-9.+-]+", "_", plan.description).strip("_")
    return f"{number:02d}_{words}" if words else f"{number:02d}"


def _truth_of_series(spine: Spine, examination: Examination, written: list[list[str]], name: str) -> dict[str, Any]:
    filing = examination.filing
    series, slices = [], []
    for number, (plan, images) in enumerate(zip(examination.plans, written, strict=True), start=1):
        series_uid = str(uid(name, number))
        stacks = _stacks(plan)
        series.append(
            {
                "series_instance_uid": series_uid,
                "series_number": _series_number(number, filing),
                "folder": series_folder(plan, number, filing),
                "role": plan.role,
                "orientation": plan.orientation,
                "description": "" if filing.deidentified else plan.description,
                "images": len(images),
                "stacks": [
                    {
                        "level": plan.levels[stack] if plan.levels else None,
                        "sop_instance_uids": [images[k] for k in _in_patient_order(plan.planes, stacks[stack])],
                    }
                    for stack in sorted(stacks)
                ],
            }
        )
        if plan.orientation != "axial":
            continue
        for sop, plane in zip(images, plan.planes, strict=True):
            level, margin = disk_at(spine, plane)
            # A slice that meets no disk's line has no margin, and JSON knows no infinity.
            rounded = round(margin, 2) if np.isfinite(margin) else None
            slices.append({"sop_instance_uid": sop, "level": level, "margin_mm": rounded, "series_instance_uid": series_uid})
    return {
        "study_instance_uid": str(uid(name)),
        "vendor": examination.vendor,
        "transfer_syntax": filing.transfer_syntax,
        "enhanced": filing.enhanced,
        "deidentified": filing.deidentified,
        "series": series,
        "axial_slices": slices,
    }


def _in_patient_order(planes: Sequence[SlicePlane], members: Sequence[int]) -> list[int]:
    """``members`` from the patient's right to left, front to back, or head to feet, by the axis that they are across."""
    axis = int(np.abs(planes[members[0]].normal).argmax())
    sign = -1 if axis == 2 else 1
    return sorted(members, key=lambda k: sign * float(planes[k].center_lps_mm[axis]))


def _stored(images: Iterator[np.ndarray], filing: Filing, rendered: Callable[[], object]) -> Iterator[np.ndarray]:
    """Brightness as it is stored."""
    pixels = filing.pixels
    for image in images:
        rendered()
        yield np.clip(np.rint(image * pixels.scale), 0, pixels.largest).astype("<i2" if pixels.signed else "<u2")


def _single_frames(
    plan: SeriesPlan, stored: Iterator[np.ndarray], number: int, name: str, filing: Filing
) -> Iterator[tuple[FileDataset, list[int]]]:
    """One MR Image object a slice, with the slice's index in the plan."""
    steps = _steps_mm(plan.planes)
    for index, pixels in enumerate(stored):
        ds = _common(plan, uid(name, number, index), number, name, filing, _MR_IMAGE_STORAGE)
        plane = plan.planes[index]
        _protocol(ds, plan.sequence)
        ds.SliceThickness = _decimal(plane.thickness_mm or steps[index])
        ds.SpacingBetweenSlices = _decimal(steps[index])
        ds.InstanceNumber = (plan.instance_numbers or range(1, len(plan.planes) + 1))[index]
        ds.ImagePositionPatient = [_decimal(v) for v in plane.origin_lps_mm]
        ds.ImageOrientationPatient = [_decimal(v) for v in (*plane.row_direction, *plane.column_direction)]
        ds.SliceLocation = _decimal(plane.position_mm)
        ds.PixelSpacing = [_decimal(v) for v in plane.pixel_spacing_mm]
        if filing.pixels.slope is not None:
            ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = _decimal(filing.pixels.slope), "0", "normalized"
        slope = filing.pixels.slope or 1.0
        ds.WindowCenter = _decimal(0.4 * filing.pixels.scale * slope)
        ds.WindowWidth = _decimal(0.8 * filing.pixels.scale * slope)
        ds.SmallestImagePixelValue, ds.LargestImagePixelValue = int(pixels.min()), int(pixels.max())
        ds.PixelData = pixels.tobytes()
        yield _finished(ds, plan, number, name, filing), [index]


def _enhanced(
    plan: SeriesPlan, stored: Iterator[np.ndarray], number: int, name: str, filing: Filing
) -> Iterator[tuple[FileDataset, list[int]]]:
    """One Enhanced MR Image object a stack, with the indices of its frames in the plan."""
    frames, steps = list(stored), _steps_mm(plan.planes)
    for stack, members in sorted(_stacks(plan).items()):
        ds = _common(plan, uid(name, number, stack), number, name, filing, _ENHANCED_MR_IMAGE_STORAGE)
        ds.InstanceNumber = stack + 1
        ds.PixelData = np.stack([frames[k] for k in members]).tobytes()
        planes, steps_of_stack = [plan.planes[k] for k in members], [steps[k] for k in members]
        ds.update(enhanced_attributes(plan, planes, steps_of_stack, filing, uid(name, number, "dimensions")))
        yield _finished(ds, plan, number, name, filing), members


def _stacks(plan: SeriesPlan) -> dict[int, list[int]]:
    """Indices of the slices of each stack, as they are filed."""
    stacks: dict[int, list[int]] = {}
    for index, stack in enumerate(plan.stack_numbers or [0] * len(plan.planes)):
        stacks.setdefault(stack, []).append(index)
    return stacks


def _common(plan: SeriesPlan, sop: UID, number: int, name: str, filing: Filing, sop_class: UID) -> FileDataset:
    """What every image of a series says, whatever its kind."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, sop
    syntax = TRANSFER_SYNTAXES[filing.transfer_syntax]
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax.is_compressed else syntax
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, sop
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20000101"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "120000"
    ds.AccessionNumber = ""
    ds.Modality = "MR"
    ds.ReferringPhysicianName = ""
    ds.SeriesDescription = plan.description
    ds.PatientName = "Phantom^Spine"
    ds.PatientID = f"PHANTOM-{name}"
    ds.PatientBirthDate = ""
    ds.PatientSex = "O"
    ds.BodyPartExamined = "LSPINE"
    ds.MagneticFieldStrength = f"{plan.sequence.field_t:g}"
    ds.PatientPosition = "HFS"
    ds.StudyInstanceUID = uid(name)
    ds.SeriesInstanceUID = uid(name, number)
    ds.StudyID = "1"
    ds.SeriesNumber = _series_number(number, filing)
    ds.AcquisitionNumber = 1
    ds.FrameOfReferenceUID = uid(name, "frame")
    ds.PositionReferenceIndicator = ""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = plan.planes[0].shape
    bits = filing.pixels.bits_stored
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, bits, bits - 1
    ds.PixelRepresentation = int(filing.pixels.signed)
    return ds


def _series_number(number: int, filing: Filing) -> int:
    first, step = filing.series_numbers
    return first + step * (number - 1)


def _protocol(ds: Dataset, sequence: MrSequence) -> None:
    """What a single-frame header tells of the protocol; a vendor's tags say more."""
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
    ds.ScanningSequence, ds.SequenceVariant = _SEQUENCE_TAGS[sequence.name]
    ds.ScanOptions = "FS" if sequence.fat_fraction < 1 else ""
    ds.MRAcquisitionType = "2D"
    ds.RepetitionTime, ds.EchoTime = f"{sequence.tr_ms:.1f}", f"{sequence.te_ms:.1f}"
    if sequence.ti_ms > 0:
        ds.InversionTime = f"{sequence.ti_ms:.1f}"
    ds.EchoTrainLength = 15 if sequence.te_ms > 40 else 3
    ds.FlipAngle = "90"


def _finished(ds: FileDataset, plan: SeriesPlan, number: int, name: str, filing: Filing) -> FileDataset:
    """``ds`` with what the vendor adds and what a de-identification takes."""
    for keyword, value in {**filing.tags, **({} if filing.enhanced else plan.tags)}.items():
        setattr(ds, keyword, list(value) if isinstance(value, (list, tuple)) else value)
    if filing.deidentified:
        _deidentify(ds, filing.enhanced, uid(name, "frame", number))
        return ds
    for block in filing.private:
        private = ds.private_block(block.group, block.creator, create=True)
        for element, (vr, value) in block.elements.items():
            private.add_new(element, vr, value)
    return ds


def _deidentify(ds: Dataset, enhanced: bool, frame_of_reference: UID) -> None:
    for keyword in _REMOVED if enhanced else (*_REMOVED, *_REMOVED_SINGLE_FRAME):
        if keyword in ds:
            delattr(ds, keyword)
    for keyword, value in _SAYING_NOTHING[enhanced].items():
        setattr(ds, keyword, value)
    ds.SeriesDescription = ""
    ds.PatientIdentityRemoved, ds.DeidentificationMethod = "YES", "a phantom, with what strict profiles leave"
    ds.FrameOfReferenceUID = frame_of_reference


def _steps_mm(planes: Sequence[SlicePlane]) -> list[float]:
    """Of each plane, the distance to its neighbours in its stack; its thickness where it has none."""
    result = [0.0] * len(planes)
    for members in group_into_stacks(planes):
        step = Stack(tuple(planes[k] for k in members)).step_mm
        for k in members:
            result[k] = step or planes[k].thickness_mm or 1.0
    return result


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters, good to a millionth."""
    return f"{value:.8f}"[:16] if abs(value) < 1e6 else f"{value:.6g}"
