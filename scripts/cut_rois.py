"""Cuts the disks' sagittal ROIs out of graded pictures, for training and testing the disk classifier.

python -m scripts.cut_rois --folder ../shared/data/spider --output runs/spider.npz
"""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple
from typing import Any

import fire
import numpy as np
from monai.bundle import ConfigParser
from tqdm import tqdm

from bundle.datasets.rois import save_rois
from bundle.datasets.spider import read_spider
from bundle.disks.transforms import find_disks
from bundle.geometry import DISK_LEVELS, FINDINGS

_DOUBTFUL = frozenset({"levels_unsure", "levels_missing", "sacrum_not_seen", "no_spine_found"})


def main(folder: str, output: str, config: str = "configs/inference.yaml", margin: float = 1.5) -> None:
    """Write the ROIs of every picture whose levels are sure.

    Args:
        folder: of the data set.
        output: ``.npz`` file.
        config: with the components of the reading.
        margin: side of what is cut, as a multiple of the ROI's: the rest is for turning and shifting in training.
    """
    parser = ConfigParser()
    parser.read_config(config)
    parser["roi#side_mm"] = margin * parser["roi#side_mm"]
    parser["roi#size_px"] = round(margin * parser["roi#size_px"])
    read, find, steps = (parser.get_parsed_content(key) for key in ("study_reader", "vertebra_finder", "disk_steps"))
    rows: list[dict[str, Any]] = []
    left_out = 0
    for picture in tqdm(list(read_spider(folder)), unit="picture"):
        study = read(picture.path)
        vertebrae, flags = find(study.sagittal)
        if _DOUBTFUL & set(flags):
            left_out += 1
            continue
        for reading in find_disks(study, vertebrae, steps)["readings"]:
            grading = picture.gradings.get(reading.level)
            if reading.sagittal is not None and grading is not None:
                bulging, herniation, narrowing, pfirrmann = astuple(grading)
                rows.append(
                    {
                        "sagittal": np.clip(reading.sagittal.pixels[:1], 0, 255).astype(np.uint8),
                        "label": FINDINGS.index(grading.finding),
                        "level": DISK_LEVELS.index(reading.level),
                        "patient": picture.patient,
                        "contrast": picture.contrast,
                        "flags": np.array([bulging, herniation], dtype=np.float32),
                        "narrowing": int(narrowing),
                        "pfirrmann": pfirrmann,
                    }
                )
    path = save_rois(output, {name: np.stack([row[name] for row in rows]) for name in rows[0]})
    counts = Counter(FINDINGS[row["label"]] for row in rows)
    patients = {row["patient"] for row in rows}
    print(f"{path}: {len(rows)} disks of {len(patients)} patients ({dict(counts)}); {left_out} pictures left out")


if __name__ == "__main__":
    fire.Fire(main)
