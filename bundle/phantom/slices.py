"""Training slices of the phantom, rendered on the fly; the same index always gives the same slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from bundle.geometry import BODY_LEVELS, SliceBox, SlicePlane, unit
from bundle.geometry.resample import square_plane
from bundle.phantom.acquisition import sample_acquisition
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.mr import CHANNELS, channel_weights, paint_slice, scan
from bundle.phantom.negatives import HeadPainter, empty_field
from bundle.phantom.paint import Painter
from bundle.phantom.sequences import sample_contrast
from bundle.phantom.truth import boxes_on_slice

NEGATIVES: Mapping[str, float] = {"head": 0.4, "empty": 0.2, "coronal": 0.2, "axial": 0.2}
DEFAULT_CONTRASTS: Mapping[str, float] = {"T2": 0.5, "T1": 0.2, "STIR": 0.1, "T2FS": 0.12, "PD": 0.08}


def draw(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    """One of the keys of ``shares``, with a chance in proportion to its value."""
    weights = np.asarray(list(shares.values()), dtype=np.float64)
    return str(rng.choice(list(shares), p=weights / weights.sum()))


def sagittal_plane(
    rng: np.random.Generator, center_lps_mm: np.ndarray, size_px: int, field_of_view_mm: float, spread_mm: float
) -> SlicePlane:
    """A sagittal plane near ``center_lps_mm``, a little tilted, head up and front to the left as radiologists view it."""
    tilt, turn, roll = np.radians(rng.normal(0, (3.0, 4.0, 4.0)))
    row = unit([np.sin(turn), np.cos(turn), np.sin(roll)])
    column = np.array([np.sin(tilt), 0.0, -1.0])
    column = unit(column - (column @ row) * row)
    across = np.cross(row, column)
    middle = center_lps_mm + rng.normal(0, (0, 0.09, 0.09)) * field_of_view_mm + float(rng.normal(0, spread_mm)) * across
    return square_plane(middle, row, column, field_of_view_mm, size_px, float(rng.uniform(3, 5)))


class VertebraSlices(Dataset):
    """Sagittal slices with boxes, classes and corners of their vertebral bodies, and some slices without any.

    An item is a dictionary:
        ``image``: (1, size_px, size_px) float32, unscaled brightness;
        ``boxes``: (N, 4) float32, (row, column) of the top-left, then of the bottom-right corner: the axes' order, as
        MONAI's detection has it;
        ``labels``: (N,) int64, index into BODY_LEVELS;
        ``corners``: (N, 4, 2) float32, (row, column) of upper front, upper back, lower back, lower front.

    Args:
        length: number of items.
        seed: of all items; item ``i`` is the same for the same seed, whatever the length.
        size_px: side of the images.
        spacing_mm: mean and standard deviation of the pixel size, which with ``size_px`` is the field of view.
        contrasts: shares of the protocols.
        randomised: chance of random tissue brightness instead (see sample_contrast).
        negatives: share of images without any labelled body: heads, empty fields, coronal and axial planes.
        contrasts_per_plane: consecutive items that show the same plane of the same patient, each in its own contrast and
            from its own scanner. Painting is what takes time, and more contrasts cost next to nothing.
        cut: share of planes that end below S1 or S2 and are padded with black, as many studies are: the names must not
            depend on seeing the whole sacrum.
    """

    def __init__(
        self,
        length: int,
        seed: int = 0,
        size_px: int = 256,
        spacing_mm: tuple[float, float] = (1.17, 0.23),
        contrasts: Mapping[str, float] = DEFAULT_CONTRASTS,
        randomised: float = 0.15,
        negatives: float = 0.08,
        contrasts_per_plane: int = 2,
        cut: float = 0.3,
    ) -> None:
        self.length = int(length)
        self.seed = int(seed)
        self.size_px = int(size_px)
        self.spacing_mm = (float(spacing_mm[0]), float(spacing_mm[1]))
        self.contrasts = dict(contrasts)
        self.randomised = float(randomised)
        self.negatives = float(negatives)
        self.contrasts_per_plane = int(contrasts_per_plane)
        self.cut = float(cut)
        self._last: tuple[int, list[Tensor], dict[str, Tensor]] | None = None

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.length:
            raise IndexError(index)
        group, member = divmod(index, self.contrasts_per_plane)
        if self._last is None or self._last[0] != group:
            self._last = (group, *self._render(group))
        _, images, truth = self._last
        return {"image": images[member], **truth}

    def _render(self, group: int) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Images (1, H, W) of one plane, one for each contrast, and their common truth."""
        rng = np.random.default_rng([self.seed, group])
        contrasts = [
            sample_contrast(rng, draw(rng, self.contrasts), randomised=self.randomised)
            for _ in range(self.contrasts_per_plane)
        ]
        kind = "spine" if rng.random() >= self.negatives else draw(rng, NEGATIVES)
        if kind == "empty":
            return [empty_field((self.size_px, self.size_px), rng) for _ in contrasts], targets([])
        patient = sample_spine(int(rng.integers(2**31)))
        painter = HeadPainter(int(rng.integers(2**31))) if kind == "head" else Painter(patient)
        mean, spread = self.spacing_mm
        field_of_view_mm = self.size_px * float(np.clip(rng.normal(mean, spread), 0.55 * mean, 1.6 * mean))
        level = str(rng.choice(["L5", "L4", "L3", "L2", "L1"]))
        center = np.zeros(3) if kind == "head" else patient.body(level).center_lps_mm
        if kind in ("coronal", "axial"):
            down = (0, 0, -1) if kind == "coronal" else (0, 1, 0)
            plane = square_plane(center, np.array([1.0, 0, 0]), np.array(down), field_of_view_mm, self.size_px)
        else:
            plane = sagittal_plane(rng, center, self.size_px, field_of_view_mm, 9.0)
        found = boxes_on_slice(patient, plane) if kind == "spine" else []
        depth = painter.points_behind_skin_mm(plane, torch.device("cpu"))
        front_mm = front_depth_mm(found, depth)
        count = len(contrasts)
        painted = paint_slice(painter, plane, torch.cat([channel_weights(c) for c in contrasts]))
        scanned = scan(
            painted.reshape(count, len(CHANNELS), *plane.shape),
            [sample_acquisition(rng, front_depth_mm=front_mm) for _ in contrasts],
            depth.expand(count, -1, -1),
            torch.tensor([plane.pixel_spacing_mm] * count),
            [int(rng.integers(2**31)) for _ in contrasts],
        )
        images = [image[None] for image in scanned]
        sacral = [box.xyxy[3] for level, box in found if level in ("S1", "S2")]
        if sacral and rng.random() < self.cut:
            last_row = int(rng.choice(sacral) + rng.uniform(-3, 25))
            images, found = [padded(image, last_row) for image in images], seen_above(found, last_row)
        return images, targets(found)


