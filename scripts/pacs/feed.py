"""How the listener learns of studies: Orthanc's change feed, or searches (QIDO-RS) of any DICOMweb server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from pydicom.dataset import Dataset

from scripts.pacs.ledger import Ledger
from scripts.pacs.settings import Settings
from scripts.peers import TIMEOUT_SECONDS, client, session_of, told

_PAGE = 100
_CHANGE = "orthanc_change"
_STARTED = "started"
_BEFORE = "It was there before the listener."


class Feed(Protocol):
    """Tells the ledger what is new."""

    def poll(self, ledger: Ledger) -> None:
        """Add the studies that are new.

        Raises:
            PeerError: the server cannot be reached, or refuses.
        """
        ...


def feed_of(settings: Settings) -> Feed:
    """The feed that the settings ask for."""
    return SearchFeed(settings) if settings.orthanc is None else OrthancFeed(settings)


class OrthancFeed:
    """``/changes`` of Orthanc's REST API: a study is new when Orthanc calls it stable, so that it is complete.

    The number of the last change that was read is kept with the studies, so nothing is missed or seen twice over a restart.
    The results that the listener stores make their study stable once more: the ledger knows it by then.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.url = str(settings.orthanc).rstrip("/")

    def poll(self, ledger: Ledger) -> None:
        """See Feed."""
        since = ledger.mark(_CHANGE)
        if since is None:
            since = 0 if self.settings.backlog else int(self._get("/changes?last")["Last"])
            ledger.add([], marks={_CHANGE: since})
        while True:
            page = self._get(f"/changes?since={since}&limit={_PAGE}")
            stable = [change["ID"] for change in page["Changes"] if change["ChangeType"] == "StableStudy"]
            since = int(page["Last"])
            ledger.add([uid for one in dict.fromkeys(stable) if (uid := self._uid(one))], marks={_CHANGE: since})
            if page["Done"]:
                return

    def _uid(self, study: str) -> str | None:
        """StudyInstanceUID by Orthanc's own name of a study; None where it was deleted meanwhile."""
        found = self._get(f"/studies/{study}", missing=True)
        return found and str(found["MainDicomTags"]["StudyInstanceUID"])

    def _get(self, path: str, missing: bool = False) -> Any:
        server = self.settings.server
        with told(server), session_of(server) as session:
            answer = session.get(self.url + path, timeout=TIMEOUT_SECONDS)
            if missing and answer.status_code == 404:
                return None
            answer.raise_for_status()
            return answer.json()


class SearchFeed:
    """Searches for MR studies again and again: one is new when its number of images has stayed for a while."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def poll(self, ledger: Ledger) -> None:
        """See Feed."""
        found = list(self._studies())
        if ledger.mark(_STARTED) is None:
            before = [] if self.settings.backlog else [str(study.StudyInstanceUID) for study in found]
            ledger.add(before, "skipped", _BEFORE, {_STARTED: 1})
        for study in found:
            images = int(study.get("NumberOfStudyRelatedInstances") or 0)
            ledger.seen(str(study.StudyInstanceUID), images, self.settings.stable_seconds)

    def _studies(self) -> Iterator[Dataset]:
        filters = {"ModalitiesInStudy": "MR"}
        if self.settings.days is not None:
            filters["StudyDate"] = f"{datetime.now(UTC) - timedelta(days=self.settings.days):%Y%m%d}-"
        offset = 0
        while True:
            with told(self.settings.server):
                page = client(self.settings.server).search_for_studies(
                    search_filters=filters, fields=["NumberOfStudyRelatedInstances"], limit=_PAGE, offset=offset
                )
                studies = [Dataset.from_json(entry) for entry in page]
            yield from studies
            if len(page) < _PAGE:
                return
            offset += len(page)
