"""Writes a phantom's examination as a DICOM study, with its truth beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from bundle.phantom.paint import SpinePatient
from bundle.phantom.render import Patient
from bundle.phantom.shapes import Spine
from bundle.phantom.study import SeriesPlan, lumbar_examination, series_images
from bundle.phantom.truth import as_dict, disk_at

_MR_IMAGE_STORAGE = UID("1.2.840.10008.5.1.4.1.1.4")
_SCALE = 1000.0  # stored value of the brightest tissue
_SEQUENCE_TAGS = {"T1": ("SE", "SK"), "T2": ("SE", "SK"), "PD": ("SE", "SK"), "T2FS": ("SE", "SK"), "STIR": ("IR", "SK")}


def uid(*names: object) -> UID:
    """The same UID for the same names, and another for others."""
    # generate_uid joins its sources with nothing between them: 1, 11 and 11, 1 would be one UID.
    return generate_uid(entropy_srcs=["lumbar-disk-bundle phantom", *(f"/{name}" for name in names)])


def write_study(
    folder: str | Path, spine: Spine, seed: int = 0, plans: Sequence[SeriesPlan] | None = None
) -> dict[str, Any]:
    """Write an examination of ``spine`` below ``folder``: one subfolder a series, and ``truth.json``.

    Args:
        folder: is made; files of the same names are replaced.
        spine: the patient.
        seed: of the examination and its noise.
        plans: the series; default lumbar_examination(spine, seed).

    Returns:
        The truth, as written: see bundle.phantom.truth.as_dict; ``axial_slices`` tells the disk of each axial image.
    """
    folder = Path(folder)
    plans = list(plans) if plans is not None else lumbar_examination(spine, seed)
    written = write_series(folder, SpinePatient(spine), plans, f"{seed}-{spine.seed}", seed)
    truth = as_dict(spine)
    truth["axial_slices"] = [
        {"sop_instance_uid": sop, "level": level, "margin_mm": round(margin, 2)}
        for plan, images in zip(plans, written, strict=True)
        if plan.description.endswith("tra")
        for sop, (level, margin) in zip(images, (disk_at(spine, plane) for plane in plan.planes), strict=True)
    ]
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")
    return truth


def write_series(folder: Path, patient: Patient, plans: Sequence[SeriesPlan], name: str, seed: int = 0) -> list[list[str]]:
    """Write ``plans`` of one patient as DICOM files; returns the SOP Instance UIDs of each series.

    Args:
        folder: of the study.
        patient: who is examined.
        plans: its series.
        name: tells this study from others: the UIDs and the made-up patient's ID follow from it.
        seed: of the noise.
    """
    uids: list[list[str]] = []
    for number, plan in enumerate(plans, start=1):
        where = folder / f"{number:02d}_{plan.description}"
        where.mkdir(parents=True, exist_ok=True)
        uids.append([])
        for index, image in enumerate(series_images(patient, plan, seed + 1000 * number)):
            header = _header(plan, number, index, name)
            stored = np.clip(np.rint(image * _SCALE), 0, 4095).astype("<u2")
            header.SmallestImagePixelValue, header.LargestImagePixelValue = int(stored.min()), int(stored.max())
            header.WindowCenter, header.WindowWidth = 400, 800
            header.PixelData = stored.tobytes()
            header.save_as(where / f"{index + 1:04d}.dcm", enforce_file_format=True)
            uids[-1].append(str(header.SOPInstanceUID))
    return uids


def _header(plan: SeriesPlan, series_number: int, index: int, name: str) -> Dataset:
    plane, sequence = plan.planes[index], plan.sequence
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _MR_IMAGE_STORAGE
    meta.MediaStorageSOPInstanceUID = uid(name, series_number, index)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "LOCALIZER" if plan.description == "localizer" else "SE"]
    ds.SOPClassUID = meta.MediaStorageSOPClassUID
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20000101"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "120000"
    ds.AccessionNumber = ""
    ds.Modality = "MR"
    ds.Manufacturer = "lumbar-disk-bundle"
    ds.ManufacturerModelName = "digital lumbar spine"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "MR lumbar spine (phantom)"
    ds.SeriesDescription = plan.description
    ds.PatientName = "Phantom^Spine"
    ds.PatientID = f"PHANTOM-{name}"
    ds.PatientBirthDate = ""
    ds.PatientSex = "O"
    ds.BodyPartExamined = "LSPINE"
    ds.ScanningSequence, ds.SequenceVariant = _SEQUENCE_TAGS[sequence.name]
    ds.ScanOptions = "FS" if sequence.fat_fraction < 1 else ""
    ds.MRAcquisitionType = "2D"
    ds.SliceThickness = f"{plane.thickness_mm or 4.0:.3f}"
    ds.RepetitionTime = f"{sequence.tr_ms:.1f}"
    ds.EchoTime = f"{sequence.te_ms:.1f}"
    if sequence.ti_ms > 0:
        ds.InversionTime = f"{sequence.ti_ms:.1f}"
    ds.EchoTrainLength = 15 if sequence.te_ms > 40 else 3
    ds.MagneticFieldStrength = f"{sequence.field_t:g}"
    ds.SpacingBetweenSlices = f"{(plane.thickness_mm or 4.0) / 0.9:.3f}"
    ds.FlipAngle = "90"
    ds.PatientPosition = "HFS"
    ds.StudyInstanceUID = uid(name)
    ds.SeriesInstanceUID = uid(name, series_number)
    ds.StudyID = "1"
    ds.SeriesNumber = series_number
    ds.AcquisitionNumber = 1
    ds.InstanceNumber = index + 1
    ds.FrameOfReferenceUID = uid(name, "frame")
    ds.PositionReferenceIndicator = ""
    ds.ImagePositionPatient = [f"{v:.6f}"[:16] for v in plane.origin_lps_mm]
    ds.ImageOrientationPatient = [f"{v:.8f}" for v in (*plane.row_direction, *plane.column_direction)]
    ds.SliceLocation = f"{plane.position_mm:.3f}"
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = plane.shape
    ds.PixelSpacing = [f"{v:.6f}" for v in plane.pixel_spacing_mm]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    return ds
