"""Files in, studies queued: archives are unpacked, files sorted into studies, and what is here already is recognised."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.uid import DeflatedExplicitVRLittleEndian

from bundle.study.dicom import looks_like_dicom
from bundle.study.plain import is_nifti, is_picture
from scripts.settings import MB
from scripts.web.settings import Limits
from scripts.web.store import Store
from scripts.web.unpack import Budget, Refused, looks_packed, unpack

_ENDINGS = (".nii.gz", ".nii", ".png", ".jpg", ".jpeg")
_IGNORED = frozenset({"dicomdir", "thumbs.db", "desktop.ini", "__macosx"})
_BLOCK = 64 * 1024
_MAX_INFLATED = 512 * MB  # of one deflated DICOM file
_TAGS = (
    "SOPInstanceUID",
    "StudyInstanceUID",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyDescription",
    "AccessionNumber",
)


class Places:
    """Where things lie in the data folder.

    Args:
        data_dir: it is made, for its owner alone, if it is not there.
    """

    def __init__(self, data_dir: Path) -> None:
        self.root = data_dir
        self.incoming = data_dir / "incoming"
        self.studies = data_dir / "studies"
        self.database = data_dir / "page.sqlite"
        for folder in (data_dir, self.incoming, self.studies):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def study(self, study: str) -> Path:
        """Everything of one study."""
        return self.studies / study

    def images(self, study: str) -> Path:
        """Its files, as uploaded; the folder's name is that of the study in its report."""
        return self.study(study) / f"study-{study[:6]}"

    def report(self, study: str) -> Path:
        """The machine's report."""
        return self.study(study) / "report"

    def view(self, study: str) -> Path:
        """Images for the viewer."""
        return self.study(study) / "view"

    def exports(self, study: str, version: int, revision: int) -> Path:
        """Files made of one state of the report."""
        return self.study(study) / "exports" / f"{version}-{revision}"

    def clear(self, known: Callable[[str], bool]) -> None:
        """Take away uploads that were under way when the server ended, and the files of studies that are not ``known``."""
        for leftover in (*self.incoming.iterdir(), *(f for f in self.studies.iterdir() if not known(f.name))):
            shutil.rmtree(leftover, ignore_errors=True)

    def discard(self, study: str) -> None:
        """Take a study's files away, as it looks from outside at once."""
        folder, bin_ = self.study(study), self.incoming / f"deleted-{study}"
        if folder.exists():
            folder.rename(bin_)
            shutil.rmtree(bin_, ignore_errors=True)

    @contextmanager
    def workbench(self, limits: Limits) -> Iterator[Path]:
        """An empty folder for one upload, gone afterwards.

        Raises:
            Refused: the disk is nearly full.
        """
        if shutil.disk_usage(self.root).free < limits.min_free_mb * MB:
            raise Refused("The disk of this server is nearly full: delete studies first.", 507)
        with tempfile.TemporaryDirectory(dir=self.incoming, ignore_cleanup_errors=True) as folder:
            yield Path(folder)


@dataclass
class _Group:
    """The files of one study: (file, path within the study)."""

    uid: str = ""
    files: list[tuple[Path, PurePosixPath]] = field(default_factory=list)
    instances: list[str] = field(default_factory=list)  # SOPInstanceUID of each file, empty where there is none
    facts: dict[str, Any] | None = None


def take(files: Sequence[tuple[str, Path]], folder: Path, places: Places, store: Store, limits: Limits) -> dict[str, Any]:
    """Queue the studies of an upload.

    Args:
        files: (name as the browser gave it, file), on the same disk as the studies.
        folder: for what is unpacked.
        places: of the data folder.
        store: takes the studies.
        limits: of one upload.

    Returns:
        ``received``: [(row of the study, whether it was here already)], ``left_out``: number of files that are no images.

    Raises:
        Refused: nothing in it can be read, or it breaks a limit. Then nothing of it was taken.
    """
    groups, left_out = _sorted(_loose(files, folder, limits))
    if not groups:
        what = "1 file" if left_out == 1 else f"{left_out} files"
        raise Refused(f"No DICOM, NIfTI, PNG or JPG image in it ({what} of another kind).", 415)
    received = []
    for group in groups:
        row = store.add(_digest(group), group.uid, _facts(group), partial(_put, group, places))
        received.append((row, bool(row["duplicate"])))
    return {"received": received, "left_out": left_out}


def _loose(files: Iterable[tuple[str, Path]], folder: Path, limits: Limits) -> Iterator[tuple[PurePosixPath, Path]]:
    """All files with their paths, those of archives unpacked."""
    budget = Budget(limits)
    for number, (name, path) in enumerate(files):
        with path.open("rb") as stream:
            start = stream.read(132)
        where = PurePosixPath(name.replace("\\", "/"))
        if not looks_packed(start, name):
            budget.count_file()
            budget.count_bytes(path.stat().st_size)
            yield where, path
            continue
        if not start.startswith(b"PK"):
            zip_by_name = name.lower().endswith(".zip")
            raise Refused(
                "The zip archive is damaged or cut off: make it anew."
                if zip_by_name
                else "Of archives only zip can be taken: unpack it first and drop the folder."
            )
        target = folder / f"unpacked-{number}"
        target.mkdir()
        names: list[PurePosixPath] = []

        def place_for(
            member: PurePosixPath, target: Path = target, names: list[PurePosixPath] = names, where: PurePosixPath = where
        ) -> Path:
            names.append(where / member)
            return target / f"{len(names):06d}"

        for unpacked in unpack(path, budget, place_for):
            yield names[-1], unpacked


