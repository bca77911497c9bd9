"""One disk as a file: its ROIs as a NIfTI stack, for hosts that know files and no studies."""

from __future__ import annotations

import gzip
import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from numpy.typing import NDArray
from torch.utils.data import Dataset

from bundle.disks.types import DiskReading
from bundle.disks.views import SLICES_PER_VIEW, VIEWS
from bundle.study.types import StudyError
from bundle.whole_file import whole_file

ENDING = ".nii.gz"


def save_disk(path: str | Path, reading: DiskReading) -> Path:
    """Write a disk's ROIs, brightness as it is: (columns, rows, slices), the views' slices one after the other.

    A view that is missing is all zeros. The voxel size is that of the ROIs; where in the patient they lie is not kept,
    since the two views cross.

    Raises:
        ValueError: the disk has no view.
    """
    import nibabel

    rois = {view: getattr(reading, view) for view in VIEWS}
    seen = [roi for roi in rois.values() if roi is not None]
    if not seen:
        raise ValueError(f"{reading.level}: no view of the disk to save")
    none = np.zeros((SLICES_PER_VIEW, *seen[0].plane.shape), dtype=np.float32)
    stack = np.concatenate([none if roi is None else roi.pixels for roi in rois.values()])
    spacing = seen[0].plane.pixel_spacing_mm
    image = nibabel.Nifti1Image(stack.transpose(2, 1, 0), np.diag([spacing[1], spacing[0], 1.0, 1.0]))
    with whole_file(path) as part:
        # whole_file keeps the last ending alone, by which nibabel chooses whether to compress.
        part.write_bytes(_packed(image.to_bytes(), str(path)))
    return Path(path)


def _packed(payload: bytes, name: str) -> bytes:
    return gzip.compress(payload, mtime=0) if name.endswith(".gz") else payload


def load_disk(path: str | Path) -> dict[str, NDArray[np.float32] | None]:
    """Views of a disk (slices, rows, columns) by name; None for one that is missing.

    Raises:
        StudyError: the file cannot be read, or is no disk.
    """
    import nibabel

    try:
        stack = np.asarray(nibabel.load(str(path)).dataobj, dtype=np.float32)  # type: ignore[attr-defined]
    except Exception as error:  # whatever the library raises on a damaged file, the user gets one line
        raise StudyError(f"{path}: the NIfTI file cannot be read ({type(error).__name__})") from error
    if stack.ndim != 3 or stack.shape[2] != SLICES_PER_VIEW * len(VIEWS):
        raise StudyError(f"{path}: not a disk's {SLICES_PER_VIEW * len(VIEWS)} slices but {stack.shape}")
    views = np.split(stack.transpose(2, 1, 0), len(VIEWS))
    return {name: view if view.any() else None for name, view in zip(VIEWS, views, strict=True)}


class LoadDiskd(MapTransform):
    """The views of the disk in a file, as save_disk wrote it: ``axial`` and ``sagittal``, each where it is there.

    Args:
        keys: of the file's path.
        allow_missing_keys: as in MapTransform.
    """

    def __init__(self, keys: KeysCollection = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with its views as tensors, the path under ``source``."""
        item = dict(data)
        for key in self.key_iterator(item):
            item["source"] = str(item[key])
            item |= {name: torch.from_numpy(view) for name, view in load_disk(item[key]).items() if view is not None}
        return item


class SaveDisksd(MapTransform):
    """Writes every disk of a study that has a view as ``<folder>/<study>_<level>.nii.gz``; a step of ``disk_steps``.

    Args:
        folder: is made if it is not there.
        keys: of the disks' readings.
        study_key: of the study, whose name the files get.
        allow_missing_keys: as in MapTransform.
    """

    def __init__(
        self,
        folder: str | Path,
        keys: KeysCollection = "readings",
        study_key: str = "study",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.folder = Path(folder)
        self.study_key = study_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item as it is."""
        item = dict(data)
        for key in self.key_iterator(item):
            for reading in item[key]:
                if reading.axial is not None or reading.sagittal is not None:
                    save_disk(self.folder / f"{item[self.study_key].name}_{reading.level}{ENDING}", reading)
        return item


class DiskFiles(Dataset):
    """Disks in files, with their labels: items as in bundle.phantom.rois.DiskRois, each with the views that it has.

    Args:
        datalist: JSON file of MONAI's form, ``training`` with ``image`` (path), ``label`` (index into FINDINGS), ``level``
            (index into DISK_LEVELS) and ``patient`` (number, by which data are split).
        patients: which patients are used, by the remainder of their number: ``[2, [0]]`` for the even ones; null for all.
        length: number of items, drawn at random; null for each disk once, in order.
        seed: of the draws.
    """

    def __init__(
        self,
        datalist: str | Path,
        patients: tuple[int, Sequence[int]] | None = None,
        length: int | None = None,
        seed: int = 0,
    ) -> None:
        items = json.loads(Path(datalist).read_text(encoding="utf-8"))["training"]
        if patients is not None:
            items = [item for item in items if item["patient"] % patients[0] in patients[1]]
        if not items:
            raise ValueError(f"{datalist}: no disk of the patients asked for")
        self.items = items
        count = len(items)
        self.order = np.arange(count) if length is None else np.random.default_rng(seed).integers(count, size=int(length))

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        item = self.items[int(self.order[index])]
        views = {name: torch.from_numpy(view) for name, view in load_disk(item["image"]).items() if view is not None}
        return {**views, **{key: int(item[key]) for key in ("label", "level", "patient")}}
