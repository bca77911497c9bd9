"""Counts the images of the lumbar T1 set on which the whole column is named right.

python -m scripts.evaluate_naming --folder ../shared/data/lumbar-t1 --remainder 1
"""

from __future__ import annotations

import fire
import numpy as np
from monai.bundle import ConfigParser
from scipy.stats import binomtest
from tqdm import tqdm

from bundle.datasets.lumbar_t1 import LabelledImage, read_lumbar_t1
from bundle.geometry import Vertebra
from bundle.study import StudyReader


def main(folder: str, remainder: int = 1, config: str = "configs/inference.yaml") -> None:
    """Print how many images have all of their lumbar bodies named right, and how many are flagged as unsure.

    Args:
        folder: of the data set.
        remainder: patients whose number leaves this remainder when divided by 2; 1 for those not used in training.
        config: with the detector.
    """
    parser = ConfigParser()
    parser.read_config(config)
    find = parser.get_parsed_content("vertebra_finder")
    read = StudyReader()
    right, unsure = [], []
    for image in tqdm([one for one in read_lumbar_t1(folder) if one.patient % 2 == remainder], unit="image"):
        study = read(image.path)
        series = study.series[0]
        vertebrae, flags = find(series)
        right.append(all_named(image, vertebrae, series.images[0].shape))
        unsure.append("levels_unsure" in flags)
    ok, flagged = np.array(right), np.array(unsure)
    interval = binomtest(int(ok.sum()), len(ok)).proportion_ci(method="wilson")
    print(
        f"all of L1 to L5 named right in {ok.sum()} of {len(ok)} images: {100 * ok.mean():.1f}% "
        f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]; flagged levels_unsure: "
        f"{(flagged & ~ok).sum()} of {(~ok).sum()} wrong, {(flagged & ok).sum()} of {ok.sum()} right"
    )


def all_named(image: LabelledImage, vertebrae: tuple[Vertebra, ...], shape: tuple[int, int]) -> bool:
    """Whether each outlined lumbar body has the vertebra of its name within half of its height."""
    found = {v.level: np.asarray(v.boxes[0].xyxy).reshape(2, 2).mean(0) for v in vertebrae if v.boxes}
    for level, outline in image.outlines.items():
        if not level.startswith("L"):
            continue
        low, high = outline.min(0) * shape[::-1], outline.max(0) * shape[::-1]
        if level not in found or np.linalg.norm(found[level] - (low + high) / 2) > 0.5 * (high[1] - low[1]):
            return False
    return True


if __name__ == "__main__":
    fire.Fire(main)
