"""Step 4: normal, bulge or herniation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bundle.disks.conformal import calibrated, prediction_sets, uncertainty
from bundle.disks.definition import by_definition, outline_from
from bundle.disks.outputs import split_outputs
from bundle.disks.types import DiskOutline, DiskReading
from bundle.disks.views import VIEWS, stack_views
from bundle.geometry import FINDINGS
from bundle.weights import load_weights

#: Ways to see a disk, each of which may have its own calibration.
_SEEN = (*VIEWS, "both")


class DiskClassifier:
    """Judges every disk that has at least one view.

    Args:
        network: (B, 6, size, size) views -> (B, channels); see bundle.disks.views and bundle.disks.outputs. One that gives
            nothing but the three logits of FINDINGS serves too.
        weights: file of its weights.
        size_px: side of the ROIs.
        device: where it runs.
        temperature: logits are divided by it (1 for none): calibration on data that the weights have not seen.
        offsets: added to the logits of FINDINGS after that: calibration to the shares of the classes; None for none.
        set_threshold: findings at least as probable as this make up the set that holds the right one with the coverage for
            which the threshold was fitted (bundle.disks.conformal). A disk whose set holds more than one is flagged
            ``not_sure``; its finding stands. One for all disks, or one for each way to see a disk: ``axial``, ``sagittal``
            or ``both``. None for no sets.
        unsure_below: a disk whose best probability is lower is flagged ``not_sure`` too.

    A disk whose outline in the axial view is another finding by the definition is flagged ``outline_disagrees``.
    """

    def __init__(
        self,
        network: nn.Module,
        weights: str | Path,
        size_px: int = 96,
        device: str | torch.device = "cpu",
        temperature: float = 1.0,
        offsets: Sequence[float] | None = None,
        set_threshold: float | Mapping[str, float] | None = None,
        unsure_below: float = 0.5,
    ) -> None:
        self.network = network
        self.weights = Path(weights)
        self.size_px = int(size_px)
        self.device = torch.device(device)
        self.temperature = float(temperature)
        self.offsets = None if offsets is None else [float(v) for v in offsets]
        self.set_thresholds: dict[str, float | None] = (
            {seen: float(set_threshold[seen]) for seen in _SEEN}
            if isinstance(set_threshold, Mapping)
            else dict.fromkeys(_SEEN, None if set_threshold is None else float(set_threshold))
        )
        self.unsure_below = float(unsure_below)
        self._loaded = False

    def __call__(self, readings: Sequence[DiskReading]) -> tuple[DiskReading, ...]:
        """The same disks with ``probabilities``, ``finding``, ``views`` and what else the network gives.

        Those without a view stay unjudged.

        Raises:
            WeightsError: the weights are missing or do not fit.
        """
        if not self._loaded:
            load_weights(self.network, self.weights).to(self.device).eval()
            self._loaded = True
        judged = [k for k, r in enumerate(readings) if r.axial is not None or r.sagittal is not None]
        result = list(readings)
        if judged:
            views = torch.stack(
                [
                    stack_views(axial.pixels if axial else None, sagittal.pixels if sagittal else None, self.size_px)
                    for axial, sagittal in ((readings[k].axial, readings[k].sagittal) for k in judged)
                ]
            )
            with torch.inference_mode():
                parts = split_outputs(self.network(views.to(self.device)).float().cpu())
            shares = calibrated(parts["findings"], self.temperature, self.offsets)
            for place, k in enumerate(judged):
                one = {name: part[place] for name, part in parts.items()}
                grade = 1 + int(one["pfirrmann"].argmax()) if "pfirrmann" in one else None
                outline = outline_from(one) if "rim" in one and readings[k].axial is not None else None
                result[k] = self._judge(readings[k], shares[place], grade, outline)
        return tuple(result)

    def _judge(
        self, reading: DiskReading, probabilities: NDArray[np.float64], grade: int | None, outline: DiskOutline | None
    ) -> DiskReading:
        best = int(probabilities.argmax())
        prediction_set: tuple[str, ...] = ()
        views = tuple(view for view in VIEWS if getattr(reading, view) is not None)
        threshold = self.set_thresholds["both" if len(views) > 1 else views[0]]
        if threshold is not None:
            inside = prediction_sets(probabilities[None], threshold)[0]
            prediction_set = tuple(name for name, there in zip(FINDINGS, inside, strict=True) if there)
        unsure = probabilities[best] < self.unsure_below or len(prediction_set) > 1
        definition = None if outline is None else by_definition(outline)
        disagrees = definition is not None and definition.finding != FINDINGS[best]
        flags = [name for name, raised in (("not_sure", unsure), ("outline_disagrees", disagrees)) if raised]
        return replace(
            reading,
            probabilities=dict(zip(FINDINGS, probabilities.tolist(), strict=True)),
            finding=FINDINGS[best],
            views=views,
            flags=(*reading.flags, *flags),
            prediction_set=prediction_set,
            uncertainty=float(uncertainty(probabilities[None])[0]),
            pfirrmann=grade,
            outline=outline,
            definition=definition,
        )
