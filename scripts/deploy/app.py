"""The application: a folder of DICOM studies in; for each of them SR, overlays, pictures and PDF out."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from monai.bundle import ConfigParser
from monai.deploy.conditions import CountCondition
from monai.deploy.core import Application

from scripts.deploy.operators import LumbarReadingOperator, ResultsOperator, StudySourceOperator
from scripts.deploy.sorting import sort_by_study

if TYPE_CHECKING:
    from bundle.reading import LumbarReading

#: Of the bundle: the repository, or the folder of the packaged application, which is laid out like it.
ROOT = Path(__file__).resolve().parents[2]
_log = logging.getLogger(__name__)


class AppError(Exception):
    """The application cannot run so; the message is one line for the user."""


class LumbarApp(Application):
    """Reads every lumbar study of the input folder.

    Input, output and models are given as to every MONAI Deploy application: ``-i``, ``-o``, ``-m``, or HOLOSCAN_INPUT_PATH,
    HOLOSCAN_OUTPUT_PATH, HOLOSCAN_MODEL_PATH.

    Raises:
        AppError: (``compose``) there is no study, or no weights.
    """

    def compose(self) -> None:
        """Join the operators: source, reading, results."""
        context = Application.init_app_context(self.argv)
        source, output_dir = Path(context.input_path), Path(context.output_path)
        studies = sort_by_study(source)
        if not studies:
            raise AppError(f"{source}: no DICOM file in it")
        _log.info("%d studies", len(studies))
        reading = load_reading(Path(context.model_path))
        found = StudySourceOperator(self, CountCondition(self, len(studies)), studies=studies, name="study_source")
        read = LumbarReadingOperator(self, reading=reading, output_dir=output_dir, name="lumbar_reading")
        self.results = ResultsOperator(self, output_dir=output_dir, name="results")
        self.add_flow(found, read, {("study", "study")})
        self.add_flow(read, self.results, {("outcome", "outcome")})

    @property
    def failed(self) -> int:
        """How many studies have no report."""
        return sum("error" in result for result in self.results.results)


def load_reading(models: Path) -> LumbarReading:
    """The reading that configs/inference.yaml declares, with the weights of a model folder.

    Args:
        models: holds vertebrae.pt, disks.pt and, where ribs are read, ribs.pt, each alone or in a folder of its own.

    Raises:
        AppError: a weights file is missing.
    """
    parser = ConfigParser()
    parser.read_config(str(ROOT / "configs" / "inference.yaml"))
    parser.update({"bundle_root": str(ROOT), "progress": False})
    files = {"vertebra_weights": "vertebrae.pt", "disk_weights": "disks.pt"}
    if parser["vertebra_finder"]["ribs"] is not None:
        files["rib_weights"] = "ribs.pt"
    for key, name in files.items():
        weights = next(iter(sorted(models.rglob(name))), None)
        if weights is None:
            raise AppError(f"{models}: no {name} in it")
        parser[key] = str(weights)
    return parser.get_parsed_content("reading")
