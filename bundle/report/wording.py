"""A reading in the words of one language, as the page, the PDF and FHIR say it alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bundle.geometry import FINDINGS
from bundle.geometry.fardon import BEYOND_RIM_MM
from bundle.report.review import FinalDisk, FinalReading, final_reading
from bundle.report.texts import Texts

#: Shapes stand beside the words, so that a glance down the table finds what is not normal, in black and white too.
_MARKS: Mapping[str | None, str] = {"normal": "○", "bulge": "◐", "herniation": "●", None: "–"}
#: A second finding is said to be almost as probable within this distance.
_ALMOST = 0.1
#: A disk is said to be lower than its neighbours from this difference on: corners are found to about 1.2 mm (model card), so
#: two heights differ by chance by some 1.7 mm, and this is twice as much.
_LOWER_MM = 3.5
#: A slip is said from this share of the body's depth on, some 3 mm: twice the error of two corners.
_SLIP_SHARE = 0.09


@dataclass(frozen=True)
class Bar:
    """The machine's probability of one finding; ``width`` is in percent."""

    name: str
    label: str
    width: float
    percent: str
    best: bool


@dataclass(frozen=True)
class DiskWords:
    """What is said of one disk. ``key`` is the machine's level, by which pictures are called."""

    key: str
    level: str
    heading: str
    changed: bool
    mark: str
    finding: str
    sentence: str
    explanation: str
    bars: tuple[Bar, ...]
    person: tuple[str, ...]
    comment: str
    remarks: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    alt: str
    caption: str
    wide: bool


@dataclass(frozen=True)
class Wording:
    """What is said of a study. ``remarks`` are flags; ``impression`` has a sentence for each finding."""

    title: str
    notice: str
    notice_detail: str
    status: str
    reviewed: bool
    remarks: tuple[str, ...]
    impression: tuple[str, ...]
    comment: str
    technique: tuple[str, ...]
    measurements: tuple[str, ...]
    disks: tuple[DiskWords, ...]
    terms: tuple[str, ...]
    sagittal_alt: str
    sagittal_caption: str
    slices_alt: str
    slices_caption: str
    series: tuple[tuple[str, ...], ...]


def wording(document: Mapping[str, Any], texts: Texts) -> Wording:
    """The words of a document.

    Args:
        document: ``report.json``, valid.
        texts: the language.

    Raises:
        ReportError: the texts lack an entry.
    """
    final = final_reading(document)
    words = {"reader": person_name(final.reader), "time": _time(final.signed_at)}
    slices = document["axial_slices"]
    counts = {"slices": len(slices), "matched": sum(s["level"] is not None for s in slices)}
    flags = [texts.flag(code, "study") for code in document["flags"]]
    return Wording(
        title=texts.say("page.title"),
        notice=texts.say("page.notice"),
        notice_detail=texts.say("page.notice_detail" + ("" if final.status == "machine" else f"_{final.status}"), **words),
        status=texts.say(
            "status.draft_by" if final.status == "draft" and final.reader else f"status.{final.status}", **words
        ),
        reviewed=final.status != "machine",
        remarks=(*_renamed_vertebrae(final, texts), *flags),
        impression=_impression(document, final, texts),
        comment=final.comment,
        technique=_technique(document, final, texts),
        measurements=_measurements(document.get("measurements", {}), texts),
        disks=tuple(_disk(document, final, k, texts) for k in range(len(final.disks))),
        terms=_terms(document, texts),
        sagittal_alt=_sagittal_alt(document, texts),
        sagittal_caption=texts.say(f"pictures.{_sagittal_caption(document)}"),
        slices_alt=texts.say("pictures.slices_alt", **counts),
        slices_caption=texts.say("pictures.slices_caption", **counts),
        series=tuple(_series(plane, entry, texts) for plane, entry in document["series"].items()),
    )


def percent(share: float, texts: Texts) -> str:
    """A probability in whole percent; what is not certain is never shown as 0 or 100.

    >>> from bundle.report.texts import load_texts
    >>> [percent(p, load_texts("en")) for p in (0.004, 0.7, 0.998)]
    ['<1%', '70%', '>99%']
    """
    value = round(100 * share)
    if value == 0:
        return texts.say("page.percent_low")
    if value == 100:
        return texts.say("page.percent_high")
    return texts.say("page.percent", value=value)


def person_name(reader: str) -> str:
    """A name as people write it; DICOM parts the components of one by carets.

    >>> person_name("Li^Ming")
    'Li Ming'
    """
    return " ".join(part for part in reader.split("^") if part)


