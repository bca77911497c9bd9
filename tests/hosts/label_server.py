"""A real MONAI Label server, for as long as a test needs it, and its HTTP interface."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.hosts.environments import ROOT, host_python
from tests.report.orthanc import free_port

_START_S = 300.0
_TASK_S = 900.0


class Label:
    """The client's side.

    Args:
        url: of the server.
        log: what the server prints.
    """

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self.log = log

    def get(self, path: str, **query: str) -> Any:
        """JSON of a GET."""
        return self._checked(requests.get(f"{self.url}/{path}", params=query, timeout=_START_S)).json()

    def info(self) -> dict[str, Any]:
        """What the app offers."""
        found: dict[str, Any] = self.get("info/")
        return found

    def infer(self, model: str, image: str, output: str = "json", **params: Any) -> requests.Response:
        """The answer, whatever it is."""
        query = {"image": image, "output": output}
        form = {"params": (None, json.dumps(params))}
        return requests.post(f"{self.url}/infer/{model}", params=query, files=form, timeout=_START_S)

    def result(self, model: str, image: str, **params: Any) -> dict[str, Any]:
        """The JSON part of an answer."""
        found: dict[str, Any] = self._checked(self.infer(model, image, **params)).json()
        return found

    def file(self, model: str, image: str, output: str = "image", **params: Any) -> bytes:
        """The file part of an answer."""
        return bytes(self._checked(self.infer(model, image, output, **params)).content)

    def save_label(self, image: str, label: Path, tag: str = "final", **params: Any) -> None:
        """Store a person's label."""
        with label.open("rb") as stream:
            files = {"label": (label.name, stream), "params": (None, json.dumps(params))}
            query = {"image": image, "tag": tag}
            self._checked(requests.put(f"{self.url}/datastore/label", params=query, files=files, timeout=_START_S))

    def next_sample(self, strategy: str) -> dict[str, Any]:
        """The image that a strategy picks."""
        answer = requests.post(f"{self.url}/activelearning/{strategy}", json={}, timeout=_START_S)
        found: dict[str, Any] = self._checked(answer).json()
        return found

    def task(self, kind: str, name: str, **params: Any) -> dict[str, Any]:
        """Run training or scoring, in the server's own background process, until it is done."""
        self._checked(requests.post(f"{self.url}/{kind}/{name}", json=params, timeout=_START_S))
        end = time.monotonic() + _TASK_S
        while time.monotonic() < end:
            state: dict[str, Any] = self.get(f"{kind}/")
            if state["status"] not in ("SUBMITTED", "RUNNING"):
                assert state["status"] == "DONE", "\n".join(state.get("details", []))
                return state
            time.sleep(2)
        pytest.fail(f"{kind} {name} takes too long:\n{self._tail()}")

    def _checked(self, answer: requests.Response) -> requests.Response:
        assert answer.ok, f"{answer.status_code} {answer.text[:300]}\n{self._tail()}"
        return answer

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


@contextmanager
def label_server(
    folder: Path, studies: str, app: Path, conf: Mapping[str, str], environment: Mapping[str, str] | None = None
) -> Iterator[Label]:
    """MONAI Label with an app over a datastore, on a free port.

    Args:
        folder: for its log and its caches.
        studies: folder or DICOMweb URL.
        app: folder of the app.
        conf: the app's settings.
        environment: of the server, besides what keeps it offline.
    """
    port, log = free_port(), folder / "monailabel.log"
    command = [str(host_python("label")), "-m", "monailabel.main", "start_server", "--app", str(app), "--studies", studies]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    for key, value in conf.items():
        command += ["-c", key, value]
    variables = {
        **os.environ,
        "PYTHONWARNINGS": "ignore",
        "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",  # scored when a test asks for it
        "MONAI_LABEL_DICOMWEB_CACHE_PATH": str(folder / "cache"),
        **(environment or {}),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT, env=variables)
        try:
            label = Label(f"http://127.0.0.1:{port}", log)
            _wait(label, process)
            yield label
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=30)


def _wait(label: Label, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            requests.get(f"{label.url}/info/", timeout=60).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(1)
    pytest.fail(f"MONAI Label does not answer:\n{label.log.read_text(errors='replace')[-3000:]}")
