"""Steps 2 and 3 as MONAI dictionary transforms, so that a config can use, replace or reorder them.

A study is one item: ``study`` (Study) and ``vertebrae`` (sequence of Vertebra) go in; ``disks`` (level -> Disk), ``matches``
(SliceMatch of every axial slice) and ``readings`` (the five DiskReadings with their ROIs, not yet judged) come out.
``CropDiskRoid`` works on one disk instead: slices as MetaTensors in, squares out, and back.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import TraceKeys
from numpy.typing import NDArray

from bundle.disks.locate import DiskLocator
from bundle.disks.match import SliceMatcher
from bundle.disks.roi import RoiCropper
from bundle.disks.types import DiskReading, DiskRoi, SliceMatch
from bundle.geometry import DISK_LEVELS, Disk, SlicePlane, Vertebra
from bundle.geometry.lifting import box_corners_px, lift_vertebra
from bundle.geometry.resample import resample_plane, share_outside
from bundle.study.types import Study, StudyImage
from bundle.vertebrae.view import image_plane

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def ras_affine(plane: SlicePlane) -> NDArray[np.float64]:
    """(4, 4) map of (row, column, millimetres along the normal, 1) to RAS millimetres: MONAI's affine of an image."""
    return _LPS_TO_RAS @ plane.affine[:, [1, 0, 2, 3]]


def plane_of(image: MetaTensor) -> SlicePlane:
    """The plane of a 2-D image (channels, rows, columns) whose affine is as in ras_affine.

    Raises:
        ValueError: the image is not 2-D, or its affine is not that of a slice in patient space.
    """
    affine = _LPS_TO_RAS @ np.asarray(image.affine, dtype=np.float64)
    if image.ndim != 3 or affine.shape != (4, 4):
        raise ValueError(f"a slice has channels, rows and columns and an affine (4, 4), not {tuple(image.shape)}")
    return SlicePlane.from_affine(affine[:, [1, 0, 2, 3]], (int(image.shape[1]), int(image.shape[2])))


def as_meta_tensor(roi: DiskRoi) -> MetaTensor:
    """(slices, size, size) pixels of an ROI with the affine of its best slice's square (see ras_affine)."""
    return MetaTensor(torch.from_numpy(roi.pixels), affine=torch.from_numpy(ras_affine(roi.plane)))


def find_disks(
    study: Study, vertebrae: Sequence[Vertebra], steps: Iterable[Callable[[dict[Hashable, Any]], dict[Hashable, Any]]]
) -> dict[Hashable, Any]:
    """The item of a study after ``steps`` 2 and 3; see the module.

    One after the other, and not by MONAI's Compose, which logs what an item holds when a step fails.
    """
    item: dict[Hashable, Any] = {"study": study, "vertebrae": vertebrae}
    for step in steps:
        item = step(item)
    return item


