from __future__ import annotations

import io
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pynetdicom import AE, evt
from pynetdicom.sop_class import Comprehensive3DSRStorage, MRImageStorage, Verification

from bundle.geometry import DISK_LEVELS
from scripts.peers import PeerError, fetch, send
from scripts.settings import Server
from scripts.web.peers import search
from tests.report.orthanc import orthanc
from tests.scripts.web.serving import SECRET, Page, copy_of, finished, free_port, upload, wait_until, zipped

#: Megabytes and files of a study.
LIMITS = (1024, 20000)


@pytest.fixture(scope="module")
def study(sample_study, tmp_path_factory):
    """A study with its UIDs: (folder, StudyInstanceUID, data sets by SOPInstanceUID)."""
    folder = copy_of(sample_study, tmp_path_factory.mktemp("study") / "study")
    images = {d.SOPInstanceUID: d for d in map(dcmread, folder.rglob("*.dcm"))}
    return folder, next(iter(images.values())).StudyInstanceUID, images


@pytest.fixture(scope="module")
def archive(study, tmp_path_factory):
    """A real Orthanc that has the study: (DICOMweb server, DICOM node)."""
    port = free_port()
    with orthanc(tmp_path_factory.mktemp("orthanc"), port) as url:
        web = Server(name="archive", dicomweb=url)
        node = Server(name="pacs", ae_title="ORTHANC", host="127.0.0.1", port=port)
        assert send(node, sorted(study[0].rglob("*.dcm")), "LUMBARDISK") == 36
        yield web, node


def some(study, count=2):
    return sorted(study[0].rglob("*.dcm"))[:count]


FILTERS = [{}, {"PatientName": f"{SECRET}*"}, {"PatientID": f"{SECRET}-1"}, {"StudyDate": "19991231-20000102"}]


@pytest.mark.parametrize("filters", FILTERS)
def test_studies_are_found_by_what_their_headers_say(archive, study, filters):
    found = search(archive[0], filters)
    assert [one["study_instance_uid"] for one in found] == [study[1]]
    assert (found[0]["images"], found[0]["patient"]["name"], found[0]["study_date"]) == (
        36,
        f"{SECRET}, Spine",
        "2000-01-01",
    )


def test_nothing_is_found_where_there_is_nothing(archive):
    assert search(archive[0], {"PatientName": "Nobody"}) == []


def test_a_study_is_fetched_as_it_was_stored(archive, study, tmp_path):
    files = fetch(archive[0], study[1], tmp_path, *LIMITS)
    fetched = {d.SOPInstanceUID: d for d in (dcmread(path) for _, path in files)}
    assert fetched.keys() == study[2].keys()
    for uid, image in fetched.items():
        assert image == study[2][uid] and image.PixelData == study[2][uid].PixelData


def test_a_study_that_is_larger_than_an_upload_may_be_is_not_fetched(archive, study, tmp_path):
    with pytest.raises(PeerError, match="larger than 1 MB or 20000 files"):
        fetch(archive[0], study[1], tmp_path, *(1, 20000))


def test_a_study_that_is_not_there_is_told(archive, tmp_path):
    with pytest.raises(PeerError, match="archive has no such study"):
        fetch(archive[0], "1.2.3.4.5", tmp_path, *LIMITS)


def test_objects_are_stored_by_dicomweb(archive, study, tmp_path, sample_study):
    other = copy_of(sample_study, tmp_path / "other", "Other^One")
    files = sorted(other.rglob("*.dcm"))[:3]
    assert send(archive[0], files, "LUMBARDISK") == 3
    uid = dcmread(files[0]).StudyInstanceUID
    (tmp_path / "back").mkdir()
    assert len(fetch(archive[0], uid, tmp_path / "back", *LIMITS)) == 3


@contextmanager
def storage(classes=(MRImageStorage,), status=0x0000, **options):
    """pynetdicom's own storage node: (server, what it received)."""
    received = []

    def store(event):
        if status == 0:
            received.append(event.dataset.SOPInstanceUID)
        return status

    entity = AE(ae_title="STORAGE")
    for one in classes:
        entity.add_supported_context(one)
    for name, value in options.items():
        setattr(entity, name, value)
    port = free_port()
    node = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield Server(name="node", ae_title="STORAGE", host="127.0.0.1", port=port), received
    finally:
        node.shutdown()


def test_objects_are_stored_on_a_dicom_node(study):
    with storage() as (node, received):
        assert send(node, some(study), "LUMBARDISK") == 2
    assert sorted(received) == sorted(dcmread(path).SOPInstanceUID for path in some(study))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"status": 0xA700}, "node took 0 of 2 objects."),
        ({"classes": (Comprehensive3DSRStorage,)}, "node took 0 of 2 objects."),
        ({"require_calling_aet": ["OTHER"]}, "node refuses this server's AE title."),
    ],
)
def test_a_dicom_node_that_does_not_take_everything_is_told(study, options, message):
    with storage(**options) as (node, received), pytest.raises(PeerError) as caught:
        send(node, some(study), "LUMBARDISK")
    assert str(caught.value) == message and received == []


