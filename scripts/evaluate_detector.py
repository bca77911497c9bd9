"""Measures weights of the vertebra detector on real images: outlined T1 images, and the number of vertebrae in SPIDER.

python -m scripts.evaluate_detector --data ../shared/data --weights models/vertebrae.pt
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fire
import numpy as np
from monai.bundle import ConfigParser
from numpy.typing import NDArray
from tqdm import tqdm

from bundle.datasets.lumbar_t1 import LabelledImage, read_lumbar_t1
from bundle.geometry import BODY_LEVELS
from bundle.statistics import bootstrap_interval
from bundle.study import StudyError, StudyReader
from bundle.vertebrae.finder import VertebraFinder
from bundle.whole_file import whole_file

_IOU = 0.5


@dataclass(frozen=True)
class Column:
    """The bodies found on one picture.

    Args:
        boxes: (N, 4) column and row of two corners, pixels.
        levels: N names over the whole column, None for what is no part of it.
    """

    boxes: NDArray[np.float64]
    levels: tuple[str | None, ...]


def find_column(finder: VertebraFinder, path: Path) -> tuple[Column, tuple[int, int]]:
    """Bodies on a picture, named over the column, and the picture's (rows, columns)."""
    picture = StudyReader()(path).series[0].images[0]
    found = finder.detect([picture])
    if not found:
        return Column(np.zeros((0, 4)), ()), picture.shape
    naming = finder.namer(
        np.array([d.center for d in found]), np.array([d.height for d in found]), np.array([d.class_scores for d in found])
    )
    levels = tuple(BODY_LEVELS[k] if k >= 0 else None for k in naming.levels)
    return Column(np.array([d.box.xyxy for d in found]), levels), picture.shape


def judged(image: LabelledImage, column: Column, shape: tuple[int, int]) -> list[tuple[str, bool, bool]]:
    """(level, found, named right) of each outlined body: found is an overlap (IoU) of at least one half."""
    rows = []
    for level, outline in image.outlines.items():
        points = outline * shape[::-1]
        box = np.concatenate([points.min(0), points.max(0)])
        shared = np.minimum(column.boxes[:, 2:], box[2:]) - np.maximum(column.boxes[:, :2], box[:2])
        overlap = np.prod(np.clip(shared, 0, None), axis=1)
        union = np.prod(column.boxes[:, 2:] - column.boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2]) - overlap
        iou = overlap / np.maximum(union, 1e-9)
        best = int(iou.argmax()) if len(iou) else -1
        there = best >= 0 and bool(iou[best] >= _IOU)
        rows.append((level, there, there and column.levels[best] == level))
    return rows


def presacral(column: Column) -> int:
    """Number of vertebrae above the sacrum."""
    return sum(level is not None and level[0] in "LT" for level in column.levels)


def read_counts(path: Path) -> dict[str, int]:
    """Series name -> number of vertebrae, from SPIDER's overview.

    Raises:
        StudyError: the file is not there.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return {row["new_file_name"]: int(row["num_vertebrae"]) for row in csv.DictReader(file)}
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from error


def _interval(groups: Iterable[int], values: Iterable[bool]) -> dict[str, float]:
    cases = np.array(list(values), dtype=np.float64)
    value, low, high = bootstrap_interval(np.array(list(groups)), lambda index: float(cases[index].mean()))
    return {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4), "cases": len(cases)}


def on_lumbar_t1(find: Callable[[Path], tuple[Column, tuple[int, int]]], folder: Path) -> dict[str, Any]:
    """Bodies found and named right, and images with all of L1 to L5 named right."""
    bodies, images = [], []
    for image in tqdm(list(read_lumbar_t1(folder)), unit="image", desc="lumbar T1"):
        rows = judged(image, *find(image.path))
        bodies += [(image.patient, found, named) for _, found, named in rows]
        images.append((image.patient, all(named for level, _, named in rows if level[0] == "L")))
    patients = [patient for patient, *_ in bodies]
    return {
        "bodies_found": _interval(patients, (found for _, found, _ in bodies)),
        "bodies_named": _interval(patients, (named for *_, named in bodies)),
        "images_named": _interval((p for p, _ in images), (right for _, right in images)),
    }


def on_spider(find: Callable[[Path], tuple[Column, tuple[int, int]]], folder: Path, contrast: str = "t2") -> dict[str, Any]:
    """Pictures on which the number of vertebrae above the sacrum is that of the overview, exactly and within one."""
    counts = read_counts(folder / "overview.csv")
    rows = []
    for path in tqdm(sorted((folder / "images").glob(f"*_{contrast}.png")), unit="image", desc=f"SPIDER {contrast}"):
        if path.stem in counts:
            rows.append((int(path.stem.split("_")[0]), presacral(find(path)[0]) - counts[path.stem]))
    patients = [patient for patient, _ in rows]
    return {
        "count_right": _interval(patients, (off == 0 for _, off in rows)),
        "count_within_one": _interval(patients, (abs(off) <= 1 for _, off in rows)),
        "mean_difference": round(float(np.mean([off for _, off in rows])), 3),
    }


def evaluate(data: str | Path, weights: str | Path, config: str = "configs/inference.yaml") -> dict[str, Any]:
    """All figures of one weights file; see main."""
    parser = ConfigParser()
    parser.read_config(config)
    parser["vertebra_weights"] = str(weights)
    finder: VertebraFinder = parser.get_parsed_content("vertebra_finder")

    def find(path: Path) -> tuple[Column, tuple[int, int]]:
        return find_column(finder, path)

    return {
        "lumbar_t1": on_lumbar_t1(find, Path(data) / "lumbar-t1"),
        "spider_t2": on_spider(find, Path(data) / "spider"),
    }


def main(
    data: str, weights: str = "models/vertebrae.pt", output: str | None = None, config: str = "configs/inference.yaml"
) -> None:
    """Print the figures, each with its 95% bootstrap interval by patient.

    Args:
        data: folder with ``lumbar-t1`` and ``spider``.
        weights: of the detector.
        output: JSON file to write as well.
        config: with the detector.
    """
    figures = evaluate(data, weights, config)
    print(json.dumps(figures, indent=1))
    if output is not None:
        with whole_file(output) as part:
            part.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    fire.Fire(main)
