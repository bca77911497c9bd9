"""The page in a real Chromium, and what the tests look at in it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

CHROMIUM = Path("/usr/bin/chromium")
ORTHANC_FILES = (Path("/usr/sbin/Orthanc"), Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"))
_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium (Debian package chromium); the test is skipped where it is not installed."""
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(_ARGUMENTS))
        yield browser
        browser.close()


class Tab:
    """A page of the browser, with the ways of a person around it, and what went wrong in it.

    Args:
        browser: see ``chromium``.
        url: of the server.
        options: of the browser's context, such as ``color_scheme``.
    """

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1366, "height": 768}, **options})
        self.page = self.context.new_page()
        self.url = url
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def list(self) -> None:
        """Show the work list."""
        self.page.goto(f"{self.url}/#/")
        self.page.wait_for_selector("[data-total]")

    def study(self, study: str, views: Sequence[str] = ("sagittal", "axial")) -> None:
        """Show a study, and wait for the images of ``views``."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.url}/#/study/{study}")
        for view in views:
            self.page.wait_for_selector(f"[data-view={view}][data-index]")
        self.settle()

    def settle(self) -> None:
        """Wait until what is shown has not changed for a while."""
        self.page.evaluate(
            """() => new Promise((resolve) => {
                let timer = setTimeout(resolve, 150);
                new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(resolve, 150); })
                    .observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
            })"""
        )

    def tab_to(self, selector: str) -> None:
        """Go by the Tab key alone to what a selector names; where the focus then is must be seen."""
        for _ in range(150):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                break
        else:
            raise AssertionError(f"Tab does not reach {selector}")
        assert self.focus_is_seen(), selector

    def focus_is_seen(self) -> bool:
        """Whether what has the focus is outlined."""
        outlined: bool = self.page.evaluate(
            """() => {
                const style = getComputedStyle(document.activeElement);
                return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
            }"""
        )
        return outlined

    def not_reached_by_tab(self) -> list[str]:
        """Walks once around the page by Tab, with a visible focus at each step; what can be pressed and was not reached."""
        self.page.evaluate("document.activeElement.blur()")
        reached = set()
        for _ in range(150):
            self.page.keyboard.press("Tab")
            number = self.page.evaluate(
                """() => {
                    const at = document.activeElement;
                    if (at === document.body) return null;
                    return at.dataset.number ??= String(document.querySelectorAll('[data-number]').length);
                }"""
            )
            if number is None or number in reached:
                break
            assert self.focus_is_seen()
            reached.add(number)
        unreached: list[str] = self.page.evaluate(
            """() => [...document.querySelectorAll(
                    'a[href], button:not(:disabled), select, textarea, summary, input, [tabindex="0"]')]
                .filter((one) => one.dataset.number === undefined && one.offsetParent !== null
                                 && !(one.type === 'radio' && !one.checked) && one.tabIndex >= 0)
                .map((one) => one.outerHTML.slice(0, 120))"""
        )
        return unreached

    def view(self, name: str) -> dict[str, str]:
        """What a viewport shows: ``sop``, ``index``, ``window``, ``zoom``."""
        shown: dict[str, str] = self.page.eval_on_selector(f"[data-view={name}]", "(viewport) => ({...viewport.dataset})")
        return shown

    def scroll_to(self, name: str, index: int) -> None:
        """Bring a slice into a viewport by its slider."""
        self.page.locator(f"[data-view={name}] .slider").fill(str(index + 1))
        self.page.wait_for_selector(f"[data-view={name}][data-index='{index}']")
        self.settle()

    def line(self, name: str) -> dict[str, Any] | None:
        """The reference line in a viewport: UID of the slice that it stands for, its ends in image and in screen pixels."""
        line: dict[str, Any] | None = self.page.evaluate(
            """(name) => {
                const line = document.querySelector(`[data-view=${name}] line.line:not(.faint)`);
                if (!line) return null;
                const at = (key) => Number(line.getAttribute(key));
                const px = line.dataset.px.split(' ').map(Number);
                return { sop: line.dataset.sop, px: [px.slice(0, 2), px.slice(2)],
                         screen: [[at('x1'), at('y1')], [at('x2'), at('y2')]] };
            }""",
            name,
        )
        return line

    def picture(self, name: str) -> NDArray[np.float64]:
        """(rows, columns) what is on the screen of a viewport, gray values."""
        from PIL import Image

        shot = self.page.locator(f"[data-view={name}] .screen").screenshot()
        return np.asarray(Image.open(io.BytesIO(shot)).convert("L"), dtype=np.float64)

    def download(self, selector: str, folder: Path) -> Path:
        """What a click downloads."""
        with self.page.expect_download() as waiting:
            self.page.click(selector)
        target = folder / waiting.value.suggested_filename
        waiting.value.save_as(target)
        return target

    def violations(self, place: str) -> list[str]:
        """Serious and critical violations that axe-core finds, each with its place."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page, options={"resultTypes": ["violations"]}).response["violations"]
        return [
            f"{place}: {violation['id']}: {node['html'][:200]}"
            for violation in found
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"]
        ]


class Slice:
    """Where a DICOM image lies, from its headers alone.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        dataset = dcmread(path)
        self.sop = str(dataset.SOPInstanceUID)
        self.series = str(dataset.SeriesDescription)
        self.pixels = dataset.pixel_array.astype(np.float64)
        self.origin = np.array(dataset.ImagePositionPatient, dtype=np.float64)
        self.row, self.column = np.array(dataset.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
        self.down_mm, self.along_mm = (float(value) for value in dataset.PixelSpacing)
        self.normal = np.cross(self.row, self.column)

    def patient(self, pixel: NDArray[np.float64]) -> NDArray[np.float64]:
        """(3,) LPS mm of a pixel [column, row]."""
        place: NDArray[np.float64] = (
            self.origin + pixel[0] * self.along_mm * self.row + pixel[1] * self.down_mm * self.column
        )
        return place

    def distance_mm(self, point: NDArray[np.float64]) -> float:
        """Of a point from the plane."""
        return float((point - self.origin) @ self.normal)

    def outside_px(self, point: NDArray[np.float64]) -> float:
        """How many pixels a point of the plane lies outside of the image; negative within."""
        column = (point - self.origin) @ self.row / self.along_mm
        row = (point - self.origin) @ self.column / self.down_mm
        rows, columns = self.pixels.shape
        return max(-0.5 - column, column - (columns - 0.5), -0.5 - row, row - (rows - 0.5))
