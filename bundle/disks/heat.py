"""Where the classifier looked: how much less sure it is of its finding when a part of the picture is hidden."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from bundle.disks.classify import DiskClassifier
from bundle.disks.conformal import calibrated
from bundle.disks.outputs import split_outputs
from bundle.disks.types import DiskReading
from bundle.disks.views import SLICES_PER_VIEW, VIEWS, stack_views
from bundle.geometry import FINDINGS


class OcclusionMaps:
    """Occlusion sensitivity (Zeiler and Fergus, ECCV 2014) of each view by itself.

    A square is hidden, in all slices of one view, by the view's mean brightness, at ``grid`` x ``grid`` places; the map
    says how far the finding's probability falls. MONAI's OcclusionSensitivity hides all channels at once, which here are
    two views that do not lie over each other.

    Args:
        grid: places along each side.
        hidden: side of the square, as a share of the ROI's.
        batch: pictures that are judged at once.
    """

    def __init__(self, grid: int = 7, hidden: float = 0.3, batch: int = 32) -> None:
        if grid < 2 or not 0 < hidden < 1 or batch < 1:
            raise ValueError("a map needs a grid of 2 or more, a hidden share between 0 and 1, and a batch of 1 or more")
        self.grid = int(grid)
        self.hidden = float(hidden)
        self.batch = int(batch)

    def __call__(
        self, classifier: DiskClassifier, readings: Sequence[DiskReading]
    ) -> dict[tuple[str, str], NDArray[np.float32]]:
        """Maps of all judged disks.

        Args:
            classifier: that has judged the disks.
            readings: the disks, judged.

        Returns:
            (level, view) -> (size, size) in the pixels of that view's ROI: how far the probability of the finding falls,
            0 to 1; 0 where it rises.
        """
        maps = {}
        for reading in readings:
            if reading.finding is None:
                continue
            axial, sagittal = (roi.pixels if roi is not None else None for roi in (reading.axial, reading.sagittal))
            picture = stack_views(axial, sagittal, classifier.size_px)
            for number, view in enumerate(VIEWS):
                if view in reading.views:
                    maps[reading.level, view] = self._map(classifier, picture, number, FINDINGS.index(reading.finding))
        return maps

    def _map(self, classifier: DiskClassifier, picture: Tensor, view: int, finding: int) -> NDArray[np.float32]:
        whole = self._probabilities(classifier, picture[None], finding)
        falls = whole - self._probabilities(classifier, self._hidden(picture, view), finding)
        size = [classifier.size_px] * 2
        # Places lie on the ROI's edges too, so corners are aligned.
        grid = falls.clamp(min=0).reshape(1, 1, self.grid, self.grid)
        fine: NDArray[np.float32] = (
            interpolate(grid, size, mode="bicubic", align_corners=True)[0, 0].clamp(0, 1).float().numpy()
        )
        return fine

    def _hidden(self, picture: Tensor, view: int) -> Tensor:
        """(grid * grid, 6, size, size): the picture with a square hidden at each place."""
        size = picture.shape[-1]
        half = round(self.hidden * size / 2)
        channels = slice(view * SLICES_PER_VIEW, (view + 1) * SLICES_PER_VIEW)
        mean = float(picture[channels].mean())
        copies = picture.repeat(self.grid**2, 1, 1, 1)
        centres = np.linspace(0, size - 1, self.grid).round().astype(int).tolist()
        for copy, (row, column) in zip(copies, ((r, c) for r in centres for c in centres), strict=True):
            copy[channels, max(row - half, 0) : row + half, max(column - half, 0) : column + half] = mean
        return copies

    def _probabilities(self, classifier: DiskClassifier, pictures: Tensor, finding: int) -> Tensor:
        # Half the digits are enough for a picture, and several times as fast.
        with torch.inference_mode(), torch.autocast(classifier.device.type, torch.bfloat16):
            outputs = [
                classifier.network(part.to(classifier.device, memory_format=torch.channels_last)).float().cpu()
                for part in pictures.split(self.batch)
            ]
        logits = split_outputs(torch.cat(outputs))["findings"]
        return torch.from_numpy(calibrated(logits, classifier.temperature, classifier.offsets)[:, finding]).float()
