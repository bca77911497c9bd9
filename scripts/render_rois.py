"""Renders the ROIs of phantom disks once, so that several trainings can share them.

python -m scripts.render_rois --output runs/phantom.npz --patients 1600
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import fire
import numpy as np
from monai.bundle import ConfigParser
from tqdm import tqdm

from bundle.datasets.rois import VIEWS, as_grey, save_rois
from bundle.geometry import DISK_LEVELS, FINDINGS
from bundle.phantom.rois import DiskRois


def main(output: str, patients: int, seed: int = 0, config: str = "configs/train_disks.yaml", margin: float = 1.25) -> None:
    """Write the ROIs of the five disks of each patient, in 256 grey levels.

    Args:
        output: ``.npz`` file.
        patients: how many.
        seed: of the first patient.
        config: with ``roi`` and ``prevalence``.
        margin: side of what is rendered, as a multiple of the ROI's: the rest is for turning and shifting in training.
    """
    parser = ConfigParser()
    parser.read_config(config)
    parser["side_mm"] = margin * parser["side_mm"]
    parser["size_px"] = round(margin * parser["size_px"])
    dataset = DiskRois(
        patients, parser.get_parsed_content("roi"), seed=seed, prevalence=parser.get_parsed_content("prevalence")
    )
    rows: list[dict[str, Any]] = []
    for start in tqdm(range(0, len(dataset), 2 * len(DISK_LEVELS)), unit="batch"):
        for item in dataset.__getitems__(range(start, min(start + 2 * len(DISK_LEVELS), len(dataset)))):
            rows.append({name: as_grey(v) if name in VIEWS else np.asarray(v) for name, v in item.items()})
    path = save_rois(output, {name: np.stack([row[name] for row in rows]) for name in rows[0]})
    print(f"{path}: {len(rows)} disks of {patients} patients ({dict(Counter(FINDINGS[int(r['label'])] for r in rows))})")


if __name__ == "__main__":
    fire.Fire(main)
