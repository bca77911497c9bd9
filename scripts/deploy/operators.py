"""Operators of the application: find the studies, read each, keep the account."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from monai.deploy.core import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext

from bundle.reading import LumbarReading
from bundle.whole_file import whole_file

_log = logging.getLogger(__name__)
#: The account of a run: which study came to what.
RESULTS = "results.json"


class StudySourceOperator(Operator):
    """Emits one study a tick: ``{"name": ..., "files": [...]}``. To be run as often as there are studies.

    The SDK's own DICOMDataLoaderOperator has a model of series that knows no stacks, and its converter makes one regular
    volume of one series; a lumbar study needs two series and several stacks, which bundle.study reads from files.

    Args:
        fragment: of the operator.
        args: its conditions.
        studies: the files of each study.
        kwargs: as of every operator.
    """

    def __init__(self, fragment: Fragment, *args: Any, studies: Sequence[Sequence[Path]], **kwargs: Any) -> None:
        self._left = [{"name": f"study-{k}", "files": list(files)} for k, files in enumerate(studies, start=1)]
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Its port: ``study``."""
        spec.output("study")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Emit the next study."""
        op_output.emit(self._left.pop(0), "study")


class LumbarReadingOperator(Operator):
    """Reads a study and writes its report: series chosen, vertebrae, disks, SR, overlays, pictures, PDF.

    Whatever a study is, the next one is read: what went wrong is in the outcome that is emitted.

    Args:
        fragment: of the operator.
        args: its conditions.
        reading: of configs/inference.yaml.
        output_dir: each study gets its own folder in it.
        kwargs: as of every operator.
    """

    def __init__(self, fragment: Fragment, *args: Any, reading: LumbarReading, output_dir: Path, **kwargs: Any) -> None:
        self.reading = reading
        self.output_dir = output_dir
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Its ports: ``study`` in, ``outcome`` out."""
        spec.input("study")
        spec.output("outcome")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Read one study."""
        study = op_input.receive("study")
        name, folder = study["name"], self.output_dir / study["name"]
        started = monotonic()
        with tempfile.TemporaryDirectory() as place:
            source = Path(place) / name
            source.mkdir()
            for number, path in enumerate(study["files"]):
                (source / f"{number:06d}").symlink_to(path.absolute())
            outcome = self.reading.try_read(name, source, folder)
        error = outcome.error and outcome.error.replace(f"{source}: ", "").replace(f"{source}/", "file ")
        op_output.emit({"name": name, "error": error, "seconds": round(monotonic() - started, 1)}, "outcome")


class ResultsOperator(Operator):
    """Writes ``results.json``: by study its error, or the DICOM objects and findings that it came to.

    It is written anew after each study, so that it holds what was done whatever happens next.

    Args:
        fragment: of the operator.
        args: its conditions.
        output_dir: of the application.
        kwargs: as of every operator.
    """

    def __init__(self, fragment: Fragment, *args: Any, output_dir: Path, **kwargs: Any) -> None:
        self.output_dir = output_dir
        self.results: list[dict[str, Any]] = []
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Its port: ``outcome``."""
        spec.input("outcome")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Take note of one study."""
        outcome = op_input.receive("outcome")
        result = {"study": outcome["name"], "seconds": outcome["seconds"]}
        if outcome["error"]:
            result["error"] = outcome["error"]
            _log.error("%s: %s", outcome["name"], outcome["error"])
        else:
            folder = self.output_dir / outcome["name"]
            report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
            result["findings"] = {disk["level"]: disk["finding"] for disk in report["disks"]}
            result["flags"] = report["flags"]
            result["dicom"] = [str(path.relative_to(self.output_dir)) for path in sorted(folder.glob("dicom/*.dcm"))]
            _log.info("%s: read in %.1f s", outcome["name"], outcome["seconds"])
        self.results.append(result)
        with whole_file(self.output_dir / RESULTS) as part:
            part.write_text(json.dumps(self.results, indent=1) + "\n", encoding="utf-8")
