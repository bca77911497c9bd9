"""What the listener may be told: ``configs/pacs.yaml``, with the command line on top."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from scripts.settings import AeTitle, Server, Strict, checked, read_yaml


class Settings(Strict):
    """All of it; see ``configs/pacs.yaml``."""

    state_dir: Path = Path("pacs-data")
    server: Server
    orthanc: str | None = Field(None, pattern=r"^https?://[^\s?#]+$")
    store_to: Server | None = None
    ae_title: AeTitle = "LUMBARDISK"
    results: tuple[Literal["sr", "ps", "sc", "pdf"], ...] = Field(("sr", "ps", "sc", "pdf"), min_length=1)
    inference_config: tuple[str, ...] = ("configs/inference.yaml",)
    backlog: bool = False
    poll_seconds: float = Field(10, gt=0)
    stable_seconds: float = Field(60, ge=0)
    days: int | None = Field(7, gt=0)
    words: tuple[str, ...] = Field(min_length=1)
    undescribed: bool = True
    max_study_mb: int = Field(2048, gt=0)
    max_files: int = Field(20000, gt=0)
    max_attempts: int = Field(8, gt=0)
    keep_reports: bool = False

    @field_validator("state_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @model_validator(mode="after")
    def _dicomweb(self) -> Settings:
        if self.server.dicomweb is None:
            raise ValueError("server needs dicomweb: studies are fetched by it")
        return self


def load_settings(config: str | Path, **changes: Any) -> Settings:
    """Settings of a YAML file, with ``changes`` (None: as the file says).

    Raises:
        SettingsError: the file cannot be read, a key is unknown or a value does not fit.
    """
    values = {**read_yaml(config), **{key: value for key, value in changes.items() if value is not None}}
    return checked(Settings, values, config)
