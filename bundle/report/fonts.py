"""The PDF's fonts: parts of Noto Sans SC (SIL Open Font License), which lie in ``fonts/``; see scripts/report_fonts.py."""

from __future__ import annotations

import io
import lzma
import re
from functools import cache
from importlib.resources import files
from xml.sax.saxutils import escape

from bundle.report.errors import ReportError

REGULAR, BOLD = "NotoSansSC-Regular", "NotoSansSC-Bold"
#: Chinese characters that are too rare for the fonts above. It comes with every PDF viewer, and is not embedded.
_RARE = "STSong-Light"
_CHINESE = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff01-\uff5e]")


@cache
def register_fonts() -> None:
    """Make the fonts known to reportlab.

    Raises:
        ReportError: a font is missing from the installation.
    """
    from reportlab import rl_config
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.pdfmetrics import registerFont, registerFontFamily
    from reportlab.pdfbase.ttfonts import TTFont

    rl_config.useA85 = 0  # streams as they are, not as text: pictures take a fifth less
    for name in (REGULAR, BOLD):
        try:
            packed = files("bundle.report").joinpath("fonts", f"{name}.ttf.xz").read_bytes()
        except OSError as error:
            raise ReportError(f"the report's font {name} is not installed") from error
        registerFont(TTFont(name, io.BytesIO(lzma.decompress(packed))))
    registerFont(UnicodeCIDFont(_RARE))
    registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD)


@cache
def characters(name: str) -> frozenset[int]:
    """Code points that a registered font can show."""
    from reportlab.pdfbase.pdfmetrics import getFont

    register_fonts()
    return frozenset(getFont(name).face.charToGlyph)


def markup(text: str, font: str) -> str:
    """``text`` as reportlab's paragraph markup, with another font where ``font`` lacks a character.

    Line breaks are kept; of what no font can show, a box is drawn.
    """
    own, regular = characters(font), characters(REGULAR)
    parts: list[tuple[str, str]] = []
    for character in text:
        name = font if ord(character) in own or character in "\n\t" else REGULAR
        if name == REGULAR and ord(character) not in regular and _CHINESE.match(character):
            name = _RARE
        if parts and parts[-1][0] == name:
            parts[-1] = name, parts[-1][1] + character
        else:
            parts.append((name, character))
    said = (words if name == font else f'<font name="{name}">{words}</font>' for name, words in _escaped(parts))
    return "".join(said)


def has_chinese(text: str) -> bool:
    """Lines of ``text`` may be broken between any two characters."""
    return _CHINESE.search(text) is not None


def _escaped(parts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, escape(words).replace("\t", " ").replace("\n", "<br/>")) for name, words in parts]
