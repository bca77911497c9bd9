"""The server as a process of its own, with the real reading: what must hold when many come at once and when things break."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pydicom import dcmread

from tests.scripts.web.serving import SECRET, Page, copy_of, finished, upload, wait_until, zipped

# Without heat maps, which take longer than the reading; tests/scripts/web/test_peers.py has them.
LIMITS = {
    "inference_config": "configs/inference.yaml",
    "limits": {"max_upload_mb": 64, "max_unpacked_mb": 128, "max_files": 2000, "min_free_mb": 100},
}


@pytest.fixture(scope="module")
def page(root, tmp_path_factory):
    """One server for the tests that do not end it."""
    running = Page(root, tmp_path_factory.mktemp("page") / "data", LIMITS).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(page):
    with page.client() as made:
        yield made


@pytest.fixture
def study(sample_study, tmp_path):
    """A study that no server has seen, as a zip."""

    def made(name="study"):
        return zipped(copy_of(sample_study, tmp_path / name))

    return made


def queue(client, *contents):
    """Upload zips of one study each; their ids."""
    return [upload(client, (f"{SECRET}.zip", content)).json()["received"][0]["study"]["id"] for content in contents]


@pytest.fixture(scope="module")
def ten(page, client, sample_study, tmp_path_factory):
    """Ten studies, uploaded at once and read: their entries, the events that told of them, and the most memory used."""
    folder = tmp_path_factory.mktemp("ten")
    contents = [zipped(copy_of(sample_study, folder / str(k))) for k in range(10)]
    events, most, done = [], [0.0], threading.Event()

    def listen():
        with page.client() as own, own.stream("GET", "/api/events") as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    events.append(json.loads(line.removeprefix("data: ")))
                if done.is_set():
                    return

    def watch():
        while not done.wait(0.2):
            most[0] = max(most[0], page.memory_mb())

    listeners = [threading.Thread(target=f, daemon=True) for f in (listen, watch)]
    for listener in listeners:
        listener.start()
    with ThreadPoolExecutor(10) as pool:
        ids = list(pool.map(lambda content: queue(client, content)[0], contents))
    entries = [finished(client, one) for one in ids]
    done.set()
    listeners[1].join()
    print(f"ten studies: at most {most[0]:.0f} MB")
    return entries, events, most[0]


def test_ten_studies_uploaded_at_once_are_all_read_and_none_is_lost(client, ten):
    entries, _, _ = ten
    assert [entry["state"] for entry in entries] == ["read"] * 10
    assert len({entry["id"] for entry in entries}) == 10
    assert client.post("/api/studies/search", json={"query": SECRET}).json()["total"] == 10
    assert all(set(entry["findings"]) == {"L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"} for entry in entries)


def test_ten_studies_take_no_more_memory_than_one_process_that_reads(ten):
    assert 200 < ten[2] < 2500


def test_progress_is_told_step_by_step(ten):
    entries, events, _ = ten
    for entry in entries:
        told = [e for e in events if e["id"] == entry["id"]]
        progress = [e["progress"] for e in told if e["state"] == "reading"]
        assert progress == sorted(progress) and told[-1]["state"] == "read" and told[-1]["progress"] == 1
    steps = {e["step"] for e in events}
    assert {"reading files", "vertebrae", "slices and ROIs", "disks", "report"} <= steps


def test_the_viewer_s_images_are_those_that_were_uploaded(client, ten, sample_study):
    entry = ten[0][0]
    series = client.get(f"/api/studies/{entry['id']}/series").json()["series"]
    report = client.get(f"/api/studies/{entry['id']}/report").json()
    by_role = {one["role"]: one for one in series if one["role"]}
    assert (len(by_role["sagittal"]["images"]), len(by_role["axial"]["images"])) == (15, 18)
    assert len(by_role["axial"]["stacks"]) == 5
    known = {image["sop_instance_uid"] for image in by_role["sagittal"]["images"]}
    assert {box["sop_instance_uid"] for v in report["document"]["vertebrae"] for box in v["boxes"]} <= known
    sources = {str(dcmread(p).ImagePositionPatient): dcmread(p) for p in sample_study.rglob("02*/*.dcm")}
    for image in by_role["sagittal"]["images"]:
        origin = image["plane"]["origin_lps_mm"]
        source = min(sources.values(), key=lambda s: np.abs(np.array(s.ImagePositionPatient, float) - origin).sum())
        assert origin == pytest.approx([float(v) for v in source.ImagePositionPatient])
        assert image["plane"]["spacing_mm"] == pytest.approx([float(v) for v in source.PixelSpacing])
        stored = np.frombuffer(client.get(image["pixels"]).content, "<u2").reshape(image["rows"], image["columns"])
        assert np.array_equal(stored * image["slope"] + image["intercept"], source.pixel_array)


def test_pictures_of_the_report_are_served_and_nothing_else(client, ten):
    base = f"/api/studies/{ten[0][0]['id']}/report/files"
    assert client.get(f"{base}/sagittal.png").content.startswith(b"\x89PNG")
    for name in ("report.json", "..%2f..%2f..%2fpage.sqlite", "%2e%2e/%2e%2e/page.sqlite", ".", "nothing.png"):
        assert client.get(f"{base}/{name}").status_code == 404


def test_the_report_s_page_may_be_framed_and_runs_no_script(client, ten):
    answer = client.get(f"/api/studies/{ten[0][0]['id']}/report/page")
    assert answer.status_code == 200 and "<html" in answer.text
    assert (
        "sandbox" in answer.headers["content-security-policy"]
        and "script-src" not in answer.headers["content-security-policy"]
    )


def test_a_signed_report_leaves_in_every_form_and_is_the_same_each_time(client, ten):
    entry = ten[0][1]
    base = f"/api/studies/{entry['id']}"
    changed = {"reader": "Dr A", "revision": 0, "disks": [{"level": "L1-L2", "finding": "herniation", "confirmed": True}]}
    assert client.put(f"{base}/review", json=changed).status_code == 200
    assert client.post(f"{base}/sign", json={"reader": "Dr A", "revision": 1}).status_code == 200
    for kind in client.get("/api/info").json()["exports"]:
        first, second = (client.get(f"{base}/export/{kind}") for _ in range(2))
        assert first.status_code == 200, (kind, first.text)
        assert first.content == second.content and "attachment" in first.headers["content-disposition"]
        assert SECRET not in first.headers["content-disposition"]
    document = client.get(f"{base}/export/json").json()
    assert document["review"]["status"] == "final" and document["review"]["disks"][0]["finding"] == "herniation"
    assert client.get(f"{base}/export/pdf").content.startswith(b"%PDF")
    assert client.get(f"{base}/export/sr").content[128:132] == b"DICM"


def test_an_upload_of_two_gigabytes_is_refused_and_takes_no_memory(client, page):
    import psutil

    process = psutil.Process(page.process.pid)
    before, most, block = process.memory_info().rss, 0, bytes(4 << 20)
    sent = 0

    def body():
        nonlocal most, sent
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="large.zip"\r\n\r\nPK\x03\x04'
        for _ in range(512):
            yield block
            sent += len(block)
            most = max(most, process.memory_info().rss)
        yield b"\r\n--x--\r\n"

    try:
        answer = client.post("/api/studies", content=body(), headers={"content-type": "multipart/form-data; boundary=x"})
        assert (answer.status_code, answer.json()["detail"]) == (413, "The upload is larger than 64 MB.")
    except OSError:  # it stops to listen when four times the limit has come
        assert sent > 256 << 20
    assert most - before < 64 << 20
    assert list((page.data_dir / "incoming").iterdir()) == []


def test_a_study_without_a_spine_says_so(client, sample_study, tmp_path):
    folder = copy_of(sample_study, tmp_path / "noise")
    rng = np.random.default_rng(0)
    for path in folder.rglob("*.dcm"):
        dataset = dcmread(path)
        noise = rng.integers(0, 200, (dataset.Rows, dataset.Columns)).astype(np.uint16)
        dataset.PixelData = noise.tobytes()
        dataset.save_as(path)
    entry = finished(client, queue(client, zipped(folder))[0])
    assert (entry["state"], entry["flags"].count("no_spine_found")) == ("read", 1)
    assert "spine" in entry["message"].lower() and set(entry["findings"].values()) == {None}


@pytest.mark.parametrize("kind", ["no sagittal series", "no pixels", "another modality", "header alone"])
def test_a_study_that_cannot_be_read_fails_with_the_reason_and_can_be_tried_again(client, sample_study, tmp_path, kind):
    folder = copy_of(sample_study, tmp_path / "broken")
    for path in folder.rglob("*.dcm"):
        if kind == "no sagittal series" and "tra" not in path.parent.name:
            path.unlink()
        elif kind == "another modality":
            dataset = dcmread(path)
            dataset.Modality = "CT"
            dataset.save_as(path)
        elif kind in ("no pixels", "header alone"):
            path.write_bytes(path.read_bytes()[: 400 if kind == "header alone" else -1000])
    study = queue(client, zipped(folder))[0]
    entry = finished(client, study)
    words = {
        "no sagittal series": "No sagittal series to read",
        "no pixels": "its pixels end too early",
        "another modality": "not MR (CT)",
        "header alone": "damaged or truncated DICOM file",
    }
    assert entry["state"] == "failed" and words[kind] in entry["message"]
    assert SECRET not in entry["message"] and "data/studies" not in entry["message"]
    assert client.post(f"/api/studies/{study}/retry").json()["state"] in ("queued", "reading", "failed")
    assert finished(client, study)["message"] == entry["message"]


def test_a_study_is_read_again_when_its_process_is_killed(client, page, study):
    first, second = queue(client, study("a"), study("b"))
    wait_until(lambda: client.get(f"/api/studies/{first}").json()["state"] == "reading", 60, 0.02)
    kill_readers(page)
    assert [finished(client, one)["state"] for one in (first, second)] == ["read", "read"]


def test_a_study_that_ends_its_process_twice_is_given_up_and_the_next_is_read(client, page, study):
    first, second = queue(client, study("a"), study("b"))
    for _ in range(2):
        wait_until(lambda: client.get(f"/api/studies/{first}").json()["state"] == "reading", 60, 0.02)
        killed = kill_readers(page)
        wait_until(lambda old=killed: {p.pid for p in page.reading_processes()} - old, 60, 0.02)
    entry = finished(client, first)
    assert entry["state"] == "failed"
    assert entry["message"] == "Given up after 2 tries: the reading process ended unexpectedly."
    assert finished(client, second)["state"] == "read"
    assert client.post(f"/api/studies/{first}/retry").status_code == 200
    assert finished(client, first)["state"] == "read"


def kill_readers(page):
    """Kill the reading process as the kernel does when memory runs out; its id."""
    processes = wait_until(page.reading_processes, 60, 0.01)
    for process in processes:
        process.kill()
    return {process.pid for process in processes}


def test_a_study_deleted_while_it_is_read_is_gone(client, page, study):
    first, second = queue(client, study("a"), study("b"))
    wait_until(lambda: client.get(f"/api/studies/{first}").json()["state"] == "reading", 60, 0.01)
    assert client.delete(f"/api/studies/{first}").status_code == 204
    assert finished(client, second)["state"] == "read"
    assert client.get(f"/api/studies/{first}").status_code == 404
    assert not (page.data_dir / "studies" / first).exists()


def test_the_log_of_the_server_names_nobody(page, client, ten):
    log = page.log()
    assert "Application startup complete" in log
    assert SECRET not in log and "1.2.826" not in log and "Traceback" not in log


def test_everything_is_found_again_after_a_restart(root, tmp_path, study):
    page = Page(root, tmp_path / "data", LIMITS).start()
    try:
        with page.client() as client:
            first = queue(client, study("a"))[0]
            finished(client, first)
            client.put(f"/api/studies/{first}/review", json={"reader": "Dr A", "revision": 0, "comment": "kept"})
            client.post(f"/api/studies/{first}/sign", json={"reader": "Dr A", "revision": 1})
            sr = client.get(f"/api/studies/{first}/export/sr").content
            second = queue(client, study("b"))[0]
            wait_until(lambda: client.get(f"/api/studies/{second}").json()["state"] == "reading", 60, 0.01)
        page.stop()
        page.start()
        with page.client() as client:
            assert client.get(f"/api/studies/{first}").json()["state"] == "signed"
            report = client.get(f"/api/studies/{first}/report").json()
            assert report["document"]["review"]["comment"] == "kept" and report["versions"] == [1]
            assert client.get(f"/api/studies/{first}/export/sr").content == sr
            assert finished(client, second)["state"] == "read"
            assert client.get("/api/studies").json()["total"] == 2
    finally:
        page.stop()


def test_what_a_killed_server_was_reading_is_read_after_its_restart(root, tmp_path, study):
    page = Page(root, tmp_path / "data", LIMITS).start()
    try:
        with page.client() as client:
            first, second = queue(client, study("a"), study("b"))
            wait_until(lambda: client.get(f"/api/studies/{first}").json()["state"] == "reading", 60, 0.01)
        page.stop(signal.SIGKILL)
        page.start()
        with page.client() as client:
            assert [finished(client, one)["state"] for one in (first, second)] == ["read", "read"]
    finally:
        page.stop()


def test_a_reading_that_breaks_a_limit_is_stopped(root, tmp_path, study):
    limits = {"reader": {"max_memory_mb": 200, "max_seconds": 600, "max_studies": 50, "max_attempts": 1}}
    page = Page(root, tmp_path / "data", {**LIMITS, **limits}).start()
    try:
        with page.client() as client:
            entry = finished(client, queue(client, study())[0])
        assert entry["state"] == "failed" and "needs more than 200 MB of memory" in entry["message"]
        assert page.process.poll() is None
    finally:
        page.stop()


def test_a_config_that_cannot_be_used_is_told_with_the_study(root, tmp_path, study):
    overlay = tmp_path / "no_weights.yaml"
    overlay.write_text("disk_weights: /nowhere/disks.pt\n")
    page = Page(root, tmp_path / "data", {**LIMITS, "inference_config": ["configs/inference.yaml", str(overlay)]}).start()
    try:
        with page.client() as client:
            entry = finished(client, queue(client, study())[0])
        assert entry["state"] == "failed" and "disks.pt is missing" in entry["message"]
    finally:
        page.stop()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "can be reached from other machines"),
        (["--port", "many"], "port"),
        (["--language", "xx"], "xx"),
    ],
)
def test_it_does_not_start_with_settings_that_do_not_fit(root, tmp_path, arguments, words):
    command = [sys.executable, "-m", "scripts.web", "--data_dir", str(tmp_path / "data"), *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr


def test_with_a_token_it_serves_other_machines(root, tmp_path):
    token = "a token of some length"
    page = Page(root, tmp_path / "data", {**LIMITS, "host": "0.0.0.0"}, {"LUMBAR_WEB_TOKEN": token}).start()
    try:
        with page.client(headers={"host": f"192.0.2.7:{page.port}"}) as client:
            assert client.get("/api/studies").status_code == 401
            assert client.get("/api/studies", headers={"authorization": f"Bearer {token}"}).status_code == 200
        assert token not in page.log()
    finally:
        page.stop()


def test_a_taken_port_is_told(root, page, tmp_path):
    command = [sys.executable, "-m", "scripts.web", "--data_dir", str(tmp_path / "data"), "--port", str(page.port)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0 and "address already in use" in done.stderr
    assert "Traceback" not in done.stderr
