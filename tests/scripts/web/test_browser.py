"""The page in a real Chromium against the real server, which reads the sample study once for all of these tests."""

from __future__ import annotations

import json
import signal
import zipfile
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from highdicom.sr import srread
from PIL import Image
from scipy.ndimage import map_coordinates

from bundle.geometry import FINDINGS
from bundle.phantom.acquisition import Acquisition
from bundle.phantom.dicom import write_series
from bundle.phantom.negatives import HeadPatient
from bundle.phantom.sequences import Sequence
from bundle.phantom.study import SeriesPlan, sagittal_planes
from bundle.report import coding
from scripts.peers import send
from scripts.settings import Server
from tests.report.orthanc import orthanc
from tests.scripts.web.browsing import ORTHANC_FILES, Slice, Tab, chromium
from tests.scripts.web.serving import Page, copy_of, finished, upload, zipped

_WAIT_READING_MS = 120_000
_KEYS = {"normal": "n", "bulge": "b", "herniation": "h"}


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def archive_url(tmp_path_factory):
    """DICOMweb address of an Orthanc; None where it is not installed."""
    if not all(path.exists() for path in ORTHANC_FILES):
        yield None
        return
    with orthanc(tmp_path_factory.mktemp("orthanc")) as url:
        yield url


@pytest.fixture(scope="module")
def server(root, tmp_path_factory, browser, archive_url):
    settings = {
        "servers": [{"name": "archive", "dicomweb": archive_url}] if archive_url else [],
        "inference_config": "configs/inference.yaml",  # without heat maps, which take longer than all the rest
    }
    page = Page(root, tmp_path_factory.mktemp("web") / "data", settings).start()
    yield page
    page.stop(signal.SIGTERM)


@pytest.fixture
def archive_server(archive_url):
    if archive_url is None:
        pytest.skip("Orthanc is not installed (see .ci/run)")
    return Server(name="archive", dicomweb=archive_url)


@pytest.fixture(scope="module")
def archive(sample_study, tmp_path_factory):
    path = tmp_path_factory.mktemp("upload") / "sample-study.zip"
    path.write_bytes(zipped(sample_study))
    return path


@pytest.fixture(scope="module")
def slices(sample_study):
    return {one.sop: one for one in map(Slice, sorted(sample_study.rglob("*.dcm")))}


@pytest.fixture
def tab(browser, server):
    """A fresh tab; nothing may have gone wrong in it, and it may have asked nobody but the server."""
    opened = Tab(browser, server.url)
    yield opened
    opened.context.close()
    assert not opened.errors
    assert [url for url in opened.requests if not url.startswith((server.url, "blob:", "data:"))] == []


@pytest.fixture(scope="module")
def reading(browser, server, archive):
    """The sample study, uploaded as a zip on the page, and what the page showed until it was read."""
    tab = Tab(browser, server.url)
    tab.list()
    tab.page.evaluate(
        """() => {
            window.seen = { states: [], said: [], steps: [] };
            const look = () => {
                const row = document.querySelector('tr[data-study]');
                const said = document.querySelector('[role=status].unseen').textContent;
                const step = row?.querySelector('progress + .quiet')?.textContent;
                const put = (list, value) => value && list.at(-1) !== value && list.push(value);
                put(window.seen.states, row?.dataset.state);
                put(window.seen.said, said);
                put(window.seen.steps, step);
            };
            new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true,
                                                                characterData: true });
        }"""
    )
    tab.page.set_input_files("[data-pick=files]", archive)
    tab.page.wait_for_selector("tr[data-state=read]", timeout=_WAIT_READING_MS)
    tab.settle()
    seen = tab.page.evaluate("window.seen")
    study = tab.page.get_attribute("tr[data-study]", "data-study")
    message = tab.page.inner_text(".upload .messages li")
    assert not tab.errors
    tab.context.close()
    return {"study": study, "message": message, **seen}


@pytest.fixture
def view(tab, reading):
    """The reading view of the sample study."""
    tab.study(reading["study"])
    return tab


def _texts(item):
    """Every text of an SR document."""
    found = [str(item.TextValue)] if "TextValue" in item else []
    for part in item.get("ContentSequence", []):
        found += _texts(part)
    return found


def report_of(server, study):
    with server.client() as client:
        return client.get(f"/api/studies/{study}/report").json()


