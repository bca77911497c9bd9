"""The listener and a real Orthanc."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing

import pytest
import yaml
from pydicom import dcmread
from pynetdicom.sop_class import Comprehensive3DSRStorage

from scripts.peers import client, fetch, send
from scripts.settings import Server
from tests.report.orthanc import orthanc
from tests.scripts.web.serving import SECRET, copy_of, free_port, wait_until

pytestmark = pytest.mark.hosts
GOOD, IMAGES = 9, 21
ENDED = ("done", "skipped", "error")
#: However slow the machine is: reading a study takes seconds on an idle one.
SECONDS = 1500


class Listening:
    """``python -m scripts.pacs`` with a state folder of its own."""

    def __init__(self, root, folder, **settings):
        self.root, self.folder = root, folder
        folder.mkdir()
        self.config = folder / "pacs.yaml"
        defaults = yaml.safe_load((root / "configs" / "pacs.yaml").read_text())
        changes = {"state_dir": str(folder / "state"), "poll_seconds": 0.5, "backlog": True, **settings}
        self.config.write_text(yaml.safe_dump({**defaults, **changes}))
        self.process = None

    def start(self, *arguments):
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scripts.pacs", "run", "--config", str(self.config), *arguments],
                cwd=self.root, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        return self

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(timeout=SECONDS)

    def states(self):
        """StudyInstanceUID -> (state, message)."""
        path = self.folder / "state" / "pacs.sqlite"
        if not path.is_file():
            return {}
        with closing(sqlite3.connect(path)) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'studies'").fetchall():
                return {}  # it is being made
            rows = db.execute("SELECT study_instance_uid, state, message FROM studies ORDER BY number").fetchall()
        return {uid: (state, message) for uid, state, message in rows}

    def count(self, *states):
        return sum(state in states for state, _ in self.states().values())

    def log(self):
        return (self.folder / "log").read_text()


@pytest.fixture
def listen(root, tmp_path):
    """Makes a Listening, whose process does not outlive the test."""
    made = []

    def listening(**settings):
        made.append(Listening(root, tmp_path / "pacs", **settings))
        return made[-1]

    yield listening
    for one in made:
        if one.process is not None and one.process.poll() is None:
            one.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def studies(sample_study, tmp_path_factory):
    """Nine good studies and a broken one, which has lost the place of its images in the patient: folders by UID.

    They have only what is needed, so that reading them takes little time.
    """
    folder = tmp_path_factory.mktemp("studies")
    made = {}
    for number in range(GOOD + 1):
        study = copy_of(sample_study, folder / f"{number}")
        shutil.rmtree(study / "01_localizer")
        for path in sorted((study / "02_t2_tse_sag").iterdir()):
            if path.name not in ("0007.dcm", "0008.dcm", "0009.dcm"):
                path.unlink()
        files = files_of(study)
        assert len(files) == IMAGES
        if number == 4:
            for path in files:
                dataset = dcmread(path)
                del dataset.ImagePositionPatient
                dataset.save_as(path)
        made[str(dcmread(files[0]).StudyInstanceUID)] = study
    return made


def files_of(study):
    return sorted(study.rglob("*.dcm"))


def results(server, uid, folder):
    """The objects of a study that the listener made, by modality."""
    folder.mkdir()
    fetched = [dcmread(path) for _, path in fetch(server, uid, folder, 1024, 20000)]
    kinds = {}
    for dataset in fetched:
        if dataset.get("Manufacturer") == "Lumbar disk bundle":
            kinds.setdefault(str(dataset.Modality), []).append(dataset)
    return kinds, len(fetched)


def test_ten_studies_one_broken_killed_once_each_has_one_result_set(listen, studies, tmp_path):
    with orthanc(tmp_path, stable_seconds=1) as url:
        server = Server(name="archive", dicomweb=url)
        listening = listen(server={"name": "archive", "dicomweb": url}, orthanc=url.rsplit("/", 1)[0])
        listening.start()
        for study in studies.values():
            send(server, files_of(study), "TEST")
        wait_until(lambda: listening.count("done") >= 3 or listening.process.poll() is not None, SECONDS)
        listening.end(signal.SIGKILL)
        assert 3 <= listening.count(*ENDED) < len(studies), listening.log()
        listening.start()
        wait_until(lambda: listening.count(*ENDED) == len(studies) or listening.process.poll() is not None, SECONDS)
        # Its own results make each study new to Orthanc's feed once more: wait until it has told so.
        last = last_change(url)
        wait_until(lambda: mark_of(listening) >= last, SECONDS)
        assert listening.end() == 0
        check_results(listening, server, studies, tmp_path)


def last_change(url):
    """Number of Orthanc's last change, once it has called every study stable."""
    time.sleep(3)
    with urllib.request.urlopen(url.rsplit("/", 1)[0] + "/changes?last", timeout=10) as answer:
        return json.load(answer)["Last"]


