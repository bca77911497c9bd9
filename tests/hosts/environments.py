"""The hosts' own environments, which `make test-hosts` makes."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def host_python(host: str) -> Path:
    """The interpreter of the environment of ``scripts/<host>/requirements.txt``."""
    python = ROOT / f".venv-{host}" / "bin" / "python"
    if not python.is_file():
        pytest.fail(f"{python.parents[1].name} is not there; `make test-hosts` makes it")
    return python
