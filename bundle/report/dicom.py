"""A report as DICOM objects for a PACS: structured report, overlays and the PDF, in the study that was read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

#: Folder of the objects within a report's folder.
DICOM_FOLDER = "dicom"


class DicomExporter:
    """Makes ``dicom/sr.dcm``, ``dicom/ps-*.dcm``, ``dicom/sc-*.dcm`` and, where there is a ``report.pdf``, ``dicom/pdf.dcm``.

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
        self, document: Mapping[str, Any], sources: Iterable[str | Path], files: Mapping[str, bytes] = {}
    ) -> dict[str, bytes]:
        """The objects by their place in the report's folder; none where the study is not DICOM.

        Args:
            document: ``report.json``, valid; with a review where there is one.
            sources: the study's files, folders or archives. A member of an archive is the archive's path with the member's
                name joined to it.
            files: other files of the report by their place; ``report.pdf`` becomes ``dicom/pdf.dcm``.
        """
        return {}


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
        ReportError: the document does not fit its schema, or the files cannot be written.
    """
    raise NotImplementedError
