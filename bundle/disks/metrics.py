"""How well disks are judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score
from torch import Tensor

from bundle.disks.outputs import split_outputs
from bundle.geometry import DISK_LEVELS, FINDINGS
from bundle.statistics import bootstrap_interval


class DiskMetrics(Metric):
    """Scores of the classifier, each with its 95% bootstrap interval by patient, ``<name>_low`` and ``<name>_high``.

    ``compute`` returns ``accuracy``, ``balanced_accuracy``, ``kappa``, ``accuracy_<level>`` for each level (the paper's
    table) and ``recall_<finding>`` for each class, with the number of ``disks``.

    Args:
        output_transform: engine output -> (logits (B, 3), cases); see bundle.disks.engine.prepare_cases.
    """

    def __init__(self, output_transform: Callable[[Any], Any] = lambda output: (output["pred"], output["label"])) -> None:
        super().__init__(output_transform=output_transform)

    @reinit__is_reduced
    def reset(self) -> None:
        """Forget all disks."""
        self._rows: list[np.ndarray] = []

    @reinit__is_reduced
    def update(self, output: tuple[Tensor, Mapping[str, Tensor]]) -> None:
        """Add the disks of a batch."""
        logits, cases = output
        judged = split_outputs(logits.detach().cpu())["findings"].argmax(1)
        self._rows.append(np.stack([cases["label"], judged, cases["level"], cases["patient"]], axis=-1))

    def compute(self) -> dict[str, float]:
        """See the class."""
        if not self._rows:
            return {}
        truth, judged, levels, patients = np.concatenate(self._rows).astype(int).T
        right = (truth == judged).astype(float)

        figures: dict[str, Callable[[np.ndarray], float]] = {
            "accuracy": lambda cases: float(right[cases].mean()),
            "balanced_accuracy": lambda cases: float(balanced_accuracy_score(truth[cases], judged[cases])),
            "kappa": lambda cases: float(cohen_kappa_score(truth[cases], judged[cases], labels=range(len(FINDINGS)))),
        }

        def share_right(kind: np.ndarray, index: int) -> Callable[[np.ndarray], float]:
            """Of the cases whose ``kind`` is ``index``; nan where a bootstrap sample has none."""
            return lambda cases: float(right[cases][kind[cases] == index].mean()) if (kind[cases] == index).any() else np.nan

        for prefix, names, kind in (("accuracy", DISK_LEVELS, levels), ("recall", FINDINGS, truth)):
            for index, name in enumerate(names):
                if (kind == index).any():
                    figures[f"{prefix}_{name}"] = share_right(kind, index)
        result: dict[str, float] = {"disks": float(len(truth))}
        for name, figure in figures.items():
            result[name], result[f"{name}_low"], result[f"{name}_high"] = bootstrap_interval(patients, figure, repeats=400)
        return result
