"""What a person makes of a reading: kept in ``report.json`` as ``review``, beside the machine's reading, never over it.

    >>> from bundle.report.review import final_reading, with_review
    >>> changes = {"reader": "A. Reader", "disks": [{"level": "L4-L5", "finding": "herniation"}]}
    >>> final_reading(with_review(document, changes)).disks[3].finding  # doctest: +SKIP
    'herniation'

Every rendering (page, PDF, SR, FHIR) asks ``final_reading`` what to say, and shows the machine's word beside a person's.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bundle.geometry import DISK_LEVELS, disk_level
from bundle.report.document import validate
from bundle.report.errors import ReportError

#: Names that a person may give to a vertebra, from the head down. L6 is that of a sixth lumbar vertebra.
VERTEBRA_NAMES: tuple[str, ...] = ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "L6", "S1", "S2", "S3")
_LISTS = ("vertebrae", "disks")


@dataclass(frozen=True)
class FinalVertebra:
    """A vertebra's name, the person's where there is one."""

    level: str
    machine_level: str
    confirmed: bool

    @property
    def changed(self) -> bool:
        """The person names it otherwise than the machine."""
        return self.level != self.machine_level


@dataclass(frozen=True)
class FinalDisk:
    """A disk's level and finding, the person's where there is one; ``finding`` is None where nobody judged it."""

    level: str
    machine_level: str
    finding: str | None
    machine_finding: str | None
    by_person: bool
    confirmed: bool
    comment: str

    @property
    def changed(self) -> bool:
        """The person finds something else than the machine."""
        return self.by_person and self.finding != self.machine_finding

    @property
    def renamed(self) -> bool:
        """The person's names of the vertebrae give this disk another level."""
        return self.level != self.machine_level


@dataclass(frozen=True)
class FinalReading:
    """What a report says in the end.

    ``status`` is ``machine`` without a review, else ``draft`` or ``final``; vertebrae and disks are in the document's order.
    """

    status: str
    reader: str
    signed_at: str | None
    comment: str
    vertebrae: tuple[FinalVertebra, ...]
    disks: tuple[FinalDisk, ...]

    @property
    def signed(self) -> bool:
        """A person has signed it."""
        return self.status == "final"


def empty_review(document: Mapping[str, Any]) -> dict[str, Any]:
    """The review of a document on which nobody has said a word yet."""
    return {
        "status": "draft",
        "reader": "",
        "signed_at": None,
        "comment": "",
        "vertebrae": [
            {"level": vertebra["level"], "corrected_level": None, "confirmed": False} for vertebra in document["vertebrae"]
        ],
        "disks": [{"level": level, "finding": None, "confirmed": False, "comment": ""} for level in DISK_LEVELS],
    }


