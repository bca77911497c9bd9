"""An application without its reading process, for what does not need one."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from scripts.web.app import create_app
from scripts.web.settings import Limits, Settings

FACTS = {
    "patient": {"name": "Spine, Phantom", "id": "P-1", "birth_date": "", "sex": "O"},
    "study_date": "2000-01-01", "description": "MR lumbar", "accession_number": "A1", "files": 1, "bytes": 10,
}  # fmt: skip


@pytest.fixture
def settings(tmp_path):
    return Settings(
        data_dir=tmp_path / "data", limits=Limits(max_upload_mb=8, max_unpacked_mb=16, max_files=200, min_free_mb=0)
    )


@pytest.fixture
def app(settings):
    made = create_app(settings)
    yield made
    made.state.web.store.close()


@pytest.fixture
def client(app):
    """Its lifespan does not run, so that nothing is read: what is queued stays queued."""
    return TestClient(app, base_url="http://127.0.0.1:8050")


@pytest.fixture
def web(app):
    return app.state.web


@pytest.fixture
def add(web):
    """Adds a study to the work list without files."""

    def added(digest="d1", uid="1.2.3", **facts):
        return web.store.add(digest, uid, {**FACTS, **facts}, lambda study: None)["id"]

    return added
