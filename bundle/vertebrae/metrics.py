"""How well bodies are found and named, on single images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced
from monai.apps.detection.metrics.coco import COCOMetric
from monai.apps.detection.metrics.matching import matching_batch
from monai.data.box_utils import box_iou

from bundle.geometry import BODY_LEVELS
from bundle.statistics import bootstrap_interval


class VertebraMetrics(Metric):
    """Scores of a detector over a set of images, each from another patient.

    ``compute`` returns, each but AP with its 95% bootstrap interval, ``<name>_low`` and ``<name>_high``:
        ``named``: share of true bodies that a detection overlaps (IoU over ``iou``) with the right name;
        ``found``: the same, whatever the name;
        ``images_named``: share of images in which every lumbar body in view (L1-L5) is found and named right;
        ``false_per_image``: detections that overlap no true body;
        ``corner_error_px``: median distance of corners on bodies that were found;
        ``ap_50``: COCO average precision at IoU 0.5, mean over the names that occur (monai.apps.detection.metrics.coco).

    Args:
        output_transform: engine output -> (predictions, targets), see BodyDetector.
        name_bodies: optional function of one image's prediction that decides the names over the whole column and returns
            the prediction with new ``labels``; without it each box's best class counts.
        iou: overlap from which a detection is the body.
    """

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = lambda output: (output["pred"], output["label"]),
        name_bodies: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        iou: float = 0.5,
    ) -> None:
        self.iou = iou
        self.name_bodies = name_bodies
        super().__init__(output_transform=output_transform)

    @reinit__is_reduced
    def reset(self) -> None:
        """Forget all images."""
        self._images: list[dict[str, Any]] = []
        self._matches: list[Any] = []

    @reinit__is_reduced
    def update(self, output: tuple[Sequence[dict[str, Any]], Sequence[dict[str, Any]]]) -> None:
        """Add the images of a batch."""
        for found, truth in zip(*output, strict=True):
            if self.name_bodies is not None:
                found = self.name_bodies(found)
            got = {k: np.asarray(found[k].detach().cpu()) for k in ("boxes", "labels", "labels_scores", "corners")}
            true = {k: np.asarray(truth[k].detach().cpu()) for k in ("boxes", "labels", "corners")}
            self._matches += matching_batch(
                _overlap,
                [self.iou],
                [got["boxes"]],
                [got["labels"]],
                [got["labels_scores"]],
                [true["boxes"]],
                [true["labels"]],
            )
            self._images.append(self._score(got, true))

    def _score(self, got: dict[str, np.ndarray], true: dict[str, np.ndarray]) -> dict[str, Any]:
        n = len(true["boxes"])
        overlap = _overlap(true["boxes"], got["boxes"]) if n and len(got["boxes"]) else np.zeros((n, len(got["boxes"])))
        best = overlap.argmax(1) if overlap.size else np.zeros(n, dtype=int)
        found = overlap.max(1) > self.iou if overlap.size else np.zeros(n, dtype=bool)
        named = found & (got["labels"][best] == true["labels"]) if overlap.size else found
        corners = np.zeros(0)
        if found.any():
            corners = np.linalg.norm(got["corners"][best[found]] - true["corners"][found], axis=-1).mean(-1)
            corners = corners[np.isfinite(corners)]  # true corners that are not known are NaN
        lumbar = np.isin(true["labels"], [BODY_LEVELS.index(f"L{k}") for k in range(1, 6)])
        extra = int((overlap.max(0) <= self.iou).sum()) if n and len(got["boxes"]) else len(got["boxes"])
        return {
            "bodies": n,
            "found": int(found.sum()),
            "named": int(named.sum()),
            "lumbar": bool(lumbar.any()),
            "all_named": bool(named[lumbar].all()),
            "false": extra,
            "corners": corners,
        }

    def compute(self) -> dict[str, float]:
        """See the class."""
        if not self._images:
            return {}
        images = self._images
        column = {k: np.asarray([i[k] for i in images], dtype=float) for k in images[0] if k != "corners"}
        patients = np.arange(len(images))

        def share(part: str, whole: str) -> Callable[[Any], float]:
            return lambda cases: float(column[part][cases].sum() / max(column[whole][cases].sum(), 1))

        figures: dict[str, Callable[[Any], float]] = {
            "named": share("named", "bodies"),
            "found": share("found", "bodies"),
            "images_named": lambda cases: float(
                (column["all_named"] * column["lumbar"])[cases].sum() / max(column["lumbar"][cases].sum(), 1)
            ),
            "false_per_image": lambda cases: float(column["false"][cases].mean()),
            "corner_error_px": lambda cases: float(np.median(np.concatenate([images[c]["corners"] for c in cases] or [[]]))),
        }
        result: dict[str, float] = {"images": float(len(images)), "bodies": float(column["bodies"].sum())}
        for name, figure in figures.items():
            result[name], result[f"{name}_low"], result[f"{name}_high"] = bootstrap_interval(patients, figure, repeats=400)
        coco = COCOMetric(list(BODY_LEVELS), iou_list=[self.iou], iou_range=(self.iou, self.iou, 1.0), max_detection=[40])
        scores = coco(self._matches)[0]
        # MONAI's own mean counts a name that no true body has as -1.
        each = [float(v) for k, v in scores.items() if "_mAP_" in k]
        known = [v for v in each if v >= 0]
        result["ap_50"] = float(np.mean(known)) if known else float("nan")
        return result


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, M) IoU of two sets of boxes."""
    return np.asarray(box_iou(a, b))
