"""Findings out: ``report.json``, which every host and page reads, and ``report.html``, which people read.

    >>> from bundle.report import ReportWriter
    >>> write_report = ReportWriter(language="en")

It is called with (folder, study, vertebrae, matches, disks, flags, model) and gives back the path of the page.

A report holds no name, ID or date of a patient. Its words are in ``texts/``, one catalogue a language.
"""

from bundle.report.errors import ReportError
from bundle.report.writer import ReportWriter

__all__ = ["ReportError", "ReportWriter"]
