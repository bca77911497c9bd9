"""Intervals for the figures that the project reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest


def bootstrap_interval(
    groups: NDArray,
    statistic: Callable[[NDArray[np.intp]], float],
    repeats: int = 1000,
    coverage: float = 0.95,
    seed: int = 0,
) -> tuple[float, float, float]:
    """(value, low, high) of a statistic, by the percentile bootstrap over groups (patients), which are drawn whole.

    Args:
        groups: (N,) the patient of each case.
        statistic: figure of the cases with the given indices (repeated where a patient was drawn twice).
        repeats: bootstrap samples.
        coverage: of the interval.
        seed: of the draws.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) == 0:
        return float("nan"), float("nan"), float("nan")
    cases = [np.flatnonzero(member == k) for k in range(len(names))]
    rng = np.random.default_rng(seed)
    drawn = [
        statistic(np.concatenate([cases[k] for k in rng.integers(len(names), size=len(names))])) for _ in range(repeats)
    ]
    low, high = np.nanpercentile(drawn, [50 * (1 - coverage), 50 * (1 + coverage)])
    return float(statistic(np.arange(len(member)))), float(low), float(high)


def with_interval(figure: Sequence[float], digits: int = 3, scale: float = 1.0) -> str:
    """``value [low, high]`` of a figure, times ``scale`` (100 for percent)."""
    value, low, high = (f"{scale * number:.{digits}f}" for number in figure)
    return f"{value} [{low}, {high}]"


def wilson_interval(successes: int, trials: int) -> tuple[float, float, float]:
    """Share of successes, and the ends of its 95% interval (Wilson 1927), for trials that do not depend on one another."""
    interval = binomtest(successes, trials).proportion_ci(method="wilson")
    return successes / trials, round(float(interval.low), 4), round(float(interval.high), 4)