def listed(parts: Sequence[str], texts: Texts) -> str:
    """Words as a list of the language.

    >>> from bundle.report.texts import load_texts
    >>> listed(["L1-L2", "L2-L3", "L3-L4"], load_texts("en"))
    'L1-L2, L2-L3 and L3-L4'
    """
    if len(parts) < 2:
        return "".join(parts)
    return texts.say("join.list").join(parts[:-1]) + texts.say("join.last") + parts[-1]


def _time(signed_at: str | None) -> str:
    """The moment as it was signed, in the signer's own time zone."""
    if signed_at is None:
        return ""
    moment = datetime.fromisoformat(signed_at)
    zone = moment.strftime("%z")
    return f"{moment:%Y-%m-%d %H:%M} UTC" + ("" if zone == "+0000" else f"{zone[:3]}:{zone[3:5]}")


def _renamed_vertebrae(final: FinalReading, texts: Texts) -> list[str]:
    renamed = [
        texts.say("review.renamed_vertebra", machine=v.machine_level, level=v.level) for v in final.vertebrae if v.changed
    ]
    return [texts.say("review.renamed_vertebrae", names=listed(renamed, texts))] if renamed else []


def _impression(document: Mapping[str, Any], final: FinalReading, texts: Texts) -> tuple[str, ...]:
    """What is worst first; a level in each sentence carries its probability, or whose word it is."""
    said = []
    for finding in (*reversed(FINDINGS), None):
        items = [
            _impression_item(disk, entry["probabilities"], texts)
            for disk, entry in zip(final.disks, document["disks"], strict=True)
            if disk.finding == finding
        ]
        if items:
            said.append(texts.say(f"impression.{finding or 'none'}", levels=listed(items, texts)))
    return tuple(said)


def _impression_item(disk: FinalDisk, shares: Mapping[str, float] | None, texts: Texts) -> str:
    if disk.changed:
        return texts.say("impression.item_reader", level=disk.level, machine=_machine_words(disk, shares, texts))
    if disk.finding is None or shares is None:
        return texts.say("impression.item_plain", level=disk.level)
    agreed = disk.confirmed or disk.by_person
    return texts.say(
        "impression.item_agreed" if agreed else "impression.item",
        level=disk.level,
        percent=percent(shares[disk.finding], texts),
    )


def _machine_words(disk: FinalDisk, shares: Mapping[str, float] | None, texts: Texts) -> str:
    if disk.machine_finding is None or shares is None:
        return texts.say("words.none")
    name = texts.say(f"words.{disk.machine_finding}")
    return texts.say("level.machine", finding=name, percent=percent(shares[disk.machine_finding], texts))


def _measurements(values: Mapping[str, float], texts: Texts) -> tuple[str, ...]:
    return tuple(texts.say("measurements.lordosis", value=f"{v:.0f}") for k, v in values.items() if k == "lordosis_deg")


def _technique(document: Mapping[str, Any], final: FinalReading, texts: Texts) -> tuple[str, ...]:
    """What was read, and how levels got their names: who counts otherwise has to know what was not counted."""
    said = []
    for plane, entry in document["series"].items():
        if entry is None:
            said.append(texts.say(f"technique.no_{plane}"))
            continue
        words = {"weighting": texts.say(f"weightings.{entry['weighting']}"), "slices": _count("slices", entry, texts)}
        if "stacks" in entry:
            words["stacks"] = _count("stacks", entry, texts)
        said.append(texts.say(f"technique.{plane}", **words))
    counted = {v.level for v in final.vertebrae if not v.changed}
    if "S1" in counted and len(counted) == len(final.vertebrae):
        said.append(texts.say("technique.numbering"))
    return (*said, texts.say("technique.comparison"))


def _count(what: str, entry: Mapping[str, Any], texts: Texts) -> str:
    number = entry[what]
    return texts.say(f"technique.{what}_one") if number == 1 else texts.say(f"technique.{what}_many", count=number)


