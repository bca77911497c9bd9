"""How unsure a reading is, as numbers to rank studies by: which one teaches most if a person labels it next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

#: Half unsure: the margin below which the levels of a study are flagged (VertebraFinder's min_margin).
HALF_MARGIN = 3.0


def naming_uncertainty(margin: float, half: float = HALF_MARGIN) -> float:
    """0 to 1: how likely the column's names are others, from the margin (log-likelihood) by which they won.

    Args:
        margin: of bundle.vertebrae.naming.Naming; 0 is a toss-up, infinite where nothing else is possible.
        half: margin at which it is one half.
    """
    return 0.5 ** (max(margin, 0.0) / half)


def disk_uncertainty(probabilities: Sequence[Mapping[str, float] | None]) -> float:
    """0 to 1: mean entropy of the disks' classes, of the most that is possible; a disk without probabilities counts 1."""
    if not probabilities:
        return 1.0
    return sum(1.0 if p is None else _entropy(p.values()) / math.log(len(p)) for p in probabilities) / len(probabilities)


def _entropy(shares: Iterable[float]) -> float:
    return -sum(p * math.log(p) for p in shares if p > 0)
