"""What contrast an image has, by whatever its header still says."""

from __future__ import annotations

import re

from bundle.study.frames import Frame
from bundle.study.types import Weighting

_FAT_SUPPRESSED = re.compile(
    r"stir|tirm|spair|spir(?!al)|fat[ _-]?(sat|sup)|(?<![a-z])fs(?![a-z])|water|(?<![a-z])w$", re.IGNORECASE
)
_FAT_OPTIONS = frozenset({"FS", "FAT_SAT", "FATSAT", "FAT_SAT_GEMS", "SAT_FAT", "SPIR", "SPAIR", "SFS"})
_NAMES: tuple[tuple[Weighting, re.Pattern[str]], ...] = (
    ("T2", re.compile(r"(?<![a-z0-9])t2", re.IGNORECASE)),
    ("T1", re.compile(r"(?<![a-z0-9])t1", re.IGNORECASE)),
    ("PD", re.compile(r"(?<![a-z])(pd|dp|protondens)", re.IGNORECASE)),
)


def weighting_of(frame: Frame) -> tuple[Weighting, str]:
    """The contrast of an image and what it was told by, for the reader of the report.

    Timing is physics and comes first: short tau inversion recovery, then echo and repetition time of spin echo. Names are
    what somebody typed, and come second. The bounds are those usual in textbooks: T2 from TE 60 ms, T1 below TR 1200 ms
    with TE up to 40 ms; between the two is proton density.
    """
    fat = suppresses_fat(frame)
    by_timing = _by_timing(frame)
    if by_timing is not None:
        weighting, why = by_timing
    else:
        named = next((name for name, pattern in _NAMES if pattern.search(frame.description)), None)
        if named is None:
            if _FAT_SUPPRESSED.search(frame.description):
                return "T2FS", "its description"
            return "unknown", "nothing in its header"
        weighting, why = named, "its description"
    if fat and weighting in ("T2", "PD"):
        return "T2FS", f"{why} and fat suppression"
    return weighting, why


def suppresses_fat(frame: Frame) -> bool:
    """Whether fat is dark by the image's scan options, image type or description."""
    kinds = {"W", "WATER"} & set(frame.image_type)
    return bool(kinds or _FAT_OPTIONS & set(frame.scan_options) or _FAT_SUPPRESSED.search(frame.description))


def _by_timing(frame: Frame) -> tuple[Weighting, str] | None:
    echo, repetition, inversion = frame.echo_ms, frame.repetition_ms, frame.inversion_ms
    if "IR" in frame.scanning_sequence and inversion is not None:
        if inversion <= 260:
            return "T2FS", f"inversion time {inversion:g} ms"
        if echo is not None and echo <= 40:
            return "T1", f"inversion time {inversion:g} ms and echo time {echo:g} ms"
    if echo is None or repetition is None or "GR" in frame.scanning_sequence or "EP" in frame.scanning_sequence:
        return None
    why = f"echo time {echo:g} ms and repetition time {repetition:g} ms"
    if echo >= 60 and repetition >= 1000:
        return "T2", why
    if echo <= 40 and repetition < 1200:
        return "T1", why
    if echo < 60 and repetition >= 1500:
        return "PD", why
    return None
