"""Names as a decision over the whole column: the order of bodies is known, so one name settles the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bundle.geometry import BODY_LEVELS

_TOP = len(BODY_LEVELS) - 1  # stands for every body above T12, so it may follow itself
_S1 = BODY_LEVELS.index("S1")
_NEVER = 1e6
_MOST_MISSING = 4


def _follows() -> NDArray[np.float64]:
    """(missing, below, above): 0 where a name may come above another with so many bodies missing between, else -inf."""
    steps = np.arange(len(BODY_LEVELS))[None, :] + np.arange(1, _MOST_MISSING + 2)[:, None]
    # Above T12 every body has the same name; reaching it takes at least the steps to the first of them.
    allowed = np.minimum(steps, _TOP)[..., None] == np.arange(len(BODY_LEVELS))
    return np.where(allowed, 0.0, -np.inf)


_FOLLOWS = _follows()


@dataclass(frozen=True)
class Naming:
    """Names of bodies.

    Args:
        levels: (N,) index into BODY_LEVELS of each body, -1 for what is no body of the column.
        margin: log-likelihood by which these names beat the best that differ in a lumbar body or S1; near 0 is a toss-up.
    """

    levels: NDArray[np.int64]
    margin: float


class ChainNamer:
    """Order-consistent names of the bodies of one column, by dynamic programming from the sacrum up.

    Going up, a body's name follows that of the body below; where the distance to it is that of two or three bodies, names
    are left out, so that a missed body does not shift those above it. The next body lies in the direction in which both
    point up; what lies beside that is a joint or a process. What fits no chain is dropped.

    Args:
        floor: class scores below this share of the body's best count as this much, so that one bad score
            cannot forbid a name.
        drop_cost: log-likelihood that it costs to leave a detection of score 1 out of the chain, in proportion to its score.
        spacing_spread: tolerance of the distance between neighbours, as the standard deviation of its logarithm.
        lean_spread_deg: tolerance of the angle between the way to the next body and the direction in which both point up.
            In pictures of ``lumbar-t1`` and SPIDER its standard deviation is 1 to 4 degrees, 99% are within 15.
        max_missing: most bodies that may be missing between two that were found, up to 4.
        missing_cost: log-likelihood that each missing body costs.
        lumbar_weight: share (0 to 1) at which the class scores of a body that does not look sacral count. Lumbar bodies look
            alike, and where the network is wrong by one it is so for the whole column: their scores are one piece of
            evidence, not five. The sacrum's look stands for itself.
    """

    def __init__(
        self,
        floor: float = 0.05,
        drop_cost: float = 1.5,
        spacing_spread: float = 0.22,
        lean_spread_deg: float = 15.0,
        max_missing: int = 2,
        missing_cost: float = 0.8,
        lumbar_weight: float = 0.05,
    ) -> None:
        self.floor = float(floor)
        self.drop_cost = float(drop_cost)
        self.spacing_spread = float(spacing_spread)
        self.lean_spread_deg = float(lean_spread_deg)
        if not 0 <= int(max_missing) <= _MOST_MISSING:
            raise ValueError(f"max_missing is {max_missing}, not a number from 0 to {_MOST_MISSING}")
        self.max_missing = int(max_missing)
        self.missing_cost = float(missing_cost)
        self.lumbar_weight = float(lumbar_weight)

    def __call__(
        self,
        centers: NDArray,
        heights: NDArray,
        class_scores: NDArray,
        ups: NDArray | None = None,
        shares_seen: NDArray | None = None,
    ) -> Naming:
        """Names of the bodies of one column.

        Args:
            centers: (N, 2) column and row of each body, in any unit; rows grow to the feet.
            heights: (N,) height of each body in the same unit.
            class_scores: (N, len(BODY_LEVELS)) score of each name, 0 to 1.
            ups: (N, 2) column and row of the direction in which each body points up, of any length; None if not known.
            shares_seen: (N,) on how many of the slices that may show it each body was found, 0 to 1; it costs as much less
                to drop. None for all.
        """
        n = len(centers)
        if n == 0:
            return Naming(np.zeros(0, dtype=np.int64), 0.0)
        order = np.argsort(-np.asarray(centers)[:, 1], kind="stable")  # from the feet up
        scores = np.asarray(class_scores, dtype=np.float64)[order]
        # Whether it is a body at all is in the cost of dropping it; here only which name suits it, against its best one.
        relative = scores / np.maximum(scores.max(1, keepdims=True), 1e-6)
        sacral = relative[:, : _S1 + 1].max(1)
        weight = self.lumbar_weight + (1 - self.lumbar_weight) * sacral
        likelihood = weight[:, None] * np.log(np.clip(relative, self.floor, 1.0))
        cost = self.drop_cost * scores.max(1) * (1.0 if shares_seen is None else np.asarray(shares_seen)[order])
        placed = np.asarray(centers, dtype=np.float64)[order]
        step = self._steps(placed, np.asarray(heights, dtype=np.float64)[order])
        if ups is not None:
            step = step + self._leans(placed, np.asarray(ups, dtype=np.float64)[order])[..., None]
        best, path = self._best_path(likelihood, cost, step)
        # The rival differs in at least one body that matters: forbid the names of the winner there, one at a time.
        rival = -np.inf
        for body in np.flatnonzero((path >= _S1) & (path <= BODY_LEVELS.index("L1"))):
            other = likelihood.copy()
            other[body, path[body]] = -np.inf
            dropped = cost.copy()
            dropped[body] = _NEVER  # it must keep a name, and another one
            rival = max(rival, self._best_path(other, dropped, step)[0])
        levels = np.full(n, -1, dtype=np.int64)
        levels[order] = path
        return Naming(levels, float(best - rival))

    def _steps(self, centers: NDArray, heights: NDArray) -> NDArray:
        """(N, N, max_missing + 1) log-likelihood of the distance from body i up to j with so many bodies between."""
        distance = np.linalg.norm(centers[:, None] - centers[None], axis=-1)
        # Height of a body and its disk; sacral segments touch, so theirs is a little too long, which the spread forgives.
        usual = 1.28 * (heights[:, None] + heights[None]) / 2
        between = np.arange(1, self.max_missing + 2)
        off = np.log(np.maximum(distance, 1e-6)[..., None] / (usual[..., None] * between)) / self.spacing_spread
        return -0.5 * off**2 - self.missing_cost * (between - 1)

    def _leans(self, centers: NDArray, ups: NDArray) -> NDArray:
        """(N, N) log-likelihood of the direction from body i up to j."""
        unit = ups / np.maximum(np.linalg.norm(ups, axis=-1, keepdims=True), 1e-9)
        way, up = centers[None] - centers[:, None], unit[:, None] + unit[None]
        lean = np.arctan2(way[..., 0] * up[..., 1] - way[..., 1] * up[..., 0], (way * up).sum(-1))
        return -0.5 * (np.degrees(lean) / self.lean_spread_deg) ** 2

    def _best_path(self, likelihood: NDArray, cost: NDArray, step: NDArray) -> tuple[float, NDArray]:
        """Score and (N,) names, -1 where dropped, of the best chain through bodies in order from the feet up."""
        n, k = likelihood.shape
        before = np.concatenate([[0.0], np.cumsum(cost)])  # cost of dropping all bodies below
        score = np.full((n, k), -np.inf)
        back = np.full((n, k, 2), -1)
        follows = _FOLLOWS[: self.max_missing + 1]
        for j in range(n):
            score[j] = likelihood[j] - before[j]
            if j == 0:
                continue
            between_bodies = step[:j, j] - (before[j] - before[1 : j + 1])[:, None]
            # (body below, how many are missing, its name, this one's name)
            reached = score[:j, None, :, None] + between_bodies[:, :, None, None] + follows
            ways = reached.reshape(-1, k)
            way = ways.argmax(0)
            total = ways[way, np.arange(k)] + likelihood[j]
            better = total > score[j]
            score[j] = np.where(better, total, score[j])
            body_below, _, name_below = np.unravel_index(way, reached.shape[:3])
            back[j][better] = np.stack([body_below, name_below], axis=-1)[better]
        after = before[-1] - before[1:]
        end = score - after[:, None]
        if not np.isfinite(end).any() or end.max() < -before[-1]:
            return -float(before[-1]), np.full(n, -1)
        body, name = np.unravel_index(int(np.argmax(end)), end.shape)
        path = np.full(n, -1)
        best = float(end[body, name])
        while body >= 0:
            path[body] = name
            body, name = back[body, name]
        return best, path


class ColumnNames:
    """Gives one image's detections the names that a namer decides on over the whole column.

    Args:
        namer: decides.
    """

    def __init__(self, namer: ChainNamer | None = None) -> None:
        self.namer = namer or ChainNamer()

    def __call__(self, prediction: Mapping[str, Any]) -> dict[str, Any]:
        """The prediction (see BodyDetector) with new ``labels``, -1 for what is no body of the column."""
        boxes, corners = (np.asarray(prediction[key].detach().cpu(), dtype=np.float64) for key in ("boxes", "corners"))
        centers = (boxes[:, :2] + boxes[:, 2:])[:, ::-1] / 2
        ups = (corners[:, [0, 1]].mean(1) - corners[:, [3, 2]].mean(1))[:, ::-1]
        heights = np.linalg.norm(ups, axis=-1)
        naming = self.namer(centers, heights, np.asarray(prediction["class_scores"].detach().cpu()), ups)
        return {**prediction, "labels": torch.from_numpy(naming.levels)}
