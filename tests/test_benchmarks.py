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
