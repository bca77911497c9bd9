"""DICOM headers of a phantom's images: single-frame and enhanced multi-frame MR, in a vendor's ways, de-identified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

from bundle.geometry import SlicePlane, group_into_stacks
from bundle.geometry.stacks import Stack
from bundle.phantom.enhanced import enhanced_attributes
from bundle.phantom.sequences import Sequence as MrSequence
from bundle.phantom.study import SeriesPlan
from bundle.phantom.vendors import Filing

TRANSFER_SYNTAXES: Mapping[str, UID] = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "rle": RLELossless,
    "jpegls": JPEGLSLossless,
    "jpeg2000": JPEG2000Lossless,
}
_MR_IMAGE_STORAGE = UID("1.2.840.10008.5.1.4.1.1.4")
_ENHANCED_MR_IMAGE_STORAGE = UID("1.2.840.10008.5.1.4.1.1.4.1")
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


def uid(*names: object) -> UID:
    """The same UID for the same names, and another for others."""
    # generate_uid joins its sources with nothing between them: 1, 11 and 11, 1 would be one UID.
    return generate_uid(entropy_srcs=["lumbar-disk-bundle phantom", *(f"/{name}" for name in names)])


def objects_of(
    plan: SeriesPlan, stored: Iterator[np.ndarray], number: int, name: str, filing: Filing
) -> Iterator[tuple[FileDataset, list[int]]]:
    """The DICOM objects of a series, each with the indices of the planes that it holds, frame by frame.

    Args:
        plan: the series.
        stored: pixels of its planes, in their order.
        number: of the series in the study, from 1.
        name: tells the study from others.
        filing: how it is written.
    """
    return (_enhanced if filing.enhanced else _single_frames)(plan, stored, number, name, filing)


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
    for stack, members in sorted(stacks_of(plan).items()):
        ds = _common(plan, uid(name, number, stack), number, name, filing, _ENHANCED_MR_IMAGE_STORAGE)
        ds.InstanceNumber = stack + 1
        ds.PixelData = np.stack([frames[k] for k in members]).tobytes()
        planes, steps_of_stack = [plan.planes[k] for k in members], [steps[k] for k in members]
        ds.update(enhanced_attributes(plan, planes, steps_of_stack, filing, uid(name, number, "dimensions")))
        yield _finished(ds, plan, number, name, filing), members


def stacks_of(plan: SeriesPlan) -> dict[int, list[int]]:
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
    ds.SeriesNumber = series_number(number, filing)
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


def series_number(number: int, filing: Filing) -> int:
    """Series Number of the ``number``-th series."""
    first, step = filing.series_numbers
    return first + step * (number - 1)


def _protocol(ds: Dataset, sequence: MrSequence) -> None:
    """What a single-frame header tells of the protocol; a vendor's tags say more."""
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
    ds.ScanningSequence, ds.SequenceVariant = "IR" if sequence.ti_ms > 0 else "SE", "SK"
    ds.ScanOptions = "FS" if sequence.fat_fraction < 1 else ""
    ds.MRAcquisitionType = "2D"
    ds.RepetitionTime, ds.EchoTime = f"{sequence.tr_ms:.1f}", f"{sequence.te_ms:.1f}"
    if sequence.ti_ms > 0:
        ds.InversionTime = f"{sequence.ti_ms:.1f}"
    ds.EchoTrainLength = sequence.echo_train
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
