import numpy as np
import pytest

from bundle.disks.conformal import (
    calibrated,
    calibration_error,
    conformal_threshold,
    fit_calibration,
    prediction_sets,
    uncertainty,
)


def judged(count: int, seed: int, sharpness: float = 1.0, shares=(1, 1, 1)):
    """(logits, labels) of a judge who is ``sharpness`` times as sure as he may be; classes as often as ``shares``."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (count, 3))
    right = calibrated(logits, 1.0, np.log(np.asarray(shares, dtype=float)))
    labels = (rng.random((count, 1)) > right.cumsum(1)).sum(1)
    return sharpness * logits, labels


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_sets_of_new_cases_hold_the_right_class_as_often_as_asked(coverage):
    logits, labels = judged(4000, 1)
    threshold = conformal_threshold(calibrated(logits), labels, coverage)
    logits, labels = judged(4000, 2)
    held = prediction_sets(calibrated(logits), threshold)[np.arange(4000), labels].mean()
    assert held == pytest.approx(coverage, abs=0.02)


def test_few_cases_ask_for_sets_of_everything():
    assert conformal_threshold([[0.9, 0.1, 0.0]] * 5, [0] * 5, 0.9) == 0.0


def test_a_set_is_never_empty():
    assert prediction_sets([[0.4, 0.35, 0.25]], 0.9).tolist() == [[True, False, False]]


def test_temperature_finds_how_much_too_sure_a_judge_is():
    logits, labels = judged(6000, 3, sharpness=2.5)
    temperature, offsets = fit_calibration(logits, labels, offsets=False)
    assert temperature == pytest.approx(2.5, rel=0.08)
    assert offsets.tolist() == [0, 0, 0]
    assert calibration_error(calibrated(logits, temperature), labels) < 0.02 < calibration_error(calibrated(logits), labels)


def test_offsets_find_how_often_the_classes_are():
    logits, labels = judged(8000, 4, shares=(6, 3, 1))
    _, offsets = fit_calibration(logits, labels)
    expected = np.log([6, 3, 1])
    assert offsets == pytest.approx(expected - expected.mean(), abs=0.15)


def test_calibration_error_is_the_distance_of_sure_from_right():
    assert calibration_error([[0.8, 0.2, 0.0]] * 10, [0] * 6 + [1] * 4) == pytest.approx(0.2)


def test_uncertainty_is_zero_when_sure_and_one_when_anything_goes():
    assert uncertainty([[1, 0, 0], [1 / 3] * 3, [0.5, 0.5, 0]]) == pytest.approx([0, 1, np.log(2) / np.log(3)], abs=1e-6)
