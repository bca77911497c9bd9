from __future__ import annotations

import copy
import io
import json
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader
from pypdf.generic import IndirectObject

from bundle.report import fonts
from bundle.report.document import build
from bundle.report.pdf import render_pdf
from bundle.report.review import with_review
from bundle.report.texts import load_texts

EN, ZH = load_texts("en"), load_texts("zh")
LEVELS = ("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1")
SIGNED = {"status": "final", "reader": "A. Reader", "signed_at": "2026-11-25T10:05:00+08:00"}
A4_PT = (595.28, 841.89)


def png(width, height, brightness):
    stream = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), brightness, dtype=np.uint8)).save(stream, format="PNG")
    return stream.getvalue()


PICTURES = {"sagittal": png(740, 740, 60), "axial_slices": png(740, 740, 70)}
PICTURES |= {level: png(960, 480, 80 + k) for k, level in enumerate(LEVELS)}


@pytest.fixture
def document(reading):
    return build(*reading.parts)


def pages(document, texts=EN, pictures=PICTURES):
    return PdfReader(io.BytesIO(render_pdf(document, pictures, texts))).pages


def text_of(document, texts=EN, pictures=PICTURES):
    """The text as it runs, without the breaks of lines."""
    return " ".join("\n".join(page.extract_text() for page in pages(document, texts, pictures)).split())


def unjudged(document):
    document = copy.deepcopy(document)
    for disk in document["disks"]:
        flags = ["vertebra_not_found", "no_axial_slice", "roi_outside_image", "no_view"]
        disk |= {"finding": None, "probabilities": None, "views": [], "flags": flags}
    return document | {"flags": [code.split(".")[-1] for code in EN.entries if code.startswith("flags.study.")]}


def test_it_says_what_matters_in_order(document):
    text = text_of(document | {"flags": ["levels_unsure"]})
    places = [
        text.index(part)
        for part in (
            "A computer made this reading for research.",
            "all of them may be shifted by one",
            "Herniation at L4-L5 (80%).",
            "L4-L5: herniation (80%); disk height",
            "The five disks",
            "Disk L1-L2",
            "Disk L5-S1",
            "T2-weighted, one stack for each disk",
            "ab" * 32,
        )
    ]
    assert places == sorted(places)


def test_every_page_is_a4_and_has_its_number_and_the_notice(document):
    found = pages(document)
    assert len(found) == 3
    for number, page in enumerate(found, start=1):
        assert (float(page.mediabox.width), float(page.mediabox.height)) == pytest.approx(A4_PT, abs=0.01)
        text = page.extract_text()
        assert f"Page {number} of 3" in text and "Not for diagnostic use" in text and "phantom-7" in text


def test_the_pictures_are_in_it(document):
    assert sum(len(page.images) for page in pages(document)) == 7
    assert sum(len(page.images) for page in pages(document, pictures={})) == 0
    assert text_of(document, pictures={}).count("No picture can be shown.") == 6


@pytest.mark.parametrize("texts", [EN, ZH], ids=["en", "zh"])
def test_the_same_report_gives_the_same_bytes(document, texts):
    assert render_pdf(document, PICTURES, texts) == render_pdf(copy.deepcopy(document), PICTURES, texts)


def test_it_holds_no_time_and_says_its_language(document):
    reader = PdfReader(io.BytesIO(render_pdf(document, {}, ZH)))
    assert reader.metadata.creation_date.year == 2000  # reportlab's word for "none"
    assert reader.trailer["/Root"]["/Lang"] == "zh"
    assert reader.metadata.title == "腰椎MRI椎间盘报告 – phantom-7"


def fonts_used(page):
    """Names of the fonts that a page's content switches to, with whether they are embedded."""
    resources = page["/Resources"]["/Font"]
    content = page.get_contents().get_data().decode("latin-1")
    used = {}
    for name, font in resources.items():
        font = font.get_object() if isinstance(font, IndirectObject) else font
        if f"{name} " in content:
            used[font["/BaseFont"]] = "/FontFile2" in font.get("/FontDescriptor", {})
    return used


@pytest.mark.parametrize("texts", [EN, ZH], ids=["en", "zh"])
def test_every_font_that_is_used_is_embedded(document, texts):
    for page in pages(with_review(document, SIGNED | {"comment": "骶髂关节未见异常。Ελληνικά, русский."}), texts):
        used = fonts_used(page)
        assert used and all(used.values()), used


