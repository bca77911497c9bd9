"""Turns labelled pictures into a datalist for training the vertebra detector.

The polygons say where L1 to S1 are. The detector adds what they lack: the bodies' corners, and the bodies above and below
that nobody outlined but that are there, and must not be learned as background.

    python -m scripts.label_images --folder ../shared/data/lumbar-t1 --output runs/lumbar-t1.json
"""

from __future__ import annotations

from typing import Any

import fire
import numpy as np
from monai.bundle import ConfigParser
from tqdm import tqdm

from bundle.datasets.lumbar_t1 import LabelledImage, read_lumbar_t1
from bundle.datasets.slices import write_datalist
from bundle.geometry import BODY_LEVELS
from bundle.study import StudyReader
from bundle.vertebrae.finder import Detection, VertebraFinder


def main(folder: str, output: str, config: str = "configs/inference.yaml") -> None:
    """Write the datalist.

    Args:
        folder: of the data set.
        output: JSON file.
        config: with the detector.
    """
    parser = ConfigParser()
    parser.read_config(config)
    finder: VertebraFinder = parser.get_parsed_content("vertebra_finder")
    items = [completed(image, finder) for image in tqdm(list(read_lumbar_t1(folder)), unit="image")]
    path = write_datalist(output, items)
    names = [name for item in items for name in item["labels"]]
    print(f"{path}: {len(items)} images, " + ", ".join(f"{names.count(level)} {level}" for level in reversed(BODY_LEVELS)))


def completed(image: LabelledImage, finder: VertebraFinder) -> dict[str, Any]:
    """One item of the datalist: outlined bodies with the detector's corners, and their neighbours.

    Args:
        image: with outlines.
        finder: whose detections complete it.
    """
    picture = StudyReader()(image.path).series[0].images[0]
    size = np.array([picture.shape[1], picture.shape[0]])
    outlined = {level: polygon * size for level, polygon in image.outlines.items()}
    boxes = {level: np.concatenate([polygon.min(0), polygon.max(0)]) for level, polygon in outlined.items()}
    detections = finder.detect([picture])
    corners: dict[str, np.ndarray | None] = dict.fromkeys(boxes)
    free: list[Detection] = []
    for detection in sorted(detections, key=lambda d: -d.score):
        overlaps = {level: _overlap(np.asarray(detection.box.xyxy), box) for level, box in boxes.items()}
        level = max(overlaps, key=lambda name: overlaps[name])
        if overlaps[level] < 0.2:
            free.append(detection)
        elif overlaps[level] > 0.6 and corners[level] is None:
            corners[level] = detection.box.corners_px
    for name, up in (("T12", True), ("S2", False)):
        neighbour = _next(boxes, free, up)
        while neighbour is not None:
            free.remove(neighbour)
            key = name if name not in boxes else f"{name} {len(boxes)}"
            boxes[key], corners[key] = np.asarray(neighbour.box.xyxy), neighbour.box.corners_px
            if not up:
                break  # what lies below S2 has no name
            name = "T11"
            neighbour = _next(boxes, free, up)
    return {
        "image": str(image.path),
        "patient": image.patient,
        "contrast": "T1",
        "boxes": [np.round(box, 2).tolist() for box in boxes.values()],
        "labels": [level.split(" ")[0] for level in boxes],
        "corners": [None if c is None else np.round(c, 2).tolist() for c in (corners[level] for level in boxes)],
    }


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    shared = np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None))
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


def _next(boxes: dict[str, np.ndarray], free: list[Detection], up: bool) -> Detection | None:
    """The detection that follows the column at its upper or lower end: about one step on, in about its direction."""
    order = sorted(boxes.values(), key=lambda box: box[1] + box[3])
    last, before = (order[0], order[1]) if up else (order[-1], order[-2])
    end, step = (last[:2] + last[2:]) / 2, (last[:2] + last[2:] - before[:2] - before[2:]) / 2
    best = None
    for detection in free:
        box = np.asarray(detection.box.xyxy)
        away = (box[:2] + box[2:]) / 2 - end
        ratio = float(np.linalg.norm(away) / np.linalg.norm(step))
        cosine = float(away @ step / max(np.linalg.norm(away) * np.linalg.norm(step), 1e-6))
        if 0.45 < ratio < 1.35 and cosine > 0.75 and (best is None or ratio < best[0]):
            best = (ratio, detection)
    return None if best is None else best[1]


if __name__ == "__main__":
    fire.Fire(main)
