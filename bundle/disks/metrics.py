"""How well disks are judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score
from torch import Tensor

from bundle.disks.conformal import calibrated, calibration_error, prediction_sets
from bundle.disks.outputs import split_outputs
from bundle.geometry import DISK_LEVELS, FINDINGS
from bundle.statistics import bootstrap_interval


class DiskMetrics(Metric):
    """Scores of the classifier, each with its 95% bootstrap interval by patient, ``<name>_low`` and ``<name>_high``.

    ``compute`` returns ``accuracy``, ``balanced_accuracy``, ``kappa``, ``accuracy_<level>`` for each level (the paper's
    table), ``recall_<finding>`` for each class, and ``ece``, the expected calibration error, with the number of ``disks``;
    with ``set_threshold`` also ``coverage`` and ``set_size`` of the sets.

    Args:
        output_transform: engine output -> (logits (B, 3), cases); see bundle.disks.engine.prepare_cases.
        temperature, offsets, set_threshold: as in bundle.disks.classify.DiskClassifier.
    """

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = lambda output: (output["pred"], output["label"]),
        temperature: float = 1.0,
        offsets: Sequence[float] | None = None,
        set_threshold: float | None = None,
    ) -> None:
        super().__init__(output_transform=output_transform)
        self.temperature, self.offsets = float(temperature), offsets
        self.set_threshold = None if set_threshold is None else float(set_threshold)

    @reinit__is_reduced
    def reset(self) -> None:
        """Forget all disks."""
        self._rows: list[np.ndarray] = []
        self._probabilities: list[np.ndarray] = []

    @reinit__is_reduced
    def update(self, output: tuple[Tensor, Mapping[str, Tensor]]) -> None:
        """Add the disks of a batch."""
        logits, cases = output
        findings = split_outputs(logits.detach().float().cpu())["findings"]
        self._rows.append(np.stack([cases["label"], cases["level"], cases["patient"]], axis=-1))
        self._probabilities.append(calibrated(findings, self.temperature, self.offsets))

    def compute(self) -> dict[str, float]:
        """See the class."""
        if not self._rows:
            return {}
        truth, levels, patients = np.concatenate(self._rows).astype(int).T
        probabilities = np.concatenate(self._probabilities)
        judged = probabilities.argmax(1)
        right = (truth == judged).astype(float)

        figures: dict[str, Callable[[np.ndarray], float]] = {
            "accuracy": lambda cases: float(right[cases].mean()),
            "balanced_accuracy": lambda cases: float(balanced_accuracy_score(truth[cases], judged[cases])),
            "kappa": lambda cases: float(cohen_kappa_score(truth[cases], judged[cases], labels=range(len(FINDINGS)))),
            "ece": lambda cases: calibration_error(probabilities[cases], truth[cases]),
        }
        if self.set_threshold is not None:
            sets = prediction_sets(probabilities, self.set_threshold)
            held = sets[np.arange(len(truth)), truth].astype(float)
            figures["coverage"] = lambda cases: float(held[cases].mean())
            figures["set_size"] = lambda cases: float(sets[cases].sum(1).mean())

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