class GuessScaled(MapTransform):
    """Gives a picture without a patient space a scale, so that the steps after it need not know of pictures.

    Writes ``placed`` (the study to measure in) and ``placed_vertebrae``. A study that has a patient space is placed already.
    The picture is taken to stand upright, front to the left, with bodies of the usual size; what is measured on it is
    good enough to cut ROIs, and never reported in millimetres.

    Args:
        keys: of the study.
        vertebrae_key: of its vertebrae.
        body_depth_mm: usual depth of a lumbar body, from the front to the back.
        allow_missing_keys: as in MapTransform.
    """

    def __init__(
        self,
        keys: KeysCollection = "study",
        vertebrae_key: str = "vertebrae",
        body_depth_mm: float = 34.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.vertebrae_key = vertebrae_key
        self.body_depth_mm = float(body_depth_mm)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with ``placed`` and ``placed_vertebrae``."""
        item = dict(data)
        for key in self.key_iterator(item):
            study, vertebrae = item[key], [v for v in item[self.vertebrae_key] if v.boxes or v.center_lps_mm is not None]
            item["placed"], item["placed_vertebrae"] = study, tuple(vertebrae)
            if study.sagittal is not None and study.sagittal.images[0].plane is None and vertebrae:
                item["placed"], item["placed_vertebrae"] = self._placed(study, vertebrae)
        return item

    def _placed(self, study: Study, vertebrae: Sequence[Vertebra]) -> tuple[Study, tuple[Vertebra, ...]]:
        picture = study.sagittal.images[0]  # type: ignore[union-attr]
        lumbar = [v for v in vertebrae if v.level.startswith("L")] or vertebrae
        corners = np.stack([box_corners_px(v.boxes[0]) for v in lumbar])
        depth_px = float(np.median(np.linalg.norm(corners[:, [1, 2]].mean(1) - corners[:, [0, 3]].mean(1), axis=-1)))
        spacing = self.body_depth_mm / max(depth_px, 1.0)
        plane = replace(image_plane(picture), pixel_spacing_mm=(spacing, spacing))
        placed = replace(study.sagittal, images=(replace(picture, plane=plane),))  # type: ignore[type-var]
        lifted = tuple(lift_vertebra(v.level, v.boxes, {picture.sop_instance_uid: plane}) for v in vertebrae)
        return replace(study, sagittal=placed), lifted


class LocateDisksd(MapTransform):
    """Disks from vertebrae; writes ``disks`` (level -> Disk).

    Args:
        keys: of the vertebrae in patient space.
        locator: finds a disk between two bodies.
        allow_missing_keys: as in MapTransform.
    """

    def __init__(
        self,
        locator: DiskLocator | None = None,
        keys: KeysCollection = "placed_vertebrae",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.locator = locator or DiskLocator()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with ``disks``."""
        item = dict(data)
        for key in self.key_iterator(item):
            item["disks"] = self.locator(item[key])
        return item


class MatchSlicesd(MapTransform):
    """Every axial slice to its disk, or to none; writes ``matches`` (SliceMatch of each, in the series' order).

    Args:
        keys: of the study.
        matcher: decides.
        allow_missing_keys: as in MapTransform.
    """

    def __init__(
        self, matcher: SliceMatcher | None = None, keys: KeysCollection = "placed", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.matcher = matcher or SliceMatcher()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with ``matches``; empty where there is no axial series."""
        item = dict(data)
        for key in self.key_iterator(item):
            axial = item[key].axial
            item["matches"] = () if axial is None else self.matcher(axial.images, item["disks"])
        return item


class CropRoisd(MapTransform):
    """ROIs of the five disks; writes ``readings`` (five DiskReadings, from L1-L2 down, not yet judged).

    Args:
        keys: of the study.
        roi: cuts the ROIs.
        matcher: chooses the best of a disk's slices.
        tilted_deg: a disk whose best slice is tilted more against it is flagged ``axial_slice_tilted``.
        max_outside: a view with a larger share of its ROI beyond the image is not judged (``roi_outside_image``).
        allow_missing_keys: as in MapTransform.
    """

    def __init__(
        self,
        roi: RoiCropper | None = None,
        matcher: SliceMatcher | None = None,
        tilted_deg: float = 15.0,
        max_outside: float = 0.4,
        keys: KeysCollection = "placed",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.roi = roi or RoiCropper()
        self.matcher = matcher or SliceMatcher()
        self.tilted_deg = float(tilted_deg)
        self.max_outside = float(max_outside)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with ``readings``.

        Raises:
            StudyError: an image cannot be decoded.
        """
        item = dict(data)
        for key in self.key_iterator(item):
            disks, matches = item["disks"], item["matches"]
            item["readings"] = tuple(self._reading(item[key], disks, matches, level) for level in DISK_LEVELS)
        return item

    def _reading(self, study: Study, disks: Mapping[str, Disk], matches: Sequence[SliceMatch], level: str) -> DiskReading:
        disk = disks.get(level)
        if disk is None or study.sagittal is None:
            return DiskReading(level, flags=("vertebra_not_found",))
        flags: list[str] = []
        own = self.matcher.best_first(matches, level)
        axial = None
        if own and study.axial is not None:
            axial = self._inside(self.roi.axial(disk, study.axial, own[0].image), flags)
            if (own[0].angle_deg or 0.0) > self.tilted_deg:
                flags.append("axial_slice_tilted")
        else:
            flags.append("no_axial_slice")
        sagittal = self._inside(self.roi.sagittal(disk, study.sagittal), flags)
        if axial is None and sagittal is None:
            flags.append("no_view")
        return DiskReading(level, disk, own, axial, sagittal, flags=tuple(flags))

    def _inside(self, roi: DiskRoi, flags: list[str]) -> DiskRoi | None:
        """The ROI, if enough of it lies on the image; else None and a flag."""
        middle: StudyImage = roi.images[len(roi.images) // 2]
        if share_outside(image_plane(middle), roi.plane) <= self.max_outside:
            return roi
        if "roi_outside_image" not in flags:
            flags.append("roi_outside_image")
        return None


class CropDiskRoid(MapTransform, InvertibleTransform):
    """The square around one disk in slices that are MetaTensors; the inverse lays a square back onto its slice.

    An item is one disk: ``disk`` (Disk) and a slice (1, rows, columns) with its affine (see ras_affine) under each key. A
    point of the square maps to the patient by its affine; a heat map on the square maps to the slice by the inverse.

    Args:
        keys: of the slices.
        views: ``axial`` or ``sagittal`` of each key, or one for all.
        roi: lays the square.
        disk_key: of the disk.
        allow_missing_keys: as in MapTransform.
    """

    def __init__(
        self,
        keys: KeysCollection,
        views: str | Sequence[str],
        roi: RoiCropper | None = None,
        disk_key: str = "disk",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.views = (views,) * len(self.keys) if isinstance(views, str) else tuple(views)
        if len(self.views) != len(self.keys) or not set(self.views) <= {"axial", "sagittal"}:
            raise ValueError(f"one view, axial or sagittal, for each of {self.keys}, not {self.views}")
        self.roi = roi or RoiCropper()
        self.disk_key = disk_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with a square (1, size, size) in place of each slice."""
        item = dict(data)
        for key, view in self.key_iterator(item, self.views):
            plane = plane_of(item[key])
            lay = self.roi.axial_square if view == "axial" else self.roi.sagittal_square
            square = lay(item[self.disk_key], plane)
            item[key] = self._moved(item[key], plane, square)
            self.push_transform(item[key], orig_size=plane.shape, extra_info={"affine": ras_affine(plane)})
        return item

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with each square laid back onto the grid of the slice it was cut from; 0 outside the square."""
        item = dict(data)
        for key in self.key_iterator(item):
            record = self.pop_transform(item[key])
            affine = np.asarray(record[TraceKeys.EXTRA_INFO]["affine"], dtype=np.float64)
            rows, columns = (int(n) for n in record[TraceKeys.ORIG_SIZE])
            target = SlicePlane.from_affine((_LPS_TO_RAS @ affine)[:, [1, 0, 2, 3]], (rows, columns))
            item[key] = self._moved(item[key], plane_of(item[key]), target)
        return item

    def _moved(self, image: MetaTensor, source: SlicePlane, target: SlicePlane) -> MetaTensor:
        pixels = [resample_plane(channel, source, target, self.roi.outside) for channel in np.asarray(image)]
        moved = MetaTensor(torch.from_numpy(np.stack(pixels)), meta=dict(image.meta))
        moved.affine = torch.from_numpy(ras_affine(target))
        moved.applied_operations = list(image.applied_operations)
        return moved
