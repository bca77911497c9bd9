"""A report in each form that leaves the page; made once for each state of the report, so that a signed one never differs."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bundle.report import ReportError
from bundle.report.dicom import DICOM_FOLDER, DicomExporter, export_dicom
from bundle.report.exports import DOCUMENT, FHIR, OUTPUTS, PAGE, PDF, regenerate
from scripts.settings import ROOT
from scripts.web.intake import Places
from scripts.web.labels import datalist, labels_of

#: Format -> (place in the folder of exports, media type).
FILES: dict[str, tuple[str, str]] = {
    "json": (DOCUMENT, "application/json"),
    "html": (PAGE, "text/html; charset=utf-8"),
    "pdf": (PDF, "application/pdf"),
    "fhir": (FHIR, "application/fhir+json"),
    "sr": (f"{DICOM_FOLDER}/sr.dcm", "application/dicom"),
    "labels": ("labels.json", "application/json"),
}


class Exporter:
    """Makes all forms of a report at once, and keeps those of its last state and of each signed version.

    Args:
        places: of the studies.
        language: of PDF and HTML.
        configs: of the reading; ``dicom_exporter`` in them says what DICOM objects are made.
    """

    def __init__(self, places: Places, language: str, configs: Sequence[str]) -> None:
        self.places = places
        self.language = language
        self.dicom_exporter = _dicom_exporter(configs)
        self._lock = threading.Lock()  # one at a time: it takes memory, and two would make the same twice

    def folder(self, study: str, row: Mapping[str, Any]) -> Path:
        """The folder of a report's exports, made if it is not there yet.

        Args:
            study: its id.
            row: of the report: ``version``, ``revision``, ``document``.

        Raises:
            ReportError: they cannot be made.
        """
        wanted = self.places.exports(study, row["version"], row["revision"])
        with self._lock:
            if not wanted.is_dir():
                self._make(study, row["document"], wanted)
                self._forget_drafts(wanted, row["version"])
        return wanted

    def file(self, study: str, row: Mapping[str, Any], kind: str) -> Path:
        """One form of a report.

        Raises:
            ReportError: it cannot be made, or there is none of this study (no DICOM of a study of plain images).
        """
        path = self.folder(study, row) / FILES[kind][0]
        if not path.is_file():
            raise ReportError("There is no such file of this study: it was not uploaded as DICOM.")
        return path

    def dicom_files(self, study: str, row: Mapping[str, Any]) -> list[Path]:
        """All DICOM objects of a report.

        Raises:
            ReportError: as in ``file``.
        """
        found = sorted((self.folder(study, row) / DICOM_FOLDER).glob("*.dcm"))
        if not found:
            raise ReportError("There is nothing to send: the study was not uploaded as DICOM.")
        return found

    def _make(self, study: str, document: Mapping[str, Any], wanted: Path) -> None:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        images = self.places.images(study)
        with tempfile.TemporaryDirectory(dir=wanted.parent, prefix=".part-", ignore_cleanup_errors=True) as part:
            folder = Path(part) / "exports"
            shutil.copytree(
                self.places.report(study), folder, ignore=lambda _, names: [n for n in names if n[-4:] != ".png"]
            )
            regenerate(folder, document, tuple(OUTPUTS), self.language, [images])
            export_dicom(document, [images], folder, exporter=self.dicom_exporter)
            item = labels_of(study, str(images.relative_to(self.places.root)), document)
            (folder / FILES["labels"][0]).write_text(json.dumps(datalist([item]), indent=1) + "\n", encoding="utf-8")
            folder.rename(wanted)

    def _forget_drafts(self, kept: Path, version: int) -> None:
        """Exports of earlier states of a draft are of no more use."""
        for older in kept.parent.glob(f"{version}-*"):
            if older != kept:
                shutil.rmtree(older, ignore_errors=True)


def _dicom_exporter(configs: Sequence[str]) -> DicomExporter:
    """As the configs of the reading declare it. MONAI's parser would load torch, which the server has no other use for."""
    declared: dict[str, Any] = {}
    try:
        for config in configs:
            declared |= (yaml.safe_load((ROOT / config).read_text(encoding="utf-8")) or {}).get("dicom_exporter") or {}
        return DicomExporter(**{name: value for name, value in declared.items() if not name.startswith("_")})
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError):
        raise ReportError(f"dicom_exporter cannot be made as {' and '.join(configs)} declare it") from None
