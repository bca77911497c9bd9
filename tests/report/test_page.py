from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

from bundle.report.document import build
from bundle.report.page import css_string, render_page
from bundle.report.texts import load_texts

PNG = b"\x89PNG"
PICTURES = dict.fromkeys(("sagittal", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"), PNG)


class Tree(HTMLParser):
    """Tags with their attributes, and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def page_of(reading, **changes) -> str:
    return render_page(build(*replace(reading, **changes).parts), PICTURES, load_texts("en"))


def test_the_page_needs_nothing_else(reading):
    page = page_of(reading)
    tree = Tree(page)
    assert "http:" not in page and "https:" not in page and "url(" not in page and "@import" not in page
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in tree.tags}
    for _, attributes in tree.tags:
        assert attributes.get("href") is None
        assert (attributes.get("src") or "data:").startswith("data:")


def test_every_picture_has_words_in_its_place(reading):
    images = [attributes for tag, attributes in Tree(page_of(reading)).tags if tag == "img"]
    assert len(images) == 6 and all(len(image["alt"]) > 20 for image in images)


def test_it_says_what_matters_in_order(reading):
    text = Tree(page_of(reading, flags=("levels_unsure",))).text
    places = [
        text.index(part)
        for part in (
            "A computer made this reading for research.",
            "all of them may be shifted by one",
            "Herniation at L4-L5 (80%).",
            "Mid-sagittal image",
            "Comparison: none",
            "L4-L5: herniation (80%); disk height",
            "The five disks",
            "Disk L1-L2",
            "Disk L5-S1",
            "T2-weighted, one stack for each disk",
            "0.1.0",
            "ab" * 32,
        )
    ]
    assert places == sorted(places)
    assert "<1%" in text and "seen on axial and sagittal images" in text


def test_a_disk_that_was_not_judged_says_why(reading):
    lost = replace(
        reading.disks[0], disk=None, matches=(), axial=None, sagittal=None, probabilities=None, finding=None, views=(),
        flags=("vertebra_not_found",),
    )  # fmt: skip
    text = Tree(page_of(reading, disks=(lost, *reading.disks[1:]))).text
    assert text.count("Not judged") == 3 and "Not judged: L1-L2." in text
    assert text.count("A vertebra next to this disk was not found.") == 2


def test_unknown_flags_are_shown(reading):
    disks = (replace(reading.disks[0], flags=("odd_disk_flag",)), *reading.disks[1:])
    text = Tree(page_of(reading, flags=("odd_study_flag",), disks=disks)).text
    assert "odd_study_flag" in text and "odd_disk_flag" in text


def test_words_from_outside_stay_words(reading):
    hostile = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}'
    series = replace(reading.study.sagittal, description=hostile)
    study = replace(
        reading.study, name=hostile, sagittal=series, reasons={"sagittal": hostile, "axial": hostile}, flags=(hostile,)
    )
    page = page_of(reading, study=study, model={"version": hostile, "weights_sha256": {hostile: "ab" * 32}})
    tree = Tree(page)
    assert "<script" not in page
    assert sum(tag == "img" for tag, _ in tree.tags) == 6
    assert not any(name.startswith("on") for _, attributes in tree.tags for name in attributes)
    assert tree.text.count(hostile) >= 5


def test_a_plain_image_has_a_page(plain_reading):
    text = Tree(page_of(plain_reading)).text
    assert "nothing is given in millimetres" in text and " mm " not in text


def test_a_study_without_pictures_has_a_page(reading):
    page = render_page(build(*reading.parts), {}, load_texts("en"))
    assert Tree(page).text.count("No picture can be shown.") == 6 and "<img" not in page


def test_a_notice_cannot_leave_its_css_string():
    assert css_string('a"</style>') == "a\\000022\\00003c\\00002fstyle\\00003e"


def test_the_page_is_kind_to_paper_and_dark_rooms(reading):
    page = page_of(reading)
    assert "@media print" in page and "prefers-color-scheme: dark" in page and '<html lang="en">' in page
