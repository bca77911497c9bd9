"""Step 1 for a whole study: bodies on every sagittal slice, gathered over the slices, named, and placed in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bundle.geometry import BODY_LEVELS, LUMBAR_LEVELS, SliceBox, SlicePlane, Stack, Vertebra
from bundle.geometry.lifting import lift_vertebra
from bundle.geometry.resample import resample_plane
from bundle.study.types import Series, StudyImage
from bundle.vertebrae.detector import BodyDetector
from bundle.vertebrae.naming import ChainNamer
from bundle.vertebrae.view import image_plane, sagittal_view
from bundle.weights import load_weights


@dataclass(frozen=True, eq=False)
class Column:
    """What step 1 says of a series.

    Args:
        vertebrae: named bodies from the head down; none where no spine was found.
        flags: ``no_spine_found``, ``levels_unsure``, ``sacrum_not_seen``, ``levels_missing``.
        margin: of the naming, see bundle.vertebrae.naming.Naming; 0 where no spine was found.
    """

    vertebrae: tuple[Vertebra, ...]
    flags: tuple[str, ...]
    margin: float


class VertebraFinder:
    """Finds and names the vertebral bodies of a sagittal series.

    Args:
        detector: finds bodies in one image (1, H, W), 0 to 1.
        weights: file of its network's weights; None if it has them already.
        namer: decides the names over the whole column.
        device: where the network runs.
        longest_px: longer side of the picture that the detector sees.
        percentiles: brightness between these becomes 0 to 1.
        reach_mm: slices up to this far to either side of the stack's middle are looked at: a curved spine leaves the middle.
        step_mm: of thinner slices only so many are looked at that they are this far apart.
        batch_size: slices a forward pass.
        join_ratio: boxes on two slices are one body if their centres are nearer than this share of its height.
        min_slices: a body must be seen on this many slices of a stack of at least twice as many.
        min_bodies: with fewer named bodies the column is refused (``no_spine_found``).
        min_score: mean score of the column's bodies below which it is refused.
        min_margin: below this margin of the naming the study is flagged ``levels_unsure``: 3 is what one body of the sacrum
            weighs (minus the logarithm of ChainNamer's floor of 0.05), so less than that is not ruled out by it.
    """

    def __init__(
        self,
        detector: BodyDetector,
        weights: str | Path | None,
        namer: ChainNamer | None = None,
        device: str | torch.device = "cpu",
        longest_px: int = 256,
        percentiles: tuple[float, float] = (1.0, 99.0),
        reach_mm: float = 45.0,
        step_mm: float = 3.0,
        batch_size: int = 8,
        join_ratio: float = 0.5,
        min_slices: int = 2,
        min_bodies: int = 3,
        min_score: float = 0.4,
        min_margin: float = 3.0,
    ) -> None:
        self.detector = detector
        self.weights = None if weights is None else Path(weights)
        self.namer = namer or ChainNamer()
        self.device = torch.device(device)
        self.longest_px = int(longest_px)
        self.percentiles = (float(percentiles[0]), float(percentiles[1]))
        self.reach_mm = float(reach_mm)
        self.step_mm = float(step_mm)
        self.batch_size = int(batch_size)
        self.join_ratio = float(join_ratio)
        self.min_slices = int(min_slices)
        self.min_bodies = int(min_bodies)
        self.min_score = float(min_score)
        self.min_margin = float(min_margin)
        self._loaded = weights is None

    def __call__(self, series: Series) -> tuple[tuple[Vertebra, ...], tuple[str, ...]]:
        """The vertebrae and the flags of ``find``."""
        column = self.find(series)
        return column.vertebrae, column.flags

    def find(self, series: Series) -> Column:
        """Find and name the bodies of a sagittal series.

        Raises:
            WeightsError: the weights are missing or do not fit.
            StudyError: an image cannot be decoded.
        """
        images = self._middle(series)
        detections = self.detect(images)
        bodies = self._gather(detections)
        enough = self.min_slices if len(images) >= 2 * self.min_slices else 1
        bodies = [b for b in bodies if len(b) >= enough]
        if not bodies:
            return Column((), ("no_spine_found",), 0.0)
        centers = np.array([np.average([d.center for d in b], axis=0, weights=[d.score for d in b]) for b in bodies])
        heights = np.array([np.median([d.height for d in b]) for b in bodies])
        scores = np.array([np.average([d.class_scores for d in b], axis=0, weights=[d.score for d in b]) for b in bodies])
        naming = self.namer(centers, heights, scores)
        kept = np.flatnonzero(naming.levels >= 0)
        lumbar = {BODY_LEVELS[naming.levels[k]] for k in kept} & set(LUMBAR_LEVELS)
        if not lumbar or len(kept) < self.min_bodies or scores[kept].max(1).mean() < self.min_score:
            return Column((), ("no_spine_found",), 0.0)
        planes = {image.sop_instance_uid: image.plane for image in images if image.plane is not None}
        top = len(BODY_LEVELS) - 1
        found = [self._vertebra(BODY_LEVELS[naming.levels[k]], bodies[k], planes) for k in kept if naming.levels[k] != top]
        order = {level: k for k, level in enumerate(reversed(BODY_LEVELS))}
        found.sort(key=lambda v: order[v.level])
        return Column(tuple(found), self._flags({v.level for v in found}, naming.margin), naming.margin)

    def _flags(self, levels: set[str], margin: float) -> tuple[str, ...]:
        flags = []
        if "S1" not in levels:
            flags.append("sacrum_not_seen")
        if any(level not in levels for level in LUMBAR_LEVELS):
            flags.append("levels_missing")
        if margin < self.min_margin:
            flags.append("levels_unsure")
        return tuple(flags)

    def _middle(self, series: Series) -> list[StudyImage]:
        """The slices around the middle of the largest stack, and of thin ones every so many."""
        images = [series.images[k] for k in max(series.stacks, key=len)]
        if len(images) == 1 or any(image.plane is None for image in images):
            return images
        stack = Stack(tuple(image.plane for image in images if image.plane is not None))
        position = stack.positions_mm - (stack.positions_mm.min() + stack.positions_mm.max()) / 2
        near = [k for k in range(len(images)) if abs(position[k]) <= self.reach_mm] or [int(np.argmin(np.abs(position)))]
        every = max(round(self.step_mm / stack.step_mm), 1) if stack.step_mm > 0 else 1
        # From the middle outward, so that the slice nearest to it is always among them.
        middle = int(np.argmin(np.abs(position[near])))
        return [images[k] for k in near[middle % every :: every]]

    def detect(self, images: Sequence[StudyImage]) -> list[Detection]:
        """All bodies on all images, in the images' own pixels."""
        if not self._loaded and self.weights is not None:
            load_weights(self.detector.network, self.weights)
            self._loaded = True
        self.detector.to(self.device).eval()
        found: list[Detection] = []
        views = [(image, image_plane(image)) for image in images]
        pictures = []
        for image, plane in views:
            view = sagittal_view(plane, self.longest_px)
            picture = resample_plane(image.load_pixels(), plane, view)
            low, high = np.percentile(picture, self.percentiles)
            scaled = np.clip((picture - low) / max(float(high - low), 1e-6), 0, 1)
            pictures.append((view, torch.from_numpy(scaled.astype(np.float32))[None]))
        with torch.inference_mode():
            for start in range(0, len(pictures), self.batch_size):
                batch = pictures[start : start + self.batch_size]
                outputs = self.detector([picture.to(self.device) for _, picture in batch])
                for (image, plane), (view, _), output in zip(
                    views[start : start + self.batch_size], batch, outputs, strict=True
                ):
                    found += _detections(image, plane, view, {k: v.float().cpu().numpy() for k, v in output.items()})
        return found

    def _gather(self, detections: Sequence[Detection]) -> list[list[Detection]]:
        """Detections of the same body on different slices, the surest body first; one a slice."""
        bodies: list[list[Detection]] = []
        for detection in sorted(detections, key=lambda d: -d.score):
            for body in bodies:
                height = float(np.median([d.height for d in body]))
                center = np.mean([d.center for d in body], axis=0)
                near = np.linalg.norm(detection.center - center) < self.join_ratio * height
                if near and all(d.box.sop_instance_uid != detection.box.sop_instance_uid for d in body):
                    body.append(detection)
                    break
            else:
                bodies.append([detection])
        return bodies

    def _vertebra(self, level: str, body: Sequence[Detection], planes: dict[str, SlicePlane]) -> Vertebra:
        boxes = tuple(d.box for d in body)
        if planes:
            return lift_vertebra(level, boxes, planes)
        return Vertebra(level, float(np.mean([b.score for b in boxes])), boxes)


class Detection:
    """One body on one slice.

    Args:
        box: in the image's pixels.
        class_scores: (len(BODY_LEVELS),).
        center: (2,) column and row in the common upright view of the stack, in millimetres (pixels of a plain image), so
            that slices can be compared.
        height: of the body in the same unit.
    """

    __slots__ = ("box", "center", "class_scores", "height", "score")

    def __init__(self, box: SliceBox, class_scores: NDArray, center: NDArray, height: float) -> None:
        self.box = box
        self.class_scores = class_scores
        self.center = center
        self.height = height
        self.score = box.score


def _detections(image: StudyImage, plane: SlicePlane, view: SlicePlane, output: dict[str, NDArray]) -> list[Detection]:
    found = []
    for box, score, class_scores, corners in zip(
        output["boxes"], output["labels_scores"], output["class_scores"], output["corners"], strict=True
    ):
        seen_px = np.array([[box[1], box[0]], [box[3], box[2]]], dtype=np.float64)  # (row, column) -> (column, row)
        corners_px = corners[:, ::-1].astype(np.float64)
        ends = plane.to_pixel(view.to_patient(seen_px))
        low, high = ends.min(0), ends.max(0)
        middle = view.to_patient(corners_px.mean(0))
        in_plane = np.array([middle @ view.row_direction, middle @ view.column_direction])
        sides = view.to_patient(corners_px)
        height = float(np.linalg.norm(sides[[0, 1]].mean(0) - sides[[3, 2]].mean(0)))
        found.append(
            Detection(
                SliceBox(
                    image.sop_instance_uid,
                    (float(low[0]), float(low[1]), float(high[0]), float(high[1])),
                    float(score),
                    plane.to_pixel(sides),
                ),
                class_scores,
                in_plane,
                height,
            )
        )
    return found
