"""Trains and tests the disk classifier on real ROIs, fold by fold: every patient is judged by weights that never saw him.

python -m scripts.cross_validate_disks --output_dir runs/folds --autocast bfloat16
python -m scripts.assess_disks --judged runs/folds/judged.npz --output_dir runs/folds
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire
import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.bundle import run as run_bundle
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from tqdm import tqdm

from bundle.datasets.rois import VIEWS, SavedRois, save_rois
from bundle.weights import load_weights

CONFIGS = ("configs/train_disks.yaml", "configs/train_disks_real.yaml")


def main(
    output_dir: str,
    rois: str = "runs/spider.npz",
    folds: int = 4,
    only: Sequence[int] | None = None,
    config_files: Sequence[str] = CONFIGS,
    **overrides: Any,
) -> None:
    """Write ``judged.npz`` (outputs for every ROI, from the fold that left its patient out) and each fold's weights.

    Args:
        output_dir: of all that is written; a fold whose weights are there is not trained again.
        rois: file of scripts.cut_rois.
        folds: a patient belongs to the fold that is the remainder of his number.
        only: these folds are trained, and nothing is judged, so that several processes can share the work; the command
            without it comes last.
        config_files: of the training.
        overrides: of the configs, such as ``--max_epochs 8 --start_weights None``.
    """
    judged = []
    for fold in range(folds) if only is None else only:
        weights = Path(output_dir) / f"fold{fold}.pt"
        others = [k for k in range(folds) if k != fold]
        # MONAI takes None for an override that is not there.
        given = {"rois": rois, **{name: "" if value is None else value for name, value in overrides.items()}}
        if not weights.is_file():
            run_bundle(
                config_file=list(config_files), patients=[folds, others], weights=str(weights),
                output_dir=str(Path(output_dir) / f"fold{fold}"), **given,
            )  # fmt: skip
        if only is None:
            judged.append(judge(config_files, weights, SavedRois(rois, patients=(folds, [fold]))))
    if only is not None:
        return
    path = save_rois(
        Path(output_dir) / "judged.npz", {name: np.concatenate([part[name] for part in judged]) for name in judged[0]}
    )
    print(path)


def judge(config_files: Sequence[str], weights: Path, data: SavedRois) -> dict[str, NDArray]:
    """Outputs of the network for each ROI of a fold, with its targets."""
    parser = ConfigParser()
    parser.read_config(list(config_files))
    prepare = parser.get_parsed_content("preprocessing")
    network = load_weights(parser.get_parsed_content("network_def"), weights).eval()
    outputs = []
    with torch.inference_mode():
        for batch in tqdm(DataLoader(_Prepared(data, prepare), batch_size=32), unit="batch", desc=weights.stem):  # type: ignore[arg-type]
            outputs.append(network(batch).float().numpy())
    kept = {name: values for name, values in data.arrays.items() if name not in VIEWS}
    # The pictures themselves are left out, but for their place: a file of ROIs needs a view.
    return {"sagittal": np.zeros((len(data), 1, 1, 1), dtype=np.uint8), "outputs": np.concatenate(outputs), **kept}


class _Prepared:
    def __init__(self, data: Any, prepare: Any) -> None:
        self.data, self.prepare = data, prepare

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.as_tensor(self.prepare(self.data[index])["image"])


if __name__ == "__main__":
    fire.Fire(main)