def test_an_uploaded_zip_is_read_with_its_steps_shown_and_said(reading):
    assert "added" in reading["message"]
    assert reading["states"][-2:] == ["reading", "read"]
    assert "Vertebrae" in reading["steps"]
    assert any("ready to review" in text for text in reading["said"])


def test_a_study_uploaded_twice_is_recognised(tab, reading, archive):
    tab.list()
    tab.page.set_input_files("[data-pick=files]", archive)
    tab.page.wait_for_selector(".messages li.good")
    assert "already here" in tab.page.inner_text(".messages li.good")
    assert tab.page.locator("tr[data-study]").count() == 1


_REFUSALS = {
    "broken.zip": "The zip archive is damaged or cut off: make it anew.",
    "bomb.zip": "The zip archive unpacks to far more than any images would. Nothing of it was taken.",
    "paths.zip": "The zip archive holds paths that lead out of it. Nothing of it was taken.",
    "notes.txt": "No DICOM, NIfTI, PNG or JPG image in it (1 file of another kind).",
}


@pytest.fixture
def bad_uploads(archive, tmp_path):
    """Files that nobody should send."""
    (tmp_path / "broken.zip").write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    for name, member, content in (("bomb.zip", "image.dcm", bytes(100 << 20)), ("paths.zip", "../../image.dcm", b"DICM")):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as opened:
            opened.writestr(member, content)
    (tmp_path / "notes.txt").write_bytes(b"no image")
    return [tmp_path / name for name in _REFUSALS]


def test_bad_uploads_are_refused_each_with_a_clear_message_and_the_work_list_stays(tab, reading, bad_uploads):
    tab.list()
    tab.page.set_input_files("[data-pick=files]", bad_uploads)
    tab.page.locator(".messages li.bad").nth(len(bad_uploads) - 1).wait_for()
    messages = tab.page.locator(".messages li").all_inner_texts()
    assert dict(message.split(": ", 1) for message in messages) == _REFUSALS
    tab.page.reload()
    tab.page.wait_for_selector("[data-total='1']")
    assert tab.page.get_attribute("tr[data-study]", "data-state") == "read"
    tab.errors = [error for error in tab.errors if "status of 4" not in error]  # the browser notes every refusal


@pytest.fixture
def head(tmp_path):
    """Folder of a study of a head."""
    planes = sagittal_planes(np.zeros(3), 5, 5.0, 240.0, 160)
    plan = SeriesPlan("t2_sag", Sequence("T2", 4000.0, 100.0), planes, Acquisition())
    write_series(tmp_path / "head", HeadPatient(3), [plan], "head")
    return tmp_path / "head"


def test_a_study_without_a_spine_says_so_in_the_work_list(tab, reading, server, head):
    tab.list()
    tab.page.set_input_files("[data-pick=folder]", head)
    row = f"tr[data-state=read]:not([data-study='{reading['study']}'])"
    tab.page.wait_for_selector(row, timeout=_WAIT_READING_MS)
    told = "No lumbar spine was found in the sagittal images: no disk could be judged."
    assert told in tab.page.inner_text(f"{row} td:first-child")
    added = tab.page.get_attribute(row, "data-study")
    tab.study(added, views=["sagittal"])
    assert told in tab.page.inner_text(".remarks")
    with server.client() as client:
        client.delete(f"/api/studies/{added}")


def test_a_dropped_folder_is_taken_with_its_subfolders(tab, reading, sample_study):
    tab.list()
    devtools = tab.context.new_cdp_session(tab.page)
    dropped = {"items": [], "files": [str(sample_study)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 500, "data": dropped})
    tab.page.wait_for_selector(".upload.over")
    devtools.send("Input.dispatchDragEvent", {"type": "drop", "x": 600, "y": 500, "data": dropped})
    tab.page.wait_for_selector(".messages li.good")
    # The very files of the zip: all of them came, from each subfolder.
    assert "already here" in tab.page.inner_text(".messages li.good")


def test_the_work_list_is_searched(tab, reading):
    tab.list()
    tab.page.fill("input[type=search]", "phantom 2000-01-01")
    tab.page.wait_for_selector("[data-total='1']")
    tab.page.fill("input[type=search]", "nobody")
    tab.page.wait_for_selector("[data-total='0']")
    assert "No study matches" in tab.page.inner_text("main")


