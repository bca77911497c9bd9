"""SPIDER (van der Graaf et al. 2024, CC BY 4.0): mid-sagittal pictures with radiological gradings of each disk."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bundle.geometry import DISK_LEVELS
from bundle.study import StudyError

_COLUMNS = ("Patient", "IVD label", "Disc herniation", "Disc bulging", "Disc narrowing", "Pfirrman grade")


@dataclass(frozen=True)
class DiskGrading:
    """What SPIDER's reader says of a disk. Several flags may be set.

    Args:
        bulging: flag.
        herniation: flag.
        narrowing: flag.
        pfirrmann: grade 1 to 5.
    """

    bulging: bool
    herniation: bool
    narrowing: bool
    pfirrmann: int

    @property
    def finding(self) -> str:
        """The one class: a herniated disk is a herniation whatever else is flagged, one that only bulges is a bulge."""
        return "herniation" if self.herniation else "bulge" if self.bulging else "normal"


@dataclass(frozen=True)
class GradedPicture:
    """A picture with the gradings of its disks.

    Args:
        path: of the picture.
        patient: number, by which data are split.
        contrast: ``t1``, ``t2`` or ``t2_SPACE``, from the file's name.
        gradings: by disk level.
    """

    path: Path
    patient: int
    contrast: str
    gradings: dict[str, DiskGrading]


def read_gradings(path: str | Path) -> dict[int, dict[str, DiskGrading]]:
    """Patient -> disk level -> grading. Disk 1 is L5-S1, counted upward; those above L1-L2 are left out.

    Raises:
        StudyError: the file is not there or lacks a column.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [{key.strip(): value for key, value in row.items() if key} for row in csv.DictReader(file)]
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from error
    if not rows or not set(_COLUMNS) <= rows[0].keys():
        raise StudyError(f"{path}: no gradings with the columns {', '.join(_COLUMNS)}")
    gradings: dict[int, dict[str, DiskGrading]] = {}
    for number, row in enumerate(rows, start=2):
        try:
            patient, disk, herniation, bulging, narrowing, pfirrmann = (int(row[name]) for name in _COLUMNS)
        except (TypeError, ValueError) as error:
            raise StudyError(f"{path}: line {number} holds something else than whole numbers") from error
        if 1 <= disk <= len(DISK_LEVELS):
            grading = DiskGrading(bool(bulging), bool(herniation), bool(narrowing), pfirrmann)
            gradings.setdefault(patient, {})[DISK_LEVELS[-disk]] = grading
    return gradings


def read_spider(folder: str | Path) -> Iterator[GradedPicture]:
    """The graded pictures of ``folder`` (with ``images`` and ``radiological_gradings.csv``).

    Raises:
        StudyError: there are no gradings.
    """
    folder = Path(folder)
    gradings = read_gradings(folder / "radiological_gradings.csv")
    for path in sorted((folder / "images").glob("*.png")):
        patient, _, contrast = path.stem.partition("_")
        if patient.isdigit() and int(patient) in gradings:
            yield GradedPicture(path, int(patient), contrast, gradings[int(patient)])
