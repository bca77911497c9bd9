"""Reads each study that the feed tells of once, and stores its results.

A study's results are made once, with UIDs of their own, and lie on disk as a whole before the ledger says that it was read
and the first of them is stored. Whatever the listener is ended by, either nothing was stored and the study is read again, or
the same objects are stored again, which a PACS knows by their UIDs.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from bundle.report.dicom import DICOM_FOLDER
from bundle.report.exports import DOCUMENT
from bundle.report.instances import SOFTWARE
from scripts.pacs.feed import Feed
from scripts.pacs.ledger import Ledger
from scripts.pacs.settings import Settings
from scripts.peers import PeerError, client, fetch, send, told

if TYPE_CHECKING:
    from bundle.reading import LumbarReading

_log = logging.getLogger(__name__)
_DESCRIPTIONS = ("StudyDescription", "SeriesDescription", "ProtocolName", "BodyPartExamined")


class Listener:
    """Follows the feed.

    Args:
        settings: see ``configs/pacs.yaml``.
        ledger: what is known already.
        feed: tells of studies.
        reading: reads them.
    """

    def __init__(self, settings: Settings, ledger: Ledger, feed: Feed, reading: LumbarReading) -> None:
        self.settings = settings
        self.ledger = ledger
        self.feed = feed
        self.reading = reading
        self.stop = Event()
        for folder in (self._incoming, self._results):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def _incoming(self) -> Path:
        return self.settings.state_dir / "incoming"

    @property
    def _results(self) -> Path:
        return self.settings.state_dir / "results"

    def run(self, once: bool = False) -> None:
        """Poll and read until ``stop`` is set.

        Args:
            once: end as soon as nothing is left to be done instead, or the server does not answer.
        """
        self.ledger.resume(self.settings.max_attempts)
        self._tidy()
        reachable = True
        while not self.stop.is_set():
            try:
                self.feed.poll(self.ledger)
                if not reachable:
                    _log.info("%s answers again", self.settings.server.name)
                reachable = True
                while not self.stop.is_set() and (study := self.ledger.next_due()) is not None:
                    self._advance(study)
            except PeerError as error:
                if reachable:
                    _log.warning("%s Trying again every %g s.", error, self.settings.poll_seconds)
                reachable = False
            if once and (not reachable or not self.ledger.pending()):
                return
            self.stop.wait(self.settings.poll_seconds)

    def _tidy(self) -> None:
        """Take away what a listener that was killed left behind."""
        shutil.rmtree(self._incoming)
        self._incoming.mkdir(mode=0o700)
        kept = {"storing", "done"} if self.settings.keep_reports else {"storing"}
        wanted = {self._folder(study["number"]) for study in self.ledger.studies() if study["state"] in kept}
        for folder in set(self._results.iterdir()) - wanted:
            shutil.rmtree(folder, ignore_errors=True)

    def _advance(self, study: dict[str, Any]) -> None:
        """Bring one study to its next state."""
        number = study["number"]
        try:
            if study["state"] == "storing":
                self._store(study)
            else:
                self._read(study)
        except PeerError as error:
            again = self.ledger.put_off(study, str(error), self.settings.poll_seconds, self.settings.max_attempts)
            _log.warning("study %d: %s%s", number, error, " It is tried again later." if again else "")
        except OSError as error:
            message = f"Its files cannot be written ({error.strerror or type(error).__name__})."
            again = self.ledger.put_off(study, message, self.settings.poll_seconds, self.settings.max_attempts)
            _log.warning("study %d: %s%s", number, message, " It is tried again later." if again else "")

    def _read(self, study: dict[str, Any]) -> None:
        number, uid = study["number"], study["study_instance_uid"]
        if (why := self._unwanted(uid)) is not None:
            return self._end(study, "skipped", why)
        started = time.monotonic()
        with tempfile.TemporaryDirectory(dir=self._incoming) as folder:
            images = Path(folder) / f"study-{number}"
            images.mkdir()
            fetch(self.settings.server, uid, images, self.settings.max_study_mb, self.settings.max_files)
            if _take_away_results(images):
                return self._end(study, "skipped", "It has results already.")
            self.ledger.set(number, "reading")
            outcome = self.reading.try_read(f"study-{number}", images, self._folder(number))
        if outcome.report is None:
            return self._end(study, "error", _without_paths(str(outcome.error), images, self._folder(number)))
        if "no_spine_found" in json.loads((self._folder(number) / DOCUMENT).read_text(encoding="utf-8"))["flags"]:
            return self._end(study, "skipped", "No lumbar spine is seen on its images.")
        files = self._files(number)
        if not files:
            return self._end(study, "error", "No DICOM objects can be made of it: its headers do not allow it.")
        self.ledger.set(number, "storing", attempts=0, message="")
        _log.info("study %d: read in %.0f s", number, time.monotonic() - started)
        return None

    def _store(self, study: dict[str, Any]) -> None:
        files = self._files(study["number"])
        if not files:
            return self._end(study, "error", "Its results are gone from the disk.")
        target = self.settings.store_to or self.settings.server
        send(target, files, self.settings.ae_title)
        self._end(study, "done", "", objects=len(files))
        _log.info("study %d: %d objects stored on %s", study["number"], len(files), target.name)
        return None

    def _end(self, study: dict[str, Any], state: str, message: str, **values: Any) -> None:
        self.ledger.set(study["number"], state, message=message, **values)
        if state == "skipped" or (state == "done" and not self.settings.keep_reports):
            shutil.rmtree(self._folder(study["number"]), ignore_errors=True)
        if message:
            level = logging.ERROR if state == "error" else logging.INFO
            _log.log(level, "study %d: %s: %s", study["number"], state, message)

    def _unwanted(self, uid: str) -> str | None:
        """Why a study is not read, by what the server says of its series; None if it is."""
        server = self.settings.server
        with told(server):
            series = client(server).search_for_series(uid, fields=list(_DESCRIPTIONS))
        if not any(_text(one, "00080060") == "MR" for one in series):
            return "It has no MR images."
        tags = ("00081030", "0008103E", "00181030", "00180015")
        texts = {text for one in series if _text(one, "00080060") == "MR" for tag in tags if (text := _text(one, tag))}
        if not texts:
            return None if self.settings.undescribed else "Nothing says what it shows."
        said = "\n".join(texts).casefold()
        wanted = any(word.casefold() in said for word in self.settings.words)
        return None if wanted else "Its descriptions name no lumbar spine."

    def _folder(self, number: int) -> Path:
        return self._results / f"study-{number}"

    def _files(self, number: int) -> list[Path]:
        """The objects of a study that are to be stored."""
        found = sorted((self._folder(number) / DICOM_FOLDER).glob("*.dcm"))
        return [path for path in found if path.stem.split("-")[0] in self.settings.results]


def _take_away_results(folder: Path) -> bool:
    """Remove this software's own objects from a fetched study; whether a structured report was among them."""
    reported = False
    for path in sorted(folder.iterdir()):
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=["Manufacturer", "Modality"])
        except (InvalidDicomError, EOFError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError):
            continue  # the reading says what is wrong with it
        if str(header.get("Manufacturer") or "") == SOFTWARE:
            reported |= str(header.get("Modality") or "") == "SR"
            path.unlink()
    return reported


def _text(entry: dict[str, Any], tag: str) -> str:
    """A value of DICOM JSON as text."""
    return str((entry.get(tag, {}).get("Value") or [""])[0] or "").strip()


def _without_paths(message: str, *folders: Path) -> str:
    """The user knows the study, not the folders of the listener."""
    for folder in folders:
        message = message.replace(f"{folder}: ", "").replace(f"{folder}/", "file ")
    return message[:1].upper() + message[1:]


def load_reading(configs: Sequence[str], root: Path) -> LumbarReading:
    """The reading that the configs declare, with its DICOM objects and without what only people look at.

    Raises:
        SystemExit: weights are missing.
    """
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config([str(path if (path := Path(config)).is_absolute() else root / path) for config in configs])
    parser["bundle_root"] = str(root)
    parser["progress"] = False
    reading: LumbarReading = parser.get_parsed_content("reading")
    try:
        reading.model()  # every study would be an error without weights
    except OSError as error:
        raise SystemExit(f"error: weights file {error.filename} cannot be read: {error.strerror}") from None
    return reading
