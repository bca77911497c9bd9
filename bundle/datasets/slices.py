"""Training slices drawn from labelled images, in the same form as those of the phantom."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from bundle.geometry import BODY_LEVELS, SlicePlane
from bundle.geometry.resample import resample_plane, square_plane
from bundle.geometry.upright import BACK, FEET, picture_plane
from bundle.study.files import StudyFile
from bundle.study.plain import read_picture
from bundle.whole_file import whole_file

#: Depth of a body by which pictures without pixel size are given one, so that errors can be told in millimetres.
BODY_DEPTH_MM = 34.0


def write_datalist(path: str | Path, items: Sequence[dict[str, Any]]) -> Path:
    """Write items as MONAI's datalist (``training``); the file is whole or not there.

    Args:
        path: of the JSON file.
        items: ``image`` (path), ``patient`` (int), ``boxes`` (N, 4) column and row of two corners, ``labels`` (N,) names of
            BODY_LEVELS, ``corners`` (N, 4, 2) column and row, or null where they are not known, ``contrast`` where it is
            known.
    """
    with whole_file(path) as part:
        part.write_text(json.dumps({"training": list(items)}, indent=1) + "\n")
    return Path(path)


class _Labelled:
    """Pictures of datalists, decoded once, and what is true of a view of one."""

    def __init__(self, datalist: str | Path | Sequence[str | Path], patients: tuple[int, Sequence[int]] | None) -> None:
        paths = [datalist] if isinstance(datalist, (str, Path)) else list(datalist)
        items = [item for path in paths for item in json.loads(Path(path).read_text())["training"]]
        if patients is not None:
            items = [item for item in items if item["patient"] % patients[0] in patients[1]]
        if not items:
            raise ValueError(f"{datalist}: no item of the patients asked for")
        self.items = items
        self._decoded: dict[str, np.ndarray] = {}

    def picture(self, path: str) -> np.ndarray:
        """(rows, columns) of a picture, which is decoded once; in half precision, or eight bits where they are enough."""
        if path not in self._decoded:
            pixels = read_picture(StudyFile(Path(path))).images[0].load_pixels()
            small = pixels.astype(np.uint8)
            self._decoded[path] = small if np.array_equal(small, pixels) else pixels.astype(np.float16)
        return self._decoded[path]

    def targets(self, item: dict[str, Any], plane: SlicePlane, view: SlicePlane) -> dict[str, Any]:
        """Boxes, labels, corners and transition (not known) in a square view of the picture; see VertebraSlices."""
        size_px = view.shape[0]
        boxes = np.asarray(item["boxes"], dtype=np.float64).reshape(-1, 4)
        rows = []
        for box, label, corners in zip(boxes, item["labels"], item["corners"], strict=True):
            known = corners is not None
            outline = np.asarray(corners if known else box[[[0, 1], [2, 1], [2, 3], [0, 3]]], dtype=np.float64)
            seen = view.to_pixel(plane.to_patient(outline))
            # A turned box is larger than the body in it; corners give the turned body's own box.
            ends = seen if known else _shrunk(seen, box, view)
            low, high = ends.min(0), ends.max(0)
            inside_low, inside_high = np.clip(low, 0, size_px - 1), np.clip(high, 0, size_px - 1)
            if np.prod(np.maximum(inside_high - inside_low, 0)) < 0.6 * np.prod(high - low):
                continue
            rows.append((inside_low, inside_high, BODY_LEVELS.index(label), seen if known else np.full((4, 2), np.nan)))
        # Boxes and corners as (row, column), the axes' order, as MONAI's detection has it.
        found = np.array([[*low[::-1], *high[::-1]] for low, high, _, _ in rows], dtype=np.float32).reshape(-1, 4)
        corners = np.array([c[:, ::-1] for *_, c in rows], dtype=np.float32).reshape(-1, 4, 2)
        return {
            "boxes": torch.from_numpy(found),
            "labels": torch.tensor([label for _, _, label, _ in rows], dtype=torch.int64),
            "corners": torch.from_numpy(corners),
            "transition": torch.full((len(rows),), float("nan")),
        }


class LabelledSlices(Dataset):
    """Random views of labelled pictures: items as in bundle.phantom.slices.VertebraSlices.

    Args:
        datalist: file as write_datalist makes it, or several; each of their items comes as often as any other.
        length: number of items.
        seed: of all draws; an item is the same for the same seed.
        size_px: side of the views.
        depth_px: range of the depth that a body has in a view; phantoms have 25 to 35.
        turn_deg: standard deviation of the turn.
        patients: which patients are used, by the remainder of their number: ``[2, [0]]`` for the even ones; null for all.
    """

    def __init__(
        self,
        datalist: str | Path | Sequence[str | Path],
        length: int,
        seed: int = 0,
        size_px: int = 256,
        depth_px: tuple[float, float] = (22.0, 42.0),
        turn_deg: float = 7.0,
        patients: tuple[int, Sequence[int]] | None = None,
    ) -> None:
        self._labelled = _Labelled(datalist, patients)
        self.items = self._labelled.items
        self.length = int(length)
        self.seed = int(seed)
        self.size_px = int(size_px)
        self.depth_px = (float(depth_px[0]), float(depth_px[1]))
        self.turn_deg = float(turn_deg)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.length:
            raise IndexError(index)
        rng = np.random.default_rng([self.seed, index])
        item = self.items[int(rng.integers(len(self.items)))]
        picture = self._labelled.picture(item["image"])
        plane = picture_plane(picture.shape)
        view = self._view(rng, plane, np.asarray(item["boxes"], dtype=np.float64).reshape(-1, 4))
        pixels = resample_plane(picture.astype(np.float32), plane, view)
        return {"image": torch.from_numpy(self._as_scanned(rng, pixels))[None], **self._labelled.targets(item, plane, view)}

    def _view(self, rng: np.random.Generator, plane: SlicePlane, boxes: np.ndarray) -> SlicePlane:
        depth = float(np.median(boxes[:, 2] - boxes[:, 0]))
        side = self.size_px * depth / float(rng.uniform(*self.depth_px))
        low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
        center = plane.to_patient((low + high) / 2) + rng.normal(0, 0.1 * side) * BACK + rng.normal(0, 0.18 * side) * FEET
        turn = np.radians(rng.normal(0, self.turn_deg))
        right = np.cos(turn) * BACK + np.sin(turn) * FEET
        return square_plane(center, right, np.cos(turn) * FEET - np.sin(turn) * BACK, side, self.size_px)

    def _as_scanned(self, rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
        """Another scanner's brightness: fall-off across the image, and noise."""
        top = max(float(np.percentile(pixels, 99)), 1e-6)
        rows, columns = np.indices(pixels.shape) / self.size_px - 0.5
        slope = rng.normal(0, 0.5, 2)
        shaded = pixels / top * np.exp(slope[0] * rows + slope[1] * columns)
        noise = rng.normal(0, rng.uniform(0, 0.04), (2, *pixels.shape))
        return np.hypot(shaded + noise[0], noise[1]).astype(np.float32)


