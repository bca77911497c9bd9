"""The command line, as a user has it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_bundle(root: Path, *arguments: str, config: str = "configs/inference.yaml") -> subprocess.CompletedProcess[str]:
    """``python -m monai.bundle run`` in the bundle's root, with what it printed."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", config, *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=900, check=False, env=environment)
