"""The sheet of the worst images, drawn by an evaluator's events."""

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from PIL import Image

from bundle.vertebrae.gallery import WorstCases
from tests.vertebrae.test_metrics import LUMBAR, bodies, without


def drawn(path, *pairs, **settings) -> list[str]:
    """Titles on the sheet of an evaluation of these (found, truth), one image an iteration."""
    images = torch.rand((len(pairs), 1, 1, 340, 90), generator=torch.Generator().manual_seed(0))
    engine = Engine(lambda _, k: {"image": images[k], "pred": [pairs[k][0]], "label": [pairs[k][1]]})
    handler = WorstCases(path, **settings)
    handler.attach(engine)
    engine.run(list(range(len(pairs))))
    return [case["title"] for *_, case in sorted(handler._worst, key=lambda entry: entry[0], reverse=True)]


def test_images_with_most_wrong_bodies_come_first(tmp_path):
    truth = {**bodies(LUMBAR), "contrast": "T2"}
    found = (bodies(LUMBAR), without(LUMBAR, "L1", "L2"), without(LUMBAR, "L1"))
    titles = drawn(tmp_path / "worst.png", *((each, truth) for each in found), number=2)
    assert titles == ["T2 2 wrong", "T2 1 wrong"]


def test_of_images_as_good_the_one_with_corners_farther_off_is_worse(tmp_path):
    truth = bodies(LUMBAR)
    near, far = bodies(LUMBAR, shift=1.0), bodies(LUMBAR, shift=4.0)
    handler_titles = drawn(tmp_path / "worst.png", (near, truth), (far, truth), (near, truth), number=1)
    assert handler_titles == ["0 wrong"]
    # Corners that are 4 pixels off are drawn apart from the true ones: both colours are on the sheet.
    sheet = np.asarray(Image.open(tmp_path / "worst.png").convert("RGB")).astype(int)
    for colour in ((0xFF, 0xD5, 0x4A), (0x5F, 0xD3, 0x5F)):
        assert (np.abs(sheet - colour).max(-1) < 40).sum() > 50


@pytest.mark.parametrize("number", [1, 5])
def test_sheet_of_few_images_is_a_picture(tmp_path, number):
    drawn(tmp_path / "worst.png", (bodies(()), bodies(LUMBAR)), number=number)
    with Image.open(tmp_path / "worst.png") as sheet:
        assert min(sheet.size) > 200
