"""Cuts the disks' sagittal ROIs out of graded pictures, for training and testing the disk classifier.

python -m scripts.cut_rois --folder ../shared/data/spider --output runs/spider.npz
"""

from __future__ import annotations

from collections import Counter

import fire
import numpy as np
from monai.bundle import ConfigParser
from tqdm import tqdm

from bundle.datasets.rois import save_rois
from bundle.datasets.spider import read_spider
from bundle.disks.transforms import find_disks
from bundle.geometry import DISK_LEVELS, FINDINGS

_DOUBTFUL = frozenset({"levels_unsure", "levels_missing", "sacrum_not_seen", "no_spine_found"})


def main(folder: str, output: str, config: str = "configs/inference.yaml") -> None:
    """Write the ROIs of every picture whose levels are sure.

    Args:
        folder: of the data set.
        output: ``.npz`` file.
        config: with the components of the reading.
    """
    parser = ConfigParser()
    parser.read_config(config)
    read, find, steps = (parser.get_parsed_content(key) for key in ("study_reader", "vertebra_finder", "disk_steps"))
    pixels, labels, levels, patients, left_out = [], [], [], [], 0
    for picture in tqdm(list(read_spider(folder)), unit="picture"):
        study = read(picture.path)
        vertebrae, flags = find(study.sagittal)
        if _DOUBTFUL & set(flags):
            left_out += 1
            continue
        for reading in find_disks(study, vertebrae, steps)["readings"]:
            if reading.sagittal is not None and reading.level in picture.findings:
                pixels.append(np.clip(reading.sagittal.pixels[0], 0, 255).astype(np.uint8))
                labels.append(FINDINGS.index(picture.findings[reading.level]))
                levels.append(DISK_LEVELS.index(reading.level))
                patients.append(picture.patient)
    path = save_rois(output, np.stack(pixels), labels, levels, patients)
    counts = Counter(FINDINGS[k] for k in labels)
    print(f"{path}: {len(labels)} disks of {len(set(patients))} patients ({dict(counts)}); {left_out} pictures left out")


if __name__ == "__main__":
    fire.Fire(main)
