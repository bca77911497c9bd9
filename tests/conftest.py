"""Where the tests' data are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# The same examples at each run, and no limit of time: machines differ.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The bundle's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def sample_study() -> Path:
    """The phantom study that ships with the bundle."""
    return ROOT / "docs" / "sample-study"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images, which are not part of the project."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real images (../shared/data) are not here")
    return folder
