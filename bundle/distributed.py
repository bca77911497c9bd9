"""Training in several processes (torchrun): who is who, and who writes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: The other processes wait while the first one validates.
_LONGEST_WAIT = timedelta(hours=2)


def rank() -> int:
    """Number of this process, as torchrun gives it; 0 without torchrun."""
    return int(os.environ.get("RANK", "0"))


def join_processes() -> torch.device:
    """Join the group of processes: NCCL where there are GPUs, one for each process, else Gloo on the CPU.

    Returns:
        Where this process computes.
    """
    import torch
    from torch import distributed

    gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if gpu else "gloo", timeout=_LONGEST_WAIT)
    return device


def handlers_of_rank(handlers: Sequence[Any]) -> list[Any]:
    """The first process validates, prints, draws curves and writes checkpoints; the others only train.

    Args:
        handlers: of the training.
    """
    from monai.handlers import CheckpointSaver, StatsHandler, TensorBoardHandler, ValidationHandler

    writers = (CheckpointSaver, StatsHandler, TensorBoardHandler, ValidationHandler)
    return [handler for handler in handlers if rank() == 0 or not isinstance(handler, writers)]
