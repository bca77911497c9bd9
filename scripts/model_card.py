"""Puts tables into the model card by the command that measured them, so that no figure is copied by hand."""

from __future__ import annotations

from pathlib import Path

from bundle.whole_file import whole_file


def write_section(path: str | Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.

    Raises:
        ValueError: the file has no such section.
    """
    path = Path(path)
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    before, found, rest = path.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{path}: no section {name}")
    with whole_file(path) as part:
        part.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}")
