"""How good judgements of disks are: every figure with its 95% bootstrap interval by patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, balanced_accuracy_score, cohen_kappa_score, roc_auc_score

from bundle.disks.conformal import calibration_error
from bundle.disks.definition import by_definition
from bundle.disks.types import DiskOutline
from bundle.geometry import DISK_LEVELS, FINDINGS
from bundle.statistics import bootstrap_interval

Figure = tuple[float, float, float]


def assess(
    probabilities: NDArray[np.float64],
    cases: Mapping[str, NDArray],
    sets: NDArray[np.bool_] | None = None,
    scores: NDArray[np.float64] | None = None,
    grades: NDArray | None = None,
    repeats: int = 400,
) -> dict[str, Figure]:
    """Figures of judged disks, each (value, low, high).

    ``accuracy``, ``balanced_accuracy``, ``kappa``, ``weighted_kappa`` (linear, by the order of FINDINGS), ``ece``;
    ``accuracy_<level>``; ``sensitivity_``, ``specificity_``, ``roc_auc_`` and ``pr_auc_<finding>``, each against the rest;
    ``coverage`` and ``set_size``; ``pr_auc_flag_bulging`` and ``_herniation``; ``pfirrmann_kappa`` (quadratic weights).

    Args:
        probabilities: (N, 3) of FINDINGS.
        cases: ``label``, ``level``, ``patient`` (N,); ``flags`` (N, 2) and ``pfirrmann`` (N,) for figures of those.
        sets: (N, 3) prediction sets.
        scores: (N, 2) of the flags bulging and herniation.
        grades: (N,) Pfirrmann grades as judged.
        repeats: bootstrap samples.
    """
    label, level, judged = cases["label"], cases["level"], probabilities.argmax(1)
    right = (label == judged).astype(float)
    classes = range(len(FINDINGS))
    figures: dict[str, Callable[[NDArray[np.intp]], float]] = {
        "accuracy": lambda k: float(right[k].mean()),
        "balanced_accuracy": lambda k: float(balanced_accuracy_score(label[k], judged[k])),
        "kappa": lambda k: float(cohen_kappa_score(label[k], judged[k], labels=classes)),
        "weighted_kappa": lambda k: float(cohen_kappa_score(label[k], judged[k], labels=classes, weights="linear")),
        "ece": lambda k: calibration_error(probabilities[k], label[k]),
    }
    for index, name in enumerate(DISK_LEVELS):
        figures[f"accuracy_{name}"] = _where(level == index, right)
    for index, name in enumerate(FINDINGS):
        truth, said, score = label == index, judged == index, probabilities[:, index]
        figures[f"sensitivity_{name}"] = _where(truth, said.astype(float))
        figures[f"specificity_{name}"] = _where(~truth, (~said).astype(float))
        figures[f"roc_auc_{name}"] = _ranked(truth, score, roc_auc_score)
        figures[f"pr_auc_{name}"] = _ranked(truth, score, average_precision_score)
    if sets is not None:
        held = sets[np.arange(len(label)), label].astype(float)
        figures["coverage"] = lambda k: float(held[k].mean())
        figures["set_size"] = lambda k: float(sets[k].sum(1).mean())
        for index, name in enumerate(FINDINGS):
            figures[f"coverage_{name}"] = _where(label == index, held)
    if scores is not None:
        for index, name in enumerate(("bulging", "herniation")):
            figures[f"pr_auc_flag_{name}"] = _ranked(cases["flags"][:, index] > 0, scores[:, index], average_precision_score)
            figures[f"roc_auc_flag_{name}"] = _ranked(cases["flags"][:, index] > 0, scores[:, index], roc_auc_score)
    if grades is not None:
        truth_grade = cases["pfirrmann"]
        figures["pfirrmann_kappa"] = lambda k: float(cohen_kappa_score(truth_grade[k], grades[k], weights="quadratic"))
    return {name: bootstrap_interval(cases["patient"], figure, repeats) for name, figure in figures.items()}


def assess_outlines(
    said: Sequence[DiskOutline], truth: Sequence[DiskOutline], patient: NDArray, repeats: int = 400
) -> dict[str, Figure]:
    """Errors of outlines, each (value, low, high), as distances without a sign.

    Means over disks and directions: ``rim_mm`` and ``excess_mm``; over disks: ``center_mm``. Medians over disks, of what the
    definition measures: ``reach_mm``; ``beyond_rim_deg`` of disks that truly lie beyond the rim; ``extent_mm`` and
    ``base_mm`` of those that are a herniation by both outlines, with the shares whose ``zone`` and ``side`` are right.

    Args:
        said: outlines that a network gives.
        truth: those of the same disks.
        patient: (N,) whose each disk is.
        repeats: bootstrap samples.
    """
    pairs = list(zip(said, truth, strict=True))
    measured = [(by_definition(a), by_definition(b)) for a, b in pairs]
    beyond = np.array([b.beyond_rim_deg > 0 for _, b in measured])
    focal = np.array([a.focal is not None and b.focal is not None for a, b in measured])
    both = [(a.focal, b.focal) for a, b in measured if a.focal is not None and b.focal is not None]

    def over(cases: NDArray, errors: Sequence[float], middle: Callable[..., Any]) -> Figure:
        values = np.array(errors, dtype=np.float64)
        return bootstrap_interval(cases, lambda k: float(middle(values[k])), repeats)

    degrees = [abs(a.beyond_rim_deg - b.beyond_rim_deg) for a, b in measured if b.beyond_rim_deg > 0]
    return {
        "rim_mm": over(patient, [float(np.abs(a.rim_mm - b.rim_mm).mean()) for a, b in pairs], np.mean),
        "excess_mm": over(patient, [float(np.abs(a.excess_mm - b.excess_mm).mean()) for a, b in pairs], np.mean),
        "center_mm": over(patient, [float(np.linalg.norm(a.center_mm - b.center_mm)) for a, b in pairs], np.mean),
        "reach_mm": over(patient, [abs(a.reach_mm - b.reach_mm) for a, b in measured], np.median),
        "beyond_rim_deg": over(patient[beyond], degrees, np.median),
        "extent_mm": over(patient[focal], [abs(a.extent_mm - b.extent_mm) for a, b in both], np.median),
        "base_mm": over(patient[focal], [abs(a.base_mm - b.base_mm) for a, b in both], np.median),
        "zone": over(patient[focal], [a.zone == b.zone for a, b in both], np.mean),
        "side": over(patient[focal], [a.side == b.side for a, b in both], np.mean),
    }


def _where(mask: NDArray[np.bool_], values: NDArray) -> Callable[[NDArray[np.intp]], float]:
    """Mean of the cases in a mask; nan where a bootstrap sample has none."""
    return lambda k: float(values[k][mask[k]].mean()) if mask[k].any() else float("nan")


def _ranked(truth: NDArray[np.bool_], score: NDArray, figure: Callable[..., Any]) -> Callable[[NDArray[np.intp]], float]:
    return lambda k: float(figure(truth[k], score[k])) if 0 < truth[k].sum() < len(k) else float("nan")
