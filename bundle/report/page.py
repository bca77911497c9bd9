"""``report.html``: one file that holds everything it shows, for the screen and for paper."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from bundle.geometry import FINDINGS
from bundle.report.texts import Texts
from bundle.report.wording import wording

if TYPE_CHECKING:
    from jinja2 import Template

_SERIES_COLUMNS = ("plane", "description", "weighting", "slices", "stacks", "reason")


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
    return _template().render(
        texts=texts,
        say=texts.say,
        document=document,
        words=wording(document, texts),
        findings=[(name, texts.say(f"findings.{name}")) for name in FINDINGS],
        series_columns=[texts.say(f"series.{column}") for column in _SERIES_COLUMNS],
        uris={name: _uri(png) for name, png in pictures.items()},
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


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
