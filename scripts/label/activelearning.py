"""Which study a person should label next: the one that the networks are most unsure of."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy

from bundle.disks.uncertainty import disk_uncertainty, naming_uncertainty
from bundle.study import StudyError
from scripts.label.reading import LabelReading
from scripts.label.studies import Studies, load_sagittal

_log = logging.getLogger(__name__)

#: What the datastore keeps of an image's score.
SCORE, SCORED_WITH = "lumbar_uncertainty", "lumbar_scored_with"


class LumbarUncertainty(ScoringMethod):
    """Scores every sagittal series that has no label: how unsure the names of its bodies and its disks are.

    Args:
        reading: the bundle's steps.
        studies: finds an image's study.
    """

    def __init__(self, reading: LabelReading, studies: Studies) -> None:
        super().__init__("Uncertainty of the levels' names (margin) and of the disks (entropy), 0 to 1")
        self.reading = reading
        self.studies = studies

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Write the scores into the datastore; series scored with the weights in use are passed over.

        Args:
            request: ``max_samples``: score at most so many.
            datastore: of the images.
        """
        state, start = self.reading.weights_state(), time.monotonic()
        images = datastore.get_unlabeled_images()
        due = [image for image in images if datastore.get_image_info(image).get(SCORED_WITH) != state]
        most = int(request.get("max_samples") or 0) or len(due)
        for image in due[:most]:
            info = {**self._score(image, Path(datastore.get_image_uri(image))), SCORED_WITH: state}
            datastore.update_image_info(image, info)
        return {
            "total": len(images),
            "skipped": len(images) - len(due),
            "executed": len(due[:most]),
            "latency": round(time.monotonic() - start, 1),
        }

    def _score(self, image: str, path: Path) -> dict[str, Any]:
        """Scores of a series; none of one that is not sagittal or cannot be read, which nobody can label."""
        try:
            column = self.reading.finder.find(load_sagittal(path).series)
            found = self.reading.study(self.studies.source(path, image))
        except StudyError as error:
            _log.info("not scored: %s", error)
            return {SCORE: None}
        naming = naming_uncertainty(column.margin)
        disks = disk_uncertainty([d.probabilities for d in found.disks])
        margin = round(column.margin, 3) if math.isfinite(column.margin) else None
        return {
            SCORE: round((naming + disks) / 2, 4),
            "naming_margin": margin,
            "naming_uncertainty": round(naming, 4),
            "disk_uncertainty": round(disks, 4),
        }


class MostUncertain(Strategy):
    """The series with the highest score of LumbarUncertainty.

    One that was handed out lately comes after the others, so that two people do not label the same; one without a score
    comes last.

    Args:
        hold_s: seconds for which a series counts as handed out.
    """

    def __init__(self, hold_s: float = 3600.0) -> None:
        super().__init__("The study whose levels and disks are most uncertain")
        self.hold_s = float(hold_s)

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """``id`` and score of the series; None if all have labels."""
        images = list(datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels")))
        if not images:
            return None
        random.shuffle(images)  # among equals any may come first
        now, strategy = time.time(), str(request["strategy"])

        def rank(image: str) -> tuple[bool, float]:
            info = datastore.get_image_info(image)
            served = float(info.get("strategy", {}).get(strategy, {}).get("ts", 0))
            score = info.get(SCORE)
            return now - served > self.hold_s, -1.0 if score is None else float(score)

        best = max(images, key=rank)
        return {"id": best, SCORE: datastore.get_image_info(best).get(SCORE)}
