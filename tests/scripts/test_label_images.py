"""Labels completed by a detector: neighbours that nobody outlined, and corners."""

from types import SimpleNamespace

import numpy as np
from PIL import Image

from bundle.datasets.lumbar_t1 import LabelledImage
from bundle.geometry import SliceBox
from scripts.label_images import completed


def detection(row, column=50.0, score=0.9, height=26.0):
    box = (column, row, column + 34, row + height)
    corners = np.array([[column, row], [column + 34, row + 1], [column + 34, row + height], [column, row + height - 1]])
    return SimpleNamespace(box=SliceBox("p", box, score, corners), score=score)


def image(tmp_path, levels=("L1", "L2", "L3", "L4", "L5", "S1"), first_row=100.0):
    Image.fromarray(np.zeros((512, 256), dtype=np.uint8)).save(tmp_path / "p.png")
    outlines = {}
    for k, level in enumerate(levels):
        row = first_row + 36 * k
        corners = np.array([[50, row], [84, row], [84, row + 26], [50, row + 26]])
        outlines[level] = corners / [256, 512]
    return LabelledImage(tmp_path / "p.png", 3, outlines)


def finder(*detections):
    return SimpleNamespace(detect=lambda images: list(detections))


def test_outlined_bodies_get_the_corners_that_the_detector_saw(tmp_path):
    item = completed(image(tmp_path), finder(detection(136)))
    assert item["labels"] == ["L1", "L2", "L3", "L4", "L5", "S1"]
    assert [c is not None for c in item["corners"]] == [False, True, False, False, False, False]
    assert item["boxes"][1] == [50.0, 136.0, 84.0, 162.0]


def test_bodies_above_and_below_are_added_in_order(tmp_path):
    item = completed(
        image(tmp_path), finder(detection(64), detection(28), detection(316, height=20), detection(345, height=18))
    )
    found = dict(zip(item["labels"], item["boxes"], strict=True))
    assert item["labels"][6:] == ["T12", "T11", "S2"]
    assert (found["T12"][1], found["T11"][1], found["S2"][1]) == (64.0, 28.0, 316.0)


def test_boxes_beside_the_column_are_not_added(tmp_path):
    item = completed(image(tmp_path), finder(detection(64, column=110), detection(180, column=120)))
    assert item["labels"] == ["L1", "L2", "L3", "L4", "L5", "S1"]