def mark_of(listening):
    with closing(sqlite3.connect(listening.folder / "state" / "pacs.sqlite")) as db:
        return db.execute("SELECT value FROM marks WHERE name = 'orthanc_change'").fetchone()[0]


def check_results(listening, server, studies, folder):
    states = listening.states()
    assert set(states) == set(studies)
    errors = {uid: message for uid, (state, message) in states.items() if state == "error"}
    assert len(errors) == 1 and listening.count("done") == GOOD
    (broken,) = errors
    assert studies[broken].name == "4"
    assert "no ImagePositionPatient" in errors[broken] and str(listening.folder) not in errors[broken]
    for number, uid in enumerate(studies):
        kinds, count = results(server, uid, folder / f"back-{number}")
        if uid == broken:
            assert kinds == {} and count == IMAGES
            continue
        assert {kind: len({d.SeriesInstanceUID for d in found}) for kind, found in kinds.items()} == {
            "SR": 1, "PR": 1, "OT": 1, "DOC": 1,
        }  # fmt: skip
        assert [d.SOPClassUID for d in kinds["SR"]] == [Comprehensive3DSRStorage]
        assert kinds["SR"][0].PatientID == f"{SECRET}-1"
    assert SECRET not in listening.log() and broken not in listening.log() and "Traceback" not in listening.log()
    assert list((listening.folder / "state" / "results").iterdir()) == []
    assert list((listening.folder / "state" / "incoming").iterdir()) == []


def test_a_search_finds_what_is_new_and_results_go_where_they_should(root, listen, studies, sample_study, tmp_path):
    first, second = [uid for uid, folder in studies.items() if folder.name != "4"][:2]
    other = copy_of(sample_study, tmp_path / "brain")
    for path in files_of(other):
        dataset = dcmread(path)
        dataset.StudyDescription, dataset.BodyPartExamined, dataset.SeriesDescription = "MR brain", "BRAIN", "t2"
        dataset.save_as(path)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    port = free_port()
    with orthanc(tmp_path / "a") as url, orthanc(tmp_path / "b", port):
        server = Server(name="archive", dicomweb=url)
        node = {"name": "results", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": port}
        send(server, files_of(studies[first]), "TEST")
        listening = listen(
            server={"name": "archive", "dicomweb": url},
            store_to=node,
            backlog=False,
            days=None,
            stable_seconds=1,
            results=["sr"],
        )
        listening.start()
        wait_until(lambda: listening.states() or listening.process.poll() is not None, SECONDS)
        send(server, files_of(studies[second]) + files_of(other), "TEST")
        wait_until(lambda: listening.count(*ENDED) == 3 or listening.process.poll() is not None, SECONDS)
        assert listening.end() == 0
        brain = str(dcmread(files_of(other)[0]).StudyInstanceUID)
        assert listening.states() == {
            first: ("skipped", "It was there before the listener."),
            second: ("done", ""),
            brain: ("skipped", "Its descriptions name no lumbar spine."),
        }
        assert len(client(server).search_for_instances(second)) == IMAGES  # the results are elsewhere
        printed = subprocess.run(
            [sys.executable, "-m", "scripts.pacs", "status", "--config", str(listening.config)],
            cwd=root, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        # Their order is that of their identifiers, which are drawn.
        assert sorted(line.split("\t")[1] for line in printed.splitlines()) == ["done", "skipped", "skipped"]


def test_results_that_were_stored_when_the_listener_was_ended_are_not_stored_twice(listen, studies, tmp_path):
    uid = next(iter(studies))
    with orthanc(tmp_path, stable_seconds=1) as url:
        server = Server(name="archive", dicomweb=url)
        send(server, files_of(studies[uid]), "TEST")
        time.sleep(3)  # Orthanc calls it stable
        listening = listen(
            server={"name": "archive", "dicomweb": url},
            orthanc=url.rsplit("/", 1)[0],
            keep_reports=True,
        )
        assert listening.start("--once").process.wait(timeout=SECONDS) == 0
        before = {entry["00080018"]["Value"][0] for entry in client(server).search_for_instances(uid)}
        assert listening.states() == {uid: ("done", "")} and len(before) > IMAGES
        with closing(sqlite3.connect(listening.folder / "state" / "pacs.sqlite")) as db, db:
            db.execute("UPDATE studies SET state = 'storing'")  # as it was before the last thing that the listener did
        assert listening.start("--once").process.wait(timeout=SECONDS) == 0
        after = {entry["00080018"]["Value"][0] for entry in client(server).search_for_instances(uid)}
        assert listening.states() == {uid: ("done", "")} and after == before
        # Without its ledger, a listener knows a study that was read by what is in it.
        shutil.rmtree(listening.folder / "state")
        assert listening.start("--once").process.wait(timeout=SECONDS) == 0
        assert listening.states() == {uid: ("skipped", "It has results already.")}
