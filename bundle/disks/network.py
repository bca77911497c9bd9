"""How the two views of a disk meet."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.nets import DenseNet121
from torch import Tensor, nn

from bundle.disks.outputs import CHANNELS, PARTS


class GridDenseNet121(DenseNet121):
    """MONAI's DenseNet121 for two dimensions whose last map is read cell by cell, not as the mean of all cells.

    Where something is cannot be read from a mean; an outline is nothing but that.

    Args:
        grid: cells along each side that the last map is pooled to; 1 is DenseNet121 itself.
        out_channels: outputs.
        kwargs: of DenseNet121.
    """

    def __init__(self, grid: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__(spatial_dims=2, out_channels=out_channels, **kwargs)
        self.cells = int(grid) ** 2
        self.class_layers.pool = nn.AdaptiveAvgPool2d(int(grid))
        layers: Any = self.class_layers
        self.wanted_features = layers.out.in_features * self.cells
        layers.out = nn.Linear(self.wanted_features, out_channels)
        self.register_load_state_dict_pre_hook(self._spread)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, size, size) -> (N, out_channels): the mean of what each cell says, each by weights of its own."""
        layers: Any = self.class_layers
        return layers.out(layers.pool(layers.relu(self.features(x))).flatten(1) / self.cells)

    def _spread(self, module: nn.Module, state: dict[str, Any], prefix: str, *args: Any) -> None:
        """Takes weights of a network that reads the mean for those of every cell: the outputs are the same."""
        name = prefix + "class_layers.out.weight"
        given = state[name].shape[1] if name in state else 0
        if given and given * self.cells == self.wanted_features:
            state[name] = state[name].repeat_interleave(self.cells, dim=1)


_OUTLINE = frozenset({"rim", "excess", "center"})


def _names(outputs: int) -> list[str]:
    """The part that each channel belongs to; without parts all are findings."""
    if outputs != CHANNELS:
        return ["findings"] * outputs
    return [name for name, width in PARTS.items() for _ in range(width)]


class TwoViewNet(nn.Module):
    """A trunk for each view; what they say is averaged, by weights that are learned for each output.

    A view that is missing (all zeros) has no say, and costs nothing. So each trunk is trained by every case that has its
    view, whatever else the case has. Two views can be surer than one: where both are there, their average is multiplied by a
    factor that is learned too. The disk's outline is the axial trunk's alone wherever there is an axial view: what the
    sagittal one has to say of it is a guess. One network that takes both views as channels (MONAI's DenseNet121 with six)
    can stand in its place.

    Args:
        axial: (N, 3, size, size) -> (N, outputs).
        sagittal: the same for the other view; None to share the axial trunk.
        outputs: channels of either; the outline is known among bundle.disks.outputs.CHANNELS of them.
        fixed_trunks: training leaves the trunks as they are, and learns how they meet.
    """

    def __init__(
        self, axial: nn.Module, sagittal: nn.Module | None = None, outputs: int = 3, fixed_trunks: bool = False
    ) -> None:
        super().__init__()
        self.outputs = int(outputs)
        self.fixed_trunks = bool(fixed_trunks)
        self.axial = axial
        self.sagittal = sagittal if sagittal is not None else axial
        self.say = nn.Parameter(torch.zeros(2, self.outputs))
        self.gain = nn.Parameter(torch.zeros(self.outputs))
        self.met: Tensor  # 1 for the channels in which the views meet, 0 for the outline
        self.register_buffer("met", torch.tensor([float(name not in _OUTLINE) for name in _names(self.outputs)]), False)
        if self.fixed_trunks:
            self.axial.requires_grad_(False)
            self.sagittal.requires_grad_(False)

    def train(self, mode: bool = True) -> TwoViewNet:
        """As in nn.Module; fixed trunks go on judging as they do, with the statistics that they have."""
        super().train(mode)
        if self.fixed_trunks:
            self.axial.eval()
            self.sagittal.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """(B, 6, size, size) -> (B, outputs); see bundle.disks.views."""
        axial, sagittal = torch.chunk(image, 2, dim=1)
        seen = torch.stack([axial.flatten(1).abs().amax(1) > 0, sagittal.flatten(1).abs().amax(1) > 0], dim=1)
        if torch.jit.is_scripting():  # a graph that is exported has no room for a choice of rows
            said = torch.stack([self.axial(axial), self.sagittal(sagittal)], dim=1)
        else:
            said = self._asked(axial, sagittal, seen)
        both = seen.all(1, keepdim=True).float()
        sagittal_say = 1 - both * (1 - self.met)  # none of an outline that the axial view shows
        weight = torch.exp(self.say).unsqueeze(0) * seen.unsqueeze(2)
        weight = weight * torch.stack([torch.ones_like(sagittal_say), sagittal_say], dim=1)
        together = torch.exp(self.gain * self.met).unsqueeze(0) ** both
        return together * (weight * said).sum(1) / weight.sum(1).clamp(min=1e-6)

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