class LabelledPictures(Dataset):
    """Labelled pictures as they are, for evaluation: items as in bundle.phantom.slices.VertebraSlices.

    ``pixel_mm`` is what it would be if bodies were as deep as those of most adults, since pictures do not say.

    Args:
        datalist: file as write_datalist makes it, or several.
        size_px: longer side of the picture as the detector sees it; the rest of the square is black.
        patients: as of LabelledSlices.
        depth_mm: of a body, see above.
    """

    def __init__(
        self,
        datalist: str | Path | Sequence[str | Path],
        size_px: int = 256,
        patients: tuple[int, Sequence[int]] | None = None,
        depth_mm: float = BODY_DEPTH_MM,
    ) -> None:
        self._labelled = _Labelled(datalist, patients)
        self.size_px = int(size_px)
        self.depth_mm = float(depth_mm)

    def __len__(self) -> int:
        return len(self._labelled.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self._labelled.items[index]
        picture = self._labelled.picture(item["image"])
        plane = picture_plane(picture.shape)
        side = float(max(picture.shape))
        view = square_plane(plane.to_patient((np.array(picture.shape[::-1]) - 1) / 2), BACK, FEET, side, self.size_px)
        pixels = resample_plane(picture.astype(np.float32), plane, view)
        truth = self._labelled.targets(item, plane, view)
        boxes = np.asarray(item["boxes"], dtype=np.float64).reshape(-1, 4)
        depth_px = lumbar_depth_px(boxes, item["labels"]) * self.size_px / side
        return {
            "image": torch.from_numpy(pixels)[None],
            "patient": str(item["patient"]),
            "contrast": item.get("contrast", ""),
            "pixel_mm": torch.tensor(self.depth_mm / depth_px),
            **truth,
        }


def lumbar_depth_px(boxes: np.ndarray, levels: Sequence[str]) -> float:
    """Median depth of lumbar bodies, or of all if none is lumbar, by boxes (N, 4) of column and row of two corners."""
    lumbar = [k for k, level in enumerate(levels) if level[0] == "L"] or list(range(len(boxes)))
    return float(np.median((boxes[:, 2] - boxes[:, 0])[lumbar]))


def _shrunk(corners_px: np.ndarray, box: np.ndarray, view: SlicePlane) -> np.ndarray:
    middle = corners_px.mean(0)
    half = np.array([box[2] - box[0], box[3] - box[1]]) / 2 / view.pixel_spacing_mm[0]
    return np.stack([middle - half, middle + half])
