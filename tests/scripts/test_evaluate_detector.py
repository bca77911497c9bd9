"""Figures of the detector on real pictures, computed on columns that are known."""

import numpy as np
import pytest

from bundle.vertebrae.column import Column
from scripts.evaluate_detector import Counts, Tally, target_of

LEVELS = ("T12", "L1", "L2", "L3", "L4", "L5", "S1")


def column(levels=LEVELS, shift=0.0):
    rows = 30.0 + 36 * np.arange(len(levels)) + shift
    boxes = np.stack([np.full(len(rows), 50.0), rows, np.full(len(rows), 84.0), rows + 26], axis=-1)
    return Column(boxes, tuple(levels), boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]], np.full(len(rows), 0.9), 4.0)


def tally(*columns):
    truth = column()
    result = Tally()
    for number, found in enumerate(columns):
        result.add(f"{number}.png", found, target_of(truth.boxes, LEVELS, truth.corners, number))
    return result


def test_columns_as_they_should_be_score_one():
    figures = tally(column(), column()).figures()
    assert figures["named"] == figures["images_named"] == figures["ap_50"] == 1
    assert figures["corner_error_mm"] == 0


def test_column_shifted_by_one_name_is_found_and_not_named():
    shifted = tally(column(), column(("T11", *LEVELS[:-1])))
    figures = shifted.figures()
    assert (figures["found"], figures["named"], figures["images_named"]) == (1, 0.5, 0.5)
    assert [p["all_named"] for p in shifted.pictures] == [True, False]


def test_errors_are_in_millimetres_at_a_body_depth_of_34_mm():
    # Bodies are 34 pixels deep, so a pixel is a millimetre.
    assert tally(column(shift=2.0)).figures()["center_error_mm"] == pytest.approx(2.0)


def test_numbers_are_compared_by_patient():
    counts = Counts()
    for name, levels, count in (("1_t2", LEVELS, 6), ("2_t2", LEVELS, 7), ("3_t2", LEVELS[1:], 9)):
        counts.add(name, column(levels), count)
    figures = counts.figures()
    assert figures["differences"] == {"-4": 1, "-1": 1, "0": 1}
    assert figures["count_right"] == pytest.approx(1 / 3, abs=1e-4)
    assert figures["count_within_one"] == pytest.approx(2 / 3, abs=1e-4)
