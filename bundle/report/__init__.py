"""Findings out: ``report.json``, which every host and page reads, and what is made from it for people, PACS and records.

    >>> from bundle.report import ReportWriter
    >>> write_report = ReportWriter(language="en", outputs=["html", "pdf", "fhir"])

It is called with (folder, study, vertebrae, matches, disks, flags, model) and gives back the path of the page. When a person
has reviewed a reading, ``review.with_review`` puts that into the document, and ``exports.regenerate`` and
``dicom.export_dicom`` make its outputs anew.

``report.json``, the page, the PDF and the pictures hold no name, ID or date of a patient. FHIR and the DICOM objects belong
into the patient's record, and name the patient as the images do. Words are in ``texts/``, one catalogue a language.
"""

from bundle.report.errors import ReportError
from bundle.report.writer import ReportWriter

__all__ = ["ReportError", "ReportWriter"]
