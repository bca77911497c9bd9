"""Measures what the application needs: the figures behind the resources in app.yaml.

python -m scripts.deploy.measure -- STUDIES [STUDIES ...]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fire
import psutil

ROOT = Path(__file__).resolve().parents[2]
_PAUSE_SECONDS = 0.1


def main(*inputs: str, threads: int = 1) -> None:
    """Run the application on each input folder, and print time and memory.

    Args:
        inputs: folders of studies; each is a run of its own.
        threads: that the networks may use.
    """
    print("| input | studies | wall time | processor time | reading a study | peak memory |")
    print("| --- | --- | --- | --- | --- | --- |")
    for source in inputs:
        with tempfile.TemporaryDirectory() as output:
            wall, processor, memory = run(source, output, threads)
            results = json.loads((Path(output) / "results.json").read_text(encoding="utf-8"))
        seconds = ", ".join(f"{result['seconds']:.0f} s" for result in results)
        row = (Path(source).name, len(results), f"{wall:.0f} s", f"{processor:.0f} s", seconds, f"{memory / 2**20:.0f} MiB")
        print("| " + " | ".join(str(value) for value in row) + " |")


def run(source: str, output: str, threads: int = 1) -> tuple[float, float, int]:
    """Run the application once.

    Returns:
        (seconds, seconds of processor time, largest resident memory in bytes), import of the libraries included.
    """
    command = [sys.executable, "-m", "scripts.deploy", "-i", source, "-o", output, "-m", str(ROOT / "models")]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    started = time.monotonic()
    process = psutil.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    memory, processor = 0, 0.0
    while process.poll() is None:
        try:
            with process.oneshot():
                memory = max(memory, process.memory_info().rss)
                times = process.cpu_times()
                processor = times.user + times.system
        except psutil.Error:
            break
        time.sleep(_PAUSE_SECONDS)
    process.wait()
    return time.monotonic() - started, processor, memory


if __name__ == "__main__":
    fire.Fire(main)
