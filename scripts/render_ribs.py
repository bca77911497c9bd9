"""Renders phantom vertebrae at the thoracolumbar border, for the training of the rib reader.

python -m scripts.render_ribs --output runs/ribs.npz --patients 3600
"""

from __future__ import annotations

import fire
import numpy as np
from monai.bundle import ConfigParser
from tqdm import tqdm

from bundle.datasets.rois import as_grey
from bundle.phantom.ribs import RibStacks
from bundle.whole_file import whole_file


def main(output: str, patients: int, seed: int = 0, config: str = "configs/train_ribs.yaml") -> None:
    """Write the stacks of each patient, in 256 grey levels.

    Args:
        output: ``.npz`` file.
        patients: how many.
        seed: of the first patient.
        config: with ``wide_window``.
    """
    parser = ConfigParser()
    parser.read_config(config)
    dataset = RibStacks(patients, parser.get_parsed_content("wide_window"), seed=seed)
    rows = []
    for index in tqdm(range(len(dataset)), unit="stack"):
        rows.append({name: as_grey(v) if name == "image" else np.asarray(v) for name, v in dataset[index].items()})
    with whole_file(output) as part:
        np.savez(part, **{name: np.stack([row[name] for row in rows]) for name in rows[0]})  # type: ignore[arg-type]
    print(f"{output}: {len(rows)} stacks of {patients} patients, {int(sum(row['label'] for row in rows))} with ribs")


if __name__ == "__main__":
    fire.Fire(main)
