"""How well bodies are found and named, on single images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced
from monai.apps.detection.metrics.coco import COCOMetric
from monai.apps.detection.metrics.matching import matching_batch
from monai.data.box_utils import box_iou

from bundle.geometry import BODY_LEVELS
from bundle.statistics import bootstrap_interval

_COCO_IOUS = tuple(0.5 + 0.05 * k for k in range(10))


class VertebraMetrics(Metric):
    """Scores of a detector over a set of images.

    ``compute`` returns, each but AP and AR with its 95% bootstrap interval by patient, ``<name>_low`` and ``<name>_high``:
        ``named``: share of true bodies that a detection overlaps (IoU over ``iou``) with the right name;
        ``named_<level>``, ``named_<contrast>``: the same of the bodies of one name, or on images of one contrast;
        ``found``: the same as ``named``, whatever the name;
        ``images_named``: share of images in which every lumbar body in view (L1-L5) is found and named right; of one
        contrast ``images_named_<contrast>``;
        ``false_per_image``: detections that overlap no true body;
        ``center_error_px``, ``corner_error_px``: median distance of centres and of corners, on bodies that were found;
        ``center_error_mm``, ``corner_error_mm``: the same in millimetres, where all images say their ``pixel_mm``;
        ``ap_50``, ``ap``, ``ar``: COCO average precision at IoU 0.5, average precision and average recall over IoU 0.5 to
        0.95, mean over the names that occur (monai.apps.detection.metrics.coco).

    Args:
        output_transform: engine output -> (predictions, targets), see BodyDetector; a target may hold its ``patient``
            (without, each image is another patient's), ``contrast`` and ``pixel_mm``.
        name_bodies: optional function of one image's prediction that decides the names over the whole column and returns
            the prediction with new ``labels`` (see ColumnNames); without it each box's best class counts.
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
                list(_COCO_IOUS),
                [got["boxes"]],
                [got["labels"]],
                [got["labels_scores"]],
                [true["boxes"]],
                [true["labels"]],
            )
            image = score_image(got, true, self.iou)
            image["contrast"] = str(truth.get("contrast", ""))
            image["patient"] = truth.get("patient", f"image {len(self._images)}")
            image["pixel_mm"] = float(truth.get("pixel_mm", np.nan))
            self._images.append(image)

    def compute(self) -> dict[str, float]:
        """See the class."""
        if not self._images:
            return {}
        images = self._images
        patients = np.asarray([str(i["patient"]) for i in images])
        figures = self._shares() | self._errors()
        result: dict[str, float] = {"images": float(len(images)), "bodies": float(sum(i["bodies"] for i in images))}
        for name, figure in figures.items():
            result[name], result[f"{name}_low"], result[f"{name}_high"] = bootstrap_interval(patients, figure, repeats=400)
        return result | self._coco()

    def _shares(self) -> dict[str, Callable[[Any], float]]:
        images = self._images
        numbers = ("bodies", "found", "named", "lumbar", "all_named", "false")
        column = {k: np.asarray([i[k] for i in images], dtype=float) for k in numbers}
        for index, level in enumerate(BODY_LEVELS):
            rows = [i["levels"][i["levels"][:, 0] == index, 1] for i in images]
            column[f"all {level}"] = np.asarray([len(r) for r in rows], dtype=float)
            column[f"right {level}"] = np.asarray([r.sum() for r in rows], dtype=float)

        def share(part: str, whole: str) -> Callable[[Any], float]:
            return lambda cases: float(column[part][cases].sum() / max(column[whole][cases].sum(), 1))

        levels = {
            f"named_{level}": share(f"right {level}", f"all {level}")
            for level in reversed(BODY_LEVELS)
            if column[f"all {level}"].any()
        }
        column["right lumbar"] = column["all_named"] * column["lumbar"]
        contrasts = {}
        for contrast in sorted({i["contrast"] for i in images} - {""}):
            of_it = np.asarray([i["contrast"] == contrast for i in images])
            for name in ("bodies", "named", "lumbar", "right lumbar"):
                column[f"{contrast} {name}"] = column[name] * of_it
            if column[f"{contrast} bodies"].any():
                contrasts[f"named_{contrast}"] = share(f"{contrast} named", f"{contrast} bodies")
                contrasts[f"images_named_{contrast}"] = share(f"{contrast} right lumbar", f"{contrast} lumbar")
        return {
            "named": share("named", "bodies"),
            **levels,
            **contrasts,
            "found": share("found", "bodies"),
            "images_named": share("right lumbar", "lumbar"),
            "false_per_image": lambda cases: float(column["false"][cases].mean()),
        }

    def _errors(self) -> dict[str, Callable[[Any], float]]:
        images = self._images
        scales = {"px": np.ones(len(images))}
        if np.isfinite([i["pixel_mm"] for i in images]).all():
            scales["mm"] = np.asarray([i["pixel_mm"] for i in images])

        def median(kind: str, scale: np.ndarray) -> Callable[[Any], float]:
            return lambda cases: float(np.median(np.concatenate([images[c][kind] * scale[c] for c in cases] or [[]])))

        return {
            f"{name}_error_{unit}": median(kind, scale)
            for unit, scale in scales.items()
            for name, kind in (("center", "centers"), ("corner", "corners"))
        }

    def _coco(self) -> dict[str, float]:
        span = (_COCO_IOUS[0], _COCO_IOUS[-1], 0.05)
        coco = COCOMetric(list(BODY_LEVELS), iou_list=[0.5], iou_range=span, max_detection=[40])
        scores = coco(self._matches)[0]

        def mean(kind: str) -> float:
            # MONAI's own mean counts a name that no true body has as -1.
            each = [float(v) for k, v in scores.items() if f"_{kind}_IoU" in k]
            known = [v for v in each if v >= 0]
            return float(np.mean(known)) if known else float("nan")

        return {"ap_50": mean("AP"), "ap": mean("mAP"), "ar": mean("mAR")}


