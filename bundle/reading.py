"""One study in, one report out; and many studies, each by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bundle import __version__
from bundle.disks.transforms import find_disks
from bundle.disks.types import DiskReading
from bundle.geometry import Vertebra
from bundle.report import ReportError
from bundle.steps import STEPS
from bundle.study import Series, Study, StudyError, find_studies
from bundle.weights import WeightsError, sha256_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one study: its report page, or the reason why there is none."""

    name: str
    report: Path | None
    error: str | None = None


class LumbarReading:
    """The four steps of Pan et al. (JMIR Med Inform 2021;9(5):e14755), each a component that a config can replace.

    Args:
        study_reader: path -> Study.
        vertebra_finder: sagittal Series -> (vertebrae, flags): step 1. Has ``weights``, a file's path, and may have ``ribs``
            that have theirs.
        disk_steps: steps 2 and 3: transforms of an item with ``study`` and ``vertebrae``, which between them write
            ``matches`` (of the axial slices) and ``readings`` (the five disks with ROIs); see bundle.disks.transforms.
        disk_classifier: the five disks -> the same, judged: step 4. Has ``weights``.
        report_writer: (folder, study, vertebrae, matches, disks, flags, model) -> path of the page.
        progress: show a bar over studies and steps.
    """

    def __init__(
        self,
        study_reader: Callable[[Path], Study],
        vertebra_finder: Callable[[Series], tuple[Sequence[Vertebra], Sequence[str]]],
        disk_steps: Sequence[Callable[[dict[Any, Any]], dict[Any, Any]]],
        disk_classifier: Callable[[Sequence[DiskReading]], Sequence[DiskReading]],
        report_writer: Callable[..., Path],
        progress: bool = True,
    ) -> None:
        self.study_reader = study_reader
        self.vertebra_finder = vertebra_finder
        self.disk_steps = list(disk_steps)
        self.disk_classifier = disk_classifier
        self.report_writer = report_writer
        self.progress = progress

    def read(self, source: Path, folder: Path, step: Callable[[str], Any] = lambda name: None) -> Path:
        """Read one study and write its report into ``folder``.

        Args:
            source: of the study.
            folder: of the report; an older report there is replaced once the new one is complete.
            step: is told the name of each step as it begins.

        Returns:
            Path of the report page.

        Raises:
            StudyError: the study cannot be read.
            WeightsError: weights are missing or do not fit.
        """
        step(STEPS[0])
        study = self.study_reader(source)
        if study.sagittal is None:
            raise StudyError(f"{source}: no sagittal series to read")
        step(STEPS[1])
        vertebrae, flags = self.vertebra_finder(study.sagittal)
        step(STEPS[2])
        item = find_disks(study, vertebrae, self.disk_steps)
        step(STEPS[3])
        disks = self.disk_classifier(item["readings"])
        step(STEPS[4])
        return self.report_writer(folder, study, vertebrae, item["matches"], disks, (*study.flags, *flags), self.model())

    def model(self) -> dict[str, Any]:
        """Version of the bundle and hash of each weights file, for the report."""
        ribs = getattr(self.vertebra_finder, "ribs", None)
        parts = {"vertebrae": self.vertebra_finder, "ribs": ribs, "disks": self.disk_classifier}
        weights = {name: getattr(part, "weights", None) for name, part in parts.items()}
        return {"version": __version__, "weights_sha256": {name: sha256_of(path) for name, path in weights.items() if path}}

    def run(self, studies: str | Sequence[str], output_dir: str | Path) -> list[Outcome]:
        """Read every study that ``studies`` matches, each into its own folder ``output_dir/<name>``.

        A study that fails does not stop the others; what failed is named at the end.

        Args:
            studies: a folder, a file or a glob, or several of them.
            output_dir: is made if it is not there.

        Raises:
            SystemExit: with status 1, after all studies, if one of them has no report.
        """
        try:
            found = find_studies(studies)
            Path(output_dir).mkdir(parents=True, exist_ok=True)
        except StudyError as error:
            raise SystemExit(f"error: {error}") from None
        except OSError as error:
            raise SystemExit(f"error: {output_dir}: cannot be written ({error.strerror})") from None
        outcomes = []
        with tqdm(total=len(found) * len(STEPS), disable=not self.progress, unit="step") as bar:
            for number, (name, source) in enumerate(found.items(), start=1):

                def step(what: str, place: str = f"study {number}/{len(found)}") -> None:
                    bar.set_description(f"{place}: {what}")
                    bar.update(1)

                bar.n = (number - 1) * len(STEPS)  # a study that failed early did not take all of its steps
                outcomes.append(self.try_read(name, source, Path(output_dir) / name, step))
        self._summarise(outcomes)
        return outcomes

    def try_read(self, name: str, source: Path, folder: Path, step: Callable[[str], Any] = lambda name: None) -> Outcome:
        """As ``read``, but whatever goes wrong is told in the outcome, in one line without anything of the patient in it.

        Args:
            name: of the study, for the outcome.
            source: of the study.
            folder: of the report.
            step: is told the name of each step as it begins.
        """
        try:
            return Outcome(name, self.read(source, folder, step))
        except (StudyError, WeightsError, ReportError) as error:
            return Outcome(name, None, str(error))
        except OSError as error:
            return Outcome(name, None, f"{folder}: cannot be written ({error.strerror or type(error).__name__})")
        except Exception as error:
            # Nothing of the study's content may reach the log, and an error's text may hold it: its kind and place do not.
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            at = (
                f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else "unknown place"
            )
            return Outcome(name, None, f"{source}: unexpected {type(error).__name__} at {at}; please report it")

    def _summarise(self, outcomes: Sequence[Outcome]) -> None:
        failed = [outcome for outcome in outcomes if outcome.report is None]
        for outcome in outcomes:
            if outcome.report is not None:
                _log.info("report: %s", outcome.report)
        if failed:
            lines = [f"error: {outcome.error}" for outcome in failed]
            if len(outcomes) > 1:
                lines.append(f"{len(failed)} of {len(outcomes)} studies have no report")
            raise SystemExit("\n".join(lines))