def _sorted(loose: Iterable[tuple[PurePosixPath, Path]]) -> tuple[list[_Group], int]:
    """Files by study, and the number of those that belong to none.

    DICOM files go by their StudyInstanceUID; without one they belong together. Volumes belong together, and each picture is
    a study by itself; but beside DICOM files they are only copies.
    """
    dicom: dict[str, _Group] = {}
    volumes = _Group()
    pictures: list[_Group] = []
    left_out = 0
    for name, path in loose:
        if any(part.startswith(".") or part.lower() in _IGNORED for part in name.parts if part not in ("/", "..")):
            continue
        if is_nifti(Path(name.name)):
            volumes.files.append((path, name))
        elif is_picture(Path(name.name)):
            pictures.append(_Group(files=[(path, name)]))
        else:
            header = _header(path)
            if header is None:
                left_out += 1
                continue
            uid = str(header.get("StudyInstanceUID") or "")
            group = dicom.setdefault(uid, _Group(uid))
            group.files.append((path, name))
            group.instances.append(str(header.get("SOPInstanceUID") or ""))
            if group.facts is None or not group.facts["patient"]["name"]:
                group.facts = facts_of(header)
    if dicom:
        return list(dicom.values()), left_out + len(volumes.files) + len(pictures)
    return ([volumes] if volumes.files else []) + pictures, left_out


def _header(path: Path) -> Dataset | None:
    """What the work list needs of a DICOM file's header; empty if it is damaged, None for another file or a directory."""
    with path.open("rb") as stream:
        if not looks_like_dicom(stream):
            return None
        _refuse_bomb(stream)
        try:
            header = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=[*_TAGS, "DirectoryRecordSequence"])
        except Exception:  # whatever a damaged file makes the parser raise: the reading will say what is wrong with it
            return Dataset()
    return None if "DirectoryRecordSequence" in header else header


def _refuse_bomb(stream: BinaryIO) -> None:
    """A deflated DICOM file is inflated in memory as a whole, so what comes out has to be counted first.

    Raises:
        Refused: it is too much.
    """
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    try:
        read_preamble(stream, force=True)
        # Its length element may lie about where the deflated part begins: go by what dcmread itself will do.
        if _read_file_meta_info(stream).get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return
        while (block := stream.read(_BLOCK)) and total <= _MAX_INFLATED:
            while block and total <= _MAX_INFLATED:
                total += len(inflater.decompress(block, _BLOCK))
                block = inflater.unconsumed_tail
    except Exception:  # damaged: then dcmread inflates no more of it either
        return
    finally:
        stream.seek(0)
    if total > _MAX_INFLATED:
        raise Refused("A file in it unpacks to far more than any image would. Nothing of it was taken.", 413)


def facts_of(header: Dataset) -> dict[str, Any]:
    """What the work list shows, from a header: ``patient``, ``study_date``, ``description``, ``accession_number``."""

    def text(keyword: str) -> str:
        try:
            value = str(header.get(keyword) or "")
        except Exception:  # a value that does not decode is as good as none
            return ""
        return " ".join("".join(c if c.isprintable() else " " for c in value).split())[:200]

    def date(keyword: str) -> str:
        value = text(keyword)
        return f"{value[:4]}-{value[4:6]}-{value[6:8]}" if len(value) == 8 and value.isdigit() else ""

    # Ideographic and phonetic groups follow after "="; components are parted by "^".
    alphabetic = [group for group in text("PatientName").split("=") if group.strip("^ ")]
    names = [", ".join(part.strip() for part in group.split("^") if part.strip()) for group in alphabetic[:2]]
    return {
        "patient": {
            "name": " = ".join(names),
            "id": text("PatientID"),
            "birth_date": date("PatientBirthDate"),
            "sex": text("PatientSex"),
        },
        "study_date": date("StudyDate"),
        "description": text("StudyDescription"),
        "accession_number": text("AccessionNumber"),
    }


def _facts(group: _Group) -> dict[str, Any]:
    facts = group.facts or facts_of(Dataset())
    sizes = [path.stat().st_size for path, _ in group.files]
    return {**facts, "files": len(sizes), "bytes": sum(sizes)}


def _digest(group: _Group) -> str:
    """What tells the same images again, whatever the files are called, in whatever order and from wherever they come.

    DICOM images go by their UIDs: a server may write the same image otherwise than a disk. Others go by every byte.
    """
    if group.instances and all(group.instances):
        marks = {f"{group.uid} {instance}" for instance in group.instances}
    else:
        marks = set()
        for path, _ in group.files:
            with path.open("rb") as stream:
                marks.add(hashlib.file_digest(stream, "sha256").hexdigest())
    return hashlib.sha256("\n".join(sorted(marks)).encode()).hexdigest()


def _put(group: _Group, places: Places, study: str) -> None:
    """Lay a study's files in their folder, under numbers: what they were called may hold a patient's name."""
    folder = places.images(study)
    folder.mkdir(parents=True)
    parents: dict[PurePosixPath, str] = {}
    # In the order of their names, so that volumes and nameless series stay in it.
    for number, (path, name) in enumerate(sorted(group.files, key=lambda entry: str(entry[1])), start=1):
        parent = folder / parents.setdefault(name.parent, f"{len(parents) + 1:03d}")
        parent.mkdir(exist_ok=True)
        ending = next((e for e in _ENDINGS if name.name.lower().endswith(e)), ".dcm")
        path.rename(parent / f"{number:06d}{ending}")
