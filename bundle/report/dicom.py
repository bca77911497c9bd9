"""A report as DICOM objects for a PACS: structured report, overlays and the PDF, in the study that was read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundle.report.errors import ReportError
from bundle.report.review import check
from bundle.study.types import StudyError
from bundle.whole_folder import replace_folder

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from bundle.report.evidence import Evidence

_log = logging.getLogger(__name__)

#: Folder of the objects within a report's folder.
DICOM_FOLDER = "dicom"
_PDF = "report.pdf"
# High, so that viewers list them behind the images; one series for each kind, as DICOM wants one modality in a series.
_SERIES = {
    "sr": (9901, "Lumbar disks: structured report"),
    "ps": (9902, "Lumbar disks: overlay"),
    "sc": (9903, "Lumbar disks: pictures"),
    "pdf": (9904, "Lumbar disks: report"),
}


class DicomExporter:
    """Makes ``dicom/sr.dcm``, ``dicom/ps-*.dcm``, ``dicom/sc-*.dcm`` and, of a ``report.pdf``, ``dicom/pdf.dcm``.

    Args:
        presentation_states: boxes and names over the original images, which a viewer can switch off.
        secondary_captures: the same burned into copies of the images, which every viewer shows.
        organization: of the person who verifies a signed report; default the institution in the images' headers.
    """

    def __init__(
        self, presentation_states: bool = True, secondary_captures: bool = True, organization: str | None = None
    ) -> None:
        self.presentation_states = bool(presentation_states)
        self.secondary_captures = bool(secondary_captures)
        self.organization = organization

    def __call__(
        self, document: Mapping[str, Any], sources: Iterable[str | Path], files: Mapping[str, bytes] | None = None
    ) -> dict[str, bytes]:
        """As ``make``; but where nothing can be made, the log says why, so that a reading is not lost with its objects."""
        try:
            return self.make(document, sources, files)
        except ReportError as error:
            _log.warning("no DICOM objects: %s", error)
            return {}

    def make(
        self, document: Mapping[str, Any], sources: Iterable[str | Path], files: Mapping[str, bytes] | None = None
    ) -> dict[str, bytes]:
        """The objects by their place in the report's folder; none where the study is not DICOM.

        An overlay that cannot be made (an image cannot be decoded, or its header does not allow it) is left out, and the log
        says so.

        Args:
            document: ``report.json``, valid; with a review where there is one.
            sources: the study's files, folders or archives. A member of an archive is the archive's path with the member's
                name joined to it.
            files: other files of the report by their place; ``report.pdf`` becomes ``dicom/pdf.dcm``.

        Raises:
            StudyError: a source is not there.
            ReportError: highdicom is not installed, or the structured report cannot be made of these images' headers.
        """
        from bundle.report.evidence import find_evidence, quiet

        evidence = find_evidence(document, sources)
        if not evidence.images:
            return {}
        if find_spec("highdicom") is None:
            raise ReportError("they need highdicom, which needs pydicom 3; install it, or leave out this output")
        with quiet():
            objects = self._objects(document, evidence, (files or {}).get(_PDF))
            return {f"{DICOM_FOLDER}/{name}.dcm": as_bytes(made) for name, made in objects.items()}

    def _objects(self, document: Mapping[str, Any], evidence: Evidence, pdf: bytes | None) -> dict[str, Dataset]:
        from bundle.report.dicom_pdf import encapsulated_pdf
        from bundle.report.instances import NewSeries
        from bundle.report.overlay import marked_images, shown_images
        from bundle.report.ps import presentation_states
        from bundle.report.sc import secondary_captures
        from bundle.report.sr import structured_report

        series = {kind: NewSeries(*entry) for kind, entry in _SERIES.items()}
        try:
            objects: dict[str, Dataset] = {"sr": structured_report(document, evidence, series["sr"], self.organization)}
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise ReportError(f"the images' headers allow no structured report ({type(error).__name__})") from error
        if self.presentation_states:
            objects |= _if_possible(
                "ps", lambda: presentation_states(document, marked_images(document, evidence), series["ps"])
            )
        if self.secondary_captures:
            objects |= _if_possible(
                "sc", lambda: secondary_captures(document, shown_images(document, evidence), series["sc"])
            )
        if pdf is not None:
            objects["pdf"] = encapsulated_pdf(document, evidence, pdf, series["pdf"])
        return objects


def export_dicom(
    document: Mapping[str, Any],
    sources: Sequence[str | Path],
    folder: str | Path,
    pdf: bytes | None = None,
    exporter: DicomExporter | None = None,
) -> tuple[Path, ...]:
    """Make the DICOM objects of a report anew, such as after a review: ``folder/dicom``, replaced whole or not at all.

    Every call makes new instances in new series: a changed report never goes under the UID of an older one.

    Args:
        document: ``report.json``, with a review where there is one.
        sources: the study: its folder, its archive, or its files.
        folder: of the report; made if it is not there.
        pdf: the report as PDF, for ``pdf.dcm``; without it ``folder/report.pdf`` is taken if it is there.
        exporter: what is made; default everything.

    Returns:
        The files written, in order of their names; none (and no folder) where the study is not DICOM.

    Raises:
        StudyError: a source is not there.
        ReportError: the document does not fit its schema, highdicom is not installed, the structured report cannot be made,
            or the files cannot be written.
    """
    place = Path(folder)
    check(document)
    try:
        if pdf is None and (place / _PDF).is_file():
            pdf = (place / _PDF).read_bytes()
        contents = (exporter or DicomExporter()).make(document, sources, {} if pdf is None else {_PDF: pdf})
        if not contents:
            return ()
        replace_folder(place / DICOM_FOLDER, {Path(name).name: content for name, content in contents.items()})
    except OSError as error:
        raise ReportError(f"{place / DICOM_FOLDER} cannot be written: {error.strerror or error}") from error
    return tuple(sorted(place / name for name in contents))


def as_bytes(made: Dataset) -> bytes:
    """A DICOM object as the bytes of a file (PS3.10)."""
    from io import BytesIO

    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _if_possible(kind: str, make: Callable[[], Mapping[str, Dataset]]) -> dict[str, Dataset]:
    try:
        return {f"{kind}-{name}": made for name, made in make().items()}
    except (StudyError, ValueError, TypeError, AttributeError, KeyError) as error:
        _log.warning(
            "no '%s' made: the images' headers or pixels do not allow it (%s)", _SERIES[kind][1], type(error).__name__
        )
        return {}
