"""Weights on disk: half precision, never anything but tensors, named by their hash."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.whole_file import whole_file

if TYPE_CHECKING:
    from torch import nn


class WeightsError(Exception):
    """A weights file cannot be used; the message is one line for the user."""


def save_weights(network: nn.Module, path: str | Path) -> Path:
    """Write the network's state in half precision; the file is whole or not there."""
    import torch

    state = {k: v.detach().cpu().half() if v.is_floating_point() else v.cpu() for k, v in network.state_dict().items()}
    with whole_file(path) as part:
        torch.save(state, part)
    return Path(path)


def load_weights(network: nn.Module, path: str | Path) -> nn.Module:
    """The network with the state of ``path``, in single precision.

    A training checkpoint that holds the state under ``model`` is read too. A network that is a file itself (it has
    ``load_file``, as ExportedNetwork) takes that file.

    Raises:
        WeightsError: the file is missing, is no weights file, or belongs to another network.
    """
    import torch

    load_file: Callable[[Path], nn.Module] | None = getattr(network, "load_file", None)
    if load_file is not None:
        return load_file(Path(path))
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"weights file {path} is missing: train it, or name another one")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("model", state)
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    except (RuntimeError, pickle.UnpicklingError, EOFError, AttributeError, LookupError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"weights file {path} does not fit the network: {reason}") from error
    return network


def sha256_of(path: str | Path) -> str:
    """Hash of a file, as the report and the model card give it."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
