"""The benchmarks run; how fast is not tested here, since machines differ."""

import os
import re
import subprocess
import sys


def test_geometry_benchmark_prints_the_ratio_of_its_own_times(root):
    command = [sys.executable, "-m", "scripts.benchmark_geometry", "--repeats", "1", "--threads", "1"]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    times = [float(t) for t in re.findall(r": ([\d.]+) ms$", done.stdout, re.MULTILINE)]
    assert len(times) == 4 and min(times) > 0
    (ratio,) = re.findall(r"^geometry / networks: ([\d.]+) ", done.stdout, re.MULTILINE)
    # The times are printed to a tenth of a millisecond, the ratio to three digits.
    expected = sum(times[:2]) / sum(times[2:])
    assert abs(float(ratio) - expected) < 0.001 + 0.02 * expected


def test_phantom_benchmark_prints_rendering_beside_training(root):
    options = ["--processes", "1", "--seconds", "0.3", "--size_px", "64", "--device", "cpu"]
    command = [sys.executable, "-m", "scripts.benchmark_phantom", *options]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    rates = [float(r) for r in re.findall(r": ([\d.]+) slices a second", done.stdout)]
    assert len(rates) == 5 and min(rates) > 0
    (ratio,) = re.findall(r"^rendering \(2 contrasts\) to training: ([\d.]+)$", done.stdout, re.MULTILINE)
    assert abs(float(ratio) - rates[1] / rates[3]) < 0.02 + 0.05 * float(ratio)
