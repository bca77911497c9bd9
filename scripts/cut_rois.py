"""Cuts the disks' ROIs out of a labelled set, for training and testing the disk classifier.

python -m scripts.cut_rois --folder ../shared/data/spider --output runs/spider.npz
python -m scripts.cut_rois --dataset tianchi --folder TIANCHI --report TIANCHI.json --output runs/tianchi.npz
python -m scripts.cut_rois --dataset sudirman --folder SUDIRMAN --report NOTES.xlsx --output runs/sudirman.npz

RSNA's set has no classes of this kind: of it the datalist is written alone, and scripts.score_slices uses its axial points.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import fire
import numpy as np
from monai.bundle import ConfigParser
from numpy.typing import NDArray
from tqdm import tqdm

from bundle.datasets.labels import LabelledDisk, LabelledStudy, write_disk_list
from bundle.datasets.rois import as_grey, save_rois
from bundle.datasets.rsna import read_rsna
from bundle.datasets.spider import read_spider
from bundle.datasets.sudirman import read_sudirman
from bundle.datasets.tianchi import read_tianchi
from bundle.disks.transforms import find_disks
from bundle.disks.types import DiskReading
from bundle.geometry import DISK_LEVELS, FINDINGS
from bundle.study import StudyError

DATASETS = {
    "spider": lambda folder, report: read_spider(folder),
    "rsna": lambda folder, report: read_rsna(folder),
    "sudirman": read_sudirman,
    "tianchi": read_tianchi,
}
_DOUBTFUL = frozenset({"levels_unsure", "levels_missing", "sacrum_not_seen", "no_spine_found"})


def main(
    folder: str,
    output: str,
    dataset: str = "spider",
    report: str | None = None,
    config: str = "configs/inference.yaml",
    margin: float = 1.5,
) -> None:
    """Write the ROIs of every study whose levels are sure, and beside them a datalist of all labelled disks.

    Args:
        folder: of the data set, as published; see the module of bundle.datasets that has its name.
        output: ``.npz`` file; the datalist has the ending ``.json``.
        dataset: spider, rsna, sudirman or tianchi.
        report: file of the labels, where it does not lie in the folder.
        config: with the components of the reading.
        margin: side of what is cut, as a multiple of the ROI's: the rest is for turning and shifting in training.
    """
    if dataset not in DATASETS:
        raise SystemExit(f"error: no data set {dataset}; known are {', '.join(DATASETS)}")
    parser = ConfigParser()
    parser.read_config(config)
    parser["roi#side_mm"] = margin * parser["roi#side_mm"]
    parser["roi#size_px"] = round(margin * parser["roi#size_px"])
    read, find, steps = (parser.get_parsed_content(key) for key in ("study_reader", "vertebra_finder", "disk_steps"))
    try:
        studies = list(DATASETS[dataset](folder, report))
        write_disk_list(Path(output).with_suffix(".json"), studies)
    except StudyError as error:
        raise SystemExit(f"error: {error}") from None
    numbers = {patient: k for k, patient in enumerate(sorted({study.patient for study in studies}))}
    rows: list[dict[str, Any]] = []
    left_out: Counter[str] = Counter()
    for labelled in tqdm(studies, unit="study"):
        try:
            study = read(labelled.source)
            vertebrae, flags = find(study.sagittal) if study.sagittal is not None else ((), ("no_spine_found",))
        except StudyError:
            left_out["unreadable"] += 1
            continue
        doubt = sorted(_DOUBTFUL & set(flags))
        if doubt:
            left_out[doubt[0]] += 1
            continue
        patient = int(labelled.patient) if labelled.patient.isdigit() else numbers[labelled.patient]
        by_level = {disk.level: disk for disk in labelled.disks}
        for reading in find_disks(study, vertebrae, steps)["readings"]:
            disk = by_level.get(reading.level)
            if disk is not None and disk.finding is not None and reading.sagittal is not None:
                rows.append(_row(labelled, disk, reading, patient))
    if not rows:
        raise SystemExit(f"error: {folder}: no disk with a class whose ROI could be cut; only the datalist was written")
    path = save_rois(output, _joined(rows))
    counts = Counter(FINDINGS[row["label"]] for row in rows)
    print(f"{path}: {len(rows)} disks of {len({row['patient'] for row in rows})} patients ({dict(counts)})")
    print(f"{sum(left_out.values())} of {len(studies)} studies left out ({dict(left_out)})")


def _row(study: LabelledStudy, disk: LabelledDisk, reading: DiskReading, patient: int) -> dict[str, Any]:
    assert disk.finding is not None and reading.sagittal is not None
    pixels = reading.sagittal.pixels
    known = {"bulging", "herniation"} <= disk.labels.keys()
    flags = [disk.labels["bulging"], disk.labels["herniation"]] if known else [np.nan, np.nan]
    return {
        "sagittal": as_grey(pixels[:1] if len(set(reading.sagittal.images)) == 1 else pixels),
        "label": FINDINGS.index(disk.finding),
        "level": DISK_LEVELS.index(disk.level),
        "patient": patient,
        "contrast": study.contrast,
        "flags": np.array(flags, dtype=np.float32),
        "pfirrmann": int(disk.labels.get("pfirrmann", 0)),
    }


def _joined(rows: list[dict[str, Any]]) -> dict[str, NDArray]:
    """One array of each name; pictures among volumes stand for three slices."""
    slices = max(len(row["sagittal"]) for row in rows)
    for row in rows:
        row["sagittal"] = np.broadcast_to(row["sagittal"], (slices, *row["sagittal"].shape[1:]))
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


if __name__ == "__main__":
    fire.Fire(main)