def front_depth_mm(found: list[tuple[str, SliceBox]], depth_mm: Tensor, otherwise: float = 110.0) -> float:
    """Greatest depth below the skin of the back at which a body's front lies in a sagittal slice."""
    corners = [c for _, box in found if box.corners_px is not None for c in np.asarray(box.corners_px)[[0, 3]]]
    rows, columns = depth_mm.shape
    seen = [float(depth_mm[int(r), int(c)]) for c, r in corners if 0 <= r < rows and 0 <= c < columns]
    return max(seen, default=otherwise)


def padded(image: Tensor, last_row: int) -> Tensor:
    """(1, H, W) image, black below ``last_row``."""
    result = image.clone()
    result[:, last_row + 1 :] = 0
    return result


def seen_above(found: list[tuple[str, SliceBox]], last_row: int, least: float = 0.6) -> list[tuple[str, SliceBox]]:
    """Boxes cut off below ``last_row``, without those of which less than a share ``least`` is left."""
    result = []
    for level, box in found:
        c0, r0, c1, r1 = box.xyxy
        if min(r1, last_row) - r0 >= least * (r1 - r0):
            result.append((level, replace(box, xyxy=(c0, r0, c1, min(r1, float(last_row))))))
    return result


def targets(found: list[tuple[str, SliceBox]]) -> dict[str, Tensor]:
    """Boxes, labels and corners as tensors in the axes' order (row, column); see VertebraSlices."""
    boxes = np.asarray([b.xyxy for _, b in found], dtype=np.float32).reshape(-1, 4)[:, [1, 0, 3, 2]]
    corners = np.asarray([b.corners_px for _, b in found], dtype=np.float32).reshape(-1, 4, 2)[..., ::-1].copy()
    labels = np.asarray([BODY_LEVELS.index(level) for level, _ in found], dtype=np.int64)
    return {
        "boxes": torch.from_numpy(boxes.copy()),
        "labels": torch.from_numpy(labels),
        "corners": torch.from_numpy(corners),
    }
