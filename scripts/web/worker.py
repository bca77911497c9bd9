"""The process that reads: loads the networks once, then one study after the other, so that its end is never the server's."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.settings import ROOT, quiet_libraries

if TYPE_CHECKING:
    from bundle.reading import LumbarReading


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One study to read.

    Args:
        study: its id.
        images: folder of its files.
        report: folder for the report.
        view: folder for the viewer's images.
    """

    study: str
    images: Path
    report: Path
    view: Path


def work(connection: Connection, configs: Sequence[str], language: str) -> None:
    """Read studies until the connection is closed.

    Receives Jobs, sends tuples: ``("ready", steps)`` once, or ``("unable", message)`` if the config cannot be used; then for
    each job ``("step", name)`` as each step begins, and ``("read", None)`` or ``("failed", message)``.
    """
    _end_with_parent()
    quiet_libraries()
    try:
        reading, heat_maps = _load(configs, language)
    except Exception as error:
        connection.send(("unable", _one_line(error)))
        return
    connection.send(("ready", None))
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            return
        connection.send(_outcome(reading, heat_maps, job, connection))


def _end_with_parent() -> None:
    """A server that was killed must not leave a process behind that goes on reading."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _load(configs: Sequence[str], language: str) -> tuple[LumbarReading, Any]:
    """The reading, and what makes heat maps or None."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config([str(path if (path := Path(config)).is_absolute() else ROOT / path) for config in configs])
    parser["bundle_root"] = str(ROOT)
    # The server makes page, PDF and the like itself, of what the person at the page says, when somebody asks for them.
    parser["report_writer"].update(language=language, outputs=[], dicom=None)
    return parser.get_parsed_content("reading"), parser.get_parsed_content("heat_maps") if "heat_maps" in parser else None


class _Remembering:
    """A step of the reading that keeps its last result, for the viewer's images and heat maps."""

    def __init__(self, step: Any) -> None:
        self.step = step
        self.last: Any = None

    def __call__(self, given: Any) -> Any:
        self.last = None
        self.last = self.step(given)
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self.step, name)


def _outcome(reading: LumbarReading, heat_maps: Any, job: Job, connection: Connection) -> tuple[str, str | None]:
    from bundle.report import ReportError
    from bundle.study import StudyError
    from bundle.weights import WeightsError
    from scripts.web.view import write_view

    studies, disks = _Remembering(reading.study_reader), _Remembering(reading.disk_classifier)
    reading.study_reader, reading.disk_classifier = studies, disks
    try:
        for leftover in (job.report, job.view):
            shutil.rmtree(leftover, ignore_errors=True)
        reading.read(job.images, job.report, lambda step: connection.send(("step", step)))
        if heat_maps is not None:
            _add_heat_maps(heat_maps, disks, job)
        write_view(studies.last, job.view)
        return "read", None
    except (StudyError, WeightsError, ReportError) as error:
        return "failed", _without_paths(str(error), job)
    except MemoryError:
        return "failed", "The study needs more memory than there is."
    except OSError as error:
        return "failed", f"The report cannot be written ({error.strerror or type(error).__name__})."
    except Exception as error:
        # An error's text may hold something of the patient; its kind and place do not.
        return "failed", f"Unexpected {_one_line(error)}; please report it."
    finally:
        reading.study_reader, reading.disk_classifier = studies.step, disks.step


def _add_heat_maps(heat_maps: Any, disks: _Remembering, job: Job) -> None:
    """They come on top: a reading is not given up for want of them."""
    from scripts.web.heat import write_heat_maps

    try:
        write_heat_maps(heat_maps(disks.step, disks.last), job.report)
    except Exception as error:
        _log.warning("study %s: no heat maps (%s)", job.study, _one_line(error))


def _without_paths(message: str, job: Job) -> str:
    """The user knows the study, not the folders of this server."""
    for folder in (job.images, job.report):
        message = message.replace(f"{folder}: ", "").replace(f"{folder}{os.sep}", "file ")
    return message[:1].upper() + message[1:]


def _one_line(error: BaseException) -> str:
    from bundle.weights import WeightsError

    if isinstance(error, WeightsError):
        return str(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return f"{type(error).__name__}{place}"
