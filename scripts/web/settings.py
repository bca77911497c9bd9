"""What the server may be told: ``configs/web.yaml``, with the command line on top."""

from __future__ import annotations

import ipaddress
import logging
import os
import warnings
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

ROOT = Path(__file__).resolve().parents[2]
TOKEN_VARIABLE = "LUMBAR_WEB_TOKEN"
MIN_TOKEN = 16
MB = 1024 * 1024

AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x20-\x5b\x5d-\x7e]+$")]


class SettingsError(Exception):
    """The server cannot start so; the message is one line for the user."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Strict):
    """Of one upload; see ``configs/web.yaml``."""

    max_upload_mb: int = Field(1024, gt=0)
    max_unpacked_mb: int = Field(4096, gt=0)
    max_ratio: float = Field(200, gt=1)
    max_files: int = Field(20000, gt=0)
    min_free_mb: int = Field(500, ge=0)


class ReaderLimits(_Strict):
    """Of the process that reads; see ``configs/web.yaml``."""

    max_memory_mb: int = Field(8192, gt=0)
    max_seconds: float = Field(1800, gt=0)
    max_studies: int = Field(50, gt=0)
    max_attempts: int = Field(2, gt=0)


class Server(_Strict):
    """A DICOMweb server (``dicomweb``, its URL) or a DICOM node (``ae_title``, ``host``, ``port``)."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[\w .-]+$")
    dicomweb: str | None = Field(None, pattern=r"^https?://[^\s?#]+$")
    user: str = ""
    password_variable: str = Field("", description="Environment variable that holds the password.")
    ae_title: AeTitle | None = None
    host: str = ""
    port: int = Field(104, gt=0, lt=65536)

    @model_validator(mode="after")
    def _one_kind(self) -> Server:
        if (self.dicomweb is None) == (self.ae_title is None):
            raise ValueError("a server has either dicomweb or ae_title")
        if self.ae_title is not None and not self.host:
            raise ValueError("a DICOM node needs host and port")
        return self


class Settings(_Strict):
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


def quiet_libraries() -> None:
    """Keep out of the log what libraries say of headers, UIDs and addresses."""
    warnings.simplefilter("ignore")
    for name in ("dicomweb_client", "pydicom", "pynetdicom", "urllib3", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def load_settings(config: str | Path, **changes: Any) -> Settings:
    """Settings of a YAML file, with ``changes`` (None: as the file says) and the token of the environment or its file.

    Raises:
        SettingsError: the file cannot be read, a key is unknown or a value does not fit.
    """
    try:
        values = yaml.safe_load(Path(config).read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{config}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})") from None
    except yaml.YAMLError:
        raise SettingsError(f"{config}: no valid YAML") from None
    if not isinstance(values, dict) or "token" in values:
        raise SettingsError(f"{config}: {'a token belongs into token_file' if isinstance(values, dict) else 'no settings'}")
    values |= {key: value for key, value in changes.items() if value is not None}
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token and values.get("token_file"):
        try:
            token = Path(values["token_file"]).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise SettingsError(f"token_file {values['token_file']} cannot be read") from None
    try:
        return Settings(**{**values, "token": token})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"{config}: {place + ': ' if place else ''}{first['msg'].removeprefix('Value error, ')}"
        ) from None
