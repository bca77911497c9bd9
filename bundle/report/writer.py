"""Writes a report's folder: whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.disks.types import DiskReading, SliceMatch
from bundle.geometry import Vertebra
from bundle.report.dicom import DicomExporter
from bundle.report.document import build, has_patient_space, validate
from bundle.report.errors import ReportError
from bundle.report.exports import DOCUMENT, PAGE, Report, check_outputs, picture_file, read_origin, render
from bundle.report.pictures import disk_picture, sagittal_picture, slices_picture
from bundle.report.texts import load_texts
from bundle.study.types import Study
from bundle.whole_folder import replace_folder


class ReportWriter:
    """Writes ``report.json``, the outputs made from it, ``sagittal.png``, ``axial_slices.png`` and ``disk_<level>.png``.

    Args:
        language: of the words; see ``texts/``.
        dpi: pixels an inch of the pictures: 120 gives a sagittal picture of about 740 pixels.
        outputs: of bundle.report.exports.OUTPUTS: ``html``, ``pdf``, ``fhir``.
        dicom: makes the DICOM objects; None for none.
        name_patient: FHIR names the patient by the ID in the images, and the order by its accession number.

    Raises:
        ReportError: there are no texts in that language, or an output is not known.
    """

    def __init__(
        self,
        language: str = "en",
        dpi: float = 120.0,
        outputs: Sequence[str] = ("html", "pdf", "fhir"),
        dicom: DicomExporter | None = None,
        name_patient: bool = True,
    ) -> None:
        self.texts = load_texts(language)
        self.dpi = float(dpi)
        self.outputs = check_outputs(outputs)
        self.dicom = dicom
        self.name_patient = bool(name_patient)

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
            The path of the page; of ``report.json`` where no page is wanted.

        Raises:
            ReportError: the result does not fit the schema, ``folder`` holds something else than a report, or it or an
                output cannot be made or written.
            StudyError: an image that is shown cannot be decoded.
        """
        place = Path(folder).resolve()
        _refuse_foreign(place)
        document = build(study, vertebrae, matches, disks, flags, model)
        validate(document)
        pictures = {"sagittal": sagittal_picture(study, vertebrae, disks, self.dpi)}
        pictures |= {disk.level: disk_picture(disk, self.dpi, has_patient_space(study)) for disk in disks}
        pictures["axial_slices"] = slices_picture(study, vertebrae, matches, self.dpi)
        shown = {name: png for name, png in pictures.items() if png is not None}
        sources = _sources(study)
        origin = read_origin(document, sources) if "fhir" in self.outputs and self.name_patient else None
        contents = render(Report(document, shown, self.texts, origin), self.outputs)
        contents |= {picture_file(name): png for name, png in shown.items()}
        if self.dicom is not None:
            contents |= self.dicom(document, sources, contents)
        try:
            replace_folder(place, contents)
        except OSError as error:
            raise ReportError(f"report folder {folder} cannot be written: {error.strerror or error}") from error
        return Path(folder) / (PAGE if PAGE in contents else DOCUMENT)


def _sources(study: Study) -> list[Path]:
    """The files of the series that were read, each once."""
    chosen = [series for series in (study.sagittal, study.axial) if series is not None]
    return list(dict.fromkeys(image.source for series in chosen for image in series.images))


def _refuse_foreign(place: Path) -> None:
    """An older report may be replaced; a folder of anything else, such as the study, must survive a wrong argument."""
    if place.is_dir():
        if any(place.iterdir()) and not (place / DOCUMENT).is_file():
            raise ReportError(f"folder {place} exists and holds no report; name another one")
    elif place.exists():
        raise ReportError(f"{place} is a file, not a folder for a report")
