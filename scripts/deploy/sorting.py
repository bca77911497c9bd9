"""A folder of DICOM files, however it is laid out, to studies."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from bundle.study.dicom import looks_like_dicom


def sort_by_study(folder: Path) -> list[list[Path]]:
    """The DICOM files of ``folder`` and its subfolders, study by study, in order of the first file's path.

    A file whose header cannot be read goes with the others of its folder: the reading says what is wrong with it.

    Args:
        folder: of the studies; the files of one may lie anywhere in it.

    Returns:
        The files of each study; files that are no DICOM are left out.
    """
    studies: dict[str, list[Path]] = {}
    unknown: dict[Path, list[Path]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as stream:
            if not looks_like_dicom(stream):
                continue
        uid = _study_uid(path)
        (studies.setdefault(uid, []) if uid else unknown.setdefault(path.parent, [])).append(path)
    by_folder = {files[0].parent: files for files in studies.values()}
    strays = [files for parent, files in unknown.items() if parent not in by_folder]
    for parent, files in unknown.items():
        by_folder.get(parent, []).extend(files)
    return sorted([*studies.values(), *strays], key=lambda files: files[0])


def _study_uid(path: Path) -> str:
    try:
        header = dcmread(path, stop_before_pixels=True, force=True, specific_tags=["StudyInstanceUID"])
        return str(header.get("StudyInstanceUID") or "")
    except (InvalidDicomError, EOFError, OSError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError):
        return ""
