"""Which bodies carry ribs: read beside the column, to check the names that were counted from the sacrum.

A sixth lumbar body, a rib on L1, and names that are all wrong by one look alike from below. They differ in where the ribs
end: on outer slices, where bodies end, and in what stands behind the canal.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.networks.blocks import Convolution
from monai.transforms import MapTransform, Randomizable
from numpy.typing import NDArray
from torch import Tensor, nn

from bundle.geometry import SlicePlane, Vertebra, unit
from bundle.geometry.resample import resample_plane
from bundle.study.types import StudyImage
from bundle.weights import load_weights

#: Offsets from the body's middle are given to the network as shares of this.
_REACH_MM = 20.0
#: A place is without a signal where no slice is brighter than this share of the stack's brightness.
_BLANK = 0.05


@dataclass(frozen=True)
class RibWindow:
    """The window around a body in which ribs and processes are looked for, upright with the body, the front to the left.

    Args:
        rows: height in pixels.
        columns: width in pixels.
        pixel_mm: size of a pixel.
        front_mm: how far it reaches before the body's middle; the rest lies behind.
    """

    rows: int = 48
    columns: int = 72
    pixel_mm: float = 1.15
    front_mm: float = 23.0

    def window(self, center_lps_mm: NDArray, up_lps: NDArray, plane: SlicePlane) -> SlicePlane:
        """The window in a sagittal plane, around where a body's middle meets it.

        Args:
            center_lps_mm: (3,) middle of the body.
            up_lps: (3,) from its lower to its upper endplate.
            plane: of the slice.
        """
        down = -(up_lps - (up_lps @ plane.normal) * plane.normal)
        down = unit(down)
        back = np.cross(down, plane.normal)
        back = back if back[1] > 0 else -back
        middle = center_lps_mm - float(plane.signed_distance_mm(center_lps_mm)) * plane.normal
        origin = middle - self.front_mm * back - (self.rows - 1) / 2 * self.pixel_mm * down
        spacing = (self.pixel_mm, self.pixel_mm)
        return replace(
            plane, origin_lps_mm=origin, row_direction=back, column_direction=down, pixel_spacing_mm=spacing,
            shape=(self.rows, self.columns),
        )  # fmt: skip


def rib_input(slices: Tensor, offset_mm: Tensor) -> Tensor:
    """(2, S, rows, columns) for RibNet: brightness from 0 to 1 over the stack, and each slice's distance from the middle.

    Args:
        slices: (S, rows, columns) brightness.
        offset_mm: (S,) distance of each slice from the body's middle; NaN for a slice that is not there.
    """
    there = torch.isfinite(offset_mm)
    image = torch.zeros_like(slices)
    if there.any():
        shown = slices[there]
        # A quarter of the pixels tells the percentiles as well, and torch counts no more than 16 million of them.
        low, high = torch.quantile(shown[:, ::2, ::2].flatten(), torch.tensor([0.01, 0.99]))
        image[there] = ((shown - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    distance = torch.where(there, offset_mm.abs() / _REACH_MM, torch.full_like(offset_mm, -1.0))
    return torch.stack([image, distance[:, None, None].expand_as(image)])


class StackRibSlicesd(MapTransform):
    """Makes the image (S, rows, columns) RibNet's input, see rib_input.

    Args:
        keys: of the image.
        offset_key: of the slices' distances from the body's middle.
        allow_missing_keys: as in MapTransform.
    """

    def __init__(
        self, keys: KeysCollection = "image", offset_key: str = "offset_mm", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.offset_key = offset_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with the input in place of the image."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = rib_input(torch.as_tensor(item[key]), torch.as_tensor(item[self.offset_key]))
        return item


class RandChooseSlicesd(Randomizable, MapTransform):
    """Some of a stack's slices, at random: stacks are narrower and coarser elsewhere, and fewer slices take less time.

    Args:
        slices: how many are left; a stack with fewer is filled up with slices that are not there.
        keys: of the image (S, rows, columns).
        offset_key: of the slices' distances, NaN where there is none.
        allow_missing_keys: as in MapTransform.
    """

    def __init__(
        self,
        slices: int,
        keys: KeysCollection = "image",
        offset_key: str = "offset_mm",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.slices = int(slices)
        self.offset_key = offset_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with fewer slices."""
        item = dict(data)
        offsets = torch.as_tensor(item[self.offset_key])
        there, absent = torch.nonzero(torch.isfinite(offsets))[:, 0], torch.nonzero(~torch.isfinite(offsets))[:, 0]
        drawn = there[torch.from_numpy(self.R.permutation(len(there)))]
        kept = torch.cat([drawn, absent])[: self.slices]
        item[self.offset_key] = offsets[kept]
        for key in self.key_iterator(item):
            item[key] = torch.as_tensor(item[key])[kept]
        return item


