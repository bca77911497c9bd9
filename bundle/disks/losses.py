"""What the classifier is trained for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bundle.disks.outputs import LENGTHS, MM_PER_UNIT, split_outputs


class DiskLoss(nn.Module):
    """Cross-entropy of the class, and of what stands beside it as far as it is known.

    Args:
        smoothing: share of a class's target that is spread over all classes: readers differ.
        ordinal: weight of the squared distance between cumulative probabilities (Hou et al., arXiv:1611.05916), by which
            a herniation called normal costs more than one called bulge.
        prior: share of each class in the data, by which logits are adjusted in training (Menon et al., ICLR 2021), so
            that the network learns what speaks for a class however rare it is; None for none.
        flags: weight of the two flags' binary cross-entropy.
        pfirrmann: weight of the grade's cross-entropy.
        lengths: weight of the lengths' smooth L1 distance: one for all, or one for each of LENGTHS.
        length_beta: centimetres below which that distance is a square.
    """

    def __init__(
        self,
        smoothing: float = 0.05,
        ordinal: float = 0.0,
        prior: Sequence[float] | None = None,
        flags: float = 0.0,
        pfirrmann: float = 0.0,
        lengths: float | Mapping[str, float] = 0.0,
        length_beta: float = 0.02,
    ) -> None:
        super().__init__()
        self.smoothing, self.ordinal = float(smoothing), float(ordinal)
        self.adjustment = None if prior is None else torch.log(torch.tensor([float(p) for p in prior]))
        self.length_beta = float(length_beta)
        self.weights = {"flags": float(flags), "pfirrmann": float(pfirrmann)}
        given = lengths if isinstance(lengths, Mapping) else dict.fromkeys(LENGTHS, lengths)
        self.lengths = {name: float(weight) for name, weight in given.items() if float(weight)}

    def forward(self, outputs: Tensor, cases: Mapping[str, Tensor]) -> Tensor:
        """The loss of a batch: outputs (B, channels) and the cases' targets, see bundle.disks.outputs."""
        parts = split_outputs(outputs.float())
        loss = self._finding(parts["findings"], cases["readers"].to(outputs.device))
        if self.weights["flags"] and "flags" in parts:
            loss = loss + self.weights["flags"] * _masked(
                functional.binary_cross_entropy_with_logits, parts["flags"], cases["flags"]
            )
        if self.weights["pfirrmann"] and "pfirrmann" in parts:
            grade = cases["pfirrmann"].to(outputs.device).long()
            if bool((grade > 0).any()):
                loss = loss + self.weights["pfirrmann"] * functional.cross_entropy(
                    parts["pfirrmann"], grade - 1, ignore_index=-1
                )
        for name, weight in self.lengths.items() if "rim" in parts else ():
            target = cases[name] / MM_PER_UNIT
            loss = loss + weight * _masked(functional.smooth_l1_loss, parts[name], target, beta=self.length_beta)
        return loss

    def _finding(self, logits: Tensor, readers: Tensor) -> Tensor:
        target = (1 - self.smoothing) * readers + self.smoothing / readers.shape[1]
        adjusted = logits if self.adjustment is None else logits + self.adjustment.to(logits.device)
        loss = functional.cross_entropy(adjusted, target)
        if self.ordinal:
            distance = (torch.softmax(adjusted, 1).cumsum(1) - target.cumsum(1)).square().sum(1).mean()
            loss = loss + self.ordinal * distance
        return loss


def _masked(loss: Callable[..., Tensor], outputs: Tensor, targets: Tensor, **options: float) -> Tensor:
    targets = targets.to(outputs.device)
    known = ~torch.isnan(targets)
    if not bool(known.any()):
        return outputs.sum() * 0
    return loss(outputs[known], targets[known], **options)
