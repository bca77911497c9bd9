"""Frames gathered into series that make sense: one orientation, one contrast, no slice twice, in the patient's order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bundle.geometry import SAME_PLACE_MM, Stack, angle_between_deg, group_into_stacks
from bundle.study.frames import Frame
from bundle.study.types import Orientation, Series, StudyImage, Weighting
from bundle.study.weighting import weighting_of

# An underscore is a letter to \b, and descriptions are full of underscores.
_LOCALIZER = re.compile(
    r"(?<![a-z])loc(?![a-z])|localiz|scout|survey|3[ _-]?(plane|pl(?![a-z]))|(?<![a-z])plan(?![a-z])|planning", re.IGNORECASE
)
_LEFT_OUT = re.compile(
    r"(?<![a-z])(dwi|adc|mrm|mip)(?![a-z])|diff|trace|myelo|mrcp|urogr|subtract|perf|radial|screen ?s", re.IGNORECASE
)
_LEFT_OUT_TYPES = frozenset(
    {"ADC", "DIFFUSION", "TRACEW", "PROJECTION IMAGE", "MIN IP", "MAX IP", "MIP", "SUBTRACTION", "PHASE", "P", "F", "FAT"}
)
#: What tells repeated images of one place apart, in the order in which it is tried.
_TELLING_APART: tuple[tuple[str, Callable[[Frame], Hashable]], ...] = (
    ("echo", lambda f: f.echo_ms),
    ("image type", lambda f: f.image_type),
    ("inversion time", lambda f: f.inversion_ms),
    ("time point", lambda f: f.temporal),
    ("acquisition", lambda f: f.acquisition),
)
_UNEVEN = 0.1  # share of a step by which even steps may differ
_MAX_LOCALIZER_IMAGES = 8  # of one orientation


@dataclass(frozen=True, eq=False)
class SeriesFacts:
    """A series with what the choice between series goes by.

    Args:
        series: the series.
        why_weighting: what its contrast was told by.
        use: empty, or why the series is no candidate (``localizer``, ``radial``, ``derived``).
        derived: its images are marked as computed from others.
        body_part: Body Part Examined.
        frame_of_reference: its UID, or empty.
    """

    series: Series
    why_weighting: str
    use: str
    derived: bool
    body_part: str
    frame_of_reference: str


def arrange(frames: Sequence[Frame]) -> list[SeriesFacts]:
    """Frames of one study, gathered; a DICOM series becomes several where it holds several orientations or contrasts."""
    by_uid: dict[str, list[Frame]] = {}
    for frame in frames:
        by_uid.setdefault(frame.series_uid, []).append(frame)
    result = []
    for members in by_uid.values():
        unique, copies = _without_copies(members)
        by_orientation: dict[Orientation, list[Frame]] = {}
        for frame in unique:
            by_orientation.setdefault(orientation_of(frame), []).append(frame)
        scout = _is_localizer(by_orientation)
        for orientation, group in by_orientation.items():
            for part in _split_repeats(group):
                result.append(_facts(part, orientation, scout, copies))
    return result


def orientation_of(frame: Frame) -> Orientation:
    """By the axis of the patient that lies nearest to the slice's normal."""
    x, y, z = np.abs(frame.plane.normal)
    if max(x, y, z) < 0.6:  # steeper than any slice that is planned along an axis of the body
        return "oblique"
    return "sagittal" if x >= max(y, z) else "axial" if z >= y else "coronal"


def _without_copies(frames: Sequence[Frame]) -> tuple[list[Frame], int]:
    """Frames without those whose SOP Instance UID was seen already (the same file twice)."""
    seen: set[str] = set()
    kept = []
    for frame in frames:
        if frame.sop_uid not in seen:
            seen.add(frame.sop_uid)
            kept.append(frame)
    return kept, len(frames) - len(kept)


def _is_localizer(by_orientation: dict[Orientation, list[Frame]]) -> bool:
    frames = [f for group in by_orientation.values() for f in group]
    if any("LOCALIZER" in f.image_type for f in frames):
        return True
    if _LOCALIZER.search(frames[0].description):
        return True
    # Three planes in one series, a few slices each: nothing else is planned so.
    return len(by_orientation) >= 2 and max(map(len, by_orientation.values())) <= _MAX_LOCALIZER_IMAGES


def _places(frames: Sequence[Frame]) -> list[tuple[Any, ...]]:
    """A key of each frame's place: frames with the same key show the same slice."""
    step = SAME_PLACE_MM
    return [
        (
            *np.rint(f.plane.center_lps_mm / step).astype(int).tolist(),
            *np.rint(np.abs(f.plane.normal) * 200).astype(int).tolist(),
        )
        for f in frames
    ]


