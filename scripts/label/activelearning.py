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
from scripts.label.studies import Studies, image_id_of

_log = logging.getLogger(__name__)

#: What the datastore keeps of an image's score.
SCORE, SCORED_WITH = "lumbar_uncertainty", "lumbar_scored_with"


class LumbarUncertainty(ScoringMethod):
    """Scores every study by the sagittal series that is read of it, if that has no label.

    The score is how unsure the names of the bodies and the disks are.

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
        """Scores of a series; none of one that is not the one to be labelled: axial, a localizer, or beside a better one."""
        try:
            found = self.reading.study(self.studies.source(path, image))
        except StudyError as error:
            _log.info("not scored: %s", error)
            return {SCORE: None}
        if image_id_of(found.sagittal.series_instance_uid) != image:
            return {SCORE: None}
        margin = found.column.margin
        naming = naming_uncertainty(margin)
        disks = disk_uncertainty([d.probabilities for d in found.disks])
        return {
            SCORE: round((naming + disks) / 2, 4),
            "naming_margin": round(margin, 3) if math.isfinite(margin) else None,
            "naming_uncertainty": round(naming, 4),
            "disk_uncertainty": round(disks, 4),
        }


class MostUncertain(Strategy):
    """The series with the highest score of LumbarUncertainty.

    One that was handed out lately comes after the others, so that two people do not label the same; one that was not scored
    yet comes last. One that got no score when it was its turn is not for labelling, and is never picked.

    Args:
        hold_s: seconds for which a series counts as handed out.
    """

    def __init__(self, hold_s: float = 3600.0) -> None:
        super().__init__("The study whose levels and disks are most uncertain")
        self.hold_s = float(hold_s)

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """``id`` and score of the series; None if there is none to label."""
        unlabelled = datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels"))
        images = [image for image in unlabelled if datastore.get_image_info(image).get(SCORE, 0.0) is not None]
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
