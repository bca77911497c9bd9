"""Step 1 for a whole study: bodies on every sagittal slice, gathered over the slices, named, and placed in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from bundle.geometry import BODY_LEVELS, LUMBAR_LEVELS, SliceBox, SlicePlane, Stack, Vertebra
from bundle.geometry.lifting import lift_vertebra
from bundle.geometry.resample import resample_plane
from bundle.study.types import Series, StudyImage
from bundle.vertebrae.detector import BodyDetector
from bundle.vertebrae.naming import ChainNamer, Naming
from bundle.vertebrae.ribs import RibReader
from bundle.vertebrae.view import image_plane, sagittal_view
from bundle.weights import load_weights


@dataclass(frozen=True, eq=False)
class NamedSpine:
    """What step 1 says of a series.

    Args:
        vertebrae: named bodies from the head down; none where no spine was found.
        flags: ``no_spine_found``, ``levels_unsure``, ``sacrum_not_seen``, ``levels_missing``, ``transitional_anatomy``,
            ``ribs_do_not_fit``, ``picture_upside_down``.
        margin: of the naming, see bundle.vertebrae.naming.Naming; 0 where no spine was found.
        likeness: of the column to a lumbar spine, see likeness; 0 without bodies.
        transition: mean score of L5 and S1 as lumbosacral transition; 0 without them.
        ribs: how much the ribs speak against the names, see bundle.vertebrae.ribs.RibReader; None where they were not read.
    """

    vertebrae: tuple[Vertebra, ...]
    flags: tuple[str, ...]
    margin: float
    likeness: float = 0.0
    transition: float = 0.0
    ribs: float | None = None


class VertebraFinder:
    """Finds and names the vertebral bodies of a sagittal series.

    Args:
        detector: finds bodies in one image (1, H, W), 0 to 1.
        weights: file of its network's weights; None if it has them already.
        namer: decides the names over the whole column.
        device: where the network runs.
        longest_px: longer side of the picture that the detector sees.
        body_px: sizes of bodies (root of the box's area) in that picture that the detector is used to; with others it looks
            again at a picture of another size.
        percentiles: brightness between these becomes 0 to 1.
        reach_mm: slices up to this far to either side of the stack's middle are looked at: a curved spine leaves the middle.
        step_mm: of thinner slices only so many are looked at that they are this far apart.
        batch_size: slices a forward pass.
        join_ratio: boxes on two slices are one body if their centres are nearer than this share of its height.
        min_slices: a body must be seen on this many slices of a stack of at least twice as many.
        min_slices_share: and on this share of the slices on which most are seen: a transverse process or a facet at the
            stack's edge looks like a body on a few slices.
        surest_slices: how much a body looks like one is the mean of these many of its slices.
        min_bodies: with fewer named bodies the column is refused (``no_spine_found``).
        min_likeness: of the column to a lumbar spine, below which it is refused; see likeness.
        max_transition: above this mean score of L5 and S1 as transitional the study is flagged ``transitional_anatomy``.
        min_margin: below this margin of the naming the study is flagged ``levels_unsure``. One body of the sacrum weighs 3
            (minus the logarithm of ChainNamer's floor of 0.05): with much less, the sacrum does not rule the rival out.
        ribs: reads whether the ribs fit the names; None for not at all.
        max_ribs: the study is flagged ``ribs_do_not_fit`` where they speak more strongly against the names than this.
    """

    def __init__(
        self,
        detector: BodyDetector,
        weights: str | Path | None,
        namer: ChainNamer | None = None,
        device: str | torch.device = "cpu",
        longest_px: int = 256,
        body_px: tuple[float, float] = (18.0, 40.0),
        percentiles: tuple[float, float] = (1.0, 99.0),
        reach_mm: float = 45.0,
        step_mm: float = 3.0,
        batch_size: int = 8,
        join_ratio: float = 0.5,
        min_slices: int = 2,
        min_slices_share: float = 0.45,
        surest_slices: int = 5,
        min_bodies: int = 3,
        min_likeness: float = 0.73,
        min_margin: float = 2.5,
        max_transition: float = 0.7,
        ribs: RibReader | None = None,
        max_ribs: float = 0.2,
    ) -> None:
        self.detector = detector
        self.weights = None if weights is None else Path(weights)
        self.namer = namer or ChainNamer()
        self.device = torch.device(device)
        self.longest_px = int(longest_px)
        self.body_px = (float(body_px[0]), float(body_px[1]))
        self.percentiles = (float(percentiles[0]), float(percentiles[1]))
        self.reach_mm = float(reach_mm)
        self.step_mm = float(step_mm)
        self.batch_size = int(batch_size)
        self.join_ratio = float(join_ratio)
        self.min_slices = int(min_slices)
        self.min_slices_share = float(min_slices_share)
        self.surest_slices = int(surest_slices)
        self.min_bodies = int(min_bodies)
        self.min_likeness = float(min_likeness)
        self.min_margin = float(min_margin)
        self.max_transition = float(max_transition)
        self.ribs = ribs
        self.max_ribs = float(max_ribs)
        self._ready = False

    def __call__(self, series: Series) -> tuple[tuple[Vertebra, ...], tuple[str, ...]]:
        """The vertebrae and the flags of ``find``."""
        column = self.find(series)
        return column.vertebrae, column.flags

    def find(self, series: Series) -> NamedSpine:
        """Find and name the bodies of a sagittal series.

        Raises:
            WeightsError: the weights are missing or do not fit.
            StudyError: an image cannot be decoded.
        """
        # Decoding takes its time, and the ribs are read from the same slices as the bodies.
        images = [replace(image, load_pixels=cache(image.load_pixels)) for image in self._middle(series)]
        bodies = self._bodies(images)
        if not bodies:
            return NamedSpine((), ("no_spine_found",), 0.0)
        naming, scores = self.name(bodies)
        transition = transition_score(bodies, naming)
        if all(image.plane is None for image in images) and self._fits_better_upside_down(images, naming, scores):
            return NamedSpine((), ("picture_upside_down",), 0.0)
        like = likeness(naming, scores, transition)
        if not self._is_lumbar(naming, like):
            return NamedSpine((), ("no_spine_found",), 0.0, like, transition)
        kept = np.flatnonzero(naming.levels >= 0)
        planes = {image.sop_instance_uid: image.plane for image in images if image.plane is not None}
        top = len(BODY_LEVELS) - 1
        found = [self._vertebra(BODY_LEVELS[naming.levels[k]], bodies[k], planes) for k in kept if naming.levels[k] != top]
        order = {level: k for k, level in enumerate(reversed(BODY_LEVELS))}
        found.sort(key=lambda v: order[v.level])
        ribs = self.ribs(images, found) if self.ribs is not None else None
        flags = self._flags({v.level for v in found}, naming.margin, transition, ribs)
        return NamedSpine(tuple(found), flags, naming.margin, like, transition, ribs)

    def _bodies(self, images: Sequence[StudyImage]) -> list[list[Detection]]:
        bodies = self._gather(self.detect(images))
        enough = self.min_slices if len(images) >= 2 * self.min_slices else 1
        return [b for b in bodies if len(b) >= max(enough, self.min_slices_share * _usual_slices(bodies))]

    def name(self, bodies: Sequence[Sequence[Detection]]) -> tuple[Naming, list[NDArray]]:
        """Names of bodies, and (K, len(BODY_LEVELS)) scores of each on the K slices that show it best.

        All slices have a say in the names. How much it looks like a body is judged by the surest few: on a stack's outer
        slices bodies end in joints and processes, and look like less than they are; a single slice may be sure and wrong.
        """
        centers = np.array([np.average([d.center for d in b], axis=0, weights=[d.score for d in b]) for b in bodies])
        heights = np.array([np.median([d.height for d in b]) for b in bodies])
        scores = np.array([np.average([d.class_scores for d in b], axis=0, weights=[d.score for d in b]) for b in bodies])
        ups = np.array([np.average([d.up for d in b], axis=0, weights=[d.score for d in b]) for b in bodies])
        shares_seen = np.minimum(np.array([len(b) for b in bodies]) / _usual_slices(bodies), 1.0)
        naming = self.namer(centers, heights, scores, ups, shares_seen)
        # _gather gives each body's surest detections first.
        return naming, [np.array([d.class_scores for d in b[: self.surest_slices]]) for b in bodies]

    def _is_lumbar(self, naming: Naming, like: float) -> bool:
        """Whether bodies with these names, as like a lumbar spine as that, are one and not something else."""
        kept = np.flatnonzero(naming.levels >= 0)
        lumbar = {BODY_LEVELS[naming.levels[k]] for k in kept} & set(LUMBAR_LEVELS)
        return bool(lumbar) and len(kept) >= self.min_bodies and like >= self.min_likeness

    def _fits_better_upside_down(self, images: Sequence[StudyImage], naming: Naming, scores: Sequence[NDArray]) -> bool:
        """Whether pictures that do not say how they lie stand on their head, as some in public data sets do."""
        bodies = self._bodies([_upside_down(image) for image in images])
        if not bodies:
            return False
        other = self.name(bodies)
        lumbar = self._is_lumbar(other[0], likeness(*other, transition_score(bodies, other[0])))
        return lumbar and _evidence(*other) > 1.25 * _evidence(naming, scores)

    def _flags(self, levels: set[str], margin: float, transition: float, ribs: float | None) -> tuple[str, ...]:
        flags = []
        if "S1" not in levels:
            flags.append("sacrum_not_seen")
        if any(level not in levels for level in LUMBAR_LEVELS):
            flags.append("levels_missing")
        if margin < self.min_margin:
            flags.append("levels_unsure")
        if transition > self.max_transition:
            flags.append("transitional_anatomy")
        if ribs is not None and ribs > self.max_ribs:
            flags.append("ribs_do_not_fit")
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
        """All bodies on all images, in the images' own pixels.

        The view is sized by the image; where the bodies in it turn out to be of a size that training did not show (a
        field of view of the whole spine, a magnified picture without pixel size), a second view is sized by the bodies.
        """
        if not self._ready:
            if self.weights is not None:
                load_weights(self.detector.network, self.weights)
            # Channels last: faster convolutions.
            self.detector.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._ready = True
        self.detector.eval()
        found = self._detect(images, self.longest_px)
        sizes = [d.size_px for d in found if d.score >= 0.4]
        if len(sizes) < self.min_bodies:
            return found
        size = float(np.median(sizes))
        if self.body_px[0] <= size <= self.body_px[1]:
            return found
        wanted = self.longest_px * float(np.sqrt(self.body_px[0] * self.body_px[1])) / size
        again = self._detect(images, int(np.clip(wanted, self.longest_px / 2.5, self.longest_px * 2.5)))
        # The second view is the better one only if more is seen in it.
        return again if sum(d.score for d in again) > sum(d.score for d in found) else found

    def _detect(self, images: Sequence[StudyImage], longest_px: int) -> list[Detection]:
        found: list[Detection] = []
        views = [(image, image_plane(image)) for image in images]
        pictures = []
        for image, plane in views:
            view = sagittal_view(plane, longest_px)
            picture = resample_plane(image.load_pixels(), plane, view)
            # A quarter of the pixels tells it as well; as Python's numbers, which leave the picture in single precision.
            low, high = map(float, np.percentile(picture[::2, ::2], self.percentiles))
            scaled = np.clip((picture - low) / max(high - low, 1e-6), 0, 1)
            pictures.append((view, torch.from_numpy(scaled)[None]))
        with torch.inference_mode():
            for start in range(0, len(pictures), self.batch_size):
                batch = pictures[start : start + self.batch_size]
                tensors = [picture.to(self.device) for _, picture in batch]
                alike = len({tuple(t.shape) for t in tensors}) == 1
                outputs = self.detector(torch.stack(tensors) if alike else tensors)  # a batch is padded at one go
                for (image, plane), (view, _), output in zip(
                    views[start : start + self.batch_size], batch, outputs, strict=True
                ):
                    found += _detections(image, plane, view, {k: v.float().cpu().numpy() for k, v in output.items()})
        return found

    def _gather(self, detections: Sequence[Detection]) -> list[list[Detection]]:
        """Detections of the same body on different slices, the surest body first; one a slice."""
        bodies: list[list[Detection]] = []
        slices: list[set[str]] = []
        centers, reaches = np.zeros((len(detections), 2)), np.zeros(len(detections))
        for detection in sorted(detections, key=lambda d: -d.score):
            uid, known = detection.box.sop_instance_uid, len(bodies)
            off = np.hypot(*(centers[:known] - detection.center).T)
            near = (k for k in map(int, np.flatnonzero(off < reaches[:known])) if uid not in slices[k])
            k = next(near, known)
            if k == known:
                bodies.append([])
                slices.append(set())
            bodies[k].append(detection)
            slices[k].add(uid)
            centers[k] += (detection.center - centers[k]) / len(bodies[k])
            reaches[k] = self.join_ratio * median(d.height for d in bodies[k])
        return bodies

    def _vertebra(self, level: str, body: Sequence[Detection], planes: dict[str, SlicePlane]) -> Vertebra:
        boxes = tuple(d.box for d in body)
        if planes:
            return lift_vertebra(level, boxes, planes)
        return Vertebra(level, float(np.mean([b.score for b in boxes])), boxes)


def _usual_slices(bodies: Sequence[Sequence[Detection]]) -> float:
    """On how many slices a body is seen, most detections say; so the many things seen on few slices have little say."""
    seen = [len(b) for b in bodies]
    return float(np.median(np.repeat(seen, seen))) if seen else 1.0


def _upside_down(image: StudyImage) -> StudyImage:
    return replace(image, load_pixels=lambda: image.load_pixels()[::-1].copy())


def transition_score(bodies: Sequence[Sequence[Detection]], naming: Naming) -> float:
    """Mean score of L5 and S1 as lumbosacral transition, each the median over its slices, 0 to 1; 0 without them."""
    scores = [
        np.median([d.transition for d in body])
        for body, level in zip(bodies, naming.levels, strict=True)
        if level >= 0 and BODY_LEVELS[level] in ("L5", "S1")
    ]
    return float(np.mean(scores)) if scores else 0.0


def likeness(naming: Naming, scores: Sequence[NDArray], transition: float = 0.0) -> float:
    """How much a column is like a lumbar spine, 0 to 1.

    Bodies of a lumbar spine look like what their place in the column says they are, or like a neighbour of that, since all
    names may be wrong by one; and so do those that get lumbar and sacral names, whereas in a chest thoracic bodies get them.
    There are at least six bodies in a usual field of view, and the sacrum settles the names unless it is transitional; of
    necks, heads and coronal images the opposite is true. It is the mean score of the bodies for their name or, on a slice
    where that is higher, a neighbour of it, over all bodies or over those below T12, whichever is less; less where they are
    fewer than six, and by up to a quarter where the names are a toss-up.

    Args:
        naming: of the bodies.
        scores: (K, len(BODY_LEVELS)) of each of N bodies, on K slices.
        transition: see transition_score.
    """
    named = [(name, body) for name, body in zip(naming.levels, scores, strict=True) if name >= 0]
    below = np.array([name < BODY_LEVELS.index("T12") for name, _ in named])
    if not below.any():
        return 0.0
    looks = np.array([body[:, max(name - 1, 0) : name + 2].max(axis=1).mean() for name, body in named])
    look = min(float(looks.mean()), float(looks[below].mean()))
    sure = 0.75 + 0.25 * max(float(np.clip(naming.margin, 0, 1)), transition)
    return look * min(len(named) / 6, 1.0) * sure


def _evidence(naming: Naming, scores: Sequence[NDArray]) -> float:
    """How well bodies look like what their place in the column says they are: the sum of their scores for their names."""
    return float(sum(body[:, name].mean() for name, body in zip(naming.levels, scores, strict=True) if name >= 0))


class Detection:
    """One body on one slice.

    Args:
        box: in the image's pixels.
        class_scores: (len(BODY_LEVELS),).
        center: (2,) column and row in the common upright view of the stack, in millimetres (pixels of a plain image), so
            that slices can be compared.
        up: (2,) from the middle of the lower endplate to that of the upper one, in the same view and unit.
        size_px: root of the box's area in the picture that the detector saw.
        transition: score of a body at a lumbosacral transition, 0 to 1.

    Its ``height`` is the length of ``up``.
    """

    __slots__ = ("box", "center", "class_scores", "height", "score", "size_px", "transition", "up")

    def __init__(
        self,
        box: SliceBox,
        class_scores: NDArray,
        center: NDArray,
        up: NDArray,
        size_px: float = 27.0,
        transition: float = 0.0,
    ) -> None:
        self.box = box
        self.size_px = size_px
        self.transition = transition
        self.class_scores = class_scores
        self.center = center
        self.up = up
        self.score = box.score
        self.height = float(np.hypot(*up))


def _detections(image: StudyImage, plane: SlicePlane, view: SlicePlane, output: dict[str, NDArray]) -> list[Detection]:
    boxes = output["boxes"].astype(np.float64)
    sides = view.to_patient(output["corners"][..., ::-1].astype(np.float64))  # (row, column) -> (column, row)
    ends = plane.to_pixel(view.to_patient(boxes.reshape(-1, 2, 2)[..., ::-1]))
    corners_px = plane.to_pixel(sides)
    in_view = sides @ np.stack([view.row_direction, view.column_direction], axis=-1)
    centers, ups = in_view.mean(1), in_view[:, :2].mean(1) - in_view[:, 2:].mean(1)
    sizes_px = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    low, high = ends.min(1), ends.max(1)
    return [
        Detection(
            SliceBox(
                image.sop_instance_uid,
                (float(low[k, 0]), float(low[k, 1]), float(high[k, 0]), float(high[k, 1])),
                float(output["labels_scores"][k]),
                corners_px[k],
            ),
            output["class_scores"][k],
            centers[k],
            ups[k],
            float(sizes_px[k]),
            float(output["transition"][k]),
        )
        for k in range(len(boxes))
    ]
