"""What the vertebra detector does at its limits: worse and worse pictures, and what is no lumbar spine.

python -m scripts.detector_limits robustness --data ../shared/data
python -m scripts.detector_limits refusal
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fire
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_sample_images
from tqdm import tqdm

from bundle.datasets.lumbar_t1 import read_lumbar_t1
from bundle.geometry import BODY_LEVELS, LUMBAR_LEVELS, SlicePlane
from bundle.geometry.resample import resample_plane
from bundle.geometry.upright import BACK, FEET
from bundle.phantom.slices import NEGATIVES, VertebraSlices
from bundle.statistics import wilson_interval
from bundle.study.types import Series, StudyImage
from bundle.vertebrae.column import find_column
from bundle.vertebrae.view import image_plane
from bundle.whole_file import whole_file
from scripts.detector_studies import phantom_series
from scripts.evaluate_detector import Tally, load_finder, outlined_target, read_image, target_of, write_figures

_rng = np.random.default_rng


# ---- worse and worse pictures ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """A way to make a picture worse.

    Args:
        strengths: from none to what is hardly seen in practice.
        unit: of the strength, for the figure.
        pixels: (pixels 0 to 1, strength) -> pixels; None for a change of the view.
        view: strength -> (turn in degrees, scale, share cut off above, share cut off below); None for a change of pixels.
    """

    strengths: tuple[float, ...]
    unit: str
    pixels: Callable[[np.ndarray, float], np.ndarray] | None = None
    view: Callable[[float], tuple[float, float, float, float]] | None = None


def _noisy(pixels: np.ndarray, strength: float) -> np.ndarray:
    noise = _rng(0).normal(0, max(strength, 1e-9), (2, *pixels.shape))
    return np.hypot(pixels + noise[0], noise[1])


def _shaded(pixels: np.ndarray, strength: float) -> np.ndarray:
    rows, columns = np.indices(pixels.shape)
    slope = (columns / pixels.shape[1] - 0.5) - 0.5 * (rows / pixels.shape[0] - 0.5)
    return pixels * np.exp(2 * strength * slope)


CHANGES: Mapping[str, Change] = {
    "noise": Change((0, 0.05, 0.1, 0.15, 0.2, 0.3), "of the bright end", pixels=_noisy),
    "blur": Change((0, 0.5, 1, 1.5, 2, 3), "% of the height, sigma", lambda p, s: gaussian_filter(p, s * p.shape[0] / 100)),
    "bias": Change((0, 0.5, 1, 1.5, 2), "slope of the logarithm", pixels=_shaded),
    "gamma": Change((0.4, 0.6, 0.8, 1, 1.5, 2, 2.5), "exponent", lambda p, s: p**s),
    "inverted": Change((0, 1), "0 as it is, 1 inverted", lambda p, s: 1 - p if s else p),
    "turn": Change((-20, -15, -10, -5, 0, 5, 10, 15, 20), "degrees", view=lambda s: (s, 1, 0, 0)),
    "scale": Change((0.5, 0.7, 0.85, 1, 1.2, 1.5, 2), "times", view=lambda s: (0, s, 0, 0)),
    "crop above": Change((0, 0.1, 0.2, 0.3), "of the height", view=lambda s: (0, 1, s, 0)),
    "crop below": Change((0, 0.05, 0.1, 0.15, 0.2), "of the height", view=lambda s: (0, 1, 0, s)),
}


def changed(
    picture: StudyImage, target: dict[str, Any], change: Change, strength: float
) -> tuple[StudyImage, dict[str, Any]]:
    """A picture made worse, and what is true of it."""
    pixels = picture.load_pixels().astype(np.float64)
    low, high = np.percentile(pixels, [0.5, 99.5])
    pixels = np.clip((pixels - low) / max(high - low, 1e-6), 0, 1)
    if change.pixels is not None:
        return _image(change.pixels(pixels, strength)), target
    assert change.view is not None
    turn_deg, scale, above, below = change.view(strength)
    rows, columns = pixels.shape
    plane = image_plane(picture)
    turn = np.radians(turn_deg)
    right, down = np.cos(turn) * BACK + np.sin(turn) * FEET, np.cos(turn) * FEET - np.sin(turn) * BACK
    first, last = round(above * rows), rows - round(below * rows)
    size = (round((last - first) / min(scale, 1.0)), round(columns / min(scale, 1.0)))
    if scale > 1:
        size = (round((last - first) / scale), round(columns / scale))
    center = plane.to_patient(np.array([(columns - 1) / 2, (first + last - 1) / 2]))
    origin = center - (size[1] - 1) / 2 * right - (size[0] - 1) / 2 * down
    view = SlicePlane(origin, right, down, (1.0, 1.0), size)
    seen = resample_plane(pixels.astype(np.float32), plane, view)
    return _image(seen), _seen_target(target, plane, view)


def _seen_target(target: dict[str, Any], plane: SlicePlane, view: SlicePlane) -> dict[str, Any]:
    boxes, levels, corners = [], [], []
    edge = np.array([view.shape[1] - 1, view.shape[0] - 1])
    for box, label, outline in zip(
        target["boxes"].numpy(), target["labels"].tolist(), target["corners"].numpy(), strict=True
    ):
        points = view.to_pixel(plane.to_patient(outline[:, ::-1].astype(np.float64)))
        middle = view.to_pixel(plane.to_patient((box[:2] + box[2:])[::-1].astype(np.float64) / 2))
        half = np.array([box[3] - box[1], box[2] - box[0]]) / 2
        if np.isfinite(points).all():
            # The box of the turned body: as the outline was wider than its corners, so is this.
            grown = half / np.maximum(np.ptp(outline[:, ::-1], axis=0) / 2, 1e-6)
            half = np.ptp(points, axis=0) / 2 * grown
        low, high = np.clip(middle - half, 0, edge), np.clip(middle + half, 0, edge)
        if np.prod(np.maximum(high - low, 0)) >= 0.6 * np.prod(2 * half):
            boxes.append([*low, *high])
            levels.append(BODY_LEVELS[label])
            corners.append(points)
    return target_of(boxes, levels, corners, target["patient"])


def _image(pixels: np.ndarray) -> StudyImage:
    held = pixels.astype(np.float32)
    return StudyImage("picture", None, lambda: held, Path("picture"), held.shape)


def robustness(
    data: str,
    weights: str = "runs/cross_validation/phantom-then-both/fold-{fold}.pt",
    folds: int = 4,
    output: str = "runs/robustness.json",
    figure: str = "docs/robustness.png",
) -> None:
    """Share of lumbar-t1 pictures with all lumbar bodies in view named right, against the strength of each change.

    Args:
        data: folder with ``lumbar-t1``.
        weights: of each fold, which have not seen that fold's patients.
        folds: number of folds.
        output: JSON file.
        figure: PNG file.
    """
    finders = [load_finder(weights.format(fold=fold)) for fold in range(folds)]
    images = list(read_lumbar_t1(Path(data) / "lumbar-t1"))
    found: dict[str, dict[str, list[float]]] = {}
    with tqdm(total=sum(len(c.strengths) for c in CHANGES.values()), unit="strength") as bar:
        for name, change in CHANGES.items():
            found[name] = {}
            for strength in change.strengths:
                tally = Tally()
                for image in images:
                    picture = read_image(image.path)
                    worse, truth = changed(picture, outlined_target(image, picture.shape), change, strength)
                    tally.add(image.path.name, find_column(finders[image.patient % folds], worse), truth)
                figures = tally.figures()
                found[name][str(strength)] = [figures[f"images_named{end}"] for end in ("", "_low", "_high")]
                bar.update(1)
            write_figures(output, found)
    _draw(found, figure)


def _draw(found: dict[str, dict[str, list[float]]], path: str) -> None:
    with matplotlib.rc_context({"font.size": 8}):
        sheet = Figure(figsize=(10, 7), layout="constrained")
        for axis, (name, rows) in zip(sheet.subplots(3, 3, sharey=True).flat, found.items(), strict=False):
            strengths = [float(k) for k in rows]
            value, low, high = (100 * np.array([r[k] for r in rows.values()]) for k in range(3))
            axis.fill_between(strengths, low, high, alpha=0.2)
            axis.plot(strengths, value, marker="o", markersize=3)
            axis.set_title(name)
            axis.set_xlabel(CHANGES[name].unit)
            axis.set_ylim(0, 102)
            axis.grid(alpha=0.3)
        sheet.supylabel("pictures with all lumbar bodies in view named right, %")
        with whole_file(path) as part:
            sheet.savefig(part, dpi=110, format="png")


# ---- what is no lumbar spine -------------------------------------------------------------------------------------------


def refusal(weights: str = "models/vertebrae.pt", count: int = 60, output: str = "runs/refusal.json") -> None:
    """Share of what is no lumbar spine and gets no lumbar name: phantom negatives of each kind, noise, photographs, series.

    Args:
        weights: of the detector.
        count: pictures of each kind, and half as many series.
        output: JSON file.
    """
    finder = load_finder(weights)
    found: dict[str, Any] = {}
    kinds = phantom_negatives(count, seed=9_000_000)
    kinds["photographs (scikit-learn, matplotlib)"] = [series_of_picture(pixels) for pixels in photographs()]
    for kind, shown in {**kinds, **series_elsewhere(count // 2, seed=9_300_000)}.items():
        refused = 0
        flags: dict[str, int] = {}
        for series in shown:
            vertebrae, why = finder(series)
            refused += not any(v.level in LUMBAR_LEVELS for v in vertebrae)
            for flag in why:
                flags[flag] = flags.get(flag, 0) + 1
        found[kind] = {"shown": len(shown), "refused": refused, "flags": flags}
    for name, members in {"all": set(found), "all but coronal": set(found) - {"coronal"}}.items():
        total, refused = (sum(found[kind][key] for kind in members) for key in ("shown", "refused"))
        found[name] = {"shown": total, "refused": refused, "share": wilson_interval(refused, total)}
    write_figures(output, found)
    print(json.dumps(found, indent=1))


def phantom_negatives(count: int, seed: int) -> dict[str, list[Series]]:
    """``count`` pictures of each kind that is no lumbar spine: of phantoms, and noise."""
    kinds = {
        kind: phantom_pictures(count, seed=seed, negatives=1.0, negative_kinds={kind: 1.0})
        for kind in tqdm(NEGATIVES, unit="kind")
    }
    kinds["noise"] = [_rng(seed + k).rayleigh(1.0, (256, 256)) for k in range(count)]
    return {kind: [series_of_picture(pixels) for pixels in pictures] for kind, pictures in kinds.items()}


def series_elsewhere(count: int, seed: int) -> dict[str, list[Series]]:
    """``count`` whole sagittal T2 series of digital patients' necks and chests."""
    return {
        f"{kind}, whole series": [
            series for *_, series in tqdm(phantom_series(count, seed, body=body), desc=kind, total=count)
        ]
        for kind, body in (("neck", "C5"), ("chest", "T5"))
    }