def with_review(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The document with changes merged into its review, which is made where there is none.

    Args:
        document: ``report.json``, valid; it is not changed.
        changes: any part of a review. Entries of ``vertebrae`` and ``disks`` are merged by their (the machine's) ``level``.
            ``{"status": "draft"}`` reopens a signed review and takes the signature off.

    Raises:
        ReportError: the changes do not fit, name a level that is not there, or would change a signed review.
    """
    review = copy.deepcopy(dict(document.get("review") or empty_review(document)))
    if review["status"] == "final" and changes.get("status") != "draft":
        raise ReportError("this review is signed; reopen it before it is changed")
    unknown = sorted(changes.keys() - review.keys())
    if unknown:
        raise ReportError(f"a review has no '{unknown[0]}'")
    for key, value in changes.items():
        if key in _LISTS:
            _merge(review[key], value, key)
        else:
            review[key] = _clean(value)
    if review["status"] == "draft":
        review["signed_at"] = None
    reviewed = {**copy.deepcopy(dict(document)), "review": review}
    if reviewed["schema_version"] == "1.0":  # which knows no review
        reviewed["schema_version"] = "1.1"
    check(reviewed)
    return reviewed


def without_review(document: Mapping[str, Any]) -> dict[str, Any]:
    """The machine's reading alone, as it was written first."""
    plain = {key: value for key, value in document.items() if key != "review"}
    return {**plain, "schema_version": "1.0"} if plain["schema_version"] == "1.1" else plain


def check(document: Mapping[str, Any]) -> None:
    """Hold a document against its schema, and its review against what it reviews.

    Raises:
        ReportError: it does not fit; a vertebra or disk is missing in the review or is not one of the document; the time of
            signing is no time; or a signed review names two vertebrae alike or out of order.
    """
    validate(document)
    review = document.get("review")
    if review is None:
        return
    for key, entries in (("vertebrae", document["vertebrae"]), ("disks", document["disks"])):
        if [entry["level"] for entry in review[key]] != [entry["level"] for entry in entries]:
            raise ReportError(f"the review's {key} are not those of the reading")
    if review["signed_at"] is not None:
        try:
            datetime.fromisoformat(review["signed_at"])
        except ValueError:
            raise ReportError(f"a review cannot be signed at {review['signed_at']}") from None
    if review["status"] == "final":
        _check_names([entry["corrected_level"] or entry["level"] for entry in review["vertebrae"]])


def final_reading(document: Mapping[str, Any]) -> FinalReading:
    """The person's word where there is one, else the machine's."""
    review = document.get("review")
    status = "machine" if review is None else str(review["status"])
    said = review or empty_review(document)
    names = {entry["level"]: entry["corrected_level"] or entry["level"] for entry in said["vertebrae"]}
    vertebrae = tuple(FinalVertebra(names[v["level"]], v["level"], v["confirmed"]) for v in said["vertebrae"])
    disks = tuple(
        FinalDisk(
            level=_final_level(disk["level"], names),
            machine_level=disk["level"],
            finding=word["finding"] or disk["finding"],
            machine_finding=disk["finding"],
            by_person=word["finding"] is not None,
            confirmed=word["confirmed"],
            comment=word["comment"],
        )
        for disk, word in zip(document["disks"], said["disks"], strict=True)
    )
    return FinalReading(status, said["reader"], said["signed_at"], said["comment"], vertebrae, disks)


def _merge(entries: list[dict[str, Any]], changes: Any, key: str) -> None:
    if not isinstance(changes, Sequence) or not all(isinstance(change, Mapping) for change in changes):
        raise ReportError(f"the review's {key} are a list of levels with what is said of them")
    by_level = {entry["level"]: entry for entry in entries}
    for change in changes:
        entry = by_level.get(str(change.get("level")))
        if entry is None:
            raise ReportError(f"the reading has no {change.get('level')} among its {key}")
        entry.update({name: _clean(value) for name, value in change.items()})


def _clean(value: Any) -> Any:
    """Words with line ends as in Unix and without what no file in UTF-8 can hold."""
    if not isinstance(value, str):
        return value
    return value.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode("utf-8")


def _check_names(names: Sequence[str]) -> None:
    places = [VERTEBRA_NAMES.index(name) for name in names]
    for k in range(1, len(places)):
        if places[k] == places[k - 1]:
            raise ReportError(f"two vertebrae cannot both be {names[k]}")
        if places[k] < places[k - 1]:
            raise ReportError(f"{names[k]} cannot lie below {names[k - 1]}")


def _final_level(level: str, names: Mapping[str, str]) -> str:
    """A disk's level by the final ``names`` (by the machine's) of the vertebrae above and below it."""
    if all(name == machine for machine, name in names.items()):
        return level
    upper, lower = level.split("-")
    return disk_level(_final_name(upper, names), _final_name(lower, names))


def _final_name(machine: str, names: Mapping[str, str]) -> str:
    """The final name of a vertebra; one that was not found is shifted as its nearest neighbour is, of two the lower."""
    if machine in names:
        return names[machine]
    order = [name for name in VERTEBRA_NAMES if name != "L6" or "L6" in names.values()]
    here = order.index(machine)
    nearest = min(names, key=lambda found: (abs(order.index(found) - here), -order.index(found)))
    place = here + order.index(names[nearest]) - order.index(nearest)
    return order[min(max(place, 0), len(order) - 1)]
