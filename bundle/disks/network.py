"""How the two views of a disk meet."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TwoViewNet(nn.Module):
    """A trunk for each view; what they say is averaged, by weights that are learned for each output.

    A view that is missing (all zeros) has no say, and costs nothing. So each trunk is trained by every case that has its
    view, whatever else the case has. One network that takes both views as channels (MONAI's DenseNet121 with six) can stand
    in its place.

    Args:
        axial: (N, 3, size, size) -> (N, outputs).
        sagittal: the same for the other view; None to share the axial trunk.
        outputs: channels of either.
    """

    def __init__(self, axial: nn.Module, sagittal: nn.Module | None = None, outputs: int = 3) -> None:
        super().__init__()
        self.outputs = int(outputs)
        self.axial = axial
        self.sagittal = sagittal if sagittal is not None else axial
        self.say = nn.Parameter(torch.zeros(2, self.outputs))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 6, size, size) -> (B, outputs); see bundle.disks.views."""
        axial, sagittal = torch.chunk(image, 2, dim=1)
        seen = torch.stack([axial.flatten(1).abs().amax(1) > 0, sagittal.flatten(1).abs().amax(1) > 0], dim=1)
        if torch.jit.is_scripting():  # a graph that is exported has no room for a choice of rows
            said = torch.stack([self.axial(axial), self.sagittal(sagittal)], dim=1)
        else:
            said = self._asked(axial, sagittal, seen)
        weight = torch.exp(self.say).unsqueeze(0) * seen.unsqueeze(2)
        return (weight * said).sum(1) / weight.sum(1).clamp(min=1e-6)

    def _asked(self, axial: Tensor, sagittal: Tensor, seen: Tensor) -> Tensor:
        """(B, 2, outputs): what each trunk says of the views that are there; 0 for the others."""
        if torch.jit.is_tracing() or torch.compiler.is_compiling():
            return torch.stack([self.axial(axial), self.sagittal(sagittal)], dim=1)
        said = torch.zeros(len(seen), 2, self.outputs, device=seen.device)
        for k, (trunk, view) in enumerate(((self.axial, axial), (self.sagittal, sagittal))):
            rows = torch.nonzero(seen[:, k])[:, 0]
            if len(rows):
                said = said.index_put((rows, torch.full_like(rows, k)), trunk(view[rows]).float())
        return said
