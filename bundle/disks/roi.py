"""Step 3: the square around a disk in its axial and in its sagittal slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bundle.disks.types import DiskRoi
from bundle.geometry import Disk, SlicePlane
from bundle.geometry.resample import resample_plane, square_plane
from bundle.study.types import Series, StudyImage


class RoiCropper:
    """Cuts a disk's ROI out of slices, resampled to one size in millimetres.

    The square lies in the slice's own plane, turned with the patient and not with the array. Its centre is on the middle
    line, a little before the disk's back edge: a disk is about 35 mm deep and 50 mm wide, the canal behind it up to 20 mm
    deep, so 60 mm hold the whole disk, the canal and both foramina.

    Args:
        side_mm: of the square.
        size_px: of the square.
        center_before_back_mm: how far before the disk's back edge the centre is.
        slices: neighbouring slices of the same stack, an odd number, the best in the middle.
        outside: brightness beyond the image.
    """

    def __init__(
        self,
        side_mm: float = 60.0,
        size_px: int = 96,
        center_before_back_mm: float = 10.0,
        slices: int = 3,
        outside: float = 0.0,
    ) -> None:
        if slices < 1 or slices % 2 == 0:
            raise ValueError(f"an ROI has an odd number of slices, got {slices}")
        self.side_mm = float(side_mm)
        self.size_px = int(size_px)
        self.center_before_back_mm = float(center_before_back_mm)
        self.slices = int(slices)
        self.outside = float(outside)

    def axial_square(self, disk: Disk, plane: SlicePlane) -> SlicePlane:
        """The square in an axial ``plane``: columns run to the patient's left, rows to the back."""
        left = np.cross(disk.posterior_lps, disk.normal_lps)
        point = self._anchor(disk)
        cosine = float(plane.normal @ disk.normal_lps)
        if abs(cosine) > 0.2:  # follow the disk's normal, so that a slice above the disk keeps it in the middle
            point = point - float(plane.signed_distance_mm(point)) / cosine * disk.normal_lps
        return self._square(plane, point, left, disk.posterior_lps)

    def sagittal_square(self, disk: Disk, plane: SlicePlane) -> SlicePlane:
        """The square in a sagittal ``plane``: columns run to the back along the disk, rows to the feet."""
        return self._square(plane, self._anchor(disk), disk.posterior_lps, -disk.normal_lps)

    def axial(self, disk: Disk, series: Series, best: StudyImage) -> DiskRoi:
        """ROI of the axial slice ``best`` and its neighbours in its stack; each is cut at its own place along the disk."""
        images = _neighbours(series, best, self.slices)
        return self._cut(images, [self.axial_square(disk, _plane(image)) for image in images])

    def sagittal(self, disk: Disk, series: Series) -> DiskRoi:
        """ROI of the sagittal slice nearest to the disk's middle and its neighbours."""
        images = [image for image in series.images if image.plane is not None]
        best = min(images, key=lambda image: abs(float(_plane(image).signed_distance_mm(disk.center_lps_mm))))
        chosen = _neighbours(series, best, self.slices)
        return self._cut(chosen, [self.sagittal_square(disk, _plane(image)) for image in chosen])

    def cut(self, image: StudyImage, plane: SlicePlane, square: SlicePlane) -> DiskRoi:
        """ROI of a single image on a ``plane`` that it need not have itself (a plain image)."""
        pixels = resample_plane(image.load_pixels(), plane, square, self.outside)
        return DiskRoi(np.stack([pixels] * self.slices), square, (image,) * self.slices)

    def _anchor(self, disk: Disk) -> np.ndarray:
        return disk.back_lps_mm - self.center_before_back_mm * disk.posterior_lps

    def _square(self, plane: SlicePlane, point: np.ndarray, row: np.ndarray, column: np.ndarray) -> SlicePlane:
        foot = point - float(plane.signed_distance_mm(point)) * plane.normal
        flat = [d - (d @ plane.normal) * plane.normal for d in (row, column)]
        return square_plane(foot, flat[0], flat[1], self.side_mm, self.size_px)

    def _cut(self, images: Sequence[StudyImage], squares: Sequence[SlicePlane]) -> DiskRoi:
        pixels = [
            resample_plane(image.load_pixels(), _plane(image), square, self.outside)
            for image, square in zip(images, squares, strict=True)
        ]
        return DiskRoi(np.stack(pixels), squares[len(squares) // 2], tuple(images))


def _plane(image: StudyImage) -> SlicePlane:
    if image.plane is None:
        raise ValueError("an image without a plane has no place in the patient")
    return image.plane


def _neighbours(series: Series, best: StudyImage, count: int) -> list[StudyImage]:
    """``count`` images around ``best`` in its stack, in order; beyond the stack's ends the last one is repeated."""
    index = next(k for k, image in enumerate(series.images) if image is best)
    stack = next(s for s in series.stacks if index in s)
    at = stack.index(index)
    wanted = np.clip(np.arange(at - count // 2, at + count // 2 + 1), 0, len(stack) - 1)
    return [series.images[stack[k]] for k in wanted]
