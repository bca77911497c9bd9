"""RSNA 2024 Lumbar Spine Degenerative Classification: 1,975 studies of eight institutions, with points on images.

Richards et al., Radiol Artif Intell 2025. From Kaggle (competition ``rsna-2024-lumbar-spine-degenerative-classification``;
an account and its rules, which allow non-commercial and academic use, must be accepted; it cannot be passed on). Unpacked::

    train_images/<study_id>/<series_id>/<instance_number>.dcm
    train.csv                       study_id, and a severity for each condition and level
    train_label_coordinates.csv     study_id, series_id, instance_number, condition, level, x, y
    train_series_descriptions.csv   study_id, series_id, series_description

It grades stenosis (Normal/Mild, Moderate, Severe) of canal, recesses and foramina, not bulge and herniation: no class
follows from it. Its axial points say at which level an axial slice lies, by a reader's word: they score step 2 (axial_rows).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bundle.datasets.labels import LabelledDisk, LabelledStudy, read_table
from bundle.geometry import DISK_LEVELS
from bundle.study import StudyError

_COORDINATES = ("study_id", "series_id", "instance_number", "condition", "level", "x", "y")
_DESCRIPTIONS = ("study_id", "series_id", "series_description")
_LEVEL = re.compile(r"([lst]\d+)[/_-]([lst]\d+)", re.IGNORECASE)
_CONTRASTS = {"Sagittal T1": "sagittal T1", "Sagittal T2/STIR": "sagittal T2", "Axial T2": "axial T2"}


@dataclass(frozen=True)
class RsnaPoint:
    """A point that a reader set.

    Args:
        study_id: of the study.
        series: ``sagittal T1``, ``sagittal T2`` or ``axial T2``; empty where the descriptions lack the series.
        image: the file.
        condition: such as ``Left Subarticular Stenosis``.
        level: ``L1-L2`` ... ``L5-S1``.
        point_px: column and row.
    """

    study_id: str
    series: str
    image: Path
    condition: str
    level: str
    point_px: tuple[float, float]


def disk_level_of(text: str) -> str | None:
    """``L4/L5`` or ``l4_l5`` as ``L4-L5``; None for a level that is none of DISK_LEVELS.

    >>> disk_level_of("left_neural_foraminal_narrowing_l5_s1")
    'L5-S1'
    """
    found = _LEVEL.search(text)
    level = f"{found[1]}-{found[2]}".upper() if found else ""
    return level if level in DISK_LEVELS else None


def read_points(folder: str | Path) -> list[RsnaPoint]:
    """The points of all studies, in the order of the file.

    Raises:
        StudyError: a table is missing or not as published.
    """
    folder = Path(folder)
    series = {
        (row["study_id"], row["series_id"]): _CONTRASTS.get(row["series_description"], "")
        for row in read_table(folder / "train_series_descriptions.csv", _DESCRIPTIONS)
    }
    table, points = folder / "train_label_coordinates.csv", []
    for number, row in enumerate(read_table(table, _COORDINATES), start=2):
        level = disk_level_of(row["level"])
        try:
            point = (float(row["x"]), float(row["y"]))
        except ValueError as error:
            raise StudyError(f"{table}: line {number} has no numbers for x and y") from error
        if level is None:
            raise StudyError(f"{table}: line {number} names no lumbar disk")
        image = folder / "train_images" / row["study_id"] / row["series_id"] / f"{row['instance_number']}.dcm"
        key = (row["study_id"], row["series_id"])
        points.append(RsnaPoint(row["study_id"], series.get(key, ""), image, row["condition"], level, point))
    return points


def axial_rows(folder: str | Path) -> Iterator[tuple[Path, str]]:
    """(file of an axial slice, level of the disk that it shows by the readers' word), each slice and level once.

    Raises:
        StudyError: see read_points.
    """
    rows = {(p.image, p.level) for p in read_points(folder) if p.series == "axial T2"}
    yield from sorted(rows)


def read_rsna(folder: str | Path) -> Iterator[LabelledStudy]:
    """The studies of ``folder``, each with five disks: severities by condition, and the point on the sagittal T2 image.

    Raises:
        StudyError: a table is missing or not as published.
    """
    folder = Path(folder)
    points: dict[tuple[str, str], RsnaPoint] = {}
    for point in read_points(folder):
        if point.series == "sagittal T2":
            points.setdefault((point.study_id, point.level), point)
    for row in read_table(folder / "train.csv", ("study_id",)):
        study, severities = row["study_id"], dict[str, dict[str, str]]()
        for name, severity in row.items():
            level = disk_level_of(name)
            if level is not None and severity:
                condition = name[: name.rindex("_", 0, name.rindex("_"))]
                severities.setdefault(level, {})[condition] = severity
        disks = []
        for level in DISK_LEVELS:
            found = points.get((study, level))
            image, place = (str(found.image), found.point_px) if found else ("", None)
            disks.append(LabelledDisk(level, None, image, place, severities.get(level, {})))
        yield LabelledStudy(folder / "train_images" / study, study, tuple(disks))
