"""The bundle's steps as MONAI Label's tasks need them: declared in configs/, with the weights of the last training."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from bundle.disks.classify import DiskClassifier
from bundle.disks.transforms import find_disks
from bundle.disks.types import DiskReading
from bundle.reading import LumbarReading
from bundle.report.document import build, validate
from bundle.study import Series, Study, StudyError
from bundle.vertebrae.finder import NamedSpine, VertebraFinder

#: Weights by the key that names them in configs/inference.yaml.
WEIGHTS: dict[str, str] = {"vertebra_weights": "vertebrae.pt", "rib_weights": "ribs.pt", "disk_weights": "disks.pt"}


class DocumentWriter:
    """In place of a report's folder the document itself; called as bundle.report.ReportWriter is."""

    def __call__(self, folder: Path, *content: Any) -> dict[str, Any]:
        """The document, after it was held against the schema."""
        document = build(*content)
        validate(document)
        return document


class LabelReading:
    """The components of a reading, made anew when weights change.

    Args:
        bundle_root: of the bundle.
        model_dir: where trained weights are; a file of WEIGHTS that is not there is taken from the bundle's models.
    """

    def __init__(self, bundle_root: Path, model_dir: Path) -> None:
        self.bundle_root = bundle_root
        self.model_dir = model_dir
        self._parser: ConfigParser | None = None
        self._state: tuple[Any, ...] = ()

    def weights(self, key: str) -> Path:
        """File of the weights that are in use, by the key of configs/inference.yaml."""
        trained = self.model_dir / WEIGHTS[key]
        return trained if trained.is_file() else self.bundle_root / "models" / WEIGHTS[key]

    def weights_state(self) -> str:
        """Changes when weights change; what was computed with other weights is out of date."""
        return " ".join(f"{path.name}:{path.stat().st_mtime_ns}" for path in map(self.weights, WEIGHTS))

    @property
    def parser(self) -> ConfigParser:
        """The configs with the weights in use."""
        state = (self.weights_state(),)
        if self._parser is None or self._state != state:
            parser = ConfigParser()
            parser.read_config([self.bundle_root / "configs" / name for name in ("inference.yaml", "label.yaml")])
            parser["bundle_root"] = str(self.bundle_root)
            for key in WEIGHTS:
                parser[key] = str(self.weights(key))
            self._parser, self._state = parser, state
        return self._parser

    @property
    def finder(self) -> VertebraFinder:
        """Step 1."""
        finder: VertebraFinder = self.parser.get_parsed_content("vertebra_finder")
        return finder

    def document(self, source: Path) -> dict[str, Any]:
        """``report.json`` of a study.

        Raises:
            StudyError: the study cannot be read.
        """
        reading: LumbarReading = self.parser.get_parsed_content("reading")
        return reading.read(source, source)  # type: ignore[return-value]  # what DocumentWriter gives

    def study(self, source: Path) -> StudyReading:
        """A study, and what the steps say of it when asked for.

        Raises:
            StudyError: the study cannot be read, or has no sagittal series.
        """
        study: Study = self.parser.get_parsed_content("study_reader")(source)
        if study.sagittal is None:
            raise StudyError(f"{source.name}: no sagittal series to read")
        return StudyReading(self.parser, study, study.sagittal)


class StudyReading:
    """What the steps say of one study.

    Args:
        parser: with the components.
        study: that is read.
        sagittal: its series for step 1.
    """

    def __init__(self, parser: ConfigParser, study: Study, sagittal: Series) -> None:
        self.parser = parser
        self.study = study
        self.sagittal = sagittal

    @cached_property
    def column(self) -> NamedSpine:
        """Step 1's vertebrae."""
        finder: VertebraFinder = self.parser.get_parsed_content("vertebra_finder")
        return finder.find(self.sagittal)

    @cached_property
    def located(self) -> tuple[DiskReading, ...]:
        """The five disks with their ROIs, not judged."""
        steps = self.parser.get_parsed_content("disk_steps")
        return tuple(find_disks(self.study, self.column.vertebrae, steps)["readings"])

    @cached_property
    def disks(self) -> tuple[DiskReading, ...]:
        """The five disks, judged."""
        classifier: DiskClassifier = self.parser.get_parsed_content("disk_classifier")
        return tuple(classifier(self.located))
