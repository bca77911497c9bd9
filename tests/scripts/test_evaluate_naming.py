from pathlib import Path

import numpy as np
import pytest

from bundle.datasets.lumbar_t1 import LabelledImage
from bundle.geometry import SliceBox, Vertebra
from scripts.evaluate_naming import all_named

SHAPE = (200, 100)


def body(level, row):
    return Vertebra(level, 0.9, (SliceBox("p", (40.0, row, 60.0, row + 20), 0.9),))


def image(rows):
    square = np.array([[40, 0], [60, 0], [60, 20], [40, 20]], dtype=float)
    return LabelledImage(
        Path("p"), 1, {name: (square + np.array([0, row])) / [SHAPE[1], SHAPE[0]] for name, row in rows.items()}
    )


@pytest.mark.parametrize(
    ("found", "right"),
    [
        ({"L4": 30, "L5": 60, "S1": 90}, True),
        ({"L4": 36, "L5": 60}, True),  # S1 does not count, and 6 of 20 pixels are near enough
        ({"L4": 30, "L5": 75}, False),
        ({"L3": 30, "L4": 60, "L5": 90}, False),
        ({"L5": 60}, False),
    ],
)
def test_every_outlined_lumbar_body_must_have_its_name(found, right):
    outlined = image({"L4": 30, "L5": 60, "S1": 90})
    assert all_named(outlined, tuple(body(level, row) for level, row in found.items()), SHAPE) is right
