"""Labels for pictures that have none: those of the detector, where it agrees with itself and with the vertebrae's number.

SPIDER says how many vertebrae a picture shows above the sacrum, not where they are. A picture is labelled if the detector
finds the same names at several sizes and brightnesses, and the number is right: names that are off by one level would make
it wrong by one. The others are told, and left out; so that none is lost that is right, or used that is wrong, a person looks
at them and writes what to do with them into a file.

    python -m scripts.self_label --folder ../shared/data/spider --output runs/spider.json
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fire
import numpy as np
import yaml
from tqdm import tqdm

from bundle.datasets.slices import write_datalist
from bundle.geometry import LUMBAR_LEVELS
from bundle.study.types import StudyImage
from bundle.vertebrae.column import Column, find_column
from bundle.vertebrae.finder import VertebraFinder
from scripts.evaluate_detector import load_finder, read_counts, read_image

#: Longer side of the detector's view (pixels) and exponent of the brightness, by which a picture is varied.
VARIANTS = ((256, 1.0), (224, 1.0), (288, 1.0), (256, 0.6), (256, 1.6))


def main(
    folder: str,
    output: str,
    weights: str = "models/vertebrae.pt",
    looked_at: str = "configs/spider_labels.yaml",
    config: str = "configs/inference.yaml",
) -> None:
    """Write the datalist.

    Args:
        folder: with ``images`` and ``overview.csv``, as SPIDER has them.
        output: JSON file.
        weights: of the detector.
        looked_at: YAML with names of pictures that a person decided on: ``upside_down``, ``left_out`` and ``accepted``.
        config: with the detector.
    """
    finder = load_finder(weights, config)
    counts = read_counts(Path(folder) / "overview.csv")
    seen = yaml.safe_load(Path(looked_at).read_text())
    items, refused = [], []
    for path in tqdm(sorted((Path(folder) / "images").glob("*.png")), unit="picture"):
        patient = path.stem.split("_")[0]
        if path.stem not in counts or not patient.isdigit():
            continue
        if path.stem in seen["left_out"] + seen["upside_down"]:
            refused.append(f"{path.stem}: was looked at and left out")
            continue
        columns = varied_columns(finder, read_image(path))
        why = "" if path.stem in seen["accepted"] else disagreement(columns, counts[path.stem])
        if why:
            refused.append(f"{path.stem}: {why}")
        else:
            items.append(labelled(path, int(patient), columns[0]))
    print("\n".join(refused))
    print(f"{write_datalist(output, items)}: {len(items)} pictures; {len(refused)} left out")


def varied_columns(finder: VertebraFinder, picture: StudyImage) -> list[Column]:
    """The column as found on each of VARIANTS, in the picture's own pixels."""
    usual = finder.longest_px
    columns = []
    for longest_px, exponent in VARIANTS:
        finder.longest_px = longest_px
        columns.append(find_column(finder, _brightened(picture, exponent)))
    finder.longest_px = usual
    return columns


def _brightened(picture: StudyImage, exponent: float) -> StudyImage:
    if exponent == 1.0:
        return picture
    pixels = picture.load_pixels().astype(np.float32)
    top = max(float(pixels.max()), 1.0)
    return replace(picture, load_pixels=lambda: top * (np.clip(pixels, 0, None) / top) ** exponent)


def disagreement(columns: list[Column], count: int) -> str:
    """Why a picture cannot be labelled, in words; empty if it can.

    Args:
        columns: as found on several variants of the picture.
        count: of the vertebrae above the sacrum that it shows.
    """
    first = columns[0]
    missing = [level for level in ("L4", "L5", "S1") if first.place(level) is None]
    if missing:
        return f"{', '.join(missing)} not found"
    names = [level for level in LUMBAR_LEVELS if first.place(level) is not None]
    for other in columns[1:]:
        for level in names:
            here, there = first.place(level), other.place(level)
            if there is None or _apart(first.boxes[here], other.boxes[there]) > 0.35:
                return f"{level} is not the same body at another size or brightness"
    return "" if first.agrees_with(count) else f"{first.presacral} vertebrae above the sacrum, not {count}"


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of two boxes' centres in units of the first one's height."""
    return float(np.linalg.norm((a[:2] + a[2:] - b[:2] - b[2:]) / 2) / max(a[3] - a[1], 1e-6))


def labelled(path: Path, patient: int, column: Column) -> dict[str, Any]:
    """One item of the datalist: the bodies of the column with their corners."""
    kept = [k for k, level in enumerate(column.levels) if level is not None]
    return {
        "image": str(path),
        "patient": patient,
        "contrast": path.stem.split("_", 1)[1].upper(),
        "boxes": np.round(column.boxes[kept], 2).tolist(),
        "labels": [column.levels[k] for k in kept],
        "corners": np.round(column.corners[kept], 2).tolist(),
    }


if __name__ == "__main__":
    fire.Fire(main)