@contextmanager
def answering(status, headers=(), body=b""):
    """An HTTP server that gives one answer to everything: (URL, paths asked for)."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "peer wants another user or password."),
        (403, "peer does not allow it."),
        (500, "peer refuses (HTTP 500)."),
        (503, "peer refuses (HTTP 503)."),
        (200, "peer gives an answer that cannot be read."),
    ],
)
def test_a_server_that_refuses_is_told_in_one_line(study, tmp_path, status, message):
    with answering(status, [("Content-Type", "application/dicom+json")], b"nonsense") as (url, _):
        server = Server(name="peer", dicomweb=url)
        for act in (
            lambda: search(server, {"PatientName": SECRET}),
            lambda: fetch(server, study[1], tmp_path, *LIMITS),
            lambda: send(server, some(study), "LUMBARDISK"),
        ):
            with pytest.raises(PeerError) as caught:
                act()
            assert str(caught.value) == message


def test_a_server_cannot_lead_to_another_address(tmp_path, study):
    with answering(200, body=b"[]") as (inside, asked), answering(302, [("Location", f"{inside}/secret")]) as (url, _):
        server = Server(name="peer", dicomweb=url)
        for act in (lambda: search(server, {}), lambda: fetch(server, "1.2.3", tmp_path, *LIMITS)):
            with pytest.raises(PeerError, match="leads to another address, which is not followed"):
                act()
        assert asked == []


@pytest.mark.parametrize("kind", ["dicomweb", "dicom"])
def test_a_server_that_is_not_there_is_told(study, kind):
    port = free_port()
    address = (
        {"dicomweb": f"http://127.0.0.1:{port}"}
        if kind == "dicomweb"
        else {"ae_title": "A", "host": "127.0.0.1", "port": port}
    )
    with pytest.raises(PeerError, match=r"^peer does not answer\.$"):
        send(Server(name="peer", **address), some(study), "LUMBARDISK")


@pytest.mark.parametrize("name", ["nobody", "http://127.0.0.1:1", "pacs"])
def test_only_configured_servers_are_asked(client, name):
    for path, body in (
        ("/api/studies/from-dicomweb", {"server": name, "study_instance_uid": "1.2.3"}),
        (f"/api/servers/{name.replace('/', '%2F')}/search", {}),
    ):
        assert client.post(path, json=body).status_code == 404
    answer = client.post("/api/studies/from-dicomweb", json={"url": "http://127.0.0.1:1", "study_instance_uid": "1.2.3"})
    assert answer.status_code == 422


@pytest.mark.parametrize("uid", ["", "1.2.3/../..", "1.2.3?x", "a", "1." + "2" * 64, "1..2", "01.2"])
def test_what_is_no_uid_is_refused(client, uid):
    answer = client.post("/api/studies/from-dicomweb", json={"server": "a", "study_instance_uid": uid})
    assert answer.status_code == 422


def test_a_study_is_fetched_read_signed_and_its_report_sent_back(root, tmp_path, archive, study):
    web, node = archive
    with storage(classes=(Verification,)) as (other, _):
        servers = [one.model_dump(exclude_none=True) for one in (web, node, other)]
        page = Page(root, tmp_path / "data", {"servers": servers}).start()
        try:
            with page.client() as client:
                check_exchange(client, study)
            assert SECRET not in page.log() and study[1] not in page.log() and "Traceback" not in page.log()
        finally:
            page.stop()
    (tmp_path / "back").mkdir()
    stored = [dcmread(path) for _, path in fetch(web, study[1], tmp_path / "back", *LIMITS)]
    reports = [d for d in stored if d.SOPClassUID == Comprehensive3DSRStorage]
    assert len(reports) == 1 and reports[0].PatientID == f"{SECRET}-1"


def check_exchange(client, study):
    found = client.post("/api/servers/archive/search", json={"patient_name": f"{SECRET}*"}).json()
    assert [(one["study_instance_uid"], one["here"]) for one in found] == [(study[1], [])]
    asked = {"server": "archive", "study_instance_uid": study[1]}
    received = client.post("/api/studies/from-dicomweb", json=asked).json()["received"][0]
    entry = received["study"]
    assert not received["duplicate"] and entry["files"] == 36
    assert client.post("/api/studies/from-dicomweb", json=asked).json()["received"][0]["duplicate"]
    assert upload(client, ("same.zip", zipped(study[0]))).json()["message"].startswith("1 study is here already.")
    again = client.post("/api/servers/archive/search", json={"patient_id": f"{SECRET}-1", "patient_name": f"{SECRET}*"})
    assert [one["here"] for one in again.json()] == [[entry["id"]]]
    base = f"/api/studies/{entry['id']}"
    assert finished(client, entry["id"])["state"] == "read"
    files = client.get(f"{base}/report").json()["files"]
    assert {f"heat_{level}_{view}.png" for level in DISK_LEVELS for view in ("axial", "sagittal")} <= set(files)
    heat = Image.open(io.BytesIO(client.get(f"{base}/report/files/heat_L4-L5_axial.png").content))
    assert heat.mode == "RGBA" and heat.size == (96, 96) and 0 < np.asarray(heat)[..., 3].max() < 255
    assert client.post(f"{base}/send", json={"target": "archive"}).status_code == 409
    assert client.post(f"{base}/sign", json={"reader": "Dr A", "revision": 0}).status_code == 200
    counts = [client.post(f"{base}/send", json={"target": target}).json()["objects"] for target in ("archive", "pacs")]
    assert counts[0] == counts[1] > 1
    refused = client.post(f"{base}/send", json={"target": "node"})
    assert refused.status_code == 502 and "node took 0 of" in refused.json()["detail"]
    log = [(e["what"], e["after"]) for e in client.get(f"{base}/log").json()["entries"]]
    assert log[-2:] == [("version 1 sent", "archive"), ("version 1 sent", "pacs")]
    wait_until(lambda: client.get(base).json()["state"] == "signed", 5)
