"""Sets of findings that hold the right one as often as is asked for, and how far probabilities can be believed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def conformal_threshold(probabilities: ArrayLike, labels: ArrayLike, coverage: float = 0.9) -> float:
    """Split conformal prediction by the least ambiguous sets (Sadinle et al., J Am Stat Assoc 2019;114:223).

    Args:
        probabilities: (N, classes) of cases that the network has not seen.
        labels: (N,) their classes.
        coverage: share of cases whose set is to hold the right class.

    Returns:
        Probability from which on a class belongs to the set.
    """
    right = np.sort(_of_label(probabilities, labels))
    allowed = math.floor((1 - coverage) * (len(right) + 1))  # cases whose right class may be left out
    return 0.0 if allowed < 1 else float(right[allowed - 1])


def prediction_sets(probabilities: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """(N, classes) what belongs to each set: the classes at or above the threshold, and always the most probable one."""
    p = np.asarray(probabilities, dtype=np.float64)
    return (p >= threshold) | (p == p.max(1, keepdims=True))


def calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error (Guo et al., ICML 2017): of the most probable class, in bins of equal width."""
    p = np.asarray(probabilities, dtype=np.float64)
    sure, right = p.max(1), p.argmax(1) == np.asarray(labels)
    place = np.minimum((sure * bins).astype(int), bins - 1)
    return float(
        sum(abs(sure[place == k].mean() - right[place == k].mean()) * (place == k).mean() for k in np.unique(place))
    )


def fit_calibration(logits: ArrayLike, labels: ArrayLike, offsets: bool = True) -> tuple[float, NDArray[np.float64]]:
    """(temperature, offsets): probabilities softmax(logits / temperature + offsets) of least cross-entropy.

    The offsets, which sum to 0, take the shares of classes that training has drawn to those of the cases at hand.

    Args:
        logits: (N, classes) of cases that the network has not seen.
        labels: (N,) their classes.
        offsets: whether there are any; else they are 0 (Guo et al.: temperature scaling alone).
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    z, y = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=int)
    free = z.shape[1] - 1 if offsets else 0

    def parts(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        shift = np.zeros(z.shape[1])
        shift[1 : 1 + free] = x[1:]
        return float(np.exp(x[0])), shift

    def loss(x: NDArray[np.float64]) -> float:
        temperature, shift = parts(x)
        return float(-log_softmax(z / temperature + shift, axis=1)[np.arange(len(y)), y].mean())

    temperature, shift = parts(minimize(loss, np.zeros(1 + free), method="L-BFGS-B").x)
    return temperature, shift - shift.mean()


def calibrated(logits: ArrayLike, temperature: float = 1.0, offsets: ArrayLike | None = None) -> NDArray[np.float64]:
    """(N, classes) probabilities softmax(logits / temperature + offsets)."""
    from scipy.special import softmax

    shifted = np.asarray(logits, dtype=np.float64) / temperature
    result: NDArray[np.float64] = softmax(shifted if offsets is None else shifted + np.asarray(offsets), axis=1)
    return result


def uncertainty(probabilities: ArrayLike) -> NDArray[np.float64]:
    """(N,) entropy of the probabilities as a share of the greatest possible: 0 sure, 1 anything."""
    p = np.clip(np.asarray(probabilities, dtype=np.float64), 1e-12, 1)
    return np.asarray(-(p * np.log(p)).sum(1) / np.log(p.shape[1]), dtype=np.float64)


def _of_label(probabilities: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    p = np.asarray(probabilities, dtype=np.float64)
    return np.asarray(p[np.arange(len(p)), np.asarray(labels, dtype=int)], dtype=np.float64)