def test_the_wheel_the_keys_and_the_slider_scroll(view):
    start = int(view.view("axial")["index"])
    view.page.hover("[data-view=axial] .image")
    view.page.mouse.wheel(0, 100)
    view.page.wait_for_selector(f"[data-view=axial][data-index='{start + 1}']")
    view.page.focus("[data-view=axial] .screen")
    view.page.keyboard.press("ArrowUp")
    view.page.keyboard.press("ArrowUp")
    view.page.wait_for_selector(f"[data-view=axial][data-index='{start - 1}']")
    view.page.keyboard.press("End")
    view.page.wait_for_selector("[data-view=axial][data-index='17']")
    view.scroll_to("axial", 3)
    assert view.view("axial")["index"] == "3"


@pytest.mark.parametrize(("shown", "other"), [("sagittal", "axial"), ("axial", "sagittal")])
def test_reference_lines_follow_the_scroll_and_lie_where_the_slices_cut_each_other(view, slices, shown, other):
    count = int(view.page.get_attribute(f"[data-view={other}] .slider", "max"))
    for index in range(count):
        view.scroll_to(other, index)
        here, there = slices[view.view(shown)["sop"]], slices[view.view(other)["sop"]]
        line = view.line(shown)
        assert line is not None
        assert line["sop"] == there.sop
        ends = np.array(line["px"])
        points = [here.patient(end) for end in ends]
        # Both ends lie in both planes, and within both images ...
        assert [abs(there.distance_mm(point)) for point in points] == pytest.approx([0, 0], abs=0.01)
        assert all(max(here.outside_px(point), there.outside_px(point)) < 0.01 for point in points)
        # ... and the line is as long as it can be: a pixel farther is outside of one of them.
        step = (points[1] - points[0]) / np.linalg.norm(points[1] - points[0])
        beyond = [points[0] - step, points[1] + step]
        assert all(max(here.outside_px(point), there.outside_px(point)) > 0 for point in beyond)


def test_what_lies_over_the_image_lies_where_the_image_is(view, slices):
    line = view.line("sagittal")
    (c1, r1), (c2, _) = line["px"]
    (x1, y1), (x2, _) = line["screen"]
    scale = (x2 - x1) / (c2 - c1)
    box = view.page.locator("[data-view=sagittal] .screen").bounding_box()
    for key in ("o", "l"):  # nothing but the image
        view.page.keyboard.press(key)
    view.settle()
    shown = view.picture("sagittal")
    stored = slices[view.view("sagittal")["sop"]].pixels
    rows, columns = np.mgrid[40:220:2, 60:200:2]
    # A screenshot begins at a whole pixel, and a screen pixel's centre is half a pixel from its corner.
    x = x1 + (columns - c1) * scale + box["x"] % 1 - 0.5
    y = y1 + (rows - r1) * scale + box["y"] % 1 - 0.5

    def likeness(right_px, down_px):
        places = [y + down_px * scale, x + right_px * scale]
        return np.corrcoef(map_coordinates(shown, places, order=1).ravel(), stored[rows, columns].ravel())[0, 1]

    right = likeness(0, 0)
    assert right > 0.98
    assert all(likeness(*by) < right for by in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)))


def test_a_disk_of_the_list_and_of_the_image_goes_to_its_slices(view, server, reading):
    disks = {disk["level"]: disk for disk in report_of(server, reading["study"])["document"]["disks"]}

    def at(level):
        disk = disks[level]
        view.page.wait_for_selector(f"[data-view=axial][data-sop='{disk['axial_sop_instance_uids'][0]}']")
        view.page.wait_for_selector(f"[data-view=sagittal][data-sop='{disk['rois']['sagittal']['sop_instance_uid']}']")
        view.page.wait_for_selector(f"[data-view=axial] [data-roi='{level}'].selected")

    view.page.click("[data-disk='L5-S1'] h3 button")
    at("L5-S1")
    view.page.keyboard.press("2")
    at("L2-L3")
    box = view.page.locator("[data-view=sagittal] text[data-disk='L4-L5']").bounding_box()
    view.page.mouse.click(box["x"] + box["width"] + 20, box["y"] + box["height"] / 2)
    at("L4-L5")


