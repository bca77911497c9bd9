"""What is needed to repeat a run, written beside its outputs."""

from __future__ import annotations

import json
import platform
import re
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bundle import __version__
from bundle.distributed import rank
from bundle.whole_file import whole_file

_RECORD = "run.json"
_PACKAGES = ("torch", "monai", "pytorch-ignite", "numpy")
_CONFIG_FILE = re.compile(r"[^\s'\"\[\],=]+\.(?:ya?ml|json)")


def write_record(output_dir: str | Path) -> Path:
    """Write ``run.json`` (the command line, the versions) and a copy of every config file that the command line names.

    Of several processes (see bundle.distributed) the first one does so.

    Returns:
        Path of ``run.json``.
    """
    output_dir = Path(output_dir)
    if rank() > 0:
        return output_dir / _RECORD
    output_dir.mkdir(parents=True, exist_ok=True)
    for name in {match for argument in sys.argv[1:] for match in _CONFIG_FILE.findall(argument)}:
        if Path(name).is_file():
            shutil.copyfile(name, output_dir / Path(name).name)
    versions = {"bundle": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    record = output_dir / _RECORD
    with whole_file(record) as part:
        part.write_text(json.dumps({"arguments": sys.argv[1:], "versions": versions}, indent=1) + "\n")
    return record
