"""``report.html``: one file that holds everything it shows, for the screen and for paper."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from bundle.geometry import FINDINGS
from bundle.report.texts import Texts

if TYPE_CHECKING:
    from jinja2 import Template

#: Shapes stand beside the words, so that a glance down the table finds what is not normal, in black and white too.
_MARKS: Mapping[str | None, str] = {"normal": "○", "bulge": "◐", "herniation": "●", None: "–"}


def render_page(document: Mapping[str, Any], pictures: Mapping[str, bytes], texts: Texts) -> str:
    """The page of a reading.

    Args:
        document: ``report.json``, valid.
        pictures: PNG files by name: ``sagittal``, ``axial_slices`` and the disks' levels; missing ones are not shown.
        texts: the language.

    Returns:
        HTML that needs no other file, no network and no script.

    Raises:
        ReportError: the texts lack an entry.
    """
    remarks = [texts.flag(code, "study") for code in document["flags"]]
    disks = [_disk(disk, document["axial_slices"], pictures, texts) for disk in document["disks"]]
    return _template().render(
        texts=texts,
        say=texts.say,
        document=document,
        remarks=remarks,
        disks=disks,
        findings=[(name, texts.say(f"findings.{name}")) for name in FINDINGS],
        sagittal=_sagittal(document, pictures, texts),
        series=_series(document["series"], texts),
        slices=_slices(document["axial_slices"], pictures, texts),
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("bundle.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["css_string"] = css_string
    return environment.get_template("report.html.j2")


def css_string(text: str) -> str:
    """``text`` for use inside a CSS string: whatever is not a letter, a digit or a space is written as its number."""
    return "".join(c if c.isascii() and (c.isalnum() or c == " ") else f"\\{ord(c):06x}" for c in text)


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


def _uri(png: bytes | None) -> str | None:
    return None if png is None else "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _sagittal(document: Mapping[str, Any], pictures: Mapping[str, bytes], texts: Texts) -> dict[str, Any]:
    lines = [disk["level"] for disk in document["disks"] if disk["axial_sop_instance_uids"]]
    levels = [vertebra["level"] for vertebra in document["vertebrae"]]
    none = texts.say("page.none")
    caption = "middle_caption" if lines else "middle_caption_no_lines" if levels else "middle_caption_nothing"
    return {
        "uri": _uri(pictures.get("sagittal")),
        "alt": texts.say("pictures.middle_alt", levels=", ".join(levels) or none, lines=", ".join(lines) or none),
        "caption": texts.say(f"pictures.{caption}"),
    }


def _slices(slices: list[Mapping[str, Any]], pictures: Mapping[str, bytes], texts: Texts) -> dict[str, Any]:
    matched = sum(s["level"] is not None for s in slices)
    return {
        "uri": _uri(pictures.get("axial_slices")),
        "alt": texts.say("pictures.slices_alt", slices=len(slices), matched=matched),
        "caption": texts.say("pictures.slices_caption", slices=len(slices), matched=matched),
    }


def _disk(
    disk: Mapping[str, Any], slices: list[Mapping[str, Any]], pictures: Mapping[str, bytes], texts: Texts
) -> dict[str, Any]:
    level, finding, shares = disk["level"], disk["finding"], disk["probabilities"]
    remarks = [texts.flag(code, "disk") for code in disk["flags"]]
    has_axial, has_sagittal = bool(disk["axial_sop_instance_uids"]), disk["rois"]["sagittal"] is not None
    shown = "axial_and_sagittal" if has_axial and has_sagittal else "axial" if has_axial else "sagittal"
    return {
        "level": level,
        "judged": finding is not None,
        "mark": _MARKS[finding],
        "finding": texts.say(f"findings.{finding or 'none'}"),
        "sentence": _sentence(finding, shares, remarks, texts),
        "views": texts.say("views." + "_".join(sorted(disk["views"]))) if finding is not None else "",
        "bars": [
            {
                "name": name,
                "label": texts.say(f"findings.{name}"),
                "width": round(100 * shares[name], 1),
                "percent": percent(shares[name], texts),
                "best": name == finding,
            }
            for name in (FINDINGS if shares is not None else ())
        ],
        "remarks": remarks if finding is not None else [],
        "reasons": remarks if finding is None else [],
        "facts": _facts(disk, slices, texts),
        "uri": _uri(pictures.get(level)),
        "alt": texts.say(f"pictures.{shown}_alt", level=level),
        "caption": texts.say(f"pictures.{shown}"),
        "wide": shown == "axial_and_sagittal",
    }


def _sentence(finding: str | None, shares: Mapping[str, float] | None, remarks: list[str], texts: Texts) -> str:
    if finding is None:
        return texts.say("sentences.none_because", reasons=" ".join(remarks)) if remarks else texts.say("sentences.none")
    return texts.say(f"sentences.{finding}", percent=percent((shares or {})[finding], texts))


def _facts(disk: Mapping[str, Any], slices: list[Mapping[str, Any]], texts: Texts) -> list[tuple[str, str]]:
    """Measures of a disk, as (name, value)."""
    facts = []
    if disk["height_mm"] is not None:
        facts.append((texts.say("disk.height"), texts.say("disk.millimetres", value=f"{disk['height_mm']:.0f}")))
    uids = disk["axial_sop_instance_uids"]
    if uids:
        facts.append((texts.say("disk.slices"), str(len(uids))))
    best = next((s for s in slices if uids and s["sop_instance_uid"] == uids[0]), None)
    if best is not None and best["distance_mm"] is not None and best["angle_deg"] is not None:
        above_mm = best["distance_mm"]
        side = "within" if abs(above_mm) < 0.05 else "above" if above_mm > 0 else "below"
        value = texts.say(f"disk.best_{side}", distance=f"{abs(above_mm):.1f}", angle=f"{best['angle_deg']:.0f}")
        facts.append((texts.say("disk.best"), value))
    return facts


def _series(series: Mapping[str, Any], texts: Texts) -> list[dict[str, str]]:
    rows = []
    for plane, entry in series.items():
        row = {"plane": texts.say(f"series.{plane}")}
        if entry is None:
            row["missing"] = texts.say("series.missing")
        else:
            row |= {
                "description": entry["description"] or texts.say("page.unknown"),
                "weighting": texts.say(f"weightings.{entry['weighting']}"),
                "slices": str(entry["slices"]),
                "stacks": str(entry.get("stacks", "")),
                "reason": entry["reason"],
            }
        rows.append(row)
    return rows
