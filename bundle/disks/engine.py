"""Joins the classifier to MONAI's workflow engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def prepare_cases(
    batch: Mapping[str, Any], device: str | torch.device | None = None, non_blocking: bool = False, **kwargs: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    """(images, cases) of a batch, where a case keeps its level and patient beside its label: what DiskMetrics counts by.

    Args:
        batch: ``image`` (B, 6, size, size), and ``label``, ``level``, ``patient`` (B,).
        device: where to put the images.
        non_blocking: as in Tensor.to.
        kwargs: unused; the engines pass their ``to_kwargs``.
    """
    images = torch.as_tensor(batch["image"]).to(device, non_blocking=non_blocking)
    return images, {key: torch.as_tensor(batch[key]) for key in ("label", "level", "patient")}
