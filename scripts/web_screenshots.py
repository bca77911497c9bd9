"""Pictures of the page: work list, reading view, dialogs and report, on digital patients only.

Starts a server of its own on an empty folder, has it read a few phantoms, and looks at it with Chromium (Debian package
chromium; ``playwright`` of requirements-dev.txt).

python -m scripts.web_screenshots --output_dir shots
python -m scripts.web_screenshots --output_dir shots --widths 1366 --languages en,zh --study ../shared/data/hitachi-study
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fire

from bundle.phantom.anatomy import sample_spine
from bundle.phantom.dicom import write_study

_ROOT = Path(__file__).resolve().parent.parent
_HEIGHTS_PX = {800: 1100, 1366: 768, 2560: 1440}
_READ_MS = 1_200_000
_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
_DIALOGS = {"sign": 0, "export": 1}  # by the buttons under the findings
#: So that the fetch dialog can be opened; nothing is asked of it.
_ARCHIVE = [{"name": "archive", "dicomweb": "http://127.0.0.1:8042/dicom-web"}]


def main(
    output_dir: str,
    widths: Sequence[int] | int = (1366, 2560),
    schemes: Sequence[str] | str = ("light", "dark"),
    languages: Sequence[str] | str = "en",
    study: str = str(_ROOT / "docs" / "sample-study"),
    chromium: str = "/usr/bin/chromium",
    **settings: Any,
) -> None:
    """Take the pictures.

    Args:
        output_dir: gets ``list``, ``reading``, ``report`` and the dialogs as PNG, by width, appearance and language.
        widths: of the window in pixels.
        schemes: ``light``, ``dark``.
        languages: of the page.
        study: folder that the reading view shows.
        chromium: the browser.
        settings: of the server, such as ``--inference_config configs/inference.yaml`` (no heat maps, which take time).
    """
    from playwright.sync_api import sync_playwright

    output = Path(output_dir)
    output.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        _server(Path(temporary), {"servers": _ARCHIVE, **settings}) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_ARGUMENTS))
        shown, signed = _fill(browser, url, Path(study), Path(temporary))
        for language in _several(languages):
            for width in _several(widths):
                for scheme in _several(schemes):
                    context = browser.new_context(
                        viewport={"width": width, "height": _HEIGHTS_PX.get(width, width * 9 // 16)}, color_scheme=scheme
                    )
                    context.add_init_script(f"localStorage.setItem('language', '{language}')")
                    _take(context.new_page(), url, (shown, signed), output, f"{width}-{scheme}-{language}")
                    context.close()
        browser.close()


def _several(value: Any) -> Sequence[Any]:
    return value.split(",") if isinstance(value, str) else value if isinstance(value, Sequence) else (value,)


@contextmanager
def _server(folder: Path, settings: dict[str, Any]) -> Iterator[str]:
    """The page on a free port of loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "scripts.web", "--port", str(port), "--data_dir", str(folder / "data")]
    command += [f"--{key}={value}" for key, value in settings.items()]
    with subprocess.Popen(command, cwd=_ROOT, env={**os.environ, "PYTHONWARNINGS": "ignore"}) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _fill(browser: Any, url: str, study: Path, folder: Path) -> tuple[str, str]:
    """Upload studies, one of which cannot be read, and sign one; the ids of the study to show and of the signed one."""
    page = browser.new_page()
    for _ in range(100):
        try:
            page.goto(url)
            break
        except Exception:
            page.wait_for_timeout(200)
    page.wait_for_selector("[data-total]")
    unreadable = folder / "unreadable"  # a localizer alone, in place of a study
    write_study(unreadable, sample_spine(84), 84)
    for series in unreadable.iterdir():
        if series.is_dir() and "localizer" not in series.name:
            shutil.rmtree(series)
    sources = [unreadable]
    for seed in (81, 82, 83):
        sources.append(folder / f"phantom-{seed}")
        write_study(sources[-1], sample_spine(seed), seed)
    sources.append(study)
    for number, source in enumerate(sources, start=1):
        page.set_input_files("[data-pick=folder]", source)
        page.locator(".messages li.good, .messages li.bad").nth(number - 1).wait_for()
    settled = "tr:is([data-state=read], [data-state=failed])"
    page.locator(settled).nth(len(sources) - 1).wait_for(timeout=_READ_MS)
    ids = page.locator("tr[data-study]").evaluate_all("(rows) => rows.map((row) => row.dataset.study)")
    signed = page.locator("tr[data-state=read]").last.get_attribute("data-study")
    _sign(page, url, signed)
    return ids[0], signed


def _sign(page: Any, url: str, study: str) -> None:
    _open(page, url, study)
    page.fill(".reader input", "Dr. A. Reader")
    page.keyboard.press("Escape")
    for key in ("1", "n", "4", "b", "5", "h"):
        page.keyboard.press(key)
    page.fill("article.open textarea", "Left paramedian.")
    page.click(".review .row button >> nth=0")
    page.check("dialog input[type=checkbox]")
    page.click("dialog button.main")
    page.wait_for_selector(".review[data-status=final]")


def _open(page: Any, url: str, study: str) -> None:
    page.goto("about:blank")
    page.goto(f"{url}/#/study/{study}")
    for view in ("sagittal", "axial"):
        page.wait_for_selector(f"[data-view={view}][data-index]")
    page.wait_for_timeout(500)


def _take(page: Any, url: str, studies: tuple[str, str], output: Path, name: str) -> None:
    def shoot(what: str, **options: Any) -> None:
        page.screenshot(path=str(output / f"{what}-{name}.png"), **options)

    page.goto(url)
    page.wait_for_selector("tr[data-study]")
    page.wait_for_timeout(300)
    shoot("list")
    page.click(".upload .zone button >> nth=2")
    page.wait_for_selector("dialog[open]")
    shoot("fetch")
    _open(page, url, studies[0])
    shoot("reading")
    if page.get_attribute("[data-tool=heat]", "aria-disabled") == "false":
        page.click("[data-tool=heat]")
        page.wait_for_selector("[data-heat]")
        page.wait_for_timeout(300)
        shoot("heat")
        page.click("[data-tool=heat]")
    for dialog, button in _DIALOGS.items():
        page.click(f".review .row button >> nth={button}")
        page.wait_for_selector("dialog[open]")
        page.wait_for_timeout(300)
        shoot(dialog)
        page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    shoot("help")
    _open(page, url, studies[1])
    shoot("signed")
    page.click(".review .row button >> nth=0")
    page.wait_for_selector("dialog[open]")
    shoot("amend")
    page.keyboard.press("Escape")
    page.click(".review .row button >> nth=2")
    page.wait_for_selector("dialog tbody tr")
    shoot("log")
    page.keyboard.press("Escape")
    page.click(".review .row button >> nth=1")
    with page.expect_download() as waiting:
        page.click("dialog [data-export=html]")
    _show(page, waiting.value)
    shoot("report")


def _show(page: Any, download: Any) -> None:
    """A report that was downloaded; a browser shows a file as a page only by its ending."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "report.html"
        download.save_as(target)
        page.goto(f"file://{target}")


if __name__ == "__main__":
    fire.Fire(main)
