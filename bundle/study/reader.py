"""A path to a study, in whatever files it comes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle.study import dicom, plain
from bundle.study.choice import AXIAL_ORDER, SAGITTAL_ORDER, candidates, choose, reason
from bundle.study.files import StudyFile, files_of, study_name
from bundle.study.frames import Frame, Skipped
from bundle.study.joining import as_one, join_axial
from bundle.study.pixels import BY_PIXELS, tell_t2_by_pixels
from bundle.study.reformat import isotropic_source, reformatted, reformatting_reason
from bundle.study.series import SeriesFacts, arrange
from bundle.study.types import Series, Study, StudyError, Weighting

_log = logging.getLogger(__name__)


class StudyReader:
    """Reads a study from a folder, a file or a zip archive, and chooses the two series that are read.

    Args:
        sagittal_order: contrasts of the sagittal series, the best first.
        axial_order: contrasts of the axial series, the best first.
    """

    def __init__(
        self, sagittal_order: Sequence[Weighting] = SAGITTAL_ORDER, axial_order: Sequence[Weighting] = AXIAL_ORDER
    ) -> None:
        self.sagittal_order = _complete(sagittal_order, SAGITTAL_ORDER)
        self.axial_order = _complete(axial_order, AXIAL_ORDER)

    def __call__(self, source: str | Path) -> Study:
        """The study at ``source``.

        Raises:
            StudyError: there is no image in it that can be used, or no sagittal series.
        """
        source = Path(source)
        frames, pictures, skipped, others = _collect(source)
        name = study_name(source)
        if not frames:
            if len(pictures) == 1 and not skipped:
                return _picture_study(name, plain.read_picture(pictures[0]))
            raise StudyError(_nothing_found(source, pictures, skipped, others))
        several = len({f.study_uid for f in frames}) > 1
        frames = _one_study(frames)
        facts = tell_t2_by_pixels(arrange(frames))
        chosen = self._choose(facts)
        if "sagittal" not in chosen:
            raise StudyError(_no_sagittal(source, facts, skipped))
        flags = _flags(chosen["sagittal"], chosen.get("axial"))
        if several:
            flags.append("several_studies")
        if skipped:
            flags.append("files_skipped")
            for why, count in Counter(s.reason for s in skipped).items():
                _log.warning("%s: %d file(s) left out: %s", name, count, why)
        axial = chosen.get("axial")
        return Study(
            name=name,
            study_instance_uid=frames[0].study_uid or source.name,
            series=tuple(f.series for f in facts),
            sagittal=chosen["sagittal"].facts.series,
            axial=None if axial is None else axial.facts.series,
            reasons={view: choice.reason for view, choice in chosen.items()},
            flags=tuple(flags),
        )

    def _choose(self, facts: Sequence[SeriesFacts]) -> dict[str, _Chosen]:
        """The series that are read, by view; a view that can neither be found nor cut from a volume is not there."""
        axial = choose(facts, "axial", self.axial_order)
        sagittal = choose(facts, "sagittal", self.sagittal_order, other=[axial] if axial else [])
        chosen: dict[str, _Chosen] = {}
        if sagittal is not None:
            chosen["sagittal"] = _Chosen(sagittal, reason(sagittal, facts))
        elif (source := isotropic_source(facts, "sagittal", self.sagittal_order, axial)) is not None:
            chosen["sagittal"] = _Chosen(reformatted(source, "sagittal"), reformatting_reason(source, "sagittal"))
        if axial is not None:
            joined = [axial] if sagittal is None else join_axial(facts, axial, sagittal)
            series = axial if len(joined) == 1 else as_one(joined)
            frames = frozenset(f.frame_of_reference for f in joined)
            chosen["axial"] = _Chosen(series, reason(axial, facts, joined[1:]), frames)
        elif (source := isotropic_source(facts, "axial", self.axial_order, sagittal)) is not None:
            chosen["axial"] = _Chosen(reformatted(source, "axial"), reformatting_reason(source, "axial"))
        return chosen


@dataclass(frozen=True, eq=False)
class _Chosen:
    """A series that is read, why, and the frames of reference of the series that were joined to it (its own among them)."""

    facts: SeriesFacts
    reason: str
    frames_of_reference: frozenset[str] = frozenset()


def _complete(order: Sequence[Weighting], default: Sequence[Weighting]) -> tuple[Weighting, ...]:
    unknown = [w for w in order if w not in default]
    if unknown:
        raise ValueError(f"no such contrast: {', '.join(unknown)}; known are {', '.join(default)}")
    return (*order, *(w for w in default if w not in order))


def _collect(source: Path) -> tuple[list[Frame], list[StudyFile], list[Skipped], int]:
    """Frames, pictures, files that look like images and cannot be used, and the number of other files."""
    frames: list[Frame] = []
    pictures: list[StudyFile] = []
    skipped: list[Skipped] = []
    others = 0
    for file in files_of(source):
        if plain.is_picture(file.path):
            pictures.append(file)
        elif plain.is_nifti(file.path):
            frames += plain.read_nifti(file, study_name(source))
        elif plain.is_meta_image(file.path):
            frames += plain.read_meta_image(file, study_name(source))
        else:
            with file.open() as stream:
                is_dicom = dicom.looks_like_dicom(stream)
            if not is_dicom:
                others += 1
                continue
            found, unusable = dicom.read_frames(file)
            frames += found
            skipped += unusable
    return frames, pictures, skipped, others


def _one_study(frames: list[Frame]) -> list[Frame]:
    """The frames of the study that has most images of the views that are wanted."""
    by_study: dict[str, list[Frame]] = {}
    for frame in frames:
        by_study.setdefault(frame.study_uid, []).append(frame)
    if len(by_study) == 1:
        return frames

    def worth(members: list[Frame]) -> tuple[int, int]:
        facts = arrange(members)
        return sum(bool(candidates(facts, view)) for view in ("sagittal", "axial")), len(members)

    return max(by_study.values(), key=worth)


def _flags(sagittal: _Chosen, axial: _Chosen | None) -> list[str]:
    by_weighting = {
        "T2FS": "sagittal_fat_suppressed",
        "T1": "sagittal_t1",
        "PD": "sagittal_pd",
        "unknown": "sagittal_weighting_unknown",
    }
    series = [choice.facts.series for choice in (sagittal, axial) if choice is not None]
    flags = [by_weighting[series[0].weighting]] if series[0].weighting in by_weighting else []
    if sagittal.facts.why_weighting == BY_PIXELS:
        flags.append("sagittal_weighting_by_pixels")
    if len(series[0].images) == 1:
        flags.append("single_slice")
    if axial is None:
        flags.append("no_axial_series")
    else:
        if series[1].weighting == "unknown":
            flags.append("axial_weighting_unknown")
        elif series[1].weighting != "T2":
            flags.append("axial_not_t2")
        known = {sagittal.facts.frame_of_reference, axial.facts.frame_of_reference, *axial.frames_of_reference} - {""}
        if len(known) > 1:
            flags.append("frame_of_reference_differs")
    return flags + sorted({note for one in series for note in one.notes})


def _picture_study(name: str, series: Series) -> Study:
    return Study(
        name=name,
        study_instance_uid=series.series_instance_uid,
        series=(series,),
        sagittal=series,
        axial=None,
        reasons={"sagittal": "a plain picture, taken to be one sagittal slice with the head up and the front to the left."},
        flags=("no_patient_space", "single_slice", "sagittal_weighting_unknown", "no_axial_series"),
    )


def _nothing_found(source: Path, pictures: list[StudyFile], skipped: list[Skipped], others: int) -> str:
    if skipped:
        first = skipped[0]
        same = sum(s.reason == first.reason for s in skipped)
        more = f" (and {same - 1} more like it)" if same > 1 else ""
        return f"{first.source}: {first.reason}{more}"
    if len(pictures) > 1:
        return f"{source}: {len(pictures)} pictures and no study; name one of them, or all by a glob, to read each by itself"
    if others:
        return f"{source}: no DICOM, NIfTI, PNG or JPG image in it ({others} other file{'s' if others > 1 else ''})"
    return f"{source}: empty, no file in it"


def _no_sagittal(source: Path, facts: Sequence[SeriesFacts], skipped: Sequence[Skipped]) -> str:
    uses = Counter(f.use or f.series.orientation for f in facts)
    found = ", ".join(f"{count} {what}" for what, count in sorted(uses.items()))
    message = f"{source}: no sagittal series to read (found: {found})"
    if skipped:
        message += f"; {len(skipped)} files could not be used, the first because of {skipped[0].reason}"
    return message
