"""Axial slices that a scanner filed disk by disk, each disk a series of its own, put together for the reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from bundle.geometry import Stack
from bundle.study.choice import candidates, is_elsewhere
from bundle.study.series import SeriesFacts
from bundle.study.types import Series

#: The single best series is enough if it covers this share of what all together cover.
_MUCH_LESS = 0.6
_SAME_PIXELS = 1.5  # ratio of pixel spacings within which series are of one kind


def join_axial(facts: Sequence[SeriesFacts], best: SeriesFacts, sagittal: SeriesFacts) -> list[SeriesFacts]:
    """The axial series that are read together, ``best`` first; only ``best`` where it is enough.

    Others are added that are of the same contrast and kind, and lie at a height where none was added yet; and this only if
    ``best`` alone covers much less of the sagittal images' height than all of them.
    """
    window = _height(sagittal.series, whole_images=True)
    joined = [best]
    for other in _alike(facts, best):
        low, high = _height(other.series)
        if all(
            min(high, h) - max(low, bottom) <= min(_step(other.series), _step(f.series))
            for f in joined
            for bottom, h in (_height(f.series),)
        ):
            joined.append(other)
    if _covered([best], window) >= _MUCH_LESS * _covered(joined, window):
        return [best]
    return joined


def as_one(joined: Sequence[SeriesFacts]) -> SeriesFacts:
    """One series of all the stacks of several, from head to feet; UID and description are those of the first.

    It has the note ``axial_series_joined`` beside theirs.
    """
    stacks = [tuple(f.series.images[k] for k in stack) for f in joined for stack in f.series.stacks]
    stacks.sort(key=lambda stack: -float(np.mean([image.plane.center_lps_mm[2] for image in stack if image.plane])))
    images = tuple(chain.from_iterable(stacks))
    ends = np.cumsum([len(stack) for stack in stacks]).tolist()
    notes = dict.fromkeys([*chain.from_iterable(f.series.notes for f in joined), "axial_series_joined"])
    series = replace(
        joined[0].series,
        images=images,
        stacks=tuple(tuple(range(end - len(stack), end)) for end, stack in zip(ends, stacks, strict=True)),
        notes=tuple(notes),
    )
    return replace(joined[0], series=series)


def _alike(facts: Sequence[SeriesFacts], best: SeriesFacts) -> list[SeriesFacts]:
    """Other axial series of the contrast and kind of ``best``, those with most slices first."""

    def pixel_mm(f: SeriesFacts) -> float:
        return float(np.median([max(image.plane.pixel_spacing_mm) for image in f.series.images if image.plane]))

    found = [
        f
        for f in candidates(facts, "axial")
        if f is not best
        and f.series.series_instance_uid != best.series.series_instance_uid  # its own parts were split for a reason
        and f.series.weighting == best.series.weighting
        and f.derived == best.derived
        and is_elsewhere(f) == is_elsewhere(best)
        and 1 / _SAME_PIXELS <= pixel_mm(f) / pixel_mm(best) <= _SAME_PIXELS
    ]
    return sorted(found, key=lambda f: -len(f.series.images))


def _height(series: Series, whole_images: bool = False) -> tuple[float, float]:
    """Lowest and highest point, in millimetres toward the head, of the images' centres or of their whole area."""
    planes = [image.plane for image in series.images if image.plane is not None]
    points = np.stack([plane.center_lps_mm for plane in planes])
    if whole_images:
        corners = [
            plane.to_patient([(c, r) for c in (0, plane.shape[1] - 1) for r in (0, plane.shape[0] - 1)]) for plane in planes
        ]
        points = np.concatenate(corners)
    return float(points[:, 2].min()), float(points[:, 2].max())


def _step(series: Series) -> float:
    """Usual distance in millimetres between neighbouring slices of a stack; 0 where no stack has two."""
    planes = [image.plane for image in series.images]
    steps = [Stack(tuple(p for k in stack if (p := planes[k]))).steps_mm for stack in series.stacks]
    flat = np.concatenate(steps)
    return float(np.median(flat)) if flat.size else 0.0


def _covered(group: Sequence[SeriesFacts], window: tuple[float, float]) -> float:
    """Millimetres of height within ``window`` that the stacks of a group cover, each counted once."""
    spans = []
    for f in group:
        half = max(_step(f.series), 1.0) / 2
        for stack in f.series.stacks:
            z = [float(p.center_lps_mm[2]) for k in stack if (p := f.series.images[k].plane)]
            spans.append((max(min(z) - half, window[0]), min(max(z) + half, window[1])))
    total, reached = 0.0, -np.inf
    for low, high in sorted(spans):
        total += max(high - max(low, reached), 0.0)
        reached = max(reached, high)
    return total
