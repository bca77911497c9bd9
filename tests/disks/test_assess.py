import numpy as np
import pytest

from bundle.disks.assess import assess, assess_outlines
from bundle.disks.types import DiskOutline
from bundle.geometry import DISK_LEVELS, FINDINGS

RIGHT = np.eye(3) * 0.7 + 0.1


def cases(label):
    label = np.asarray(label)
    flags = np.stack([label == 1, label == 2], axis=1).astype(float)
    level, patient = np.arange(len(label)) % 5, np.arange(len(label)) // 5
    return {"label": label, "level": level, "patient": patient, "flags": flags, "pfirrmann": 1 + label}


def test_a_perfect_judge():
    label = np.arange(30) % 3
    figures = assess(RIGHT[label], cases(label), RIGHT[label] > 0.5, cases(label)["flags"], 1 + label, repeats=20)
    one = [n for n in figures if n not in ("ece", "set_size")]
    assert {name: figures[name][0] for name in one} == dict.fromkeys(one, 1.0)
    assert figures["ece"][0] == pytest.approx(0.2) and figures["set_size"][0] == 1.0
    assert {f"accuracy_{level}" for level in DISK_LEVELS} | {f"pr_auc_{f}" for f in FINDINGS} <= set(figures)


def test_one_class_for_everything_has_no_kappa_and_a_third_of_balanced_accuracy():
    label = np.array([0, 0, 0, 0, 1, 2] * 5)
    figures = assess(RIGHT[np.zeros(30, dtype=int)], cases(label), repeats=20)
    assert figures["accuracy"][0] == pytest.approx(2 / 3)
    assert figures["kappa"][0] == pytest.approx(0) and figures["balanced_accuracy"][0] == pytest.approx(1 / 3)
    assert figures["sensitivity_herniation"][0] == 0 and figures["specificity_herniation"][0] == 1


def test_a_miss_by_two_classes_weighs_more():
    label = np.array([0, 1, 2] * 10)
    by_one, by_two = label.copy(), label.copy()
    by_one[2], by_two[2] = 1, 0
    near, far = (assess(RIGHT[j], cases(label), repeats=5) for j in (by_one, by_two))
    assert near["weighted_kappa"][0] > far["weighted_kappa"][0]


def test_every_figure_lies_in_its_interval():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 100)
    probabilities = rng.dirichlet([1, 1, 1], 100)
    for value, low, high in assess(probabilities, cases(label), probabilities > 0.3, repeats=60).values():
        assert low <= value + 1e-9 and value <= high + 0.05


def outline(excess):
    return DiskOutline(np.full(24, 20.0), np.asarray(excess, dtype=float), np.zeros(2))


def test_errors_of_outlines_are_told_of_the_disks_that_have_what_is_measured():
    flat, bulge = outline(np.zeros(24)), outline(np.full(24, 3.0))
    focal = np.zeros(24)
    focal[11:14] = 6.0  # at the back
    herniated = outline(focal)
    farther = DiskOutline(herniated.rim_mm + 1, herniated.excess_mm * 1.5, np.array([3.0, 4.0]))
    truth = [flat, bulge, herniated]
    perfect = assess_outlines(truth, truth, np.arange(3), repeats=20)
    assert {name: figure[0] for name, figure in perfect.items()} == {
        **dict.fromkeys(["rim_mm", "excess_mm", "center_mm", "reach_mm", "beyond_rim_deg", "extent_mm", "base_mm"], 0.0),
        **dict.fromkeys(["zone", "side"], 1.0),
    }
    found = {name: figure[0] for name, figure in assess_outlines([bulge, bulge, farther], truth, np.arange(3), 20).items()}
    assert found["rim_mm"] == pytest.approx(1 / 3) and found["center_mm"] == pytest.approx(5 / 3)
    assert found["excess_mm"] == pytest.approx((3 + 0 + 9 / 24) / 3)
    assert found["extent_mm"] == pytest.approx(3, abs=0.5)  # the third disk alone is a herniation by both
    assert found["beyond_rim_deg"] < 20  # the first has nothing beyond the rim, the second is right


def test_outlines_without_a_herniation_have_no_figure_of_one():
    figures = assess_outlines([outline(np.zeros(24))] * 2, [outline(np.zeros(24))] * 2, np.arange(2), repeats=5)
    assert np.isnan(figures["extent_mm"][0]) and np.isnan(figures["zone"][0]) and figures["reach_mm"][0] == 0.0
