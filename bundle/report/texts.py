"""The words of a report, one catalogue a language: ``texts/en.yaml`` and its translations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from bundle.report.errors import ReportError

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?")


class Texts:
    """One language's words.

    Args:
        language: of the catalogue, as HTML names it (``en``).
        catalogue: nested mappings of texts; see ``texts/en.yaml``.

    Example:
        >>> load_texts("en").say("findings.bulge")
        'Bulge'
    """

    def __init__(self, language: str, catalogue: Mapping[str, Any]) -> None:
        self.language = language
        self.entries = dict(_flat(catalogue))

    def say(self, key: str, **words: object) -> str:
        """The text of a dotted ``key`` with its ``{words}`` filled in.

        Raises:
            ReportError: the catalogue has no such key, or the text names other words.
        """
        try:
            return self.entries[key].format(**words)
        except (KeyError, IndexError, ValueError) as error:
            raise ReportError(f"the texts of '{self.language}' have no usable entry '{key}'") from error

    def flag(self, code: str, scope: str) -> str:
        """The sentence of a flag of a ``study`` or a ``disk`` (``scope``); the code itself if it has none."""
        other = "study" if scope == "disk" else "disk"
        # A new flag must reach the reader of a report even before somebody has found words for it.
        return self.entries.get(f"flags.{scope}.{code}", self.entries.get(f"flags.{other}.{code}", code))


@cache
def load_texts(language: str) -> Texts:
    """The catalogue of ``language``.

    Raises:
        ReportError: there is none, or it lacks entries that the English one has.
    """
    english = Texts("en", _read("en"))
    if language == "en":
        return english
    texts = Texts(language, _read(language))
    lacking = sorted(english.entries.keys() - texts.entries.keys())
    if lacking:
        raise ReportError(f"the texts of '{language}' lack {', '.join(lacking[:5])}{' ...' if len(lacking) > 5 else ''}")
    return texts


def _read(language: str) -> dict[str, Any]:
    place = files("bundle.report").joinpath("texts", f"{language}.yaml")
    if not _LANGUAGE.fullmatch(language) or not place.is_file():
        raise ReportError(f"there are no texts in the language '{language}'")
    try:
        catalogue = yaml.safe_load(place.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ReportError(f"the texts of '{language}' are no valid YAML") from error
    if not isinstance(catalogue, dict):
        raise ReportError(f"the texts of '{language}' are no catalogue")
    return catalogue


def _flat(catalogue: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Dotted keys and texts of nested mappings."""
    for key, value in catalogue.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
