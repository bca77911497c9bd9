"""Which of a study's series are read: orientation first, what the headers say second, what it covers third."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from bundle.geometry import Stack
from bundle.study.series import SeriesFacts
from bundle.study.types import Orientation, Series, Weighting

#: The best first. What is not known may be what is wanted, so it comes before what is known to be something else.
SAGITTAL_ORDER: tuple[Weighting, ...] = ("T2", "T2FS", "unknown", "PD", "T1")
AXIAL_ORDER: tuple[Weighting, ...] = ("T2", "unknown", "T2FS", "PD", "T1")
_ELSEWHERE = re.compile(
    r"cerv|thorac|(?<![a-z])([ct][ _-]?sp|hws|bws|sij(?![a-z]))|brain|head|neck|knee|abdom|pelvis|sacro", re.IGNORECASE
)
_LUMBAR = re.compile(r"lumb|(?<![a-z])(l[ _-]?s|lws)", re.IGNORECASE)
#: Slices nearer than this are partitions of a 3-D series, which stands beside the 2-D series that radiologists read.
_THIN_MM = 2.0
_ENOUGH_SLICES: dict[str, int] = {"sagittal": 5, "axial": 3}


def candidates(facts: Sequence[SeriesFacts], orientation: Orientation) -> list[SeriesFacts]:
    """Series of an orientation that may be read: no localizers, radial series or maps."""
    return [f for f in facts if f.series.orientation == orientation and not f.use]


def choose(
    facts: Sequence[SeriesFacts], orientation: Orientation, order: Sequence[Weighting], other: Sequence[SeriesFacts] = ()
) -> SeriesFacts | None:
    """The series of ``orientation`` that is read; None if there is none.

    Args:
        facts: all series of the study.
        orientation: ``sagittal`` or ``axial``.
        order: contrasts, the best first.
        other: series that the choice should cover (of two sagittal series of a whole spine the lumbar one is wanted).
    """
    found = candidates(facts, orientation)
    if not found:
        return None
    covered = {id(f): _coverage(f.series, [o.series for o in other]) for f in found}
    best_cover = max(covered.values())

    def rank(f: SeriesFacts) -> tuple[float, ...]:
        spacing = float(np.median([max(_spacing(f.series, k)) for k in range(len(f.series.images))]))
        return (
            float(is_elsewhere(f)),
            float(len(f.series.images) < _ENOUGH_SLICES[orientation]),
            float(covered[id(f)] < 0.5 * best_cover),
            float(order.index(f.series.weighting)),
            float(f.derived),
            float(_slice_step(f.series) < _THIN_MM),
            -float(len(f.series.images)),
            spacing,
        )

    return min(found, key=rank)


def is_elsewhere(f: SeriesFacts) -> bool:
    """Whether a series' description or body part names another part of the body and not the lumbar spine."""
    words = f"{f.series.description} {f.body_part}"
    return bool(_ELSEWHERE.search(words)) and not _LUMBAR.search(words)


def contrast_reason(f: SeriesFacts) -> str:
    """The contrast of a series and what it was told by, as part of a sentence."""
    weighting = {"unknown": "unknown contrast", "T2FS": "fat-suppressed T2"}.get(f.series.weighting, f.series.weighting)
    return f"{weighting} by {f.why_weighting}"


def reason(chosen: SeriesFacts, facts: Sequence[SeriesFacts], joined: Sequence[SeriesFacts] = ()) -> str:
    """Why ``chosen`` is read, in one sentence for the report.

    Args:
        chosen: the series, one of ``facts``.
        facts: all series of the study.
        joined: other series that are read together with it.
    """
    series = chosen.series
    together = {id(chosen), *map(id, joined)}
    rest = [f for f in candidates(facts, series.orientation) if id(f) not in together]
    sentence = f"{series.orientation} by the position of its slices, {contrast_reason(chosen)}"
    if joined:
        sentence += f"; read together with {len(joined)} other series of other heights"
    if rest:
        names = ", ".join(sorted({f.series.weighting for f in rest}))
        sentence += f"; preferred to {len(rest)} other {series.orientation} series ({names})"
    elif not joined:
        sentence += f"; the only {series.orientation} series"
    return sentence + "."


def _coverage(series: Series, others: Sequence[Series]) -> float:
    """Share of the others' image centres that lie within the field of view of ``series``; 1 if there are no others."""
    points = [image.plane.center_lps_mm for other in others for image in other.images if image.plane is not None]
    planes = [image.plane for image in series.images if image.plane is not None]
    if not points or not planes:
        return 1.0
    middle = planes[len(planes) // 2]
    return float(middle.contains_px(middle.to_pixel(np.stack(points))).mean())


def _slice_step(series: Series) -> float:
    """Usual distance in millimetres between neighbouring slices; infinite where no stack has two."""
    planes = [image.plane for image in series.images]
    steps = [Stack(tuple(p for k in stack if (p := planes[k]))).step_mm for stack in series.stacks if len(stack) > 1]
    return float(np.median(steps)) if steps else float("inf")


def _spacing(series: Series, index: int) -> tuple[float, float]:
    plane = series.images[index].plane
    return plane.pixel_spacing_mm if plane is not None else (1.0, 1.0)
