"""Step 4: normal, bulge or herniation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from bundle.disks.types import DiskReading
from bundle.disks.views import VIEWS, stack_views
from bundle.geometry import FINDINGS
from bundle.weights import load_weights


class DiskClassifier:
    """Judges every disk that has at least one view.

    Args:
        network: (B, 6, size, size) views -> (B, 3) logits of FINDINGS; see bundle.disks.views.
        weights: file of its weights.
        size_px: side of the ROIs.
        device: where it runs.
        temperature: logits are divided by it (1 for none): calibration on data that the weights have not seen.
        unsure_below: a disk whose best probability is lower is flagged ``not_sure``; its finding stands.
    """

    def __init__(
        self,
        network: nn.Module,
        weights: str | Path,
        size_px: int = 128,
        device: str | torch.device = "cpu",
        temperature: float = 1.0,
        unsure_below: float = 0.5,
    ) -> None:
        self.network = network
        self.weights = Path(weights)
        self.size_px = int(size_px)
        self.device = torch.device(device)
        self.temperature = float(temperature)
        self.unsure_below = float(unsure_below)
        self._loaded = False

    def __call__(self, readings: Sequence[DiskReading]) -> tuple[DiskReading, ...]:
        """The same disks with ``probabilities``, ``finding`` and ``views``; those without a view stay unjudged.

        Raises:
            WeightsError: the weights are missing or do not fit.
        """
        if not self._loaded:
            load_weights(self.network, self.weights).to(self.device).eval()
            self._loaded = True
        judged = [k for k, r in enumerate(readings) if r.axial is not None or r.sagittal is not None]
        result = list(readings)
        if judged:
            views = [
                stack_views(axial.pixels if axial else None, sagittal.pixels if sagittal else None, self.size_px)
                for axial, sagittal in ((readings[k].axial, readings[k].sagittal) for k in judged)
            ]
            with torch.inference_mode():
                logits = self.network(torch.stack(views).to(self.device)).float().cpu()
            for k, p in zip(judged, torch.softmax(logits / self.temperature, dim=1).tolist(), strict=True):
                result[k] = self._judge(readings[k], p)
        return tuple(result)

    def _judge(self, reading: DiskReading, probabilities: Sequence[float]) -> DiskReading:
        best = int(max(range(len(FINDINGS)), key=lambda i: probabilities[i]))
        seen = tuple(view for view in VIEWS if getattr(reading, view) is not None)
        unsure = ("not_sure",) if probabilities[best] < self.unsure_below else ()
        return replace(
            reading,
            probabilities=dict(zip(FINDINGS, map(float, probabilities), strict=True)),
            finding=FINDINGS[best],
            views=seen,
            flags=(*reading.flags, *unsure),
        )
