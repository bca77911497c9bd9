"""Measures weights of the vertebra detector on real images: labelled pictures, and the number of vertebrae in SPIDER.

python -m scripts.evaluate_detector --data ../shared/data --weights models/vertebrae.pt
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import fire
import numpy as np
import torch
import yaml
from monai.bundle import ConfigParser
from torch import Tensor
from tqdm import tqdm

from bundle.datasets.lumbar_t1 import LabelledImage, body_corners, read_lumbar_t1
from bundle.datasets.slices import BODY_DEPTH_MM, lumbar_depth_px
from bundle.geometry import BODY_LEVELS
from bundle.statistics import bootstrap_interval, with_interval
from bundle.study import StudyError, StudyReader
from bundle.study.types import StudyImage
from bundle.vertebrae.column import Column, find_column
from bundle.vertebrae.finder import VertebraFinder
from bundle.vertebrae.metrics import VertebraMetrics
from bundle.whole_file import whole_file

CONTRASTS = ("t2", "t1", "t2_SPACE")


def load_finder(
    weights: str | Path, config: str = "configs/inference.yaml", changes: Mapping[str, Any] | None = None
) -> VertebraFinder:
    """The finder of a config with other weights, and what else is changed in the config."""
    parser = ConfigParser()
    parser.read_config(config)
    parser.update(dict(changes or {}))
    parser["vertebra_weights"] = str(weights)
    finder: VertebraFinder = parser.get_parsed_content("vertebra_finder")
    return finder


def read_image(path: str | Path) -> StudyImage:
    """A picture file as an image."""
    return StudyReader()(Path(path)).series[0].images[0]


def target_of(boxes: Any, levels: Sequence[str], corners: Any, patient: Any) -> dict[str, Any]:
    """What VertebraMetrics compares with, of boxes (N, 4) and corners (N, 4, 2) as (column, row)."""
    found = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    known = [np.full((4, 2), np.nan) if c is None else np.asarray(c, dtype=np.float64) for c in corners]
    depth_px = lumbar_depth_px(found, levels) if len(found) else 1.0
    return {
        "boxes": _rows_first(found.reshape(-1, 2, 2)).reshape(-1, 4),
        "labels": torch.tensor([BODY_LEVELS.index(level) for level in levels], dtype=torch.int64),
        "corners": _rows_first(np.asarray(known).reshape(-1, 4, 2)),
        "patient": patient,
        "pixel_mm": BODY_DEPTH_MM / depth_px,
    }


def outlined_target(image: LabelledImage, shape: tuple[int, int]) -> dict[str, Any]:
    """The target of a picture with outlines."""
    outlines = {level: outline * shape[::-1] for level, outline in image.outlines.items()}
    boxes = [np.concatenate([o.min(0), o.max(0)]) for o in outlines.values()]
    corners = body_corners(outlines)
    return target_of(boxes, list(outlines), [corners[level] for level in outlines], image.patient)


def prediction_of(column: Column) -> dict[str, Tensor]:
    """A column as VertebraMetrics takes it; a body without a name has the label -1."""
    return {
        "boxes": _rows_first(column.boxes.reshape(-1, 2, 2)).reshape(-1, 4),
        "labels": torch.tensor([-1 if n is None else BODY_LEVELS.index(n) for n in column.levels], dtype=torch.int64),
        "labels_scores": torch.from_numpy(column.scores.astype(np.float32)),
        "corners": _rows_first(column.corners.reshape(-1, 4, 2)),
    }


def _rows_first(points: np.ndarray) -> Tensor:
    return torch.from_numpy(points[..., ::-1].astype(np.float32).copy())


class Tally:
    """Gathers figures of pictures that may be read by different weights, each by those that have not seen its patient."""

    def __init__(self) -> None:
        self.metric = VertebraMetrics()
        self.pictures: list[dict[str, Any]] = []

    def add(self, name: str, column: Column, target: Mapping[str, Any]) -> None:
        """One picture with its column as found, and as it should be."""
        self.metric.update(([prediction_of(column)], [dict(target)]))
        image = self.metric._images[-1]
        self.pictures.append(
            {
                "name": name,
                "patient": target["patient"],
                "bodies": image["bodies"],
                "named": image["named"],
                "all_named": image["all_named"],
                "margin": round(column.margin, 3),
                "transition": round(column.transition, 3),
            }
        )

    def read(self, finder: VertebraFinder, image: LabelledImage) -> None:
        """One picture with outlines, read by a finder."""
        picture = read_image(image.path)
        self.add(image.path.name, find_column(finder, picture), outlined_target(image, picture.shape))

    def figures(self) -> dict[str, float]:
        """See VertebraMetrics."""
        return {key: round(value, 4) for key, value in self.metric.compute().items()}


class Counts:
    """Compares the number of vertebrae above the sacrum with that of SPIDER's overview."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, bool]] = []

    def add(self, name: str, column: Column, count: int) -> None:
        """One picture."""
        self.rows.append((name, column.presacral - count, column.agrees_with(count)))

    def figures(self) -> dict[str, Any]:
        """Shares of pictures on which the number is right, right but for a body that the upper edge cuts off (``agrees``),
        and within one; each with its interval by patient; and the names of those that do not agree.
        """
        patients = np.array([int(name.split("_")[0]) for name, *_ in self.rows])
        off = np.array([difference for _, difference, _ in self.rows])
        agrees = np.array([agreed for *_, agreed in self.rows])
        result: dict[str, Any] = {
            "pictures": len(off),
            "differences": {str(k): int((off == k).sum()) for k in np.unique(off)},
        }
        result["disagreeing"] = [f"{name} {difference:+d}" for name, difference, agreed in self.rows if not agreed]
        for name, right in (("count_right", off == 0), ("agrees", agrees), ("count_within_one", np.abs(off) <= 1)):
            value, low, high = bootstrap_interval(patients, partial(_share, right))
            result |= {name: round(value, 4), f"{name}_low": round(low, 4), f"{name}_high": round(high, 4)}
        return result


