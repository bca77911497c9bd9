"""The bodies of one picture, named over the whole column: what is measured and labelled by, without a study around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.geometry import BODY_LEVELS
from bundle.study.types import StudyImage
from bundle.vertebrae.finder import VertebraFinder, transition_score


@dataclass(frozen=True, eq=False)
class Column:
    """The bodies found on one picture.

    Args:
        boxes: (N, 4) column and row of two corners, pixels.
        levels: N names over the whole column, None for what is no part of it.
        corners: (N, 4, 2) column and row of upper front, upper back, lower back, lower front, pixels.
        scores: (N,) 0 to 1.
        margin: of the names against the next best, see ChainNamer.
        transition: mean score of L5 and S1 as transitional; 0 without them.
    """

    boxes: NDArray[np.float64]
    levels: tuple[str | None, ...]
    corners: NDArray[np.float64]
    scores: NDArray[np.float64]
    margin: float
    transition: float = 0.0

    def place(self, level: str) -> int | None:
        """Index of the body of that name; of T11, which stands for all above T12, the lowest. None if it is not there."""
        found = [k for k, name in enumerate(self.levels) if name == level]
        return max(found, key=lambda k: self.boxes[k, 1]) if found else None

    @property
    def presacral(self) -> int:
        """Number of bodies above the sacrum."""
        return sum(level is not None and level[0] in "LT" for level in self.levels)

    def agrees_with(self, count: int) -> bool:
        """Whether ``count`` bodies above the sacrum are as many as were found.

        A body that the picture's upper edge cuts off is counted by some and not by others, found or not.
        """
        if not self.presacral:
            return count == 0
        boxes = self.boxes[[k for k, level in enumerate(self.levels) if level is not None]]
        boxes = boxes[np.argsort(boxes[:, 1])]
        height = boxes[0, 3] - boxes[0, 1]
        step = (boxes[1, 1] + boxes[1, 3] - boxes[0, 1] - boxes[0, 3]) / 2 if len(boxes) > 1 else 1.3 * height
        one_more = bool(boxes[0, 3] - step > 1)  # a part of the next body would lie on the picture
        one_less = bool(boxes[0, 1] < 0.15 * height)
        return self.presacral - one_less <= count <= self.presacral + one_more


def find_column(finder: VertebraFinder, picture: StudyImage) -> Column:
    """Bodies on a picture, named over the column.

    Args:
        finder: whose detector and namer are used; its refusals (too few bodies, too weak) are not.
        picture: a sagittal image.

    Raises:
        WeightsError: the weights are missing or do not fit.
        StudyError: the image cannot be decoded.
    """
    found = finder.detect([picture])
    if not found:
        return Column(np.zeros((0, 4)), (), np.zeros((0, 4, 2)), np.zeros(0), 0.0)
    bodies = [[detection] for detection in found]
    naming, _ = finder.name(bodies)
    levels = tuple(BODY_LEVELS[k] if k >= 0 else None for k in naming.levels)
    return Column(
        np.array([d.box.xyxy for d in found]),
        levels,
        np.array([d.box.corners_px for d in found], dtype=np.float64),
        np.array([d.score for d in found]),
        naming.margin,
        transition_score(bodies, naming),
    )