def test_chinese_is_text_that_can_be_searched_and_copied(document):
    text = text_of(document, ZH).replace(" ", "")
    assert "椎间盘突出：L4-L5（80%）。" in text and "不得用于临床诊断" in text and "第1页，共3页" in text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_fonts_have_every_character_of_the_catalogues(language):
    said = {ord(character) for text in load_texts(language).entries.values() for character in text} - {ord("\n")}
    for name in (fonts.REGULAR, fonts.BOLD):
        assert not {chr(code) for code in said - fonts.characters(name)}


def test_all_of_gb_2312_can_be_written():
    level_one = [bytes([high, low]).decode("gb2312", "ignore") for high in range(0xB0, 0xF8) for low in range(0xA1, 0xFF)]
    assert {ord(character) for character in level_one if character} <= fonts.characters(fonts.REGULAR)


def test_a_rare_character_gets_another_font_and_marks_stay_marks():
    assert fonts.markup("a<b & 堃", fonts.BOLD) == 'a&lt;b &amp; <font name="STSong-Light">堃</font>'
    assert fonts.markup("骶\nx", fonts.REGULAR) == "骶<br/>x"
    assert fonts.markup("疒", fonts.BOLD) == f'<font name="{fonts.REGULAR}">疒</font>'


def test_both_readings_are_in_a_reviewed_report(document):
    changes = {"comment": "First line.\nSecond <b>line</b>.", "disks": [
        {"level": "L3-L4", "finding": "herniation", "comment": "Left of the middle."},
    ]}  # fmt: skip
    text = text_of(with_review(document, SIGNED | changes))
    for part in (
        "Reviewed and signed by A. Reader, 2026-11-25 10:05 UTC+08:00",
        "Herniation at L3-L4 (reader's finding; machine: bulge, 71%) and L4-L5 (80%).",
        "Reader: herniation. Machine: bulge, 71%.",
        "First line. Second <b>line</b>.",
        "Left of the middle.",
        "Not confirmed by the reader",
    ):
        assert part in text


@pytest.mark.parametrize("texts", [EN, ZH], ids=["en", "zh"])
def test_a_reading_without_a_finding_and_with_every_flag_has_its_pages(document, texts):
    said = text_of(unjudged(document), texts, {}).replace(" ", "")
    for code in (key for key in texts.entries if key.startswith("flags.study.")):
        assert texts.entries[code].replace(" ", "") in said


@pytest.mark.parametrize(
    "long", ["word " * 799, "w" * 4000, "腰" * 4000, "x\n" * 1999], ids=["words", "word", "chinese", "lines"]
)
def test_long_comments_flow_over_pages(document, long):
    changes = {"comment": long, "disks": [{"level": level, "comment": long} for level in LEVELS]}
    assert len(pages(with_review(unjudged(document), changes))) > 3


def test_words_from_outside_stay_words(document):
    hostile = '<font size="99">&<script>{{7*7}}</para>'
    document = json.loads(json.dumps(document))
    document["study"]["name"] = document["series"]["axial"]["description"] = hostile + "n" * 200
    document["series"]["axial"]["reason"] = hostile * 3
    document["model"]["version"] = hostile
    document |= {"flags": [hostile, "f" * 500]}
    assert "".join(hostile.split()) in "".join(text_of(document).split())


def test_a_plain_image_has_its_pages(plain_reading):
    text = text_of(build(*plain_reading.parts))
    assert "nothing is given in millimetres" in text and " mm" not in text.replace("in millimetres", "")


@pytest.mark.skipif(shutil.which("pdftoppm") is None, reason="pdftoppm (Debian package poppler-utils) is not installed")
@pytest.mark.parametrize("texts", [EN, ZH], ids=["en", "zh"])
def test_poppler_draws_every_page_without_a_complaint(document, texts, tmp_path):
    (tmp_path / "report.pdf").write_bytes(render_pdf(document, PICTURES, texts))
    done = subprocess.run(
        ["pdftoppm", "-r", "40", "-png", "report.pdf", "page"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert not done.stderr
    drawn = sorted(tmp_path.glob("page-*.png"))
    assert len(drawn) == 3
    for place in drawn:
        with Image.open(place) as page:
            assert page.size == (331, 468) and (np.asarray(page.convert("L")) < 128).mean() > 0.01
