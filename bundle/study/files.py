"""Where a study's files are: folders, archives and single files, without a word on what is in them."""

from __future__ import annotations

import glob
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from bundle.study.types import StudyError

_DOUBLE_ENDINGS = (".nii.gz",)
_IGNORED_NAMES = frozenset({"dicomdir", "thumbs.db", "desktop.ini", "__macosx"})


@dataclass(frozen=True)
class StudyFile:
    """A file on disk, or a member of a zip archive.

    Args:
        path: of the file; for a member of an archive the archive's path with the member's name joined to it.
        archive: the archive that holds it, or None.
        member: its name in the archive.
    """

    path: Path
    archive: Path | None = None
    member: str = ""

    def open(self) -> BinaryIO:
        """The file's bytes, seekable.

        Raises:
            StudyError: it cannot be opened (any more).
        """
        try:
            if self.archive is None:
                return self.path.open("rb")
            with zipfile.ZipFile(self.archive) as archive:
                return BytesIO(archive.read(self.member))
        except (OSError, RuntimeError, zipfile.BadZipFile, NotImplementedError) as error:
            raise StudyError(f"{self.path}: cannot be opened ({_reason(error)})") from error


def find_studies(studies: str | Path | Sequence[str | Path]) -> dict[str, Path]:
    """The studies that are meant, by the name of their output folder.

    Args:
        studies: a folder, a file or a glob (``**`` goes into subfolders), or several of them. Every match is one study.

    Returns:
        name -> path, in order. A name is that of the folder, or of the file without its ending; where two are the same,
        the later get ``-2``, ``-3`` ...

    Raises:
        StudyError: nothing matches.
    """
    patterns = [studies] if isinstance(studies, (str, Path)) else list(studies)
    found: dict[str, Path] = {}
    for pattern in patterns:
        path = Path(pattern).expanduser()
        matches = [path] if path.exists() else [Path(p) for p in sorted(glob.glob(str(path), recursive=True))]
        matches = [m for m in matches if not m.name.startswith(".") or m == path]
        if not matches:
            raise StudyError(f"{pattern}: no file or folder matches")
        for match in matches:
            stem = study_name(match)
            name, number = stem, 1
            while name in found:
                number += 1
                name = f"{stem}-{number}"
            found[name] = match
    return found


def study_name(path: Path) -> str:
    """Name of a folder, or of a file without its ending."""
    # A link keeps the name that its user gave it; only `..` has to be looked up.
    path = path.resolve() if path.name in ("", "..") else path.absolute()
    if path.is_dir():
        return path.name or "study"
    for ending in _DOUBLE_ENDINGS:
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.stem


def files_of(source: Path) -> Iterator[StudyFile]:
    """All files of a study: the file itself, those of a folder and its subfolders, and those of zip archives among them.

    Raises:
        StudyError: there is no such file or folder, or an archive is damaged.
    """
    if not source.exists():
        raise StudyError(f"{source}: no such file or folder")
    paths = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    for path in paths:
        if path != source and _ignored(path.relative_to(source).parts):
            continue
        if zipfile.is_zipfile(path):
            yield from _members(path)
        elif path.suffix.lower() == ".zip":
            raise StudyError(f"{path}: damaged zip archive")
        else:
            yield StudyFile(path)


def _members(archive: Path) -> Iterator[StudyFile]:
    with zipfile.ZipFile(archive) as opened:
        members = sorted((info for info in opened.infolist() if not info.is_dir()), key=lambda info: info.filename)
    for info in members:
        if not _ignored(Path(info.filename).parts):
            yield StudyFile(archive / info.filename, archive, info.filename)


def _ignored(parts: Sequence[str]) -> bool:
    return any(part.startswith(".") or part.lower() in _IGNORED_NAMES for part in parts)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or type(error).__name__)
