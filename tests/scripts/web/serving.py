"""The page's server as a process of its own, and studies to give it."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import httpx2 as httpx
import psutil
import yaml
from pydicom import dcmread
from pydicom.uid import generate_uid

from bundle.geometry import DISK_LEVELS

#: What must not be found in a URL, a log or a message.
SECRET = "Geheimnis"


class Page:
    """``python -m scripts.web`` on a free port of loopback.

    Args:
        root: of the bundle.
        data_dir: of the server.
        settings: changes to ``configs/web.yaml``, nested ones too.
        environment: further variables.
    """

    def __init__(self, root: Path, data_dir: Path, settings: dict | None = None, environment: dict | None = None) -> None:
        self.root = root
        self.data_dir = data_dir
        self.settings = {**yaml.safe_load((root / "configs" / "web.yaml").read_text()), **(settings or {})}
        self.environment = environment or {}
        self.log_file = data_dir.with_name(data_dir.name + ".log")
        self.process: subprocess.Popen | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Page:
        """Start, and wait until it answers."""
        config = self.data_dir.with_name(self.data_dir.name + ".yaml")
        config.write_text(yaml.safe_dump({**self.settings, "port": self.port, "data_dir": str(self.data_dir)}))
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scripts.web", "--config", str(config)],
                cwd=self.root, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1", **self.environment},
            )  # fmt: skip
        wait_until(lambda: self.answers() or self.process.poll() is not None, 120)
        assert self.process.poll() is None, self.log()
        return self

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/login", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End it, and wait until it and its reading process are gone."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(how)
        status = self.process.wait(timeout=40)
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive, "the reading process outlived the server"
        return status

    def log(self) -> str:
        return self.log_file.read_text()

    def client(self, **more) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=120, trust_env=False, **more)

    def reading_processes(self) -> list[psutil.Process]:
        return [p for p in psutil.Process(self.process.pid).children() if "spawn_main" in _command_of(p)]

    def memory_mb(self) -> float:
        """Resident memory of the server and its reading process."""
        total = 0
        for process in (psutil.Process(self.process.pid), *self.reading_processes()):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total / 1e6


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_until(condition, seconds: float, pause: float = 0.1):
    """The condition's first true value; an AssertionError if it takes longer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(pause)
    raise AssertionError(f"not within {seconds} s")


def upload(client, *files: tuple[str, bytes]):
    """POST files (name, content) as a browser does."""
    return client.post(
        "/api/studies", files=[("files", (name, content, "application/octet-stream")) for name, content in files]
    )


def finished(client, study: str, seconds: float = 300) -> dict:
    """The study's entry once it is read or failed."""

    def done():
        entry = client.get(f"/api/studies/{study}").json()
        return entry if entry["state"] in ("read", "failed", "signed") else None

    return wait_until(done, seconds)


def zipped(folder: Path) -> bytes:
    """A folder as a zip, with the folder's name in its paths."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(folder.parent))
    return stream.getvalue()


def copy_of(study: Path, folder: Path, patient: str = f"{SECRET}^Spine") -> Path:
    """A DICOM study as another one: new UIDs, another patient."""
    uids: dict[str, str] = {}
    shutil.rmtree(folder, ignore_errors=True)
    for source in sorted(study.rglob("*.dcm")):
        dataset = dcmread(source)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            setattr(dataset, keyword, uids.setdefault(getattr(dataset, keyword), generate_uid()))
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.PatientName, dataset.PatientID = patient, f"{SECRET}-1"
        target = folder / source.relative_to(study)
        target.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(target)
    return folder


def document(findings: tuple = ("normal", "bulge", "herniation", "normal", None)) -> dict:
    """A valid ``report.json``."""
    uid = "1.2.3.4"
    disks = [
        {
            "level": level, "center_lps_mm": [0.0, 0.0, 0.0], "normal_lps": [0.0, 0.0, 1.0], "height_mm": 10.0,
            "axial_sop_instance_uids": [], "rois": {"axial": None, "sagittal": None},
            "probabilities": finding and {"normal": 0.2, "bulge": 0.3, "herniation": 0.5},
            "finding": finding, "views": ["sagittal"] if finding else [], "flags": [] if finding else ["no_view"],
        }
        for level, finding in zip(DISK_LEVELS, findings, strict=True)
    ]  # fmt: skip
    sagittal = {"series_instance_uid": uid, "slices": 1, "description": "t2", "reason": "T2", "weighting": "T2"}
    return {
        "schema_version": "1.0",
        "study": {"name": "study-abc", "study_instance_uid": uid},
        "series": {"sagittal": sagittal, "axial": None},
        "vertebrae": [
            {"level": level, "center_lps_mm": [0.0, 0.0, 0.0], "score": 0.9,
             "boxes": [{"sop_instance_uid": uid, "xyxy": [1.0, 2.0, 3.0, 4.0]}]}
            for level in ("L1", "L2", "L3", "L4", "L5", "S1")
        ],
        "axial_slices": [], "disks": disks, "flags": [],
        "model": {"version": "0.1.0", "weights_sha256": {"disks": "0f" * 32}},
    }  # fmt: skip


def _command_of(process: psutil.Process) -> str:
    """Command line of a process; empty where it has ended, or waits to be buried."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # ZombieProcess is one too
        return ""
