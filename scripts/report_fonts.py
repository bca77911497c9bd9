"""Cuts the PDF report's fonts out of Noto Sans SC: what Chinese and European reports need, a tenth of the whole.

    npm pack @expo-google-fonts/noto-sans-sc@0.4.3 && tar xzf expo-google-fonts-noto-sans-sc-0.4.3.tgz
    python -m scripts.report_fonts --package package

Needed again only when a catalogue in ``bundle/report/texts`` says something that the bold font lacks (a test tells).
"""

from __future__ import annotations

import io
import lzma
import shutil
from collections.abc import Iterable
from pathlib import Path

import fire
from fontTools import subset
from fontTools.ttLib import TTFont

FONTS, TEXTS = Path("bundle/report/fonts"), Path("bundle/report/texts")
#: European letters, punctuation, arrows, marks, full-width forms.
_EUROPEAN = (
    (0x20, 0x7E), (0xA0, 0x17F), (0x2C6, 0x2DD), (0x370, 0x3FF), (0x400, 0x45F), (0x2010, 0x203A), (0x20AC, 0x20AC),
    (0x2103, 0x2122), (0x2190, 0x2193), (0x2212, 0x2265), (0x25A0, 0x25D1), (0x3000, 0x301C), (0xFF01, 0xFF5E),
)  # fmt: skip


def main(package: str) -> None:
    """Write ``bundle/report/fonts``.

    Args:
        package: the unpacked npm package @expo-google-fonts/noto-sans-sc.
    """
    said = {ord(character) for place in TEXTS.glob("*.yaml") for character in place.read_text(encoding="utf-8")}
    european = {code for first, last in _EUROPEAN for code in range(first, last + 1)}
    FONTS.mkdir(exist_ok=True)
    shutil.copyfile(Path(package) / "LICENSE_FONT", FONTS / "OFL.txt")
    # A reader may write anything, but never in bold.
    _cut(Path(package) / "400Regular/NotoSansSC_400Regular.ttf", "NotoSansSC-Regular", european | said | _gb2312())
    _cut(Path(package) / "700Bold/NotoSansSC_700Bold.ttf", "NotoSansSC-Bold", european | said)


def _gb2312() -> set[int]:
    """Characters of GB 2312: 6763 Chinese ones, which are nearly all that are in use."""
    pairs = (bytes([high, low]) for high in range(0xA1, 0xF8) for low in range(0xA1, 0xFF))
    return {ord(text) for pair in pairs if (text := pair.decode("gb2312", "ignore"))}


def _cut(source: Path, name: str, characters: Iterable[int]) -> None:
    options = subset.Options()
    options.hinting = False
    options.layout_features = []
    options.notdef_outline = True
    options.drop_tables += ["GPOS", "GSUB", "BASE", "vhea", "vmtx", "VORG"]
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]
    font = TTFont(source, recalcTimestamp=False)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=characters)
    cutter.subset(font)
    whole = io.BytesIO()
    font.save(whole)
    place = FONTS / f"{name}.ttf.xz"
    place.write_bytes(lzma.compress(whole.getvalue(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{place}: {len(font.getBestCmap())} characters, {place.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    fire.Fire(main)
