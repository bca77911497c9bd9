"""Reports as DICOM objects in tests: real readings, documents written by hand, and programs that judge objects."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from bundle.geometry import DISK_LEVELS
from bundle.report.document import validate
from bundle.report.review import with_review

#: A review that changes something of everything.
REVIEW = {
    "reader": "李^明",
    "comment": "Compare with 2019.",
    "vertebrae": [{"level": "L1", "confirmed": True}],
    "disks": [
        {"level": "L4-L5", "finding": "normal", "comment": "Annulus intact."},
        {"level": "L5-S1", "confirmed": True},
    ],
}
SIGNED = {**REVIEW, "status": "final", "signed_at": "2026-11-24T18:30:00+01:00"}
#: What dciodvfy does not know or would like to have, and why it is right as it is (see docs/report.md).
EXPLAINED = (
    "Unrecognized defined term = <99LUMBARDISK>",  # a private coding scheme, identified in the object's header
    "StudyID(0020,0010)> - Missing attribute or value that would be needed to build DICOMDIR",  # as in the images
    "AccessionNumber(0008,0050)",
)


@dataclass(frozen=True)
class ReadStudy:
    """A study, and the folder of its report."""

    source: Path
    folder: Path

    @property
    def document(self) -> dict[str, Any]:
        return json.loads((self.folder / "report.json").read_text(encoding="utf-8"))

    def signed(self) -> dict[str, Any]:
        return with_review(self.document, SIGNED)


def program(name: str) -> str:
    """Path of a program of the system; the test is skipped where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (see .ci/run)")
    return found


def complaints(path: Path) -> tuple[list[str], list[str]]:
    """Errors, and warnings that nobody has explained, of dciodvfy about an object."""
    done = subprocess.run([program("dciodvfy"), "-new", str(path)], capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines() + done.stdout.splitlines()
    errors = [line for line in lines if line.startswith("Error")]
    warnings = [line for line in lines if line.startswith("Warning") and not any(known in line for known in EXPLAINED)]
    return errors, warnings


def references(ds: Dataset) -> set[str]:
    """All SOP Instance UIDs that an object refers to."""
    return {str(element.value) for element in ds.iterall() if element.keyword == "ReferencedSOPInstanceUID"}


def study_uids(source: Path) -> set[str]:
    """SOP Instance UIDs of the files of a study."""
    return {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in images(source)}


def images(source: Path) -> Iterator[Path]:
    """DICOM files of a folder."""
    return (path for path in sorted(source.rglob("*")) if path.is_file() and path.suffix not in (".json", ".md"))


def copy_study(source: Path, folder: Path, change: Any) -> Path:
    """A study whose headers were changed; ``change`` is called with each data set."""
    folder.mkdir(parents=True)
    for number, path in enumerate(images(source)):
        ds = dcmread(path)
        change(ds)
        ds.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def handmade(
    study: str,
    sagittal: Mapping[str, Any],
    boxes: Sequence[tuple[str, Sequence[float]]] = (),
    roi: Mapping[str, Any] | None = None,
    center: Sequence[float] | None = (0.0, 0.0, 0.0),
) -> dict[str, Any]:
    """A document of one vertebra, L4, and of L4-L5 alone with an axial ROI; the other disks were not judged.

    Args:
        study: its UID.
        sagittal: ``series_instance_uid`` and ``slices``.
        boxes: image and corners of the body.
        roi: of the axial view.
        center: of the body.
    """
    entry = {"description": "", "reason": "", "weighting": "T2", **sagittal}
    disks = [
        {
            "level": level, "center_lps_mm": None, "normal_lps": None, "height_mm": None, "axial_sop_instance_uids": [],
            "rois": {"axial": None, "sagittal": None}, "probabilities": None, "finding": None, "views": [],
            "flags": ["vertebra_not_found"],
        }
        for level in DISK_LEVELS
    ]  # fmt: skip
    disks[3] |= {
        "rois": {"axial": roi, "sagittal": None}, "finding": "bulge", "views": ["axial"], "flags": [],
        "probabilities": {"normal": 0.2, "bulge": 0.7, "herniation": 0.1},
    }  # fmt: skip
    document = {
        "schema_version": "1.0",
        "study": {"name": "study", "study_instance_uid": study},
        "series": {"sagittal": entry, "axial": None},
        "vertebrae": [
            {
                "level": "L4", "center_lps_mm": None if center is None else list(center), "score": 0.9,
                "boxes": [{"sop_instance_uid": uid, "xyxy": list(xyxy)} for uid, xyxy in boxes],
            }
        ],
        "axial_slices": [], "disks": disks, "flags": ["no_axial_series"],
        "model": {"version": "0.1.0", "weights_sha256": {"vertebrae": "ab" * 32, "disks": "0f" * 32}},
    }  # fmt: skip
    validate(document)
    return document
