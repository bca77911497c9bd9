"""Training ROIs that were cut from real pictures beforehand, in the same form as those of the phantom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from bundle.whole_file import whole_file

_ARRAYS = ("sagittal", "label", "level", "patient")


def save_rois(
    path: str | Path, sagittal: NDArray[np.uint8], label: Sequence[int], level: Sequence[int], patient: Sequence[int]
) -> Path:
    """Write sagittal ROIs as one file; it is whole or not there.

    Args:
        path: of the ``.npz`` file.
        sagittal: (N, size, size) brightness.
        label: (N,) index into FINDINGS.
        level: (N,) index into DISK_LEVELS.
        patient: (N,) numbers, by which data are split.
    """
    arrays = dict(zip(_ARRAYS, (sagittal, label, level, patient), strict=True))
    with whole_file(path) as part:
        np.savez_compressed(part, **arrays)  # type: ignore[arg-type]
    return Path(path)


class SavedRois(Dataset):
    """Sagittal ROIs of real disks: items as in bundle.phantom.rois.DiskRois, without an axial view.

    A picture is one slice, so the three neighbouring slices of a view are the same.

    Args:
        path: file as save_rois makes it.
        patients: which patients are used, by the remainder of their number: ``[2, [0]]`` for the even ones; null for all.
        length: number of items, drawn at random; null for each ROI once, in order.
        seed: of the draws.
    """

    def __init__(
        self,
        path: str | Path,
        patients: tuple[int, Sequence[int]] | None = None,
        length: int | None = None,
        seed: int = 0,
    ) -> None:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in _ARRAYS}
        kept = np.ones(len(arrays["patient"]), dtype=bool)
        if patients is not None:
            kept = np.isin(arrays["patient"] % patients[0], list(patients[1]))
        if not kept.any():
            raise ValueError(f"{path}: no ROI of the patients asked for")
        self.arrays = {name: values[kept] for name, values in arrays.items()}
        count = int(kept.sum())
        self.order = np.arange(count) if length is None else np.random.default_rng(seed).integers(count, size=int(length))

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        k = int(self.order[index])
        picture = torch.from_numpy(self.arrays["sagittal"][k].astype(np.float32))
        return {
            "sagittal": picture.expand(3, *picture.shape).clone(),
            **{name: int(self.arrays[name][k]) for name in ("label", "level", "patient")},
        }