def score_image(got: Mapping[str, np.ndarray], true: Mapping[str, np.ndarray], iou: float = 0.5) -> dict[str, Any]:
    """What was found of the bodies of one image: counts, which detections are right, and distances of centres and corners
    in pixels.

    Args:
        got: ``boxes``, ``labels``, ``corners`` of detections.
        true: the same of the bodies.
        iou: overlap from which a detection is the body.
    """
    n = len(true["boxes"])
    overlap = _overlap(true["boxes"], got["boxes"]) if n and len(got["boxes"]) else np.zeros((n, len(got["boxes"])))
    best = overlap.argmax(1) if overlap.size else np.zeros(n, dtype=int)
    found = overlap.max(1) > iou if overlap.size else np.zeros(n, dtype=bool)
    named = found & (got["labels"][best] == true["labels"]) if overlap.size else found
    centers = corners = np.zeros(0)
    if found.any():
        there, is_there = got["boxes"][best[found]], true["boxes"][found]
        centers = np.linalg.norm(there[:, :2] + there[:, 2:] - is_there[:, :2] - is_there[:, 2:], axis=-1) / 2
        corners = np.linalg.norm(got["corners"][best[found]] - true["corners"][found], axis=-1).mean(-1)
        corners = corners[np.isfinite(corners)]  # true corners that are not known are NaN
    lumbar = np.isin(true["labels"], [BODY_LEVELS.index(f"L{k}") for k in range(1, 6)])
    right = np.zeros(len(got["boxes"]), dtype=bool)
    right[best[named]] = True
    extra = int((overlap.max(0) <= iou).sum()) if n and len(got["boxes"]) else len(got["boxes"])
    return {
        "bodies": n,
        "found": int(found.sum()),
        "named": int(named.sum()),
        "lumbar": bool(lumbar.any()),
        "all_named": bool(named[lumbar].all()),
        "false": extra,
        "right": right,
        "levels": np.stack([true["labels"], named], axis=-1).astype(int).reshape(-1, 2),
        "centers": centers,
        "corners": corners,
    }


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, M) IoU of two sets of boxes."""
    return np.asarray(box_iou(a, b))
