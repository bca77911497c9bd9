"""Steps 2 and 3 for a whole study: each disk with its place, its axial slices and its ROIs, and why something is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bundle.disks.locate import DiskLocator
from bundle.disks.match import SliceMatcher
from bundle.disks.roi import RoiCropper
from bundle.disks.types import DiskReading, DiskRoi, SliceMatch
from bundle.geometry import DISK_LEVELS, Disk, SlicePlane, Vertebra
from bundle.geometry.lifting import box_corners_px, lift_vertebra
from bundle.geometry.resample import share_outside
from bundle.study.types import Study, StudyImage
from bundle.vertebrae.view import image_plane


class DiskCollector:
    """Gathers what is to be judged about each of the five disks.

    Args:
        disk_locator: disks from vertebrae.
        slice_matcher: axial slices to disks.
        roi: cuts the ROIs.
        body_depth_mm: usual depth of a lumbar body, front to back: the scale of a picture whose pixel size is not known.
        tilted_deg: a disk whose best slice is tilted more against it is flagged ``axial_slice_tilted``.
        max_outside: a view with a larger share of its ROI beyond the image is not judged (``roi_outside_image``).
    """

    def __init__(
        self,
        disk_locator: DiskLocator,
        slice_matcher: SliceMatcher,
        roi: RoiCropper,
        body_depth_mm: float = 34.0,
        tilted_deg: float = 15.0,
        max_outside: float = 0.4,
    ) -> None:
        self.disk_locator = disk_locator
        self.slice_matcher = slice_matcher
        self.roi = roi
        self.body_depth_mm = float(body_depth_mm)
        self.tilted_deg = float(tilted_deg)
        self.max_outside = float(max_outside)

    def __call__(
        self, study: Study, vertebrae: Sequence[Vertebra]
    ) -> tuple[tuple[SliceMatch, ...], tuple[DiskReading, ...]]:
        """Matches of all axial slices, and the five disks from L1-L2 down, not yet judged.

        Raises:
            StudyError: an image cannot be decoded.
        """
        sagittal = study.sagittal
        if sagittal is None:
            return (), tuple(DiskReading(level, flags=("no_view",)) for level in DISK_LEVELS)
        if sagittal.images[0].plane is None:
            return (), self._of_picture(sagittal.images[0], vertebrae)
        disks = self.disk_locator(vertebrae)
        matches = self.slice_matcher(study.axial.images, disks) if study.axial is not None else ()
        return matches, tuple(self._of_study(study, disks, matches, level) for level in DISK_LEVELS)

    def _of_study(self, study: Study, disks: Mapping[str, Disk], matches: Sequence[SliceMatch], level: str) -> DiskReading:
        disk = disks.get(level)
        if disk is None or study.sagittal is None:
            return DiskReading(level, flags=("vertebra_not_found",))
        flags: list[str] = []
        own = self.slice_matcher.best_first(matches, level)
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
        middle = roi.images[len(roi.images) // 2]
        if share_outside(image_plane(middle), roi.plane) <= self.max_outside:
            return roi
        if "roi_outside_image" not in flags:
            flags.append("roi_outside_image")
        return None

    def _of_picture(self, picture: StudyImage, vertebrae: Sequence[Vertebra]) -> tuple[DiskReading, ...]:
        """Disks of a picture without a patient space: the sagittal view alone, at a scale guessed from the bodies."""
        if not vertebrae:
            return tuple(DiskReading(level, flags=("vertebra_not_found",)) for level in DISK_LEVELS)
        plane = self._guessed_plane(picture, vertebrae)
        lifted = [lift_vertebra(v.level, v.boxes, {picture.sop_instance_uid: plane}) for v in vertebrae if v.boxes]
        disks = self.disk_locator(lifted)
        placed = replace(picture, plane=plane)
        readings = []
        for level in DISK_LEVELS:
            if level not in disks:
                readings.append(DiskReading(level, flags=("vertebra_not_found",)))
                continue
            flags = ["no_axial_slice"]
            roi = self.roi.cut(placed, plane, self.roi.sagittal_square(disks[level], plane))
            view = self._inside(roi, flags)
            readings.append(DiskReading(level, sagittal=view, flags=(*flags, *(() if view else ("no_view",)))))
        return tuple(readings)

    def _guessed_plane(self, picture: StudyImage, vertebrae: Sequence[Vertebra]) -> SlicePlane:
        corners = np.stack(
            [box_corners_px(v.boxes[0]) for v in vertebrae if v.boxes and v.level.startswith("L")]
            or [box_corners_px(v.boxes[0]) for v in vertebrae if v.boxes]
        )
        depth_px = float(np.median(np.linalg.norm(corners[:, [1, 2]].mean(1) - corners[:, [0, 3]].mean(1), axis=-1)))
        spacing = self.body_depth_mm / max(depth_px, 1.0)
        return replace(image_plane(picture), pixel_spacing_mm=(spacing, spacing))
