"""Folders that are whole or not there."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """An empty folder beside ``path`` to fill, which takes its place when all is written.

    Whatever goes wrong, an older folder at ``path`` stays as it was, and nothing is left of the new one. Missing parents are
    made.

    Example:
        >>> with whole_folder("studies/one") as part:  # doctest: +SKIP
        ...     (part / "truth.json").write_text("{}")
    """
    place = Path(path).resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex[:12]
    fresh, old = (place.with_name(f".{place.name}.{mark}.{ending}") for ending in ("part", "old"))
    try:
        fresh.mkdir()
        yield fresh
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


def replace_folder(path: str | Path, contents: Mapping[str, bytes]) -> None:
    """Put a folder with ``contents`` (by name, such as ``a.json`` or ``b/c.dcm``) at ``path``; see whole_folder.

    Raises:
        OSError: it cannot be written.
    """
    with whole_folder(path) as part:
        for name, content in contents.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_bytes(content)
