"""Training pictures that were cut or rendered beforehand, in the same form as those that the phantom draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from bundle.whole_file import whole_file

#: Arrays of the targets that every file of ROIs has; others, such as ``pfirrmann``, may stand beside them.
TARGETS = ("label", "level", "patient")
VIEWS = ("axial", "sagittal")


def as_grey(pixels: NDArray | torch.Tensor) -> NDArray[np.uint8]:
    """A view (slices, size, size) in 256 grey levels, the brightest thousandth cut off."""
    values = np.asarray(pixels, dtype=np.float32)
    low, high = np.percentile(values, [0, 99.9])
    return np.clip(np.round((values - low) / max(float(high - low), 1e-6) * 255), 0, 255).astype(np.uint8)


def save_rois(path: str | Path, arrays: Mapping[str, NDArray]) -> Path:
    """Write ROIs as one file; it is whole or not there.

    Args:
        path: of the ``.npz`` file.
        arrays: of one length N. ``axial`` and ``sagittal``, or one of them: (N, slices, size, size) uint8 brightness;
            ``label`` index into FINDINGS, ``level`` index into DISK_LEVELS, ``patient`` a number by which data are split;
            and any other targets, (N, ...).

    Raises:
        ValueError: an array is missing, or they differ in length.
    """
    missing = [name for name in TARGETS if name not in arrays]
    if missing or not any(view in arrays for view in VIEWS):
        raise ValueError(f"{path}: ROIs need a view and {', '.join(TARGETS)}")
    if len({len(values) for values in arrays.values()}) != 1:
        raise ValueError(f"{path}: arrays of different length")
    with whole_file(path) as part:
        np.savez(part, **{name: np.asarray(values) for name, values in arrays.items()})  # type: ignore[arg-type]
    return Path(path)


class SavedRois(Dataset):
    """ROIs from a file of save_rois: items as in bundle.phantom.rois.DiskRois, as far as they are known.

    A view has as many slices as were saved: one, of a picture.

    Args:
        path: the file, or several; what one of them lacks is left out of all. A file of scripts.render_ribs serves too.
        patients: which patients are used, by the remainder of their number: ``[2, [0]]`` for the even ones; null for all.
        contrasts: which values of the array ``contrast`` are used; null for all.
        length: number of items, drawn at random; null for each ROI once, in order.
        shares: how often each class (FINDINGS) is drawn, relative to the others; null for as often as it is there.
        seed: of the draws.

    Raises:
        ValueError: no ROI is left.
    """

    def __init__(
        self,
        path: str | Path | Sequence[str | Path],
        patients: tuple[int, Sequence[int]] | None = None,
        contrasts: Sequence[str] | None = None,
        length: int | None = None,
        shares: Sequence[float] | None = None,
        seed: int = 0,
    ) -> None:
        arrays = _joined([path] if isinstance(path, str | Path) else list(path))
        kept = np.ones(len(arrays["patient"]), dtype=bool)
        if patients is not None:
            kept &= np.isin(arrays["patient"] % patients[0], list(patients[1]))
        if contrasts is not None:
            kept &= np.isin(arrays["contrast"], list(contrasts))
        if not kept.any():
            raise ValueError(f"{path}: no ROI of the patients and contrasts asked for")
        self.arrays = {name: values[kept] for name, values in arrays.items()}
        self.order = np.arange(int(kept.sum())) if length is None else self._draw(int(length), shares, seed)

    def _draw(self, length: int, shares: Sequence[float] | None, seed: int) -> NDArray[np.intp]:
        labels = self.arrays["label"]
        chance = np.ones(len(labels))
        if shares is not None:
            chance = np.asarray(shares, dtype=np.float64)[labels] / np.bincount(labels, minlength=len(shares))[labels]
        return np.random.default_rng(seed).choice(len(labels), size=length, p=chance / chance.sum())

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        k = int(self.order[index])
        item: dict[str, Any] = {}
        for name, values in self.arrays.items():
            value = values[k]
            if np.ndim(value):
                item[name] = torch.from_numpy(value.astype(np.float32))
            else:
                item[name] = value.item()
        return item


def _joined(paths: Sequence[str | Path]) -> dict[str, NDArray]:
    parts: list[dict[str, NDArray]] = []
    for path in paths:
        with np.load(path, allow_pickle=False) as file:
            parts.append({name: file[name] for name in file.files})
    names = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: np.concatenate([part[name] for part in parts]) if len(parts) > 1 else parts[0][name] for name in names}
