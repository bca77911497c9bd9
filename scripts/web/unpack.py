"""Zip archives from somebody else: unpacked file by file, or refused with the reason."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from scripts.settings import MB
from scripts.web.settings import Limits

_BLOCK = 1 * MB
_FREE_RATIO_BYTES = 64 * MB  # what is not larger than this may be packed as tightly as it will
_INDEX_BYTES_A_FILE = 400  # of the archive's index; a file's path is seldom longer than 250
_SAFE_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_DRIVE = re.compile(r"^[A-Za-z]:")
_ARCHIVE_ENDINGS = (".zip", ".7z", ".rar", ".tar", ".tgz", ".gz", ".bz2", ".xz")
_ARCHIVE_STARTS = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\x00",
)


class Refused(Exception):
    """An upload cannot be taken.

    Args:
        message: one line for the user, without a file's name, which may hold a patient's.
        status: HTTP status.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Budget:
    """What an upload may still unpack.

    Args:
        limits: of one upload.
        files: counted so far.
        unpacked: bytes so far.
    """

    limits: Limits
    files: int = 0
    unpacked: int = 0

    def count_file(self) -> None:
        """One file more.

        Raises:
            Refused: there are too many.
        """
        self.files += 1
        if self.files > self.limits.max_files:
            raise Refused(f"More than {self.limits.max_files} files in one upload.", 413)

    def count_bytes(self, count: int) -> None:
        """So many bytes more.

        Raises:
            Refused: it is too large when unpacked.
        """
        self.unpacked += count
        if self.unpacked > self.limits.max_unpacked_mb * MB:
            raise Refused(f"The upload is larger than {self.limits.max_unpacked_mb} MB when unpacked.", 413)


def looks_packed(start: bytes, name: str = "") -> bool:
    """Whether a file is an archive, by its first 132 bytes and its name. A DICOM file's preamble may look like anything."""
    if start[128:132] == b"DICM" or name.lower().endswith(".nii.gz"):
        return False
    return start.startswith(_ARCHIVE_STARTS) or name.lower().endswith(_ARCHIVE_ENDINGS)


def unpack(archive: Path, budget: Budget, place_for: Callable[[PurePosixPath], Path]) -> Iterator[Path]:
    """Unpack an archive's files one by one.

    Args:
        archive: zip file.
        budget: is counted down.
        place_for: path in the archive -> where the file goes; what it is called there is the caller's choice.

    Yields:
        Each unpacked file.

    Raises:
        Refused: the archive is damaged, encrypted, too large when unpacked, or holds links, paths that lead out of it or
            other archives. What was unpacked until then stays for the caller to clear away.
    """
    try:
        with archive.open("rb") as stream:
            _check_index(stream, budget.limits)
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            _check_members(members, budget.limits)
            for member in members:
                budget.count_file()
                path = place_for(PurePosixPath(member.filename))
                with opened.open(member) as source, path.open("xb") as target:
                    _copy(source, target, member, budget)
                yield path
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise Refused(f"The upload cannot be written ({error.strerror}).", 507) from None
        raise Refused("The zip archive is damaged or cut off: make it anew.") from None


def _check_index(stream: BinaryIO, limits: Limits) -> None:
    """An archive's index is read into memory as a whole, so its size has to be known first."""
    end = zipfile._EndRecData(stream)  # type: ignore[attr-defined]  # as ZipFile itself finds the index
    if not end:
        raise zipfile.BadZipFile
    if end[zipfile._ECD_SIZE] > _INDEX_BYTES_A_FILE * limits.max_files:  # type: ignore[attr-defined]
        raise Refused(f"More than {limits.max_files} files in one upload.", 413)


def _check_members(members: list[zipfile.ZipInfo], limits: Limits) -> None:
    if not members:
        raise Refused("The zip archive is empty.")
    for member in members:
        if member.flag_bits & 1:
            raise Refused("The zip archive is encrypted: unpack it first and drop the folder.")
        if _leads_out(member):
            raise Refused("The zip archive holds paths that lead out of it. Nothing of it was taken.")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            raise Refused("The zip archive holds links or devices. Nothing of it was taken.")
        if member.compress_type not in _SAFE_METHODS:
            raise Refused("The zip archive is packed in a way that is not known here: pack it as a plain zip.")
    unpacked, packed = (sum(getattr(m, size) for m in members) for size in ("file_size", "compress_size"))
    if unpacked > limits.max_unpacked_mb * MB:
        raise Refused(f"The upload is larger than {limits.max_unpacked_mb} MB when unpacked.", 413)
    _check_ratio(unpacked, packed, limits)


def _leads_out(member: zipfile.ZipInfo) -> bool:
    name = member.orig_filename.replace("\\", "/")
    return name.startswith("/") or bool(_DRIVE.match(name)) or ".." in name.split("/") or "\0" in name


def _check_ratio(unpacked: int, packed: int, limits: Limits) -> None:
    if unpacked > _FREE_RATIO_BYTES and unpacked > limits.max_ratio * max(packed, 1):
        raise Refused("The zip archive unpacks to far more than any images would. Nothing of it was taken.", 413)


def _copy(source: IO[bytes], target: IO[bytes], member: zipfile.ZipInfo, budget: Budget) -> None:
    """What the index says of sizes may be a lie: count what comes."""
    written = 0
    while block := source.read(_BLOCK):
        if not written and looks_packed(block[:132], member.filename):
            raise Refused("There is an archive inside the zip archive: unpack it first.")
        written += len(block)
        budget.count_bytes(len(block))
        _check_ratio(written, member.compress_size, budget.limits)
        target.write(block)
