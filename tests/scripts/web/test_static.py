from __future__ import annotations

import hashlib
import re

import pytest


@pytest.fixture
def static(root):
    return root / "scripts" / "web" / "static"


@pytest.fixture
def viewer(root):
    return root / "scripts" / "web" / "viewer"


def test_the_built_page_is_that_of_its_source(static, viewer):
    lines = (static / "sources.sha256").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    sources = [viewer / name for name in ("index.html", "package-lock.json", "tsconfig.json", "vite.config.ts")]
    for folder in ("public", "src", "src/texts"):
        sources += [path for path in (viewer / folder).iterdir() if path.is_file() and ".test." not in path.name]
    now = {str(path.relative_to(viewer)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sources}
    assert listed == now, "run `make viewer`"


def test_the_built_page_asks_for_nothing_from_elsewhere(static):
    page = (static / "index.html").read_text()
    assert set(re.findall(r'(?:src|href)="(/static/)?', page)) == {"/static/"}
    assert re.findall(r"url\(", "".join(path.read_text() for path in static.rglob("*.css"))) == []


def test_every_file_that_the_page_names_is_there(static):
    named = re.findall(r'(?:src|href)="/static/([^"]+)"', (static / "index.html").read_text())
    assert named
    assert all((static / name).is_file() for name in named)


def test_the_licences_of_what_is_built_in_go_along(static):
    text = (static / "licenses.md").read_text()
    assert all(
        f"## {name} " in text for name in ("@cornerstonejs/core", "@cornerstonejs/tools", "@kitware/vtk.js", "preact")
    )