def _share(right: np.ndarray, cases: np.ndarray) -> float:
    return float(right[cases].mean())


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


def upside_down(looked_at: str | Path = "configs/spider_labels.yaml") -> set[str]:
    """Names of SPIDER's pictures that stand on their head in our copy."""
    return set(yaml.safe_load(Path(looked_at).read_text())["upside_down"])


def counted_pictures(folder: Path, contrast: str) -> Iterable[tuple[Path, int]]:
    """SPIDER's pictures of a contrast that stand upright, with the number of vertebrae above the sacrum."""
    counts, fallen = read_counts(folder / "overview.csv"), upside_down()
    for path in sorted((folder / "images").glob(f"*_{contrast}.png")):
        if path.stem in counts and path.stem not in fallen:
            yield path, counts[path.stem]


def evaluate(data: str | Path, weights: str | Path, config: str = "configs/inference.yaml") -> dict[str, Any]:
    """All figures of one weights file; see main."""
    finder = load_finder(weights, config)
    outlined = Tally()
    for image in tqdm(list(read_lumbar_t1(Path(data) / "lumbar-t1")), unit="picture", desc="lumbar T1"):
        outlined.read(finder, image)
    result: dict[str, Any] = {"lumbar_t1": outlined.figures()}
    for contrast in CONTRASTS:
        counts = Counts()
        for path, count in tqdm(list(counted_pictures(Path(data) / "spider", contrast)), unit="picture", desc=contrast):
            counts.add(path.stem, find_column(finder, read_image(path)), count)
        result[f"spider_{contrast}"] = counts.figures()
    return result


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
        write_figures(output, figures)


def percent(figures: Mapping[str, float], name: str) -> str:
    """A share with its interval as a table's cell, in percent; a dash where it was not measured."""
    if name not in figures:
        return "–"
    return with_interval([figures[f"{name}{end}"] for end in ("", "_low", "_high")], 1, 100)


def write_figures(path: str | Path, figures: Mapping[str, Any]) -> None:
    """Write figures as JSON, whole or not at all."""
    with whole_file(path) as part:
        part.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    fire.Fire(main)