def _split_repeats(frames: list[Frame]) -> list[list[Frame]]:
    """Frames that show the same slices several times, split into echoes, image types, time points or acquisitions."""
    if len(set(_places(frames))) == len(frames):
        return [frames]
    for _, key in _TELLING_APART:
        groups: dict[Hashable, list[Frame]] = {}
        for frame in frames:
            groups.setdefault(key(frame), []).append(frame)
        if len(groups) > 1:
            # Only a key that keeps every group's slices apart better than they were is the reason of the repetition.
            most = max(max(Counter(_places(g)).values()) for g in groups.values())
            if most < max(Counter(_places(frames)).values()):
                return [part for group in groups.values() for part in _split_repeats(group)]
    return [frames]


def _without_repeats(frames: Sequence[Frame]) -> tuple[list[Frame], int]:
    """One frame of each place, the first by Instance Number."""
    kept: dict[tuple[Any, ...], Frame] = {}
    order = sorted(frames, key=lambda f: (f.instance is None, f.instance or 0))
    for place, frame in zip(_places(order), order, strict=True):
        kept.setdefault(place, frame)
    return list(kept.values()), len(frames) - len(kept)


def _facts(frames: list[Frame], orientation: Orientation, scout: bool, copies: int) -> SeriesFacts:
    frames, repeated = _without_repeats(frames)
    weighting, why = _common_weighting(frames)
    ordered, stacks = _in_patient_order(frames, orientation)
    first = ordered[0]
    use = ""
    if scout:
        use = "localizer"
    elif _is_radial(ordered):
        use = "radial"
    elif _LEFT_OUT.search(first.description) or _LEFT_OUT_TYPES & set(first.image_type):
        use = "derived"
    notes = []
    if copies or repeated:
        notes.append("duplicate_slices_dropped")
    if any(_lacks_slices([ordered[k] for k in stack]) for stack in stacks):
        notes.append("slices_missing")
    series = Series(
        first.series_uid,
        tuple(StudyImage(f.sop_uid, f.plane, f.load_pixels, f.source, f.plane.shape) for f in ordered),
        stacks,
        orientation,
        weighting,
        first.description,
        tuple(notes),
    )
    derived = "DERIVED" in first.image_type or "SECONDARY" in first.image_type
    return SeriesFacts(series, why, use, derived, first.body_part, first.frame_of_reference)


def _common_weighting(frames: Sequence[Frame]) -> tuple[Weighting, str]:
    return Counter(weighting_of(frame) for frame in frames).most_common(1)[0][0]


def _is_radial(frames: Sequence[Frame]) -> bool:
    """Slices that turn about the long axis of the body, as a radial myelogram's do."""
    normals = np.stack([f.plane.normal for f in frames])
    if len(frames) < 3 or np.abs(normals[:, 2]).max() > 0.5:
        return False
    steps = angle_between_deg(normals[:-1], normals[1:])
    return bool(np.median(steps) > 5.0)


def _lacks_slices(stack: Sequence[Frame]) -> bool:
    """Whether evenly spaced slices have a gap of two or more whole steps between them.

    Gaps of other widths are another plan, not a loss. The step must be that of at least two pairs of neighbours, and of half
    of them all; else nobody can say what is missing.
    """
    steps = Stack(tuple(f.plane for f in stack)).steps_mm
    steps = steps[steps > SAME_PLACE_MM]
    if not steps.size:
        return False
    step = float(np.sort(steps)[(steps.size - 1) // 2])
    even = np.abs(steps - step) <= _UNEVEN * step
    gaps = steps[~even] / step
    whole = (np.rint(gaps) >= 2) & (np.abs(gaps - np.rint(gaps)) <= _UNEVEN * np.rint(gaps))
    return bool(even.sum() >= max(2, steps.size / 2) and whole.any())


def _in_patient_order(frames: list[Frame], orientation: Orientation) -> tuple[list[Frame], tuple[tuple[int, ...], ...]]:
    """Frames stack by stack; see Series for the order."""
    axis, sign = {"sagittal": (0, 1), "axial": (2, -1), "coronal": (1, 1)}.get(orientation, (2, -1))

    def place(index: int) -> float:
        return sign * float(frames[index].plane.center_lps_mm[axis])

    stacks = [sorted(stack, key=place) for stack in group_into_stacks([f.plane for f in frames])]
    stacks.sort(key=lambda stack: float(np.mean([place(k) for k in stack])))
    ordered, result, start = [], [], 0
    for stack in stacks:
        ordered += [frames[k] for k in stack]
        result.append(tuple(range(start, start + len(stack))))
        start += len(stack)
    return ordered, tuple(result)
