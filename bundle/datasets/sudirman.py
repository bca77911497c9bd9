"""Sudirman et al.: lumbar MR of 515 patients with back pain, of one hospital in Jordan, with a radiologist's notes.

From Mendeley Data, both CC BY 4.0: "Lumbar Spine MRI Dataset" (doi 10.17632/k57fr854j2, the images) and "Radiologists Notes
for Lumbar Spine MRI Dataset" (doi 10.17632/s6bgczr8s2, the workbook). Unpacked::

    <folder>/<patient, four digits>/**/*.ima      DICOM, several series a patient
    Radiologists Report.xlsx                      Patient ID, Clinician's Notes

The notes are free text. What they say of each disk is read by the rules of findings_in, which are written there; they are
wrong where a note is unusual, so look at the notes of whatever you rely on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bundle.datasets.labels import LabelledDisk, LabelledStudy, graver
from bundle.geometry import DISK_LEVELS
from bundle.study import StudyError

_ID, _NOTES = "Patient ID", "Clinician's Notes"

_BODIES = ("L1", "L2", "L3", "L4", "L5", "S1")
_TERMS = {
    "bulge": re.compile(r"bulg(?:e[sd]?|ing)\b"),
    "herniation": re.compile(
        r"(?:protru(?:sions?|ded|ding)|extru(?:sions?|ded)|herniat(?:ions?|ed)|prolaps(?:es?|ed)|sequest\w+)\b"
    ),
}
#: "L4-5", "L4/L5", "L4 - L5", "L5S1", and "L3-L5", which is two disks.
_DISK = re.compile(r"\bl\s?([1-5])\s?(?:[-/–]\s?|(?=[ls]\d))(?:([ls])\s?)?([1-5])\b")
_JOINED = re.compile(r"\s*(?:,|&|\+|and|as well as)?\s*")
_RANGE = re.compile(r"\s*(?:to|through|till|down to|up to)\s*")
_NEGATION = re.compile(r"\b(?:no|without|not|negative for|absence of|rather than)\b")
_END_OF_NEGATION = re.compile(r"\b(?:but|except|however|apart from|other than)\b")
_AFTER = re.compile(r"^[\s\w]{0,24}?\b(?:at|of|in|involving|on|from)\b\s+(?:the\s+)?(?:levels?\s+(?:of\s+)?)?$")
_CLAUSES = re.compile(r"[.;\n\r]+")


def findings_in(notes: str) -> dict[str, str]:
    """Disk level -> class, of all five disks, as a radiologist's notes have it.

    The rules: notes are read clause by clause (to a full stop, semicolon or new line). Bulges are bulges; protrusions,
    extrusions, herniations, prolapses and sequestra are herniations. A term goes with the levels that are named right after
    it ("bulge at L3-4 and L4-5"), else with the last ones named before it in its clause ("L3-4 and L4-5 bulge"), else with
    the next ones after it. What follows "no" or "without" in its clause, up to a "but", is not there. Of several terms for
    a disk the gravest counts; a disk of which none is said is normal.

    >>> findings_in("L4-5 diffuse disc bulge. Right paracentral protrusion at L5/S1. No extrusion.")["L5-S1"]
    'herniation'
    """
    said: dict[str, list[str]] = {level: ["normal"] for level in DISK_LEVELS}
    for clause in _CLAUSES.split(notes.lower()):
        groups = _groups(clause)
        for finding, pattern in _TERMS.items():
            for term in pattern.finditer(clause):
                if not _negated(clause, term.start()):
                    for level in _levels_of(clause, groups, term.start(), term.end()):
                        said[level].append(finding)
    return {level: graver(findings) or "normal" for level, findings in said.items()}


def _groups(clause: str) -> list[tuple[int, int, list[str]]]:
    """(start, end, levels) of each list of levels, such as "L2-3, L3-4 and L5-S1" or "L2-3 to L5-S1"."""
    groups: list[tuple[int, int, list[str]]] = []
    for found in _DISK.finditer(clause):
        levels = _disks(found)
        if groups:
            start, end, before = groups[-1]
            between = clause[end : found.start()]
            if _RANGE.fullmatch(between) and before and levels:
                first, last = DISK_LEVELS.index(before[-1]), DISK_LEVELS.index(levels[-1])
                groups[-1] = (start, found.end(), [*before, *DISK_LEVELS[first + 1 : last + 1]])
                continue
            if _JOINED.fullmatch(between):
                groups[-1] = (start, found.end(), before + levels)
                continue
        groups.append((found.start(), found.end(), levels))
    return groups


def _disks(found: re.Match[str]) -> list[str]:
    upper = _BODIES.index(f"L{found[1]}")
    lower = len(_BODIES) - 1 if found[2] == "s" or (found[1] == "5" and found[3] == "1") else _BODIES.index(f"L{found[3]}")
    return list(DISK_LEVELS[upper:lower])


def _levels_of(clause: str, groups: list[tuple[int, int, list[str]]], start: int, end: int) -> list[str]:
    following = [group for group in groups if group[0] >= end]
    if following and _AFTER.match(clause[end : following[0][0]]):
        return following[0][2]
    before = [group for group in groups if group[1] <= start]
    nearest = before[-1:] or following[:1]
    return nearest[0][2] if nearest else []


def _negated(clause: str, place: int) -> bool:
    negations = [found.end() for found in _NEGATION.finditer(clause) if found.end() <= place]
    return bool(negations) and not _END_OF_NEGATION.search(clause, negations[-1], place)


def read_notes(path: str | Path) -> dict[str, str]:
    """Patient (four digits) -> notes.

    Raises:
        StudyError: the workbook cannot be read, or lacks a column.
    """
    from openpyxl import load_workbook

    path = Path(path)
    try:
        rows = list(load_workbook(path, read_only=True, data_only=True).worksheets[0].iter_rows(values_only=True))
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror or type(error).__name__})") from error
    except Exception as error:  # a damaged archive or sheet raises whatever its part of the library likes
        raise StudyError(f"{path}: is no workbook ({type(error).__name__})") from error
    names = [str(name or "").strip().replace("’", "'") for name in rows[0]] if rows else []
    if _ID not in names or _NOTES not in names:
        raise StudyError(f"{path}: lacks the columns {_ID} and {_NOTES}")
    number, notes = names.index(_ID), names.index(_NOTES)
    found = {}
    for row in rows[1:]:
        if row[number] is None or not str(row[notes] or "").strip():
            continue
        found[f"{int(row[number]):04d}"] = str(row[notes]).strip()
    return found


def read_sudirman(folder: str | Path, report: str | Path | None = None) -> Iterator[LabelledStudy]:
    """The patients who have images and notes.

    Args:
        folder: with a folder for each patient.
        report: the workbook; None for ``Radiologists Report.xlsx`` in the folder.

    Raises:
        StudyError: the workbook cannot be read, or lacks a column.
    """
    folder = Path(folder)
    for patient, notes in sorted(read_notes(report or folder / "Radiologists Report.xlsx").items()):
        place = folder / patient
        if place.is_dir():
            findings = findings_in(notes)
            yield LabelledStudy(place, patient, tuple(LabelledDisk(level, findings[level]) for level in DISK_LEVELS))
