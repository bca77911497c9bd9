"""Tianchi spinal disease set: sagittal (and axial) T2 of Chinese hospitals, with a named point in each disk and body.

From Alibaba Cloud's Tianchi platform ("Spark: digital human body, spine disease diagnosis", 2020; an account is needed, and
its rules allow research only and no passing on). 150 training studies and 51 of test, each a
folder of DICOM files, and a JSON file of annotations::

    [{"studyUid": ..., "version": ..., "data": [{"seriesUid": ..., "instanceUid": ...,
      "annotation": [{"annotator": ..., "data": {"point": [
          {"coord": [x, y], "tag": {"identification": "L4-L5", "disc": "v2", "vertebra": ""}, "zIndex": 5}, ...]}}]}]}]

``disc``: v1 normal, v2 bulge, v3 protrusion, v4 extrusion, v5 Schmorl node. Several come joined by commas, some are empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bundle.datasets.labels import LabelledDisk, LabelledStudy, graver
from bundle.geometry import DISK_LEVELS
from bundle.study import StudyError

#: Class of each code. A Schmorl node is a dent of the endplate and says nothing of the disk's outline.
DISC_CODES: Mapping[str, str] = {"v1": "normal", "v2": "bulge", "v3": "herniation", "v4": "herniation"}
_SCHMORL = "v5"


def finding_of(disc: str) -> str | None:
    """The class of a ``disc`` tag: the gravest of its codes. None for an empty tag, and for a Schmorl node alone.

    >>> finding_of("v1,v5"), finding_of("v2,v3"), finding_of("")
    ('normal', 'herniation', None)
    """
    return graver([DISC_CODES[code] for code in _codes(disc) if code in DISC_CODES])


def _codes(disc: str) -> list[str]:
    return [code.strip().lower() for code in disc.replace("，", ",").split(",") if code.strip()]


def read_tianchi(folder: str | Path, annotations: str | Path) -> Iterator[LabelledStudy]:
    """The annotated studies; one of which no file is found is left out.

    Args:
        folder: with the studies, in a folder each, of any name.
        annotations: the JSON file.

    Raises:
        StudyError: the file is not as published, or the folder is not there.
    """
    folder, path = Path(folder), Path(annotations)
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise StudyError(f"{path}: is no JSON") from error
    places = _folders(folder)
    try:
        for entry in entries:
            uid = str(entry["studyUid"])
            if uid in places:
                yield LabelledStudy(places[uid], uid, tuple(_disks(entry)), "t2")
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise StudyError(f"{path}: not as published ({type(error).__name__} at {error})") from error


def _disks(entry: Mapping[str, Any]) -> list[LabelledDisk]:
    found: dict[str, LabelledDisk] = {}
    for series in entry["data"]:
        for annotation in series["annotation"]:
            for point in annotation["data"]["point"]:
                level = str(point["tag"].get("identification", "")).upper().replace("/", "-")
                if level not in DISK_LEVELS:  # a body, or T12-L1
                    continue
                disc = str(point["tag"].get("disc") or "")
                column, row = (float(v) for v in point["coord"])
                labels = {"disc": disc, "schmorl": int(_SCHMORL in _codes(disc))}
                found[level] = LabelledDisk(level, finding_of(disc), str(series["instanceUid"]), (column, row), labels)
    return [found[level] for level in DISK_LEVELS if level in found]


def _folders(folder: Path) -> dict[str, Path]:
    """Study Instance UID -> folder of its files, by the header of one file in each folder."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    if not folder.is_dir():
        raise StudyError(f"{folder}: is no folder")
    places: dict[str, Path] = {}
    for place in sorted(p for p in (folder, *folder.rglob("*")) if p.is_dir()):
        for file in sorted(f for f in place.iterdir() if f.is_file()):
            try:
                uid = str(dcmread(file, stop_before_pixels=True, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
            except (InvalidDicomError, AttributeError, OSError):
                continue
            places.setdefault(uid, place)
            break
    return places