def test_window_zoom_and_pan_by_mouse_and_keys(view):
    before = view.view("axial")
    box = view.page.locator("[data-view=axial] .image").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(button):
        view.page.mouse.move(x, y)
        view.page.mouse.down(button=button)
        view.page.mouse.move(x + 40, y + 60, steps=4)
        view.page.mouse.up(button=button)
        view.settle()

    drag("left")
    changed = view.view("axial")["window"]
    assert changed != before["window"]
    view.scroll_to("axial", 12)
    assert view.view("axial")["window"] == changed  # kept from slice to slice
    drag("right")
    assert view.view("axial")["zoom"] != before["zoom"]
    placed = view.line("axial")["screen"]
    drag("middle")
    assert view.line("axial")["screen"] != placed
    view.page.keyboard.press("r")
    view.settle()
    assert {key: view.view("axial")[key] for key in ("zoom", "window")} == {key: before[key] for key in ("zoom", "window")}
    view.page.keyboard.press("+")
    view.page.keyboard.press("]")
    view.settle()
    assert int(view.view("axial")["zoom"]) > int(before["zoom"])
    assert int(view.view("axial")["window"].split("/")[0]) > int(before["window"].split("/")[0])


def test_boxes_carry_the_levels_of_the_report(view, server, reading):
    document = report_of(server, reading["study"])["document"]
    sop = view.view("sagittal")["sop"]
    expected = {v["level"] for v in document["vertebrae"] if any(box["sop_instance_uid"] == sop for box in v["boxes"])}
    shown = view.page.locator("[data-view=sagittal] .vertebra text").all_text_contents()
    assert set(shown) == expected
    view.page.keyboard.press("o")
    view.settle()
    assert view.page.locator("[data-view=sagittal] .vertebra").count() == 0


@pytest.fixture
def report_folder(server, reading):
    """The folder of the report's pictures without its heat maps, which come back."""
    folder = next(server.data_dir.rglob("disk_L4-L5.png")).parent
    kept = {path: path.read_bytes() for path in folder.glob("heat_*.png")}
    for path in kept:
        path.unlink()
    yield folder
    for path, content in kept.items():
        path.write_bytes(content)


def test_a_report_without_heat_maps_says_so(tab, reading, report_folder):
    tab.study(reading["study"])
    button = tab.page.locator("[data-tool=heat]")
    assert button.get_attribute("aria-disabled") == "true"
    assert "no heat maps" in tab.page.locator(f"#{button.get_attribute('aria-describedby')}").text_content()


def test_heat_maps_lie_over_the_square_that_was_judged(tab, reading, report_folder):
    heat_map = report_folder / "heat_L4-L5_axial.png"
    Image.new("RGBA", (64, 64), (255, 0, 0, 255)).save(heat_map)
    tab.study(reading["study"])
    tab.page.keyboard.press("4")
    tab.page.keyboard.press("m")
    tab.page.wait_for_selector("[data-heat='L4-L5']")
    heat = tab.page.locator("[data-heat='L4-L5']").bounding_box()
    square = tab.page.locator("[data-view=axial] [data-roi='L4-L5']").bounding_box()
    middles = [[box["x"] + box["width"] / 2, box["y"] + box["height"] / 2] for box in (heat, square)]
    assert middles[0] == pytest.approx(middles[1], abs=0.5)
    assert heat["width"] == pytest.approx(square["width"], abs=9)  # the square's outline is counted in
    tab.tab_to("[data-tool=heat]")
    tab.page.keyboard.press("Space")
    tab.page.wait_for_selector("[data-heat='L4-L5']", state="detached")
    tab.page.keyboard.press("Space")
    tab.page.wait_for_selector("[data-heat='L4-L5']")
    heat_map.unlink()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(browser, server, reading, scheme):
    tab = Tab(browser, server.url, color_scheme=scheme)
    found = []
    tab.list()
    tab.settle()
    found += tab.violations("work list")
    tab.page.click("tr[data-study] .actions button")
    found += tab.violations("delete dialog")
    tab.study(reading["study"])
    found += tab.violations("reading view")
    for button in ("Sign …", "Export and send …", "Log …", "Help and keys"):
        tab.page.click(f"text={button}")
        tab.page.wait_for_selector("dialog[open]")
        tab.settle()
        found += tab.violations(button)
        tab.page.keyboard.press("Escape")
        tab.page.wait_for_selector("dialog", state="detached")
    tab.context.close()
    assert not found


