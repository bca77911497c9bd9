"""When a picture may be labelled by the detector itself."""

import numpy as np
import pytest

from bundle.vertebrae.column import Column
from scripts.self_label import disagreement, labelled

LEVELS = ("T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2")


def column(levels=LEVELS, first_row=60.0, shift=0.0):
    rows = first_row + 36 * np.arange(len(levels)) + shift
    boxes = np.stack([np.full(len(rows), 50.0), rows, np.full(len(rows), 84.0), rows + 26], axis=-1)
    corners = boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]
    return Column(boxes, tuple(levels), corners, np.full(len(rows), 0.9), 4.0)


def test_picture_whose_variants_agree_and_whose_number_is_right_is_labelled():
    assert disagreement([column(), column(shift=3)], 6) == ""


@pytest.mark.parametrize(("count", "first_row", "agrees"), [(6, 60, True), (7, 60, True), (5, 60, False), (8, 60, False)])
def test_one_more_body_may_be_cut_off_above(count, first_row, agrees):
    assert (disagreement([column(first_row=first_row)], count) == "") is agrees


def test_body_that_cannot_be_on_the_picture_is_not_counted():
    assert "6 vertebrae above the sacrum, not 7" in disagreement([column(first_row=8)], 7)


def test_body_at_the_edge_may_not_have_been_counted():
    assert disagreement([column(first_row=2)], 5) == ""


def test_names_shifted_on_a_variant_are_a_disagreement():
    assert "is not the same body" in disagreement([column(), column(shift=36)], 6)


@pytest.mark.parametrize("level", ["L5", "S1"])
def test_missing_body_of_the_lower_end_is_a_disagreement(level):
    assert f"{level} not found" in disagreement([column([None if name == level else name for name in LEVELS])], 6)


def test_bodies_without_a_name_are_not_labels(tmp_path):
    item = labelled(tmp_path / "7_t2.png", 7, column([None, *LEVELS[1:]]))
    assert item["labels"] == list(LEVELS[1:])
    assert len(item["boxes"]) == len(item["corners"]) == 7
    assert item["patient"] == 7
