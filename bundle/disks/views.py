"""What the classifier sees of a disk: the axial and the sagittal ROI as channels of one picture."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform, Randomizable
from numpy.typing import NDArray
from torch import Tensor

#: The views, in the order of the channels; each has three neighbouring slices.
VIEWS: tuple[str, ...] = ("axial", "sagittal")
SLICES_PER_VIEW = 3


def scaled(pixels: NDArray[np.float32] | Tensor, lower: float = 1.0, upper: float = 99.0) -> Tensor:
    """(slices, size, size) brightness, 0 at the ``lower`` and 1 at the ``upper`` percentile of all slices together."""
    image = torch.as_tensor(pixels, dtype=torch.float32)
    low, high = np.percentile(image.numpy(), [lower, upper])
    return ((image - float(low)) / max(float(high - low), 1e-6)).clamp(0, 1)


def stack_views(
    axial: NDArray[np.float32] | Tensor | None, sagittal: NDArray[np.float32] | Tensor | None, size_px: int
) -> Tensor:
    """(6, size_px, size_px) input of the classifier; a view that is missing is all zeros."""
    channels = []
    for pixels in (axial, sagittal):
        if pixels is None:
            channels.append(torch.zeros(SLICES_PER_VIEW, size_px, size_px))
            continue
        view = scaled(pixels)
        if tuple(view.shape) != (SLICES_PER_VIEW, size_px, size_px):
            raise ValueError(f"a view has {tuple(view.shape)} pixels, not {(SLICES_PER_VIEW, size_px, size_px)}")
        channels.append(view)
    return torch.cat(channels)


class StackViewsd(MapTransform, Randomizable):
    """Joins ``axial`` and ``sagittal`` of an item to ``image``, the classifier's input (see stack_views).

    Args:
        size_px: side of the ROIs.
        drop: chance that a view is left out, never both: many studies have only one, and the classifier must cope.
        keep: the views that are used at all; the others count as missing.
        single: chance that only the middle slice of the sagittal view is there, as in a picture, and stands for all three.
    """

    def __init__(
        self, size_px: int = 128, drop: float = 0.0, keep: Sequence[str] = VIEWS, single: float = 0.0
    ) -> None:
        MapTransform.__init__(self, list(VIEWS), allow_missing_keys=True)
        self.size_px = int(size_px)
        self.drop = float(drop)
        self.keep = tuple(keep)
        self.single = float(single)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with ``image`` (6, size, size) in place of the views."""
        item = dict(data)
        views = {name: item.pop(name, None) for name in VIEWS}
        views = {name: pixels if name in self.keep else None for name, pixels in views.items()}
        present = [name for name, pixels in views.items() if pixels is not None]
        if len(present) > 1 and self.R.random() < self.drop:
            views[present[self.R.randint(len(present))]] = None
        if self.single and views["sagittal"] is not None and self.R.random() < self.single:
            views["sagittal"] = views["sagittal"][[SLICES_PER_VIEW // 2] * SLICES_PER_VIEW]
        item["image"] = stack_views(views["axial"], views["sagittal"], self.size_px)
        return item


class RandWindowd(MapTransform, Randomizable):
    """Scales brightness to 0..1, cut off at random percentiles, as by a window that was chosen before a picture was saved.

    Args:
        keys: of the views.
        prob: chance of a narrow window; else nearly all of the brightness is kept.
        low: range of the percentile below which all is black.
        high: range of the percentile above which all is white.
        allow_missing_keys: as in MapTransform.
    """

    def __init__(
        self,
        keys: Sequence[str] = VIEWS,
        prob: float = 0.3,
        low: tuple[float, float] = (0.0, 10.0),
        high: tuple[float, float] = (88.0, 100.0),
        allow_missing_keys: bool = True,
    ) -> None:
        MapTransform.__init__(self, list(keys), allow_missing_keys)
        self.prob, self.low, self.high = float(prob), tuple(low), tuple(high)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with its views, 0 to 1."""
        item = dict(data)
        for key in self.key_iterator(item):
            narrow = self.R.random() < self.prob
            low, high = (self.R.uniform(*self.low), self.R.uniform(*self.high)) if narrow else (0.0, 99.8)
            item[key] = scaled(item[key], low, high)
        return item
