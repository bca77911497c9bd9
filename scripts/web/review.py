"""What the person at the page says of a reading: drafts, signatures and amendments, each change in the log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bundle.report.review import final_reading, with_review
from scripts.web.models import Amendment, ReviewChange, Signature
from scripts.web.store import Conflict, Store

#: What was changed, what stood there before, and after.
Change = tuple[str, str | None, str | None]


def findings_of(document: Mapping[str, Any]) -> dict[str, str | None]:
    """Finding by the machine's level: the person's where there is one, else the machine's."""
    return {disk.machine_level: disk.finding for disk in final_reading(document).disks}


def change(store: Store, study: str, asked: ReviewChange) -> None:
    """Keep a draft.

    Raises:
        Conflict: the draft was changed meanwhile, or is signed.
        ReportError: what was asked does not fit the reading.
    """
    document = _document(store, study)
    changes: dict[str, Any] = {
        "reader": asked.reader,
        "vertebrae": [entry.model_dump() for entry in asked.vertebrae],
        "disks": [entry.model_dump() for entry in asked.disks],
    }
    if asked.comment is not None:
        changes["comment"] = asked.comment
    changed = with_review(document, changes)
    differences = _differences(with_review(document, {})["review"], changed["review"])
    store.change_report(study, asked.revision, changed, findings_of(changed), asked.reader, differences)


def sign(store: Store, study: str, asked: Signature) -> None:
    """Freeze the draft under the person's name.

    Raises:
        Conflict: the draft was changed meanwhile, or is signed.
        ReportError: the draft cannot be signed as it is, such as with two vertebrae of one name.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    signed = with_review(_document(store, study), {"status": "final", "reader": asked.reader, "signed_at": at})
    what: list[Change] = [("signed", None, at)]
    store.change_report(study, asked.revision, signed, findings_of(signed), asked.reader, what, signed=True)


def amend(store: Store, study: str, asked: Amendment) -> None:
    """Open the next version of a signed report, as it was signed.

    Raises:
        Conflict: it is not signed.
    """
    last = store.report(study)
    if last is None or not last["signed"]:
        raise Conflict("The report is not signed: change the draft.")
    store.amend_report(study, with_review(last["document"], {"status": "draft"}), asked.reader, asked.reason)


def _document(store: Store, study: str) -> dict[str, Any]:
    """The draft's document.

    Raises:
        Conflict: there is none.
    """
    last = store.report(study)
    if last is None:
        raise Conflict("The study has not been read yet.")
    if last["signed"]:
        raise Conflict("The report is signed: amend it to change it.")
    document: dict[str, Any] = last["document"]
    return document


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    found: list[Change] = []
    if before["comment"] != after["comment"]:
        found.append(("comment", before["comment"], after["comment"]))
    for kind, key in (("vertebra", "vertebrae"), ("disk", "disks")):
        for old, new in zip(before[key], after[key], strict=True):
            found += [
                (f"{kind} {old['level']} {name}", _word(old[name]), _word(new[name]))
                for name in new
                if old[name] != new[name]
            ]
    return found


def _word(value: Any) -> str | None:
    """As the log writes a value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if value is None else str(value)
