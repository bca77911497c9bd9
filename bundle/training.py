"""What the training configs need besides MONAI's engines and handlers."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ignite.engine import Engine
    from torch.optim import Optimizer

_log = logging.getLogger(__name__)
_CHECKPOINT = re.compile(r"checkpoint_epoch=(\d+)\.pt")


def clip_gradients(optimizer: Optimizer, max_norm: float) -> Optimizer:
    """The optimizer, which from now on scales all gradients together down to a norm of ``max_norm`` before each step."""
    import torch

    def clip(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, max_norm)

    optimizer.register_step_pre_hook(clip)
    return optimizer


def resume(trainer: Engine, folder: str | Path, objects: Mapping[str, Any]) -> int:
    """Put a training back to the newest ``checkpoint_epoch=<n>.pt`` in ``folder``, so that ``run`` goes on from there.

    Args:
        trainer: not yet running.
        folder: where CheckpointSaver writes; nothing happens if it holds no checkpoint.
        objects: those that were saved, by the names of CheckpointSaver's ``save_dict``.

    Returns:
        Epochs that are done.

    Raises:
        WeightsError: the checkpoint lacks one of ``objects``, or belongs to others.
    """
    import torch

    from bundle.weights import WeightsError

    found = {
        int(m[1]): path for path in Path(folder).glob("checkpoint_epoch=*.pt") if (m := _CHECKPOINT.fullmatch(path.name))
    }
    if not found:
        return 0
    epoch = max(found)
    try:
        state = torch.load(found[epoch], map_location="cpu", weights_only=True)
        for name, item in objects.items():
            item.load_state_dict(state[name])
    except (RuntimeError, KeyError, ValueError, EOFError) as error:
        raise WeightsError(f"{found[epoch]}: cannot go on from this checkpoint ({str(error).splitlines()[0]})") from error
    trainer.load_state_dict(
        {"epoch": epoch, "max_epochs": trainer.state.max_epochs, "epoch_length": trainer.state.epoch_length}
    )
    _log.info("goes on after epoch %d of %d", epoch, trainer.state.max_epochs)
    return epoch
