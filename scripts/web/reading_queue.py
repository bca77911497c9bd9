"""Reads queued studies one after the other in a process of its own, and outlives whatever happens to it."""

from __future__ import annotations

import json
import logging
import multiprocessing
import shutil
import threading
import time
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import psutil

from bundle.steps import STEPS
from scripts.settings import MB
from scripts.web.intake import Places
from scripts.web.review import findings_of
from scripts.web.settings import Settings
from scripts.web.store import Store
from scripts.web.worker import Job, work

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.5  # between two looks at memory, time and whether the study is still wanted
_START_SECONDS = 300.0


class _Ended(Exception):
    """The process ended, or was ended, in the middle of a study; the message says why."""


class _Unable(Exception):
    """The process cannot read anything; the message says why."""


class ReadingQueue:
    """A thread that keeps one reading process busy.

    Args:
        settings: limits and the config of the reading.
        store: states of the studies.
        places: of their files.
    """

    def __init__(self, settings: Settings, store: Store, places: Places) -> None:
        self.settings = settings
        self.store = store
        self.places = places
        self.max_memory_bytes = 0
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._studies_read = 0
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reading queue", daemon=True)

    def start(self) -> None:
        """Read what is queued, first of all what was being read when the server ended."""
        self.store.queue_interrupted()
        self._thread.start()

    def wake(self) -> None:
        """A study was queued."""
        self._wake.set()

    def stop(self) -> None:
        """End the process; a study that it was reading is queued again."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=30)

    @property
    def process_id(self) -> int | None:
        """Of the reading process, if there is one."""
        return self._process.pid if self._process is not None else None

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                row = self.store.next_queued()
                if row is None:
                    self._wake.wait(timeout=5)
                    self._wake.clear()
                else:
                    self._read(row)
            except Exception as error:  # the queue goes on whatever happens; the log gets no text that may hold a name
                _log.error("reading queue: unexpected %s", type(error).__name__)
                self._stop.wait(1)
        self._end_process()

    def _read(self, row: dict[str, Any]) -> None:
        study, attempts = row["id"], row["attempts"]
        limit = self.settings.reader.max_attempts
        if attempts >= limit:
            self._fail(study, f"Given up: the server ended {attempts} times in the middle of this reading.")
            return
        self.store.set_study(study, state="reading", step=STEPS[0], progress=0.0, message="", attempts=attempts + 1)
        try:
            self._start_process()
            kind, message = self._follow(study)
        except _Unable as error:
            self._end_process()
            self._fail(study, f"The reading cannot start: {error}")
        except _Ended as error:
            self._end_process()
            if self.store.study(study) is None:
                shutil.rmtree(self.places.study(study), ignore_errors=True)
            elif self._stop.is_set():
                self.store.set_study(study, state="queued", step="", progress=0.0, attempts=attempts)
            elif attempts + 1 >= limit:
                self._fail(study, f"Given up after {attempts + 1} tries: {error}")
            else:
                _log.warning("study %s: %s; it is read again", study, error)
                self.store.set_study(study, state="queued", step="", progress=0.0)
        except Exception as error:  # an error's text may hold something of the patient
            self._end_process()
            self._fail(study, f"Unexpected {type(error).__name__} in the server; please report it.")
        else:
            self._studies_read += 1
            if kind == "read":
                self._finish(study)
            else:
                self._fail(study, message or "")

    def _finish(self, study: str) -> None:
        document = json.loads((self.places.report(study) / "report.json").read_text(encoding="utf-8"))
        self.store.start_report(study, document, findings_of(document))

    def _fail(self, study: str, message: str) -> None:
        self.store.set_study(study, state="failed", step="", message=message)

    def _start_process(self) -> None:
        if self._process is not None and (
            not self._process.is_alive() or self._studies_read >= self.settings.reader.max_studies
        ):
            self._end_process()
        if self._process is not None:
            return
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        process = context.Process(
            target=work,
            args=(theirs, self.settings.inference_config, self.settings.language),
            name="lumbar reading",
            daemon=True,
        )
        process.start()
        theirs.close()
        self._process, self._studies_read = process, 0
        kind, message = self._next_message(None, time.monotonic() + _START_SECONDS)
        if kind != "ready":
            raise _Unable(message)

    def _end_process(self) -> None:
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if connection is not None:
            connection.close()
        if process is not None:
            process.kill()
            process.join(timeout=10)
            process.close()

    def _follow(self, study: str) -> tuple[str, str | None]:
        """Let the process read a study, and keep its steps."""
        assert self._connection is not None
        places = self.places
        try:
            self._connection.send(Job(study, places.images(study), places.report(study), places.view(study)))
        except OSError:
            raise _Ended("the reading process ended unexpectedly.") from None
        deadline = time.monotonic() + self.settings.reader.max_seconds
        while True:
            kind, message = self._next_message(study, deadline)
            if kind != "step":
                return kind, message
            number = STEPS.index(message) if message in STEPS else 0
            self.store.set_study(study, step=message, progress=(number + 0.5) / (len(STEPS) + 0.5))

    def _next_message(self, study: str | None, deadline: float) -> tuple[str, Any]:
        """What the process says next.

        Raises:
            _Ended: it ended, or broke a limit, or its study is not wanted any more.
        """
        assert self._connection is not None and self._process is not None
        while True:
            wait([self._connection, self._process.sentinel], timeout=_LOOK_SECONDS)
            try:
                if self._connection.poll():
                    received: tuple[str, Any] = self._connection.recv()
                    return received
            except (EOFError, OSError):
                raise _Ended("the reading process ended unexpectedly.") from None
            if not self._process.is_alive():
                raise _Ended("the reading process ended unexpectedly.")
            self._check_limits(study, deadline)

    def _check_limits(self, study: str | None, deadline: float) -> None:
        assert self._process is not None
        limits = self.settings.reader
        if self._stop.is_set():
            raise _Ended("the server stops.")
        if time.monotonic() > deadline:
            raise _Ended(f"the reading took longer than {limits.max_seconds:.0f} seconds.")
        try:
            used = psutil.Process(self._process.pid).memory_info().rss
        except psutil.NoSuchProcess:
            raise _Ended("the reading process ended unexpectedly.") from None
        self.max_memory_bytes = max(self.max_memory_bytes, used)
        if used > limits.max_memory_mb * MB:
            raise _Ended(f"the reading needs more than {limits.max_memory_mb} MB of memory.")
        if study is not None and self.store.study(study) is None:
            raise _Ended("the study was deleted.")
