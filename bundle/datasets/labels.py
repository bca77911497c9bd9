"""What every set of labelled disks is turned into: studies with the labels of their disks, and one datalist of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundle.geometry import FINDINGS
from bundle.study import StudyError
from bundle.whole_file import whole_file


@dataclass(frozen=True)
class LabelledDisk:
    """What a set says of one disk.

    Args:
        level: ``L1-L2`` ... ``L5-S1``.
        finding: one of FINDINGS, by the written rule of the set's loader; None where the set says nothing of the kind.
        image: the image that ``point_px`` is on, as the set names it; empty without a point.
        point_px: column and row of the disk on that image; None where the set has none.
        labels: what else the set says, by its own names: grades as numbers, flags as 0 or 1.
    """

    level: str
    finding: str | None
    image: str = ""
    point_px: tuple[float, float] | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledStudy:
    """Images of one patient with the labels of their disks.

    Args:
        source: what bundle.study.StudyReader reads: a file or a folder.
        patient: as the set names him; data are split by patient.
        disks: from the head down; only those that the set labels.
        contrast: such as ``t2``, where the set says so; else empty.
    """

    source: Path
    patient: str
    disks: tuple[LabelledDisk, ...]
    contrast: str = ""


def graver(findings: Iterable[str]) -> str | None:
    """Of several findings of a disk the one that counts: herniation before bulge before normal; None of none.

    >>> graver(["bulge", "herniation", "normal"])
    'herniation'
    """
    return max(findings, key=FINDINGS.index, default=None)


def write_disk_list(path: str | Path, studies: Iterable[LabelledStudy], name: str = "training") -> int:
    """Write studies as MONAI's datalist with an item for each disk; the file is whole or not there.

    An item has ``image`` (the study's path), ``patient``, ``contrast``, ``level``, ``finding`` (or null), ``label`` (its
    index into FINDINGS, or null), ``point_image`` and ``point`` (column, row, or null), and the set's own ``labels``.

    Args:
        path: of the JSON file.
        studies: of any loader.
        name: of the list in the file.

    Returns:
        The number of disks.
    """
    items = [
        {
            "image": str(study.source),
            "patient": study.patient,
            "contrast": study.contrast,
            "level": disk.level,
            "finding": disk.finding,
            "label": None if disk.finding is None else FINDINGS.index(disk.finding),
            "point_image": disk.image,
            "point": None if disk.point_px is None else list(disk.point_px),
            "labels": dict(disk.labels),
        }
        for study in studies
        for disk in study.disks
    ]
    with whole_file(path) as part:
        part.write_text(json.dumps({name: items}, indent=1) + "\n")
    return len(items)


def read_table(path: str | Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file, by column; blanks around names are taken off.

    Raises:
        StudyError: the file is not there, or lacks one of ``columns``.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = [name.strip() for name in reader.fieldnames or ()]
            rows = [{key.strip(): (value or "").strip() for key, value in row.items() if key} for row in reader]
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise StudyError(f"{path}: is no table ({type(error).__name__})") from error
    missing = [name for name in columns if name not in names]
    if missing:
        raise StudyError(f"{path}: lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}")
    return rows
