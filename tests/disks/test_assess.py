import numpy as np
import pytest

from bundle.disks.assess import assess
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
