"""What is written beside ``report.json``: each output by its name in the config, made from the document and its pictures.

A new output is a function ``(Report) -> {file name: content}`` in ``OUTPUTS``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.geometry import DISK_LEVELS
from bundle.report.errors import ReportError
from bundle.report.fhir import Origin, origin_of
from bundle.report.review import check
from bundle.report.texts import Texts, load_texts
from bundle.whole_file import whole_file

DOCUMENT, PAGE, PDF, FHIR = "report.json", "report.html", "report.pdf", "report.fhir.json"


@dataclass(frozen=True)
class Report:
    """What an output is made from.

    Args:
        document: ``report.json``, valid, with or without a review.
        pictures: PNG files by name: ``sagittal``, ``axial_slices`` and the disks' (the machine's) levels; any may lack.
        texts: the language of the words.
        origin: patient and order, by the images' headers, for outputs that name them; None where nothing is known.
    """

    document: Mapping[str, Any]
    pictures: Mapping[str, bytes]
    texts: Texts
    origin: Origin | None = None


def _html(report: Report) -> dict[str, bytes]:
    from bundle.report.page import render_page

    return {PAGE: render_page(report.document, report.pictures, report.texts).encode()}


def _pdf(report: Report) -> dict[str, bytes]:
    from bundle.report.pdf import render_pdf  # reportlab takes a moment to load

    return {PDF: render_pdf(report.document, report.pictures, report.texts)}


def _fhir(report: Report) -> dict[str, bytes]:
    from bundle.report.fhir import render_fhir

    return {FHIR: as_json(render_fhir(report.document, report.texts, report.origin))}


#: Outputs by their names in ``configs/inference.yaml`` (``report_writer#outputs``).
OUTPUTS: dict[str, Callable[[Report], dict[str, bytes]]] = {"html": _html, "pdf": _pdf, "fhir": _fhir}


def check_outputs(outputs: Iterable[str]) -> tuple[str, ...]:
    """The outputs as a tuple.

    Raises:
        ReportError: one of them is not known.
    """
    wanted = tuple(outputs)
    unknown = [name for name in wanted if name not in OUTPUTS]
    if unknown:
        raise ReportError(f"there is no output '{unknown[0]}'; there are {', '.join(OUTPUTS)}")
    return wanted


def render(report: Report, outputs: Iterable[str]) -> dict[str, bytes]:
    """The contents of ``report.json`` and of the outputs, by file name."""
    contents = {DOCUMENT: as_json(report.document)}
    for name in check_outputs(outputs):
        contents |= OUTPUTS[name](report)
    return contents


def as_json(content: Mapping[str, Any]) -> bytes:
    """A JSON file's content."""
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def picture_file(name: str) -> str:
    """The file name of a picture: ``disk_<level>.png`` for a disk, else its name."""
    return f"disk_{name}.png" if name in DISK_LEVELS else f"{name}.png"


def read_pictures(folder: Path) -> dict[str, bytes]:
    """The pictures in a report's folder, by their names; those that are not there are left out."""
    places = {name: folder / picture_file(name) for name in ("sagittal", "axial_slices", *DISK_LEVELS)}
    return {name: place.read_bytes() for name, place in places.items() if place.is_file()}


def read_origin(document: Mapping[str, Any], sources: Iterable[str | Path]) -> Origin:
    """What the headers of the study's images say of patient and order; empty where they are no DICOM.

    Args:
        document: ``report.json``.
        sources: files, folders or archives of the study.

    Raises:
        StudyError: a source is not there.
    """
    from bundle.report.evidence import find_evidence

    return origin_of(find_evidence(document, sources).headers)


def regenerate(
    folder: str | Path,
    document: Mapping[str, Any],
    outputs: Iterable[str] = tuple(OUTPUTS),
    language: str = "en",
    sources: Iterable[str | Path] = (),
) -> list[Path]:
    """Write ``report.json`` and outputs of a changed document (such as one with a review) into a report's folder.

    The pictures are those in the folder. All is rendered before anything is written, and ``report.json`` is written last.
    DICOM objects are made by bundle.report.dicom.export_dicom, after this, since one of them holds the new PDF.

    Args:
        folder: of the report.
        document: the changed document; see bundle.report.review.with_review.
        outputs: names of OUTPUTS.
        language: of the texts.
        sources: files, folders or archives of the study, by whose headers FHIR names the patient; without them it does not.

    Returns:
        The files that were written.

    Raises:
        ReportError: the document does not fit, an output or language is not known, or the folder cannot be read or written.
        StudyError: a source is not there.
    """
    place = Path(folder)
    check(document)
    places = list(sources)
    origin = read_origin(document, places) if places else None
    try:
        contents = render(Report(document, read_pictures(place), load_texts(language), origin), outputs)
        for name in sorted(contents, key=lambda name: name == DOCUMENT):
            with whole_file(place / name) as part:
                part.write_bytes(contents[name])
    except OSError as error:
        raise ReportError(f"report folder {folder} cannot be written: {error.strerror or error}") from error
    return [place / name for name in contents]
