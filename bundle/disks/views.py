"""What the classifier sees of a disk: the axial and the sagittal ROI as channels of one picture."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform, Randomizable, Transform
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

    def __init__(self, size_px: int = 96, keep: Sequence[str] = VIEWS) -> None:
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


class RandMirrorPatientd(Randomizable, Transform):
    """Takes the patient's mirror image at random: left is right in both views and in the outline.

    The class is the same. Only the great vessels and the spinal cord's end tell a body from its mirror image there.

    Args:
        prob: chance of the mirror image.
    """

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = float(prob)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item, or its mirror image."""
        item = dict(data)
        if self.R.random() >= self.prob:
            return item
        for name, axis in (("axial", -1), ("sagittal", 0)):  # columns and slices run to the patient's left
            if name in item:
                item[name] = torch.flip(torch.as_tensor(item[name]), [axis])
        for name in ("rim", "excess"):  # the direction of -180 degrees is its own mirror image
            if name in item:
                item[name] = torch.roll(torch.flip(item[name], [0]), 1)
        for name, place in (("center", 0), ("measures", 3)):
            if name in item:
                item[name] = item[name].clone()
                item[name][place] *= -1
        return item


class RandCropAxiald(Randomizable, Transform):
    """Cuts the axial ROI out of what was rendered around it, at a random place; the disk's ``center`` moves with it.

    Args:
        size_px: side of what is cut out.
        shift_px: farthest distance from the middle along each side.
        spacing_mm: of the pixels.
    """

    def __init__(self, size_px: int, shift_px: int, spacing_mm: float) -> None:
        self.size_px, self.shift_px, self.spacing_mm = int(size_px), int(shift_px), float(spacing_mm)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with another ``axial`` and ``center``."""
        item = dict(data)
        if "axial" not in item:
            return item
        spare = (item["axial"].shape[-1] - self.size_px) // 2
        most = min(self.shift_px, spare)
        rows, columns = (int(self.R.randint(-most, most + 1)) for _ in range(2))
        top, left = spare + rows, spare + columns
        item["axial"] = item["axial"][..., top : top + self.size_px, left : left + self.size_px]
        if "center" in item:
            item["center"] = item["center"] - self.spacing_mm * torch.tensor([columns, rows], dtype=torch.float32)
        return item