def _disk(document: Mapping[str, Any], final: FinalReading, k: int, texts: Texts) -> DiskWords:
    entry, disk = document["disks"][k], final.disks[k]
    shares = entry["probabilities"]
    has_axial, has_sagittal = bool(entry["axial_sop_instance_uids"]), entry["rois"]["sagittal"] is not None
    shown = "axial_and_sagittal" if has_axial and has_sagittal else "axial" if has_axial else "sagittal"
    return DiskWords(
        key=disk.machine_level,
        level=disk.level,
        heading=texts.say("disk.heading", level=disk.level),
        changed=disk.changed,
        mark=_MARKS[disk.finding],
        finding=texts.say(f"findings.{disk.finding or 'none'}"),
        sentence=_sentence(document["disks"], disk, k, texts),
        explanation=texts.say(f"explanations.{disk.finding or 'none'}"),
        bars=tuple(
            Bar(
                name,
                texts.say(f"findings.{name}"),
                round(100 * shares[name], 1),
                percent(shares[name], texts),
                name == disk.machine_finding,
            )
            for name in (FINDINGS if shares is not None else ())
        ),
        person=_person(disk, shares, final, texts),
        comment=disk.comment,
        remarks=tuple(texts.flag(code, "disk") for code in entry["flags"]),
        facts=_facts(entry, document["axial_slices"], texts),
        alt=texts.say(f"pictures.{shown}_alt", level=disk.level),
        caption=texts.say(f"pictures.{shown}"),
        wide=shown == "axial_and_sagittal",
    )


def _sentence(entries: Sequence[Mapping[str, Any]], disk: FinalDisk, k: int, texts: Texts) -> str:
    """Such as "L4-L5: bulge (71%); disk height 9.1 mm; seen on axial and sagittal images."."""
    entry = entries[k]
    shares, finding = entry["probabilities"], texts.say(f"words.{disk.finding or 'none'}")
    clauses = []
    if disk.changed:
        clauses.append(texts.say("level.finding_reader", finding=finding, machine=_machine_words(disk, shares, texts)))
    elif disk.finding is None or shares is None:
        clauses.append(texts.say("level.finding_none", finding=finding))
    else:
        clauses.append(texts.say("level.finding", finding=finding, percent=percent(shares[disk.finding], texts)))
        clauses += _almost(disk.finding, shares, texts)
    if entry["height_mm"] is not None:
        clauses.append(texts.say("level.height", value=f"{entry['height_mm']:.1f}"))
        clauses += _lower(entries, k, texts)
    if entry["views"]:
        clauses.append(texts.say("level." + "_".join(sorted(entry["views"]))))
    text = texts.say("join.clauses").join(clauses) + texts.say("join.end")
    return texts.say("join.label", label=disk.level, text=text)


def _almost(finding: str, shares: Mapping[str, float], texts: Texts) -> list[str]:
    """The second most probable finding, if it is almost as probable as the first."""
    other = max((name for name in FINDINGS if name != finding), key=lambda name: shares[name])
    if shares[finding] - shares[other] >= _ALMOST:
        return []
    name = texts.say(f"words.{other}")
    return [texts.say("level.almost", finding=name, percent=percent(shares[other], texts))]


def _lower(entries: Sequence[Mapping[str, Any]], k: int, texts: Texts) -> list[str]:
    """That a disk is lower than both its neighbours, where this is more than the error of measurement."""
    heights = [entry["height_mm"] for entry in entries]
    if not 0 < k < len(heights) - 1 or None in heights[k - 1 : k + 2]:
        return []
    least_mm = min(heights[k - 1], heights[k + 1]) - heights[k]
    return [texts.say("level.lower", value=f"{least_mm:.1f}")] if least_mm >= _LOWER_MM else []


def _person(disk: FinalDisk, shares: Mapping[str, float] | None, final: FinalReading, texts: Texts) -> tuple[str, ...]:
    """What the reader says of the machine's finding and of its name of the level."""
    said = []
    if disk.changed:
        finding, machine = texts.say(f"words.{disk.finding}"), _machine_words(disk, shares, texts)
        said.append(texts.say("review.changed", finding=finding, machine=machine))
    elif disk.confirmed or disk.by_person:
        said.append(texts.say("review.agreed"))
    elif final.signed:
        said.append(texts.say("review.open"))
    if disk.renamed:
        said.append(texts.say("review.renamed", level=disk.machine_level))
    return tuple(said)


def _facts(entry: Mapping[str, Any], slices: Sequence[Mapping[str, Any]], texts: Texts) -> tuple[tuple[str, str], ...]:
    """Measures of a disk, as (name, value)."""
    facts = []
    if entry["height_mm"] is not None:
        facts.append((texts.say("disk.height"), texts.say("disk.millimetres", value=f"{entry['height_mm']:.1f}")))
    facts += _measured(entry, texts)
    uids = entry["axial_sop_instance_uids"]
    if uids:
        facts.append((texts.say("disk.slices"), str(len(uids))))
    best = next((s for s in slices if uids and s["sop_instance_uid"] == uids[0]), None)
    if best is not None and best["distance_mm"] is not None and best["angle_deg"] is not None:
        above_mm = best["distance_mm"]
        side = "within" if abs(above_mm) < 0.05 else "above" if above_mm > 0 else "below"
        value = texts.say(f"disk.best_{side}", distance=f"{abs(above_mm):.1f}", angle=f"{best['angle_deg']:.0f}")
        facts.append((texts.say("disk.best"), value))
    return tuple(facts)


