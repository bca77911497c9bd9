"""Joins the classifier to MONAI's workflow engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn


def prepare_cases(
    batch: Mapping[str, Any], device: str | torch.device | None = None, non_blocking: bool = False, **kwargs: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    """(images, cases) of a batch, where a case keeps all that is known of it: what DiskLoss and DiskMetrics need.

    Args:
        batch: ``image`` (B, 6, size, size), and ``label``, ``level``, ``patient`` (B,) and other targets.
        device: where to put the images.
        non_blocking: as in Tensor.to.
        kwargs: unused; the engines pass their ``to_kwargs``.
    """
    images = torch.as_tensor(batch["image"]).to(device, non_blocking=non_blocking, memory_format=torch.channels_last)
    return images, {key: torch.as_tensor(value) for key, value in batch.items() if key != "image"}


class AutocastInferer(Inferer):
    """Runs a network in another type while it is trained.

    Args:
        autocast: type in which convolutions compute in training, such as ``bfloat16``; None for single precision. On a CPU
            it pays only where the processor multiplies matrices of that type (AMX); elsewhere it is many times slower.
    """

    def __init__(self, autocast: str | None = None) -> None:
        super().__init__()
        self.autocast = getattr(torch, autocast) if autocast else None

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:  # type: ignore[override]
        """Outputs of the network in single precision."""
        enabled = self.autocast is not None and network.training
        with torch.autocast(inputs.device.type, self.autocast, enabled=enabled):
            return network(inputs).float()
