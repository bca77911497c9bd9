"""Files and folders that are whole or not there."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A file beside ``path`` to write to, which takes its place when all is written; on an error nothing is left of it.

    The file has the ending of ``path``, by which some writers choose the format; missing folders are made.

    Example:
        >>> with whole_file("out/result.json") as part:  # doctest: +SKIP
        ...     part.write_text("{}")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def replace_folder(place: Path, contents: Mapping[str, bytes]) -> None:
    """Put a folder with ``contents`` (by name, such as ``a.json`` or ``b/c.dcm``) at ``place``, in place of an older one.

    Whatever goes wrong, the older one stays as it was.

    Raises:
        OSError: it cannot be written.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex[:12]
    fresh = place.with_name(f".{place.name}.{mark}.part")
    old = place.with_name(f".{place.name}.{mark}.old")
    try:
        fresh.mkdir()
        for name, content in contents.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_bytes(content)
        if place.exists():
            place.rename(old)
        try:
            fresh.rename(place)
        except OSError:
            if old.exists():
                old.rename(place)
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if place.exists():
            shutil.rmtree(old, ignore_errors=True)
