"""The pictures of a report that the documents show: page, PDF in two languages, Secondary Captures of the sample study.

Reads the study with the shipped weights; needs Chromium (Debian package chromium; ``playwright`` of requirements-dev.txt)
and pdftoppm (poppler-utils).

python -m scripts.report_pictures
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import fire
import numpy as np
from PIL import Image
from pydicom import dcmread

from bundle.report.exports import DOCUMENT, PAGE, regenerate

_ROOT = Path(__file__).resolve().parent.parent
_PAGE_PX = (1000, 1200)
_PDF_DPI, _GREY, _GAP_PX = 68, "#969696", 10
#: (language, pages) of the PDFs that are shown.
_PAGES = (("en", (1, 2)), ("zh", (1,)))
_CAPTURES = ("sc-sagittal.dcm", "sc-L4-L5.dcm")
_CAPTURE_PX = 420


def main(output_dir: str = str(_ROOT / "docs"), study: str = str(_ROOT / "docs" / "sample-study"), **settings: str) -> None:
    """Write ``report.png``, ``report-pdf.png`` and ``report-sc.png``.

    Args:
        output_dir: gets the pictures.
        study: what is read.
        settings: more of configs/inference.yaml, such as ``--disk_weights FILE``.
    """
    output = Path(output_dir)
    with tempfile.TemporaryDirectory() as temporary:
        report = _read(Path(study), Path(temporary), settings)
        _page(report / PAGE).save(output / "report.png", optimize=True)
        captures = [_capture(report / "dicom" / name) for name in _CAPTURES]
        _beside(captures, "white", 0).save(output / "report-sc.png", optimize=True)
        document = json.loads((report / DOCUMENT).read_text(encoding="utf-8"))
        pages: list[Image.Image] = []
        for language, wanted in _PAGES:
            regenerate(report, document, ["pdf"], language)
            pages += [_pdf_page(report / "report.pdf", number) for number in wanted]
        _beside(pages, _GREY, _GAP_PX).quantize(64).save(output / "report-pdf.png", optimize=True)


def _read(study: Path, folder: Path, settings: dict[str, str]) -> Path:
    """The folder of the study's report."""
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", "configs/inference.yaml"]
    for key, value in {"studies": str(study), "output_dir": str(folder), "progress": "false", **settings}.items():
        command += [f"--{key}", str(value)]
    subprocess.run(command, cwd=_ROOT, check=True)
    return folder / study.name


def _page(path: Path) -> Image.Image:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": _PAGE_PX[0], "height": _PAGE_PX[1]}, color_scheme="light")
        page.goto(path.as_uri())
        end = page.locator(".summary").evaluate("(part) => part.getBoundingClientRect().bottom")  # before the single disks
        png = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": _PAGE_PX[0], "height": end + 8})
        browser.close()
    return Image.open(io.BytesIO(png)).convert("RGB")


def _pdf_page(path: Path, number: int) -> Image.Image:
    command = ["pdftoppm", "-r", str(_PDF_DPI), "-f", str(number), "-l", str(number), "-png", str(path)]
    return Image.open(io.BytesIO(subprocess.run(command, check=True, capture_output=True).stdout)).convert("RGB")


def _capture(path: Path) -> Image.Image:
    picture = Image.fromarray(np.asarray(dcmread(path).pixel_array))
    return picture.resize((round(_CAPTURE_PX * picture.width / picture.height), _CAPTURE_PX), Image.Resampling.LANCZOS)


def _beside(pictures: Sequence[Image.Image], background: str, edge_px: int) -> Image.Image:
    """Pictures in a row, ``_GAP_PX`` apart, within an edge."""
    width = sum(p.width for p in pictures) + _GAP_PX * (len(pictures) - 1) + 2 * edge_px
    row = Image.new("RGB", (width, max(p.height for p in pictures) + 2 * edge_px), background)
    x = edge_px
    for picture in pictures:
        row.paste(picture, (x, edge_px))
        x += picture.width + _GAP_PX
    return row


if __name__ == "__main__":
    fire.Fire(main)
