"""Lays out the application as `monai-deploy package` wants it.

python -m scripts.deploy.pack --output_dir dist/deploy
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import fire

from bundle.whole_folder import whole_folder

ROOT = Path(__file__).resolve().parents[2]
_HERE = Path(__file__).resolve().parent
#: Of this folder, what runs in the package.
_CODE = ("__init__.py", "app.py", "operators.py", "sorting.py")
_CONFIGS = ("inference.yaml", "metadata.json")
_DOCS = ("README.md", "deploy.md")


def main(output_dir: str = "dist/deploy") -> None:
    """Write ``app`` (code, configs, app.yaml, requirements.txt), ``models`` (a folder for each network) and ``docs``.

    Args:
        output_dir: is replaced as a whole.
    """
    place = Path(output_dir)
    if place.exists() and not (place / "app" / "app.yaml").is_file():
        sys.exit(f"error: {place} exists and is no packed application; name another folder")
    with whole_folder(place) as part:
        _write_app(part / "app")
        for name in ("vertebrae", "ribs", "disks"):
            (part / "models" / name).mkdir(parents=True)
            shutil.copyfile(ROOT / "models" / f"{name}.pt", part / "models" / name / f"{name}.pt")
        (part / "docs").mkdir()
        for name in _DOCS:
            shutil.copyfile(ROOT / "docs" / name, part / "docs" / name)
        shutil.copyfile(ROOT / "LICENSE", part / "docs" / "LICENSE")
    print(f"monai-deploy package {place / 'app'} --config {place / 'app' / 'app.yaml'} --models {place / 'models'} \\")
    print(f"    --docs {place / 'docs'} --platform x86_64 --tag lumbar-disk-bundle")


def _write_app(app: Path) -> None:
    code = app / "scripts" / "deploy"
    code.mkdir(parents=True)
    shutil.copytree(ROOT / "bundle", app / "bundle", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    (app / "configs").mkdir()
    for name in _CONFIGS:
        shutil.copyfile(ROOT / "configs" / name, app / "configs" / name)
    shutil.copyfile(ROOT / "scripts" / "__init__.py", app / "scripts" / "__init__.py")
    for name in _CODE:
        shutil.copyfile(_HERE / name, code / name)
    for name in ("__main__.py", "app.yaml"):
        shutil.copyfile(_HERE / name, app / name)
    (app / "requirements.txt").write_text("\n".join(requirements(_HERE / "requirements.txt")) + "\n", encoding="utf-8")


def requirements(path: Path) -> list[str]:
    """The lines of a requirements file without comments; those of the files that it names (``-r``) in their place."""
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("-r "):
            lines += requirements(path.parent / line.removeprefix("-r ").strip())
        elif line:
            lines.append(line)
    return lines


if __name__ == "__main__":
    fire.Fire(main)