class RibNet(nn.Module):
    """Logit that a body carries ribs, from all slices of a stack that pass through it or beside it.

    Each slice is looked at by itself, with its distance from the body's middle; what is seen is joined by mean and maximum,
    so it does not matter how many slices there are or from which side they come.

    Args:
        rows: of the window.
        columns: of the window.
        channels: of the convolutions.
        features: of a slice.
    """

    def __init__(
        self, rows: int = 48, columns: int = 72, channels: Sequence[int] = (24, 32, 48, 64, 64), features: int = 64
    ) -> None:
        super().__init__()
        strides = (2, 1, 2, 1, 2)
        self.convolutions = nn.Sequential()
        before = 2
        for k, (width, stride) in enumerate(zip(channels, strides, strict=True)):
            self.convolutions.append(
                Convolution(2, before, width, strides=stride, kernel_size=5 if k == 0 else 3, act="RELU", norm="BATCH")
            )
            before = width
        cells = -(-rows // 8) * -(-columns // 8)
        self.features = int(features)
        self.slice_head = nn.Sequential(nn.Flatten(), nn.Linear(before * cells, self.features), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(2 * self.features, self.features), nn.ReLU(), nn.Linear(self.features, 1))

    def forward(self, stacks: Tensor) -> Tensor:
        """(B,) logits of stacks (B, 2, S, rows, columns), each as rib_input gives it."""
        there = stacks[:, 1, :, 0, 0] >= 0
        slices = stacks.transpose(1, 2)[there].contiguous(memory_format=torch.channels_last)  # faster convolutions
        seen = self.slice_head(self.convolutions(slices))
        each = torch.zeros(*there.shape, self.features, dtype=seen.dtype, device=seen.device)
        each = each.index_put(torch.nonzero(there, as_tuple=True), seen)  # absent slices stay 0, the least of a ReLU
        mean = each.sum(1) / there.sum(1, keepdim=True).clamp(min=1)
        logits: Tensor = self.head(torch.cat([mean, each.amax(1)], dim=1))[:, 0]
        return logits


class RibReader:
    """Whether the ribs fit the names of a column.

    Args:
        network: RibNet, or another that takes the same stacks.
        weights: file of its weights.
        window: around each body.
        min_reach_mm: a body is judged only where the stack reaches this far to one side of its middle,
        max_blank: and where no more than this share of its window is blank, beyond the images' edge or without a signal.
        device: where the network runs.
    """

    def __init__(
        self,
        network: nn.Module,
        weights: str | Path,
        window: RibWindow | None = None,
        min_reach_mm: float = 18.0,
        max_blank: float = 0.1,
        device: str | torch.device = "cpu",
    ) -> None:
        self.network = network
        self.weights = Path(weights)
        self.window = window or RibWindow()
        self.min_reach_mm = float(min_reach_mm)
        self.max_blank = float(max_blank)
        self.device = torch.device(device)
        self._loaded = False

    def __call__(self, images: Sequence[StudyImage], vertebrae: Sequence[Vertebra]) -> float | None:
        """Log-likelihood of the ribs if all names were shifted by one, up or down, less that of the names as they are.

        Below 0 the ribs speak for the names. None where neither T12 nor L1 can be judged: a picture, a stack that is too
        narrow, a field of view that ends below them or at them.

        Args:
            images: slices of a sagittal stack, in any order.
            vertebrae: named bodies of it.

        Raises:
            WeightsError: the weights are missing or do not fit.
        """
        placed = [(image, image.plane) for image in images if image.plane is not None]
        planes = [plane for _, plane in placed]
        if not planes or len(placed) < len(images):
            return None
        pixels = [image.load_pixels() for image, _ in placed]
        seen = {v.level: self._stack(pixels, planes, v) for v in vertebrae if v.level in ("T12", "L1")}
        stacks = {level: stack for level, stack in seen.items() if stack is not None}
        if not stacks:
            return None
        if not self._loaded:
            network = load_weights(self.network, self.weights).eval()
            network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster convolutions
            self._loaded = True
        with torch.inference_mode():
            logits = self.network(torch.stack(list(stacks.values())).to(self.device)).tolist()
        # T12 without ribs: a sixth lumbar body below, or all names one too low. L1 with ribs: the reverse.
        return max(-logit if level == "T12" else logit for level, logit in zip(stacks, logits, strict=True))

    def _stack(self, pixels: Sequence[NDArray], planes: Sequence[SlicePlane], body: Vertebra) -> Tensor | None:
        """What the network looks at around a body; None where the slices do not show enough."""
        center, corners = body.center_lps_mm, body.corners_lps_mm
        if center is None or corners is None:
            return None
        offset_mm = np.array([-float(plane.signed_distance_mm(center)) for plane in planes], dtype=np.float32)
        if np.abs(offset_mm).max() < self.min_reach_mm:
            return None
        # Slices of a stack are parallel: the window on one of them lies on all.
        nearest = planes[int(np.abs(offset_mm).argmin())]
        window = self.window.window(center, corners[:2].mean(0) - corners[2:].mean(0), nearest)
        shown = np.stack([resample_plane(image, plane, window) for image, plane in zip(pixels, planes, strict=True)])
        # Scanners fill up their images with rows that are nearly black, so an image may end before its edge.
        if np.mean(shown.max(axis=0) <= _BLANK * np.percentile(shown, 99)) > self.max_blank:
            return None
        return rib_input(torch.from_numpy(shown), torch.from_numpy(offset_mm))
