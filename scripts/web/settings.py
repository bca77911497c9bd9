"""What the server may be told: ``configs/web.yaml``, with the command line on top."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from scripts.settings import AeTitle, Server, SettingsError, Strict, checked, read_yaml

TOKEN_VARIABLE = "LUMBAR_WEB_TOKEN"
MIN_TOKEN = 16


class Limits(Strict):
    """Of one upload; see ``configs/web.yaml``."""

    max_upload_mb: int = Field(1024, gt=0)
    max_unpacked_mb: int = Field(4096, gt=0)
    max_ratio: float = Field(200, gt=1)
    max_files: int = Field(20000, gt=0)
    min_free_mb: int = Field(500, ge=0)


class ReaderLimits(Strict):
    """Of the process that reads; see ``configs/web.yaml``."""

    max_memory_mb: int = Field(8192, gt=0)
    max_seconds: float = Field(1800, gt=0)
    max_studies: int = Field(50, gt=0)
    max_attempts: int = Field(2, gt=0)


class Settings(Strict):
    """All of it; paths are absolute."""

    host: str = "127.0.0.1"
    port: int = Field(8050, ge=0, lt=65536)
    allowed_hosts: tuple[str, ...] = ()
    token_file: Path | None = None
    token: str = Field("", repr=False, description="Comes from the environment or token_file, never from a config.")
    certificate: Path | None = None
    certificate_key: Path | None = None
    data_dir: Path = Path("web-data")
    language: str = "en"
    inference_config: tuple[str, ...] = ("configs/inference.yaml", "configs/heat_maps.yaml")
    limits: Limits = Limits()
    reader: ReaderLimits = ReaderLimits()
    servers: tuple[Server, ...] = ()
    ae_title: AeTitle = "LUMBARDISK"

    @field_validator("inference_config", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        names = [server.name for server in self.servers]
        if len(set(names)) < len(names):
            raise ValueError("two servers have the same name")
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("certificate and certificate_key belong together")
        if self.token and len(self.token) < MIN_TOKEN:
            raise ValueError(f"the token has fewer than {MIN_TOKEN} characters")
        if not self.loopback and not self.token:
            raise ValueError(
                f"{self.host} can be reached from other machines: set {TOKEN_VARIABLE} or token_file, or bind to 127.0.0.1"
            )
        return self

    @property
    def loopback(self) -> bool:
        """Only programs of this machine can reach the server."""
        return is_loopback(self.host)

    def server(self, name: str) -> Server | None:
        """The configured server of that name."""
        return next((server for server in self.servers if server.name == name), None)


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def load_settings(config: str | Path, **changes: Any) -> Settings:
    """Settings of a YAML file, with ``changes`` (None: as the file says) and the token of the environment or its file.

    Raises:
        SettingsError: the file cannot be read, a key is unknown or a value does not fit.
    """
    values = read_yaml(config)
    if "token" in values:
        raise SettingsError(f"{config}: a token belongs into token_file")
    values |= {key: value for key, value in changes.items() if value is not None}
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token and values.get("token_file"):
        try:
            token = Path(values["token_file"]).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise SettingsError(f"token_file {values['token_file']} cannot be read") from None
    return checked(Settings, {**values, "token": token}, config)