def test_everything_in_the_reading_view_that_can_be_pressed_is_reached_by_tab_with_a_visible_focus(view):
    assert view.not_reached_by_tab() == []


@pytest.fixture
def failed(server, sample_study, tmp_path):
    """A study that cannot be read, in the work list beside the sample study; gone afterwards."""
    localizer = copy_of(sample_study, tmp_path / "study", "Failed^One") / "01_localizer"
    with server.client() as client:
        added = upload(client, ("localizer.zip", zipped(localizer))).json()["received"][0]["study"]["id"]
        assert finished(client, added)["state"] == "failed"
        yield added
        client.delete(f"/api/studies/{added}")


def test_the_work_list_is_walked_and_worked_by_the_keyboard_alone(tab, reading, failed, archive):
    choosers: list = []
    tab.page.on(
        "filechooser", lambda chooser: choosers.append(chooser)
    )  # long before it is wanted: the browser is told in its own time
    tab.list()
    tab.page.wait_for_selector(f"tr[data-study='{failed}'][data-state=failed]")
    tab.settle()
    assert tab.not_reached_by_tab() == []

    tab.tab_to(".upload .zone button:nth-of-type(2)")
    tab.page.keyboard.press("Enter")
    for _ in range(100):
        tab.page.wait_for_timeout(100)
        if choosers:
            break
    (chooser,) = choosers
    chooser.set_files(archive)
    tab.page.wait_for_selector(".messages li.good")

    tab.tab_to("input[type=search]")
    tab.page.keyboard.type("Failed")
    tab.page.wait_for_selector("[data-total='1']")
    tab.page.keyboard.press("Control+A")
    tab.page.keyboard.press("Delete")
    tab.page.wait_for_selector("[data-total='2']")
    tab.tab_to(".filter select")
    tab.page.keyboard.type("Failed")
    tab.page.wait_for_selector("[data-total='1']")
    tab.page.keyboard.press("Home")
    tab.page.wait_for_selector("[data-total='2']")

    row = f"tr[data-study='{failed}']"
    tab.tab_to(f"{row} .actions button:not(.plain)")
    # It fails again at once, sooner than the page may see that it was queued.
    with tab.page.expect_response(lambda answer: answer.url.endswith(f"/api/studies/{failed}/retry")) as answered:
        tab.page.keyboard.press("Enter")
    assert answered.value.ok
    tab.page.wait_for_selector(f"{row}[data-state=failed]", timeout=_WAIT_READING_MS)
    tab.tab_to(f"{row} .actions button.plain")
    tab.page.keyboard.press("Enter")
    tab.tab_to("dialog button.danger")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector(row, state="detached")

    tab.tab_to(f"tr[data-study='{reading['study']}'] th a")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("[data-view=axial][data-index]")


@pytest.mark.parametrize("name", ["sagittal", "axial"])
def test_each_image_is_reached_and_scrolled_by_the_keyboard(view, name):
    start = int(view.view(name)["index"])
    view.tab_to(f"[data-view={name}] .screen")
    view.page.keyboard.press("ArrowDown")
    view.page.wait_for_selector(f"[data-view={name}][data-index='{start + 1}']")
    view.tab_to(f"[data-view={name}] .slider")
    view.page.keyboard.press("ArrowLeft")
    view.page.wait_for_selector(f"[data-view={name}][data-index='{start}']")


def test_a_dialog_keeps_the_focus_and_gives_it_back(view):
    view.page.focus("text=Help and keys")
    view.page.keyboard.press("Enter")
    view.page.wait_for_selector("dialog[open]")
    for _ in range(12):
        view.page.keyboard.press("Tab")
        assert view.page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    view.page.keyboard.press("Escape")
    view.page.wait_for_selector("dialog", state="detached")
    assert view.page.evaluate("document.activeElement.textContent") == "Help and keys"


def test_single_letter_keys_can_be_switched_off(view):
    start = view.view("axial")["sop"]
    view.page.keyboard.press("?")
    view.page.click("dialog input[type=checkbox]")
    view.page.keyboard.press("Escape")
    view.page.wait_for_selector("dialog", state="detached")
    view.page.keyboard.press("5")
    view.settle()
    assert view.view("axial")["sop"] == start


