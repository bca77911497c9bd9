"""The lumbar T1 set: single sagittal T1 images with a YOLO polygon for each of L1 to L5 and S1 (CC BY 4.0)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.geometry import LUMBAR_LEVELS
from bundle.study import StudyError

_PATIENT = re.compile(r"T1_(\d+)_S\d+")


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """An image with the outlines of its bodies.

    Args:
        path: of the image.
        patient: number in the file's name, by which data are split.
        outlines: level -> (N, 2) polygon in shares (0 to 1) of the image's width and height.
        note: how the labels were mended, or empty.
    """

    path: Path
    patient: int
    outlines: dict[str, NDArray[np.float64]]
    note: str = ""


def read_lumbar_t1(folder: str | Path) -> Iterator[LabelledImage]:
    """The images of ``folder`` (with ``images`` and ``labels``) whose labels can be used.

    A few label files name a level twice. Six bodies are L1 to S1 from the top down, whatever their numbers say; with fewer,
    a file whose names repeat or do not follow one another is left out. So is one that skips a body (two files do, above S1):
    its names above the gap are wrong by one.

    Raises:
        StudyError: there is no such folder, or a label file is not as expected.
    """
    folder = Path(folder)
    if not (folder / "images").is_dir() or not (folder / "labels").is_dir():
        raise StudyError(f"{folder}: no folders 'images' and 'labels' in it")
    for path in sorted((folder / "images").glob("*.png")):
        name = _PATIENT.match(path.name)
        labels = folder / "labels" / f"{path.stem}.txt"
        if name is None or not labels.is_file():
            continue
        found = _polygons(labels)
        if len(found) < 4:
            continue
        found.sort(key=lambda item: item[1][:, 1].mean())
        numbers = [number for number, _ in found]
        note = ""
        if len(found) == len(LUMBAR_LEVELS) and numbers != list(range(6)):
            numbers, note = list(range(6)), "renamed from the top down"
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or numbers[-1] >= len(LUMBAR_LEVELS):
            continue
        if _skips_a_body([polygon for _, polygon in found]):
            continue
        outlines = {LUMBAR_LEVELS[number]: polygon for number, (_, polygon) in zip(numbers, found, strict=True)}
        yield LabelledImage(path, int(name[1]), outlines, note)


def body_corners(outlines: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Level -> (4, 2) upper front, upper back, lower back and lower front corner of each outlined body.

    A corner is the point of the outline that lies farthest along its diagonal, seen along the column: where the neighbours
    are says which way is up. The front is to the left, as in all these pictures.

    Args:
        outlines: level -> (N, 2) polygon, column and row, of at least two bodies.
    """
    order = sorted(outlines, key=lambda level: outlines[level][:, 1].mean())
    centers = {level: (outlines[level].min(0) + outlines[level].max(0)) / 2 for level in order}
    corners = {}
    for k, level in enumerate(order):
        above, below = centers[order[max(k - 1, 0)]], centers[order[min(k + 1, len(order) - 1)]]
        down = (below - above) / np.linalg.norm(below - above)
        back = np.array([down[1], -down[0]])
        along = (outlines[level] - centers[level]) @ np.stack([back, down], axis=1)
        along = along / np.maximum(np.abs(along).max(0), 1e-9)
        farthest = [int(np.argmax(along @ np.array(way))) for way in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        corners[level] = outlines[level][farthest]
    return corners


def _skips_a_body(outlines: Sequence[NDArray[np.float64]]) -> bool:
    """Whether two outlined bodies, from the top down, lie nearly twice as far apart as the others do."""
    centers = np.array([(outline.min(0) + outline.max(0)) / 2 for outline in outlines])
    steps = np.linalg.norm(np.diff(centers, axis=0), axis=1)
    return bool(steps.max() > 1.55 * np.median(steps))


def _polygons(path: Path) -> list[tuple[int, NDArray[np.float64]]]:
    found = []
    for line in path.read_text().splitlines():
        try:
            number, *values = line.split()
            found.append((int(number), np.array([float(v) for v in values]).reshape(-1, 2)))
        except ValueError as error:
            raise StudyError(f"{path}: not a line of a class and a polygon") from error
    return found