def _measured(entry: Mapping[str, Any], texts: Texts) -> list[tuple[str, str]]:
    """What older documents lack: the set of findings, the grade, and what is measured of the bodies' corners."""
    facts, values = [], entry.get("measurements", {})
    if len(entry.get("prediction_set", ())) > 1:
        names = [texts.say(f"words.{name}") for name in entry["prediction_set"]]
        facts.append((texts.say("disk.possible"), listed(names, texts)))
    if entry.get("pfirrmann") is not None:
        facts.append((texts.say("disk.pfirrmann"), texts.say("disk.grade", value=entry["pfirrmann"])))
    if "height_index" in values:
        share = percent(values["height_index"], texts)
        facts.append((texts.say("disk.height_index"), texts.say("disk.height_index_value", value=share)))
    if "slip_share" in values:
        facts.append((texts.say("disk.slip"), _slip(values, texts)))
    if entry.get("outline") is not None:
        facts += _outline(entry["outline"], texts)
    return facts


def _outline(outline: Mapping[str, Any], texts: Texts) -> list[tuple[str, str]]:
    """What is measured of the outline in the axial view, and what the definition calls it."""
    angle_deg = outline["beyond_rim_deg"]
    words = {
        "finding": texts.say(f"words.{outline['finding']}"),
        "reach": f"{outline['reach_mm']:.1f}",
        "angle": f"{angle_deg:.0f}",
        "percent": percent(angle_deg / 360, texts),
        "border": f"{BEYOND_RIM_MM:g}",
    }
    how = "within" if outline["reach_mm"] < 0.05 else "near" if angle_deg == 0 else "all" if angle_deg == 360 else "beyond"
    facts = [(texts.say("outline.name"), texts.say(f"outline.{how}", **words))]
    focal = outline["focal"]
    if focal is not None:
        words = {
            "base": f"{focal['base_mm']:.1f}",
            "extent": f"{focal['extent_mm']:.1f}",
            "zone": texts.say(f"outline.zones.{focal['zone']}"),
            "side": texts.say(f"outline.sides.{focal['side']}"),
        }
        facts.append((texts.say("outline.focal_name"), texts.say("outline.focal", **words)))
    return facts


def _terms(document: Mapping[str, Any], texts: Texts) -> tuple[str, ...]:
    outlined = any(disk.get("outline") is not None for disk in document["disks"])
    return tuple(
        texts.say(f"terms.{term}") for term in ("bulge", "herniation", "source", *(["outline"] if outlined else []))
    )


def _slip(values: Mapping[str, float], texts: Texts) -> str:
    share, slip_mm = values["slip_share"], values.get("slip_mm")
    if abs(share) < _SLIP_SHARE:
        return texts.say("disk.slip_none")
    way, words = "forward" if share > 0 else "backward", {"percent": percent(abs(share), texts)}
    if slip_mm is None:
        return texts.say(f"disk.slip_share_{way}", **words)
    return texts.say(f"disk.slip_{way}", value=f"{abs(slip_mm):.1f}", **words)


def _sagittal_alt(document: Mapping[str, Any], texts: Texts) -> str:
    lines = [disk["level"] for disk in document["disks"] if disk["axial_sop_instance_uids"]]
    levels = [vertebra["level"] for vertebra in document["vertebrae"]]
    none = texts.say("page.none")
    return texts.say("pictures.middle_alt", levels=listed(levels, texts) or none, lines=listed(lines, texts) or none)


def _sagittal_caption(document: Mapping[str, Any]) -> str:
    if any(disk["axial_sop_instance_uids"] for disk in document["disks"]):
        return "middle_caption"
    return "middle_caption_no_lines" if document["vertebrae"] else "middle_caption_nothing"


def _series(plane: str, entry: Mapping[str, Any] | None, texts: Texts) -> tuple[str, ...]:
    """Plane, description, weighting, slices, stacks and reason; the plane and a word where there is no series."""
    name = texts.say(f"series.{plane}")
    if entry is None:
        return name, texts.say("series.missing")
    return (
        name,
        entry["description"] or texts.say("page.unknown"),
        texts.say(f"weightings.{entry['weighting']}"),
        str(entry["slices"]),
        str(entry.get("stacks", "")),
        entry["reason"],
    )
