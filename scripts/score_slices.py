"""Scores step 2 (axial slice to disk) against the readers' points of RSNA 2024: is an annotated slice given that level?

python -m scripts.score_slices --folder rsna-2024-lumbar-spine-degenerative-classification --output runs/slices.json

The set says at which level a slice lies, never that it lies at none: slices between the disks are not scored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import fire
import numpy as np
from monai.bundle import ConfigParser
from tqdm import tqdm

from bundle.datasets.rsna import axial_rows
from bundle.disks.transforms import find_disks
from bundle.geometry import DISK_LEVELS
from bundle.statistics import bootstrap_interval, with_interval
from bundle.study import StudyError
from bundle.whole_file import whole_file

#: What became of an annotated slice: it was given its level, another one, or none; it is not in the axial series that was
#: read (a study may have several); or nothing of the study could be read.
OUTCOMES = ("right", "other", "none", "not read", "no study")


class Row(NamedTuple):
    """An annotated slice: its study, the readers' level, and one of OUTCOMES."""

    study: str
    level: str
    outcome: str


def main(folder: str, output: str | None = None, config: str = "configs/inference.yaml") -> None:
    """Print the share of annotated slices that are given the annotated level, with 95% intervals by study.

    Args:
        folder: of the data set, as published; see bundle.datasets.rsna.
        output: JSON file of the figures and of every slice that is not right; none by default.
        config: with the components of the reading.
    """
    parser = ConfigParser()
    parser.read_config(config)
    read, find, steps = (parser.get_parsed_content(key) for key in ("study_reader", "vertebra_finder", "disk_steps"))

    def levels_of(source: Path) -> Mapping[Path, str | None]:
        study = read(source)
        vertebrae = find(study.sagittal)[0] if study.sagittal is not None else ()
        return {match.image.source.resolve(): match.level for match in find_disks(study, vertebrae, steps)["matches"]}

    try:
        wanted = list(axial_rows(folder))
    except StudyError as error:
        raise SystemExit(f"error: {error}") from None
    if not wanted:
        raise SystemExit(f"error: {folder}: no axial slice is annotated")
    rows = judged(wanted, levels_of)
    table = figures(rows)
    if output is not None:
        with whole_file(output) as part:
            wrong = [row._asdict() for row in rows if row.outcome != "right"]
            part.write_text(json.dumps({"figures": table, "not_right": wrong}, indent=1) + "\n")
    print(as_text(table, rows))


def judged(wanted: Sequence[tuple[Path, str]], levels_of: Callable[[Path], Mapping[Path, str | None]]) -> list[Row]:
    """What becomes of each annotated slice.

    Args:
        wanted: (file, level by the readers), as axial_rows gives them.
        levels_of: folder of a study -> level that each of its axial slices is given, by file.
    """
    studies: dict[Path, list[tuple[Path, str]]] = {}
    for path, level in wanted:
        studies.setdefault(path.parent.parent, []).append((path.resolve(), level))
    rows = []
    for source, slices in tqdm(studies.items(), unit="study"):
        try:
            given = levels_of(source)
        except StudyError:
            rows += [Row(source.name, level, "no study") for _, level in slices]
            continue
        rows += [Row(source.name, level, _outcome(given, path, level)) for path, level in slices]
    return rows


def _outcome(given: Mapping[Path, str | None], path: Path, level: str) -> str:
    if path not in given:
        return "not read"
    return "right" if given[path] == level else "none" if given[path] is None else "other"


def figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Counts of the outcomes, and (share, low, high) that is right: of all slices, of those that were read, and by level."""
    seen = [row for row in rows if row.outcome in ("right", "other", "none")]
    shares = {"of all": _share(rows), "of those read": _share(seen)}
    shares |= {level: _share([row for row in seen if row.level == level]) for level in DISK_LEVELS}
    return {"counts": {name: sum(row.outcome == name for row in rows) for name in OUTCOMES}, "right": shares}


def _share(rows: Sequence[Row]) -> tuple[float, float, float] | None:
    if not rows:
        return None
    right = np.array([row.outcome == "right" for row in rows], dtype=np.float64)
    return bootstrap_interval(np.array([row.study for row in rows]), lambda chosen: float(right[chosen].mean()))


def as_text(table: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The figures as a Markdown table."""
    counts = ", ".join(f"{count} {name}" for name, count in table["counts"].items() if count)
    lines = [f"{len(rows)} annotated slices of {len({row.study for row in rows})} studies: {counts}", ""]
    lines += ["| slices | given the annotated level, % |", "| --- | --- |"]
    for name, share in table["right"].items():
        lines.append(f"| {name} | {'-' if share is None else with_interval(share, 1, 100)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    fire.Fire(main)
