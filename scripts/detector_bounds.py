"""What the detector's bounds are chosen by: ``min_likeness`` refuses, ``max_transition`` and ``max_ribs`` flag.

Real pictures are read by weights that have not seen their patient; phantoms are others than those on which the figures are
reported (scripts.detector_limits, scripts.detector_studies).

    python -m scripts.detector_bounds --data ../shared/data
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fire
import numpy as np
from tqdm import tqdm

from bundle.datasets.lumbar_t1 import read_lumbar_t1
from bundle.phantom.anatomy import TRANSITIONS
from bundle.vertebrae.finder import NamedSpine
from scripts.detector_limits import phantom_negatives, series_elsewhere, series_of_picture
from scripts.detector_studies import phantom_series
from scripts.evaluate_detector import CONTRASTS, counted_pictures, load_finder, read_image, write_figures

_SEED = 9_400_000
_KINDS = (None, *TRANSITIONS)


def main(
    data: str,
    weights: str = "runs/cross_validation/phantom-then-both/fold-{fold}.pt",
    folds: int = 4,
    negatives: int = 60,
    studies: int = 70,
    output: str = "runs/detector_bounds.json",
) -> None:
    """Print the share refused and the share flagged for a range of bounds; write each picture's values.

    Args:
        data: folder with ``lumbar-t1`` and ``spider``.
        weights: of each fold.
        folds: number of folds.
        negatives: phantom pictures of each kind that is no lumbar spine.
        studies: phantom studies, ordinary ones and of each kind of transition.
        output: JSON file.
    """
    finders = [
        load_finder(weights.format(fold=fold), changes={"vertebra_finder#min_likeness": 0.0}) for fold in range(folds)
    ]
    real: dict[str, list[tuple[Path, int]]] = {
        "lumbar-t1": [(image.path, image.patient) for image in read_lumbar_t1(Path(data) / "lumbar-t1")]
    }
    for contrast in CONTRASTS:
        pictures = [path for path, _ in counted_pictures(Path(data) / "spider", contrast)]
        real[f"spider {contrast}"] = [(path, int(path.stem.split("_")[0])) for path in pictures]
    found: dict[str, list[NamedSpine]] = {}
    for name, members in real.items():
        found[name] = [
            finders[patient % folds].find(series_of_picture(read_image(path).load_pixels()))
            for path, patient in tqdm(members, desc=name)
        ]
    for kind, shown in {**phantom_negatives(negatives, _SEED), **series_elsewhere(negatives, _SEED)}.items():
        found[f"no spine: {kind}"] = [finders[k % folds].find(series) for k, series in enumerate(shown)]
    for transition in _KINDS:
        drawn = phantom_series(studies, _SEED, transition=transition)
        found[f"study: {transition or 'ordinary'}"] = [
            finders[k % folds].find(series)
            for k, (*_, series) in enumerate(tqdm(drawn, total=studies, desc=transition or "ordinary"))
        ]
    values: dict[str, Any] = {
        name: {key: [_rounded(getattr(spine, key)) for spine in spines] for key in ("likeness", "transition", "ribs")}
        for name, spines in found.items()
    }
    write_figures(output, values)
    ranges = {
        "likeness": np.arange(0.4, 0.85, 0.03),
        "transition": np.arange(0.1, 0.85, 0.05),
        "ribs": np.arange(-3.0, 6.5, 0.5),
    }
    for key, bounds in ranges.items():
        print(f"\n| share with {key} of at least | " + " | ".join(f"{bound:.2f}" for bound in bounds) + " |")
        print("| --- " * (len(bounds) + 1) + "|")
        for name, value in values.items():
            shares = [np.mean(np.asarray(value[key], dtype=np.float64) >= bound) for bound in bounds]
            print(f"| {name} | " + " | ".join(f"{100 * share:.1f}" for share in shares) + " |")


def _rounded(value: float | None) -> float | None:
    """To three places; what was not read, such as ribs in a picture, stays None."""
    return None if value is None else round(float(value), 3)


if __name__ == "__main__":
    fire.Fire(main)
