"""A path to a study, in whatever files it comes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bundle.study import dicom, plain
from bundle.study.choice import AXIAL_ORDER, SAGITTAL_ORDER, candidates, choose, reason
from bundle.study.files import StudyFile, files_of, study_name
from bundle.study.frames import Frame, Skipped
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
        facts = arrange(frames)
        axial = choose(facts, "axial", self.axial_order)
        sagittal = choose(facts, "sagittal", self.sagittal_order, other=[axial] if axial else [])
        if sagittal is None:
            raise StudyError(_no_sagittal(source, facts, skipped))
        flags = _flags(sagittal, axial)
        if several:
            flags.append("several_studies")
        if skipped:
            flags.append("files_skipped")
            for why, count in Counter(s.reason for s in skipped).items():
                _log.warning("%s: %d file(s) left out: %s", name, count, why)
        chosen = {"sagittal": sagittal} if axial is None else {"sagittal": sagittal, "axial": axial}
        return Study(
            name=name,
            study_instance_uid=frames[0].study_uid or source.name,
            series=tuple(f.series for f in facts),
            sagittal=sagittal.series,
            axial=None if axial is None else axial.series,
            reasons={key: reason(f, facts) for key, f in chosen.items()},
            flags=tuple(flags),
        )


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


def _flags(sagittal: SeriesFacts, axial: SeriesFacts | None) -> list[str]:
    by_weighting = {
        "T2FS": "sagittal_fat_suppressed",
        "T1": "sagittal_t1",
        "PD": "sagittal_pd",
        "unknown": "sagittal_weighting_unknown",
    }
    flags = [by_weighting[sagittal.series.weighting]] if sagittal.series.weighting in by_weighting else []
    if len(sagittal.series.images) == 1:
        flags.append("single_slice")
    if axial is None:
        flags.append("no_axial_series")
    else:
        if axial.series.weighting == "unknown":
            flags.append("axial_weighting_unknown")
        elif axial.series.weighting != "T2":
            flags.append("axial_not_t2")
        known = {sagittal.frame_of_reference, axial.frame_of_reference} - {""}
        if len(known) > 1:
            flags.append("frame_of_reference_differs")
    notes = {note for facts in (sagittal, axial) if facts is not None for note in facts.series.notes}
    return flags + sorted(notes)


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