def phantom_pictures(count: int, **settings: Any) -> list[np.ndarray]:
    """One slice of each of ``count`` phantom patients, as VertebraSlices draws them with these settings."""
    slices = VertebraSlices(2 * count, size_px=256, contrasts_per_plane=2, **settings)
    return [slices[k]["image"][0].numpy() for k in range(0, 2 * count, 2)]


def photographs() -> list[np.ndarray]:
    """Grey photographs that come with the installed packages, and parts of them."""
    from matplotlib.cbook import get_sample_data
    from PIL import Image

    portrait = str(get_sample_data("grace_hopper.jpg", asfileobj=False))
    whole = [np.asarray(Image.open(portrait).convert("L"), dtype=np.float32)]
    whole += [image.astype(np.float32).mean(-1) for image in load_sample_images().images]
    parts = []
    for picture in whole:
        rows, columns = (n // 2 for n in picture.shape)
        parts += [picture[r : r + rows, c : c + columns] for r in (0, rows) for c in (0, columns)]
    return whole + parts


def series_of_picture(pixels: np.ndarray) -> Series:
    """A picture alone as a sagittal series, without a place in a patient."""
    return Series("picture", (_image(pixels),), ((0,),), "sagittal", "unknown")


if __name__ == "__main__":
    fire.Fire({"robustness": robustness, "refusal": refusal})
