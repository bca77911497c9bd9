"""A real Orthanc on loopback, with DICOMweb, for as long as a test needs it."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.report.dicoms import program

_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_START_S = 60.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def orthanc(folder: Path, dicom_port: int | None = None, stable_seconds: int = 60) -> Iterator[str]:
    """URL of the DICOMweb service of an Orthanc that keeps its files in ``folder``.

    Args:
        folder: of its files.
        dicom_port: with it, it is a DICOM node too.
        stable_seconds: how long nothing may come to a study until Orthanc calls it stable.
    """
    binary = program("Orthanc")
    if not _PLUGIN.is_file():
        pytest.skip("orthanc-dicomweb is not installed (see .ci/run)")
    port = free_port()
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "DicomServerEnabled": dicom_port is not None,
        "DicomPort": dicom_port or 0,
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": True,
        "StorageCompression": False,
        "StableAge": stable_seconds,
        "Plugins": [str(_PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([binary, str(folder / "orthanc.json")], stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{port}/system", process, folder / "orthanc.log")
            yield f"http://127.0.0.1:{port}/dicom-web"
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"Orthanc does not answer:\n{log.read_text(errors='replace')[-2000:]}")