def test_letters_typed_into_a_field_are_no_commands(view, server, reading):
    before = report_of(server, reading["study"])["document"]["review"]
    view.page.fill(".reader input", "")
    view.page.type(".reader input", "nbhc5")
    view.settle()
    assert report_of(server, reading["study"])["document"]["review"]["disks"] == before["disks"]


def test_the_page_speaks_chinese_and_keeps_the_choice(tab, reading):
    tab.list()
    tab.page.select_option(".switches label:first-child select", "zh")
    assert tab.page.inner_text("main h2") == "工作列表"
    tab.list()
    assert tab.page.get_attribute("html", "lang") == "zh"


def test_the_appearance_follows_the_system_or_the_switch(browser, server, reading):
    tab = Tab(browser, server.url, color_scheme="dark")
    tab.list()
    brightness = "Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"
    assert tab.page.evaluate(brightness) < 50
    tab.page.select_option(".switches label:last-child select", "light")
    tab.settle()
    assert tab.page.evaluate(brightness) > 200
    tab.context.close()


@pytest.mark.parametrize("width", [800, 1024, 1366, 2560])
def test_nothing_is_wider_than_its_place(browser, server, reading, width):
    tab = Tab(browser, server.url, viewport={"width": width, "height": width * 9 // 16})
    too_wide = """() => [document.documentElement, ...document.querySelectorAll('aside, aside > .scroll, .tools, .title')]
        .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => `${one.className} ${one.scrollWidth}`)"""
    tab.list()
    tab.settle()
    assert tab.page.evaluate(too_wide) == []
    tab.study(reading["study"])
    assert tab.page.evaluate(too_wide) == []
    assert tab.page.evaluate("document.querySelector('aside > .scroll').scrollTop") == 0  # remarks are seen first
    tab.context.close()


def test_the_page_needs_no_script_from_text_and_no_webassembly(tab, reading):
    policy = tab.page.request.get(tab.url).headers["content-security-policy"]
    assert "script-src 'self';" in policy
    tab.study(reading["study"])
    assert tab.line("sagittal")  # and the tab has seen no violation


def test_no_request_has_anything_of_the_patient_in_its_address(tab, reading, slices):
    tab.list()
    tab.page.fill("input[type=search]", "phantom")
    tab.page.wait_for_selector("[data-total='1']")
    tab.study(reading["study"])
    asked = " ".join(tab.requests).lower()
    assert "phantom" not in asked
    assert not any(sop in asked for sop in slices)


@pytest.fixture(scope="module")
def signed(browser, server, reading, tmp_path_factory):
    """The review of the sample study by the keyboard alone: findings, a name, words; then signed."""
    tab = Tab(browser, server.url)
    tab.study(reading["study"])
    press, write = tab.page.keyboard.press, tab.page.keyboard.type
    machine = report_of(server, reading["study"])["document"]["disks"][3]["finding"]
    mine = FINDINGS[(FINDINGS.index(machine) + 1) % len(FINDINGS)]
    tab.tab_to(".reader input")
    write("Dr. Ada Reader")
    tab.tab_to("[data-disk='L5-S1'] h3 button")
    press("Enter")
    tab.tab_to("[data-disk='L5-S1'] .confirm input")
    press("Space")
    tab.page.wait_for_selector("[data-disk='L5-S1'] .tick >> text=✓")
    tab.tab_to("[data-disk='L4-L5'] h3 button")
    press("Enter")
    tab.tab_to("[data-disk='L4-L5'] input[type=radio]")
    press("ArrowRight")
    tab.page.wait_for_selector(f"article[data-disk='L4-L5'][data-finding={mine}]")
    tab.tab_to("[data-disk='L4-L5'] textarea")
    write("Left, to the recess.")
    tab.tab_to("[data-vertebra=T12] select")
    write("T11")
    tab.tab_to("section[aria-labelledby=words] textarea")
    write("Compared with nothing.")
    tab.tab_to(".review button.main")
    press("Enter")
    tab.tab_to("dialog button.main")
    press("Enter")
    unticked = tab.page.inner_text("dialog .problem")
    tab.tab_to("dialog input[type=checkbox]")
    press("Space")
    tab.tab_to("dialog button.main")
    press("Enter")
    tab.page.wait_for_selector(".review[data-status=final]")
    assert not tab.errors
    tab.context.close()
    return {"study": reading["study"], "machine": machine, "mine": mine, "unticked": unticked}


def test_nothing_is_signed_without_the_tick(signed):
    assert signed["unticked"] == "Enter your name and tick the box."


def test_the_signed_report_keeps_both_readings(signed, server):
    report = report_of(server, signed["study"])
    review = report["document"]["review"]
    disk = next(disk for disk in review["disks"] if disk["level"] == "L4-L5")
    vertebra = next(vertebra for vertebra in review["vertebrae"] if vertebra["level"] == "T12")
    assert report["document"]["disks"][3]["finding"] == signed["machine"]
    assert (disk["finding"], disk["confirmed"], disk["comment"]) == (signed["mine"], True, "Left, to the recess.")
    assert [disk["level"] for disk in review["disks"] if disk["confirmed"]] == ["L4-L5", "L5-S1"]
    assert vertebra["corrected_level"] == "T11"
    assert (review["status"], review["reader"], review["comment"]) == ("final", "Dr. Ada Reader", "Compared with nothing.")


def test_a_signed_report_can_be_looked_at_but_not_changed(view, signed):
    assert view.page.locator("aside fieldset:disabled").count() == 1
    assert view.page.locator("aside textarea:enabled").count() == 0
    view.page.keyboard.press("4")
    view.page.keyboard.press(_KEYS[signed["machine"]])
    view.settle()
    assert view.page.get_attribute("article[data-disk='L4-L5']", "data-finding") == signed["mine"]


def test_the_log_shows_who_changed_what(view, signed):
    view.page.click("text=Log …")
    view.page.wait_for_selector("dialog tbody tr")
    rows = [row.split("\t") for row in view.page.locator("dialog tbody tr").all_inner_texts()]
    finding = next(row for row in rows if row[2] == "disk L4-L5 finding")
    assert finding[1] == "Dr. Ada Reader"
    assert finding[4] == signed["mine"]
    assert any(row[2] == "signed" for row in rows)


def test_the_downloaded_sr_holds_every_disk_and_the_reader_s_finding(view, signed, tmp_path):
    view.tab_to(".review .row button:nth-child(2)")
    view.page.keyboard.press("Enter")
    view.tab_to("dialog [data-export=sr]")
    with view.page.expect_download() as waiting:
        view.page.keyboard.press("Enter")
    waiting.value.save_as(tmp_path / "sr.dcm")
    report = srread(tmp_path / "sr.dcm")
    groups = report.content.get_planar_roi_measurement_groups()
    disks = {group.tracking_identifier for group in groups if group.tracking_identifier.startswith("disk ")}
    assert disks == {f"disk {level}" for level in ("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1")}
    changed = next(group for group in groups if group.tracking_identifier == "disk L4-L5")
    said = {evaluation.name.meaning: evaluation.value.meaning for evaluation in changed.get_qualitative_evaluations()}
    assert said[coding.READER_FINDING.meaning] == coding.FINDINGS[signed["mine"]].meaning
    assert said[coding.MACHINE_FINDING.meaning] == coding.FINDINGS[signed["machine"]].meaning
    assert said[coding.DISC_MORPHOLOGY.meaning] == coding.MORPHOLOGY[signed["mine"]].meaning
    assert {"Dr. Ada Reader: Left, to the recess.", "Dr. Ada Reader: Compared with nothing."} <= set(_texts(report))
    assert report.VerificationFlag == "VERIFIED"


@pytest.mark.parametrize(
    ("kind", "begins"), [("pdf", b"%PDF-"), ("html", b"<!DOCTYPE html>"), ("fhir", b"{"), ("json", b"{"), ("labels", b"{")]
)
def test_each_form_of_the_report_is_downloaded(view, signed, tmp_path, kind, begins):
    view.page.click("text=Export and send …")
    path: Path = view.download(f"dialog [data-export={kind}]", tmp_path)
    assert path.read_bytes().startswith(begins)
    if begins == b"{":
        assert json.loads(path.read_text())


def test_a_signed_report_is_sent_to_a_server(view, signed, server, archive_server, archive_url):
    view.page.click("text=Export and send …")
    view.page.click("dialog [data-send=archive]")
    assert "objects sent" in view.page.inner_text("dialog p.good")
    uid = report_of(server, signed["study"])["document"]["study"]["study_instance_uid"]
    with urlopen(f"{archive_url}/studies/{uid}/series") as answer:
        assert "SR" in {series["00080060"]["Value"][0] for series in json.load(answer)}


@pytest.fixture(scope="module")
def localizer(sample_study, archive_url, tmp_path_factory):
    """Puts a study of a localizer alone into the archive."""
    if archive_url is None:
        pytest.skip("Orthanc is not installed (see .ci/run)")
    archive = Server(name="archive", dicomweb=archive_url)
    files = sorted((copy_of(sample_study, tmp_path_factory.mktemp("fetched"), "Fetched^One") / "01_localizer").glob("*.dcm"))
    assert send(archive, files, "LUMBARDISK") == len(files)


def _search_archive(tab):
    """The fetch dialog with what it found, by the keyboard."""
    tab.list()
    tab.tab_to(".upload .zone button:nth-of-type(3)")
    tab.page.keyboard.press("Enter")
    tab.tab_to("dialog .fields label:nth-of-type(2) input")
    tab.page.keyboard.type("Fetched*")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("dialog tbody tr")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation_in_the_fetch_dialog(browser, server, localizer, scheme):
    tab = Tab(browser, server.url, color_scheme=scheme)
    _search_archive(tab)
    tab.settle()
    assert tab.violations("fetch dialog") == []
    tab.context.close()


def test_a_fetched_study_says_why_it_cannot_be_read(tab, reading, localizer):
    _search_archive(tab)
    tab.tab_to("dialog tbody tr button")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("dialog tbody tr >> text=Already here")
    tab.page.keyboard.press("Escape")
    row = "tr[data-state=failed]"
    tab.page.wait_for_selector(row, timeout=_WAIT_READING_MS)
    assert "No sagittal series" in tab.page.inner_text(f"{row} .bad")
    assert "Fetched, One" in tab.page.inner_text(f"{row} th")
    tab.page.click(f"{row} .actions button.plain")
    tab.page.click("dialog button.danger")
    tab.page.wait_for_selector(row, state="detached")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation_in_the_amend_dialog(browser, server, signed, scheme):
    tab = Tab(browser, server.url, color_scheme=scheme)
    tab.study(signed["study"])
    found = tab.violations("signed report")
    tab.page.click("text=Amend …")
    tab.page.wait_for_selector("dialog[open]")
    tab.settle()
    assert found + tab.violations("amend dialog") == []
    tab.context.close()


def test_after_a_restart_everything_is_found_again(tab, signed, server):
    before = report_of(server, signed["study"])
    server.stop()
    server.start()
    tab.list()
    tab.page.wait_for_selector(f"tr[data-study='{signed['study']}'][data-state=signed]")
    tab.page.click(f"tr[data-study='{signed['study']}'] a.button")
    tab.page.wait_for_selector(f"article[data-disk='L4-L5'][data-finding={signed['mine']}]")
    tab.page.wait_for_selector("[data-view=axial][data-index]")
    assert "Dr. Ada Reader" in tab.page.inner_text(".signed")
    assert report_of(server, signed["study"]) == before


def test_a_signed_report_is_amended_as_a_new_version(view, signed, server):
    view.tab_to(".review .row button:first-child")
    view.page.keyboard.press("Enter")
    for label, words in (("1", "Dr. Ada Reader"), ("2", "Wrong side")):
        view.tab_to(f"dialog .stacked:nth-of-type({label}) input")
        view.page.keyboard.type(words)
    view.page.keyboard.press("Enter")
    view.page.wait_for_selector(".review[data-status=draft]")
    report = report_of(server, signed["study"])
    assert (report["version"], report["versions"]) == (2, [1])


def test_a_study_is_deleted_after_a_question(tab, signed, server):
    tab.list()
    tab.page.click(f"tr[data-study='{signed['study']}'] .actions button")
    assert "cannot be undone" in tab.page.inner_text("dialog")
    assert "signed" in tab.page.inner_text("dialog .problem")
    tab.page.click("dialog button.danger")
    tab.page.wait_for_selector("[data-total='0']")
    with server.client() as client:
        assert client.get("/api/studies").json()["total"] == 0
