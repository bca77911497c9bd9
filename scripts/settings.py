"""What the servers of this folder share: settings in a YAML file, checked, and the other servers that they may call."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

ROOT = Path(__file__).resolve().parents[1]
MB = 1024 * 1024

AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x20-\x5b\x5d-\x7e]+$")]


class SettingsError(Exception):
    """A server cannot start so; the message is one line for the user."""


class Strict(BaseModel):
    """Settings that never change and have no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(Strict):
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


def quiet_libraries() -> None:
    """Keep out of the log what libraries say of headers, UIDs and addresses."""
    warnings.simplefilter("ignore")
    for name in ("dicomweb_client", "pydicom", "pynetdicom", "urllib3", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


Model = TypeVar("Model", bound=BaseModel)


def read_yaml(config: str | Path) -> dict[str, Any]:
    """The keys of a YAML file.

    Raises:
        SettingsError: it cannot be read or holds no settings.
    """
    try:
        values = yaml.safe_load(Path(config).read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{config}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})") from None
    except yaml.YAMLError:
        raise SettingsError(f"{config}: no valid YAML") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{config}: no settings")
    return values


def checked(model: type[Model], values: Mapping[str, Any], config: str | Path) -> Model:
    """``values`` as settings.

    Args:
        model: what they have to be.
        values: by name.
        config: the file they come from, for the message.

    Raises:
        SettingsError: a key is unknown or a value does not fit.
    """
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"{config}: {place + ': ' if place else ''}{first['msg'].removeprefix('Value error, ')}"
        ) from None
