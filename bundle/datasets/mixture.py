"""Several datasets as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset


class Mixture(Dataset):
    """Items of several datasets, drawn in given shares.

    Args:
        datasets: to draw from, each by its own index in turn.
        shares: chance of each.
        length: number of items.
        seed: of the draws.
    """

    def __init__(self, datasets: Sequence[Dataset], shares: Sequence[float], length: int, seed: int = 0) -> None:
        if len(datasets) != len(shares):
            raise ValueError(f"{len(datasets)} datasets have {len(shares)} shares")
        weights = np.asarray(shares, dtype=np.float64)
        source = np.random.default_rng(seed).choice(len(datasets), size=int(length), p=weights / weights.sum())
        place = np.zeros(int(length), dtype=np.int64)
        for k in range(len(datasets)):
            place[source == k] = np.arange(int((source == k).sum()))
        self.datasets = list(datasets)
        self.source, self.place = source, place

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.datasets[self.source[index]][int(self.place[index])]
