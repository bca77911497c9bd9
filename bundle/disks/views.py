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
    """(6, size_px, size_px) input of the classifier; a missing view is all zeros, a single slice stands for three."""
    channels = []
    for pixels in (axial, sagittal):
        if pixels is None:
            channels.append(torch.zeros(SLICES_PER_VIEW, size_px, size_px))
            continue
        view = scaled(pixels)
        if len(view) == 1:
            view = view.expand(SLICES_PER_VIEW, *view.shape[1:])
        if tuple(view.shape) != (SLICES_PER_VIEW, size_px, size_px):
            raise ValueError(f"a view has {tuple(view.shape)} pixels, not {(SLICES_PER_VIEW, size_px, size_px)}")
        channels.append(view)
    return torch.cat(channels)


class StackViewsd(MapTransform):
    """Joins ``axial`` and ``sagittal`` of an item to ``image``, the classifier's input (see stack_views).

    Args:
        size_px: side of the ROIs.
        keep: the views that are used at all; the others count as missing.
    """

    def __init__(self, size_px: int = 128, keep: Sequence[str] = VIEWS) -> None:
        MapTransform.__init__(self, list(VIEWS), allow_missing_keys=True)
        self.size_px = int(size_px)
        self.keep = tuple(keep)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with ``image`` (6, size, size) in place of the views."""
        item = dict(data)
        views = {name: item.pop(name, None) for name in VIEWS}
        views = {name: pixels if name in self.keep else None for name, pixels in views.items()}
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
        self.prob = float(prob)
        self.low, self.high = (float(low[0]), float(low[1])), (float(high[0]), float(high[1]))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with its views, 0 to 1."""
        item = dict(data)
        for key in self.key_iterator(item):
            narrow = self.R.random() < self.prob
            low, high = (self.R.uniform(*self.low), self.R.uniform(*self.high)) if narrow else (0.0, 99.8)
            item[key] = scaled(item[key], low, high)
        return item


class RandChooseViewsd(MapTransform, Randomizable):
    """Leaves views out before they cost anything: those that are not used, and at random others.

    Args:
        keep: the views that are used at all.
        drop: chance that one of two views is left out: many studies have only one, and the classifier must cope.
        single: chance that of the sagittal view only the middle slice is left, as in a picture.
    """

    def __init__(self, keep: Sequence[str] = VIEWS, drop: float = 0.0, single: float = 0.0) -> None:
        MapTransform.__init__(self, list(VIEWS), allow_missing_keys=True)
        self.keep, self.drop, self.single = tuple(keep), float(drop), float(single)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with the views that are left."""
        item = {key: value for key, value in data.items() if key not in VIEWS or key in self.keep}
        present = [name for name in VIEWS if name in item]
        if len(present) > 1 and self.R.random() < self.drop:
            del item[present[self.R.randint(len(present))]]
        if "sagittal" in item and self.R.random() < self.single:
            middle = len(item["sagittal"]) // 2
            item["sagittal"] = item["sagittal"][middle : middle + 1]
        return item
