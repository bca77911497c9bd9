"""Pictures of the images on which a detector does worst."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from bundle.geometry import BODY_LEVELS
from bundle.vertebrae.metrics import score_image
from bundle.whole_file import whole_file

_TRUE, _RIGHT, _WRONG = "#ffd54a", "#5fd35f", "#ff5c5c"


class WorstCases:
    """Handler of an evaluator that draws the worst images once all are seen.

    Worst is where most bodies are missed or misnamed and most detections are no body; then where corners are farthest off.
    True bodies are drawn in yellow, with their names on the left; detections in green where they are right and in red where
    not, with names on the right.

    Args:
        path: PNG file.
        number: of images on it.
        name_bodies: as of VertebraMetrics.
        iou: overlap from which a detection is the body.
    """

    def __init__(
        self,
        path: str | Path,
        number: int = 12,
        name_bodies: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        iou: float = 0.5,
    ) -> None:
        self.path = Path(path)
        self.number = int(number)
        self.name_bodies = name_bodies
        self.iou = float(iou)
        self._worst: list[tuple[tuple[float, float], int, dict[str, Any]]] = []
        self._order = count()

    def attach(self, engine: Engine) -> None:
        """Look at each iteration's output, and draw at the end."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._look)
        engine.add_event_handler(Events.COMPLETED, self._draw)

    def _start(self, engine: Engine) -> None:
        self._worst.clear()

    def _look(self, engine: Engine) -> None:
        output: Mapping[str, Any] = engine.state.output  # type: ignore[assignment]
        for image, found, truth in zip(output["image"], output["pred"], output["label"], strict=True):
            if self.name_bodies is not None:
                found = self.name_bodies(found)
            got, true = (
                {k: np.asarray(part[k].detach().cpu()) for k in ("boxes", "labels", "corners")} for part in (found, truth)
            )
            score = score_image(got, true, self.iou)
            wrong = score["bodies"] - score["named"] + score["false"]
            farthest = float(np.max(score["corners"], initial=0.0))
            case = {
                "image": image[0].detach().cpu().numpy(),
                "got": got,
                "true": true,
                "right": score["right"],
                "title": f"{truth.get('contrast', '')} {wrong} wrong".strip(),
            }
            entry = ((float(wrong), farthest), next(self._order), case)
            (heapq.heappush if len(self._worst) < self.number else heapq.heappushpop)(self._worst, entry)

    def _draw(self, engine: Engine) -> None:
        from matplotlib.figure import Figure

        cases = [case for *_, case in sorted(self._worst, key=lambda entry: (entry[0], -entry[1]), reverse=True)]
        across = min(len(cases), 4)
        down = -(-len(cases) // across)
        figure = Figure(figsize=(3.4 * across, 3.6 * down), layout="constrained")
        for axes in figure.subplots(down, across, squeeze=False).flat:
            axes.axis("off")
        for axes, case in zip(figure.axes, cases, strict=False):
            axes.imshow(case["image"], cmap="gray")
            axes.set_title(case["title"], fontsize=8)
            for box, label in zip(case["true"]["boxes"], case["true"]["labels"], strict=True):
                _outline(axes, box, _TRUE, 1.6)
                axes.text(box[1] - 2, box[0] + 8, _name(label), color=_TRUE, fontsize=7, ha="right")
            for box, label, right in zip(case["got"]["boxes"], case["got"]["labels"], case["right"], strict=True):
                color = _RIGHT if right else _WRONG
                _outline(axes, box, color, 0.9)
                axes.text(box[3] + 2, box[0] + 8, _name(label), color=color, fontsize=7)
        with whole_file(self.path) as part:
            figure.savefig(part, dpi=110, format="png")


def _outline(axes: Any, box: np.ndarray, color: str, width: float) -> None:
    top, left, bottom, right = box
    axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color=color, linewidth=width)


def _name(label: int) -> str:
    return BODY_LEVELS[label] if label >= 0 else "?"
