"""Files that are whole or not there."""

from __future__ import annotations

from collections.abc import Iterator
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
