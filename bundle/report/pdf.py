"""``report.pdf``: the report on A4 paper, for people who file and print; the same words as the page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    Image,
    Indenter,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)
from reportlab.platypus.flowables import FrameBG

from bundle.geometry import FINDINGS
from bundle.report.fonts import BOLD, REGULAR, has_chinese, markup, register_fonts
from bundle.report.texts import Texts
from bundle.report.wording import Bar, DiskWords, Wording, wording

_INK, _QUIET, _RULE, _SOFT = HexColor("#1c1f23"), HexColor("#59616b"), HexColor("#d5d9de"), HexColor("#f3f5f7")
_BAR, _BEST = HexColor("#9fb0c2"), HexColor("#1f5f99")
_NOTICE, _NOTICE_RULE, _NOTICE_INK = HexColor("#fdf1f0"), HexColor("#c9605a"), HexColor("#7a1f1f")
_REMARK, _REMARK_RULE = HexColor("#fff8e6"), HexColor("#c99a2e")
_WHITE = HexColor("#ffffff")

_SIDE, _TOP, _BOTTOM = 16 * mm, 20 * mm, 18 * mm
_WIDTH = A4[0] - 2 * _SIDE
_GAP = 6 * mm


def render_pdf(document: Mapping[str, Any], pictures: Mapping[str, bytes], texts: Texts) -> bytes:
    """The report as PDF.

    Args:
        document: ``report.json``, valid.
        pictures: PNG files by name: ``sagittal``, ``axial_slices`` and the disks' levels; missing ones are not shown.
        texts: the language.

    Returns:
        A4 pages with their fonts embedded; the same bytes for the same report.

    Raises:
        ReportError: the texts lack an entry, or the fonts are not installed.
    """
    register_fonts()
    words = wording(document, texts)
    stream = io.BytesIO()
    paper = _Paper(stream, document, words, texts)
    paper.build(_story(document, words, pictures, texts), canvasmaker=paper.canvas)
    return stream.getvalue()


class _Paper(BaseDocTemplate):
    """Pages with a head and a foot, and an entry in the outline for each heading."""

    def __init__(self, stream: io.BytesIO, document: Mapping[str, Any], words: Wording, texts: Texts) -> None:
        super().__init__(
            stream,
            pagesize=A4,
            title=f"{words.title} – {document['study']['name']}",
            author=texts.say("page.made_by", version=document["model"]["version"]),
            subject=words.notice,
            lang=texts.language,
            invariant=1,  # no time and no random identity: the same bytes for the same report
        )
        frame = Frame(
            _SIDE, _BOTTOM, _WIDTH, A4[1] - _TOP - _BOTTOM, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0
        )
        self.addPageTemplates(PageTemplate(frames=[frame]))
        self._words, self._texts, self._document = words, texts, document

    def canvas(self, *args: Any, **options: Any) -> Canvas:
        """A canvas that numbers its pages once it knows how many there are."""
        return _NumberedCanvas(self._edges, *args, **options)

    def afterFlowable(self, flowable: Flowable) -> None:
        """Reportlab calls it after each flowable."""
        if isinstance(flowable, _Heading):
            key = f"heading{self.seq.nextf('heading')}"
            self.canv.bookmarkHorizontal(key, 0, self.frame._y + flowable.height)
            self.canv.addOutlineEntry(flowable.plain, key, level=0)

    def _edges(self, canvas: Canvas, page: int, pages: int) -> None:
        say, words = self._texts.say, self._words
        canvas.saveState()
        canvas.setFillColor(_QUIET)
        head, foot = A4[1] - 13 * mm, 10 * mm
        _line(canvas, words.title, _SIDE, head, _WIDTH * 0.5)
        study = say("join.label", label=say("page.study"), text=self._document["study"]["name"])
        _line(canvas, study, A4[0] - _SIDE, head, _WIDTH * 0.45, "right")
        _line(canvas, say("page.made_by", version=self._document["model"]["version"]), _SIDE, foot, _WIDTH * 0.35)
        _line(canvas, say("page.number", page=page, pages=pages), A4[0] - _SIDE, foot, _WIDTH * 0.3, "right")
        canvas.setFillColor(_NOTICE_INK)
        _line(canvas, words.notice, A4[0] / 2, foot, _WIDTH * 0.35, "middle", BOLD)
        canvas.setStrokeColor(_RULE)
        canvas.setLineWidth(0.5)
        canvas.line(_SIDE, head - 2.5 * mm, A4[0] - _SIDE, head - 2.5 * mm)
        canvas.line(_SIDE, foot + 4.5 * mm, A4[0] - _SIDE, foot + 4.5 * mm)
        canvas.restoreState()


class _NumberedCanvas(Canvas):
    def __init__(self, edges: Any, *args: Any, **options: Any) -> None:
        super().__init__(*args, **(options | {"initialFontName": REGULAR}))
        self.setViewerPreference("DisplayDocTitle", "true")
        self._edges = edges
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:
        """Keep the page until all are there."""
        self._pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        """Number the pages and write them."""
        for number, page in enumerate(self._pages, start=1):
            self.__dict__.update(page)
            self._edges(self, number, len(self._pages))
            super().showPage()
        super().save()


def _line(
    canvas: Canvas, text: str, x: float, y: float, width: float, side: str = "left", font: str = REGULAR, size: float = 8
) -> None:
    """One line of text, cut off at ``width``."""
    shown = text = " ".join(text.split())
    while shown and stringWidth(shown, font, size) > width:
        shown = shown[:-2].rstrip("…") + "…" if len(shown) > 2 else ""
    canvas.setFont(font, size)
    draw = {"left": canvas.drawString, "right": canvas.drawRightString, "middle": canvas.drawCentredString}[side]
    draw(x, y, shown)


class _Heading(Paragraph):
    """A paragraph that is in the outline."""

    def __init__(self, text: str, style: ParagraphStyle) -> None:
        super().__init__(markup(text, BOLD), style)
        self.plain = text


class _Share(Flowable):
    """A bar with its percentage below or beside it."""

    def __init__(self, bar: Bar, width: float, beside: bool = False) -> None:
        super().__init__()
        self.bar, self.beside = bar, beside
        self.width, self.height = width, 7.5 if beside else 17

    def wrap(self, *available: float) -> tuple[float, float]:
        """Its size."""
        return self.width, self.height

    def draw(self) -> None:
        """Reportlab calls it."""
        canvas, bar = self.canv, self.bar
        width = self.width - (26 if self.beside else 0)
        low = 1 if self.beside else 11
        canvas.setLineWidth(0.5)
        canvas.setStrokeColor(_RULE)
        canvas.setFillColor(_SOFT)
        canvas.rect(0, low, width, 5.5, fill=1)
        canvas.setFillColor(_BEST if bar.best else _BAR)
        canvas.rect(0, low, width * bar.width / 100, 5.5, fill=1, stroke=0)
        canvas.setFillColor(_INK if bar.best else _QUIET)
        canvas.setFont(BOLD if bar.best else REGULAR, 8)
        if self.beside:
            canvas.drawRightString(self.width, 1, bar.percent)
        else:
            canvas.drawString(0, 1, bar.percent)


def _style(name: str, size: float = 9, **more: Any) -> ParagraphStyle:
    return ParagraphStyle(
        name,
        **(
            {"fontName": REGULAR, "bulletFontName": REGULAR, "fontSize": size, "leading": size * 1.4, "textColor": _INK}
            | more
        ),
    )


_TITLE = _style("title", 17, fontName=BOLD, spaceAfter=1 * mm)
_H2 = _style("h2", 11, fontName=BOLD, spaceBefore=4 * mm, spaceAfter=1.5 * mm, keepWithNext=1)
_H3 = _style("h3", 9, fontName=BOLD, spaceBefore=1.2 * mm, spaceAfter=0.5 * mm, keepWithNext=1)
_BODY = _style("body", spaceAfter=1.2 * mm)
_STRONG = _style("strong", fontName=BOLD, spaceAfter=1.2 * mm)
_SMALL = _style("small", 8, textColor=_QUIET)
_CELL = _style("cell", 8)
_BEST_CELL = _style("best", 8, fontName=BOLD)
_REMARK_ITEM = _style("remark", 8, leftIndent=14, bulletIndent=-2)
_HEAD = _style("head", 8, fontName=BOLD, textColor=_QUIET)
_ALARM = _style("alarm", 12, fontName=BOLD, textColor=_NOTICE_INK)
_ITEM = _style("item", leftIndent=14, bulletIndent=-2, spaceAfter=0.8 * mm)
_LARGE = _style("large", 10.5, leftIndent=14, bulletIndent=-2, spaceAfter=0.8 * mm)


def _paragraph(text: str, style: ParagraphStyle, bullet: str | None = None) -> Paragraph:
    if has_chinese(text):
        style = ParagraphStyle(style.name, style, wordWrap="CJK")
    return Paragraph(markup(text, style.fontName), style, bulletText=bullet)


def _items(sentences: Sequence[str], style: ParagraphStyle = _ITEM) -> list[Flowable]:
    return [_paragraph(sentence, style, "•") for sentence in sentences]


def _box(content: list[Flowable], back: Color, edge: Color) -> list[Flowable]:
    """Content in a coloured box, which goes on over the next page if it must."""
    inset = 3 * mm
    start = FrameBG(back, 0, 0, strokeColor=edge, strokeWidth=0.8)
    inner = [Indenter(inset, inset), Spacer(0, 1.5 * mm), *content, Spacer(0, 0.5 * mm), Indenter(-inset, -inset)]
    return [Spacer(0, 2 * mm), start, *inner, FrameBG(start=False), Spacer(0, 1 * mm)]


def _table(
    rows: Sequence[Sequence[Any]],
    widths: Sequence[float],
    padding: tuple[float, float],
    middle: bool = False,
    style: Sequence[tuple[Any, ...]] = (),
) -> Table:
    """A table that begins at the left edge, with ``padding`` above and below each row.

    No cell uses the table's own font, but the PDF names it, so it is one that is embedded.
    """
    everything = {
        "FONT": REGULAR, "LEFTPADDING": 0, "TOPPADDING": padding[0], "BOTTOMPADDING": padding[1],
        "VALIGN": "MIDDLE" if middle else "TOP",
    }  # fmt: skip
    common = [(name, (0, 0), (-1, -1), value) for name, value in everything.items()]
    return Table(rows, widths, style=[*common, *style], hAlign="LEFT")


def _comment(heading: str, text: str) -> list[Flowable]:
    return (
        [_paragraph(heading, _H3), *(_paragraph(line, _BODY) for line in text.split("\n") if line.strip())] if text else []
    )


def _story(document: Mapping[str, Any], words: Wording, pictures: Mapping[str, bytes], texts: Texts) -> list[Flowable]:
    say = texts.say
    study = say("join.label", label=say("page.study"), text=document["study"]["name"])
    story: list[Flowable] = [_paragraph(words.title, _TITLE), _paragraph(f"{study} · {words.status}", _SMALL)]
    story += _box([_paragraph(words.notice, _ALARM), _paragraph(words.notice_detail, _BODY)], _NOTICE, _NOTICE_RULE)
    remarks = _items(words.remarks) or [_paragraph(say("remarks.none"), _BODY)]
    colors = (_REMARK, _REMARK_RULE) if words.remarks else (_SOFT, _RULE)
    story += _box([_Heading(say("remarks.heading"), _H3), *remarks], *colors)
    impression = [_Heading(say("impression.heading"), _H3), *_items(words.impression, _LARGE)]
    story += _box(impression + _comment(say("impression.comment"), words.comment), _WHITE, _BEST)
    story += [*_summary(words, pictures, texts), *_overview(words, texts)]
    known: set[str] = set()
    for disk in words.disks:
        story += _disk(disk, pictures, texts, "" if disk.caption in known else disk.caption)
        known |= {disk.caption} if disk.key in pictures else set()
    return story + _provenance(document, words, pictures, texts)


def _summary(words: Wording, pictures: Mapping[str, bytes], texts: Texts) -> list[Flowable]:
    """The mid-sagittal image beside what is said of each level."""
    say = texts.say
    left_width = 76 * mm
    right_width = _WIDTH - left_width - _GAP
    left = [
        _Heading(say("pictures.middle_heading"), _H2),
        *_figure(pictures.get("sagittal"), left_width, words.sagittal_caption, say),
    ]
    right = [
        _Heading(say("level.heading"), _H2),
        *_items([disk.sentence for disk in words.disks]),
        *(_paragraph(sentence, _BODY) for sentence in words.measurements),
        _Heading(say("technique.heading"), _H2),
        _paragraph(say("join.sentences").join(words.technique), _BODY),
    ]
    return [Spacer(0, 3 * mm), _side_by_side(left, right, left_width, right_width)]


def _side_by_side(left: list[Flowable], right: list[Flowable], left_width: float, right_width: float) -> Table:
    sides = [("RIGHTPADDING", (0, 0), (0, 0), _GAP), ("RIGHTPADDING", (1, 0), (1, 0), 0)]
    return _table([[left, right]], [left_width + _GAP, right_width], (0, 0), style=sides)


def _figure(png: bytes | None, width: float, caption: str, say: Any, highest: float = 95 * mm) -> list[Flowable]:
    if png is None:
        return [_paragraph(say("pictures.none"), _SMALL)]
    picture = Image(io.BytesIO(png))
    scale = min(width / picture.imageWidth, highest / picture.imageHeight)
    picture.drawWidth, picture.drawHeight = scale * picture.imageWidth, scale * picture.imageHeight
    picture.hAlign = "LEFT"
    return [picture, Spacer(0, 1 * mm), *([_paragraph(caption, _SMALL)] if caption else [])]


def _overview(words: Wording, texts: Texts) -> list[Flowable]:
    say = texts.say
    widths = [20 * mm, 46 * mm, *[(_WIDTH - 66 * mm) / 3] * 3]
    names = [say("overview.level"), say("overview.finding"), *(say(f"findings.{name}") for name in FINDINGS)]
    rows: list[list[Any]] = [[_paragraph(name, _HEAD) for name in names]]
    style: list[tuple[Any, ...]] = [("LINEBELOW", (0, 0), (-1, -1), 0.5, _RULE)]
    for number, disk in enumerate(words.disks, start=1):
        row: list[Any] = [_paragraph(disk.level, _STRONG), _finding(disk, texts)]
        if disk.bars:
            row += [_Share(bar, widths[2] - 6 * mm) for bar in disk.bars]
        else:
            row += [_paragraph(say("join.sentences").join(disk.remarks), _SMALL), "", ""]
            style.append(("SPAN", (2, number), (4, number)))
        rows.append(row)
    table = _table(rows, widths, (2.5, 2.5), True, style)
    heading = _Heading(say("overview.heading"), _H2)
    return [KeepTogether([heading, table, Spacer(0, 1.5 * mm), _paragraph(say("join.sentences").join(words.terms), _SMALL)])]


def _finding(disk: DiskWords, texts: Texts) -> list[Flowable]:
    said: list[Flowable] = [_paragraph(f"{disk.mark}  {disk.finding}", _style("finding", fontName=BOLD))]
    if disk.changed:
        said.append(_paragraph(texts.say("overview.reader"), _SMALL))
    return said


def _disk(disk: DiskWords, pictures: Mapping[str, bytes], texts: Texts, caption: str) -> list[Flowable]:
    """A disk with its picture; a caption that stands under an earlier one is not repeated."""
    heading = _Heading(f"{disk.heading}   {disk.mark} {disk.finding}", _H2)
    comment = _comment(texts.say("review.comment"), disk.comment)
    png = pictures.get(disk.key)
    if png is None:
        return [
            KeepTogether(
                [
                    heading, *_about_disk(disk, _WIDTH / 2, texts), *_facts(disk, texts),
                    _paragraph(texts.say("pictures.none"), _SMALL),
                ]
            ),
            *comment,
        ]  # fmt: skip
    left_width = (112 if disk.wide else 62) * mm
    right_width = _WIDTH - left_width - _GAP
    figure = _figure(png, left_width, caption, texts.say)
    about, facts = _about_disk(disk, right_width, texts), _facts(disk, texts)
    if not disk.wide:
        about, facts = [*about, *facts], []  # there is room beside a narrow picture
    body = _side_by_side(figure, about, left_width, right_width)
    half = (len(facts) + 1) // 2
    below = [_side_by_side(facts[:half], facts[half:], (_WIDTH - _GAP) / 2, (_WIDTH - _GAP) / 2)] if facts else []
    return [KeepTogether([heading, body, *below]), *comment]


def _about_disk(disk: DiskWords, width: float, texts: Texts) -> list[Flowable]:
    """What is said of a disk, probabilities as bars."""
    said: list[Flowable] = [_paragraph(sentence, _STRONG) for sentence in disk.person]
    if disk.bars:
        label = max(stringWidth(bar.label, BOLD, 8) for bar in disk.bars) + 5
        rows = [
            [_paragraph(bar.label, _BEST_CELL if bar.best else _CELL), _Share(bar, width - label, True)] for bar in disk.bars
        ]
        bars = _table(rows, [label, width - label], (0.5, 1.5), True, [("RIGHTPADDING", (0, 0), (-1, -1), 0)])
        said += [_paragraph(texts.say("disk.probabilities"), _H3), bars, Spacer(0, 1.5 * mm)]
    said.append(_paragraph(disk.explanation, _BODY))
    if disk.remarks:
        edge = [("LEFTPADDING", (0, 0), (-1, -1), 6), ("LINEBEFORE", (0, 0), (0, -1), 2.5, _REMARK_RULE)]
        style = [("BACKGROUND", (0, 0), (-1, -1), _REMARK), *edge]
        said.append(_table([[_items(disk.remarks, _REMARK_ITEM)]], [width], (2, 2), style=style))
    return said


def _facts(disk: DiskWords, texts: Texts) -> list[Flowable]:
    """Measures of a disk, one a line."""
    return [_paragraph(texts.say("join.label", label=name, text=value), _SMALL) for name, value in disk.facts]


def _provenance(document: Mapping[str, Any], words: Wording, pictures: Mapping[str, bytes], texts: Texts) -> list[Flowable]:
    """The series that were read, every axial slice, and the model."""
    say = texts.say
    columns = [say(f"series.{name}") for name in ("plane", "description", "weighting", "slices", "stacks", "reason")]
    rows = [[_paragraph(column, _HEAD) for column in columns]]
    rows += [[_paragraph(cell, _CELL) for cell in (*row, *[""] * (len(columns) - len(row)))] for row in words.series]
    widths = [18 * mm, 42 * mm, 24 * mm, 13 * mm, 13 * mm, _WIDTH - 110 * mm]
    table = _table(rows, widths, (3, 3), style=[("LINEBELOW", (0, 0), (-1, -1), 0.5, _RULE)])
    story: list[Flowable] = [_Heading(say("series.heading"), _H2), table]
    model = document["model"]
    lines = [say("join.label", label=say("model.version"), text=model["version"]), say("model.weights")]
    lines += [say("join.label", label=name, text=value) for name, value in model["weights_sha256"].items()]
    about: list[Flowable] = [_Heading(say("model.heading"), _H2), *(_paragraph(line, _SMALL) for line in lines)]
    if "axial_slices" not in pictures:
        return [*story, KeepTogether(about)]
    width = 62 * mm
    figure = [Spacer(0, 4 * mm), *_figure(pictures["axial_slices"], width, words.slices_caption, say)]
    return [*story, _side_by_side(figure, about, width, _WIDTH - width - _GAP)]
