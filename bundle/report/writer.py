"""Writes a report's folder: whole, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.disks.types import DiskReading, SliceMatch
from bundle.geometry import DISK_LEVELS, Vertebra
from bundle.report.document import build, validate
from bundle.report.errors import ReportError
from bundle.report.page import render_page
from bundle.report.pictures import disk_picture, sagittal_picture, slices_picture
from bundle.report.texts import load_texts
from bundle.study.types import Study
from bundle.whole_file import replace_folder

_DOCUMENT, _PAGE = "report.json", "report.html"


class ReportWriter:
    """Writes ``report.json``, ``report.html``, ``sagittal.png`` and ``disk_<level>.png`` of a reading.

    Args:
        language: of the page; see ``texts/``.
        dpi: pixels an inch of the pictures: 120 gives a sagittal picture of about 740 pixels.

    Raises:
        ReportError: there are no texts in that language.
    """

    def __init__(self, language: str = "en", dpi: float = 120.0) -> None:
        self.texts = load_texts(language)
        self.dpi = float(dpi)

    def __call__(
        self,
        folder: str | Path,
        study: Study,
        vertebrae: Sequence[Vertebra],
        matches: Sequence[SliceMatch],
        disks: Sequence[DiskReading],
        flags: Iterable[str],
        model: Mapping[str, Any],
    ) -> Path:
        """Write the report of one study into ``folder``, in place of an older report.

        Args:
            folder: of the report. It appears under its name only when all is written.
            study: what was read.
            vertebrae: from step 1.
            matches: from step 2.
            disks: the five disks.
            flags: codes about the study, besides the study's own.
            model: ``version``, and ``weights_sha256`` by name.

        Returns:
            The path of the page.

        Raises:
            ReportError: the result does not fit the schema, ``folder`` holds something else than a report, or it cannot be
                written.
            StudyError: an image that is shown cannot be decoded.
        """
        place = Path(folder).resolve()
        _refuse_foreign(place)
        document = build(study, vertebrae, matches, disks, flags, model)
        validate(document)
        pictures = {"sagittal": sagittal_picture(study, vertebrae, disks, self.dpi)}
        pictures |= {disk.level: disk_picture(disk, self.dpi) for disk in disks}
        pictures["axial_slices"] = slices_picture(study, vertebrae, matches, self.dpi)
        shown = {name: png for name, png in pictures.items() if png is not None}
        contents = {
            _DOCUMENT: (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode(),
            _PAGE: render_page(document, shown, self.texts).encode(),
        }
        contents |= {f"disk_{name}.png" if name in DISK_LEVELS else f"{name}.png": png for name, png in shown.items()}
        try:
            replace_folder(place, contents)
        except OSError as error:
            raise ReportError(f"report folder {folder} cannot be written: {error.strerror or error}") from error
        return Path(folder) / _PAGE


def _refuse_foreign(place: Path) -> None:
    """An older report may be replaced; a folder of anything else, such as the study, must survive a wrong argument."""
    if place.is_dir():
        if any(place.iterdir()) and not (place / _DOCUMENT).is_file():
            raise ReportError(f"folder {place} exists and holds no report; name another one")
    elif place.exists():
        raise ReportError(f"{place} is a file, not a folder for a report")
