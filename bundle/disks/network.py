"""How the two views of a disk meet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bundle.disks.views import SLICES_PER_VIEW


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
        axial, sagittal = image[:, :SLICES_PER_VIEW], image[:, SLICES_PER_VIEW:]
        seen = torch.stack([axial.abs().amax((1, 2, 3)) > 0, sagittal.abs().amax((1, 2, 3)) > 0], dim=1)
        said = torch.stack([self._ask(self.axial, axial, seen[:, 0]), self._ask(self.sagittal, sagittal, seen[:, 1])], dim=1)
        weight = torch.exp(self.say)[None] * seen[:, :, None]
        return (weight * said).sum(1) / weight.sum(1).clamp(min=1e-6)

    def _ask(self, trunk: nn.Module, view: Tensor, seen: Tensor) -> Tensor:
        # A graph that is exported has no room for a choice of rows.
        if torch.jit.is_scripting() or torch.jit.is_tracing() or torch.compiler.is_compiling():
            return trunk(view)
        said = image_zeros(view, self.outputs)
        if bool(seen.any()):
            said = said.index_put((torch.nonzero(seen)[:, 0],), trunk(view[seen]).to(said.dtype))
        return said


def image_zeros(like: Tensor, width: int) -> Tensor:
    """(B, width) zeros in single precision on the device of ``like``."""
    return torch.zeros(like.shape[0], width, device=like.device)
