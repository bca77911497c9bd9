"""Writes digital lumbar spines as DICOM studies, each with its truth.

python -m scripts.phantom_study --output_dir docs/sample-study --seed 75
python -m scripts.phantom_study --output_dir studies --seed 100 --count 20
"""

from __future__ import annotations

from pathlib import Path

import fire
from tqdm import trange

from bundle.phantom.anatomy import sample_spine
from bundle.phantom.dicom import write_study


def main(output_dir: str, seed: int = 0, count: int = 1) -> None:
    """Write ``count`` studies.

    Args:
        output_dir: folder of the study; of several studies the folder that holds one folder each, named by its seed.
        seed: of the first patient; the next have the next seeds. The same seed gives the same study.
        count: number of studies.
    """
    for number in trange(count, unit="study", disable=count == 1):
        folder = Path(output_dir) if count == 1 else Path(output_dir) / f"phantom-{seed + number:05d}"
        truth = write_study(folder, sample_spine(seed + number), seed + number)
        if count == 1:
            print(f"{folder}: " + ", ".join(f"{d['level']} {d['finding']}" for d in truth["disks"]))


if __name__ == "__main__":
    fire.Fire(main)
