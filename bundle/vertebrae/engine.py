"""Joins the detector to MONAI's workflow engines: what SupervisedTrainer and SupervisedEvaluator call in an iteration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bundle.vertebrae.detector import BodyDetector

_TARGET_KEYS = ("boxes", "labels", "corners", "transition", "pixel_mm")
_NAMES = ("patient", "contrast")


def prepare_batch(
    batch: Sequence[Mapping[str, Any]], device: str | torch.device | None = None, non_blocking: bool = False, **kwargs: Any
) -> tuple[Tensor, list[dict[str, Any]], tuple[list[dict[str, Any]]], dict[str, Any]]:
    """(images, targets, (targets,), {}) of a list of items (``no_collation``), as the engines take them.

    Args:
        batch: items with ``image`` (1, H, W), and ``boxes``, ``labels``, ``corners``, ``transition`` (see VertebraSlices),
            and what is known of ``pixel_mm``, ``patient`` and ``contrast``.
        device: where to put them.
        non_blocking: as in Tensor.to.
        kwargs: unused; the engines pass their ``to_kwargs``.
    """
    images = torch.stack([torch.as_tensor(item["image"]) for item in batch]).to(device, non_blocking=non_blocking)
    targets = [
        {
            **{key: torch.as_tensor(item[key]).to(device, non_blocking=non_blocking) for key in _TARGET_KEYS if key in item},
            **{key: item[key] for key in _NAMES if key in item},
        }
        for item in batch
    ]
    return images, targets, (targets,), {}


class DetectionInferer:
    """Runs the detector around the bare network, so that an engine's ``network`` is the network itself.

    Args:
        detector: holds the same network.
        autocast: type in which convolutions compute in training, such as ``bfloat16``; None for single precision. On a CPU
            it pays only where the processor multiplies matrices of that type (AMX); elsewhere it is many times slower.
    """

    def __init__(self, detector: BodyDetector, autocast: str | None = None) -> None:
        self.detector = detector
        self.autocast = getattr(torch, autocast) if autocast else None

    def __call__(self, images: Tensor, network: nn.Module, targets: list[dict[str, Any]] | None = None) -> Any:
        """Losses while ``network`` is in training mode, bodies of each image otherwise."""
        if self.detector.network is not network:
            self.detector.network = network
        self.detector.train(network.training)
        if not network.training:
            return self.detector(images)
        with torch.autocast(images.device.type, self.autocast, enabled=self.autocast is not None):
            return self.detector(images, targets)


def total_loss(losses: Mapping[str, Tensor], targets: Any = None) -> Tensor:
    """Sum of the detector's losses; ``targets`` are in them already."""
    return torch.stack(list(losses.values())).sum()
