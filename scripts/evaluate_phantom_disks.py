"""The paper's table on phantoms: accuracy by level for each view alone and for both, beside what no classifier can pass.

python -m scripts.render_rois --output runs/phantom_test.npz --patients 200 --seed 7000000 --margin 1
python -m scripts.evaluate_phantom_disks --rois runs/phantom_test.npz --output_dir runs/phantom_test

Two truths: the word of one reader, drawn from the shares of readers, who differ near the borders of the definitions; and the
class by the definition. Whoever knew the shares exactly and called each disk what most readers call it would still miss the
one reader's word as often as the column ``ceiling`` says.

A second table has the errors of the outline that the network gives of the axial view. The thresholds that are printed last
are fitted on these very disks: with development disks (phantom_meeting.npz) they are for configs/inference.yaml.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import fire
import numpy as np
import torch
from monai.bundle import ConfigParser
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from tqdm import tqdm

from bundle.datasets.rois import SavedRois
from bundle.disks.assess import Figure, assess, assess_outlines
from bundle.disks.conformal import calibrated, conformal_threshold, fit_calibration, prediction_sets
from bundle.disks.definition import by_definition, outline_from
from bundle.disks.outputs import LENGTHS, MM_PER_UNIT, split_outputs
from bundle.disks.types import DiskOutline
from bundle.geometry import DISK_LEVELS
from bundle.statistics import bootstrap_interval, with_interval
from bundle.weights import load_weights
from bundle.whole_file import whole_file
from scripts.model_card import write_section

#: Columns of the table, and the views that each of them sees. Two more follow, by the axial view alone: what the definition
#: makes of the outline that the network gives, and the mean of that and of the network's own probabilities.
VIEWS: Mapping[str, tuple[str, ...]] = {
    "axial alone": ("axial",),
    "sagittal alone": ("sagittal",),
    "both views": ("axial", "sagittal"),
}
#: Accuracy by level of Pan et al. (JMIR Med Inform 2021;9(5):e14755), measured in their own hospital.
PAPER: Mapping[str, float] = dict(zip(DISK_LEVELS, (0.927, 0.844, 0.921, 0.904, 0.842), strict=True))
_BY_OUTLINE, _TOGETHER = "axial, by the outline", "axial, mean of both"
_LEVELS = [f"accuracy_{level}" for level in DISK_LEVELS]
_ROWS = {
    "reader": [
        *_LEVELS, "accuracy", "balanced_accuracy", "kappa", "sensitivity_normal", "sensitivity_bulge",
        "sensitivity_herniation", "ece", "coverage", "set_size",
    ],
    "definition": [*_LEVELS, "accuracy", "kappa"],
}  # fmt: skip


def main(
    rois: str,
    output_dir: str,
    weights: str = "models/disks.pt",
    config: str | Sequence[str] = ("configs/train_disks.yaml", "configs/evaluate_disks.yaml"),
    seed: int = 0,
    coverage: float = 0.9,
    section: str | None = None,
    model_card: str = "docs/README.md",
) -> None:
    """Write ``figures.json`` and ``figures.md``, and print the tables.

    Args:
        rois: file of scripts.render_rois, of patients that training has not seen.
        output_dir: of what is written.
        weights: of the classifier.
        config: with ``network_def``, ``preprocessing`` and the calibration.
        seed: of the readers' words.
        coverage: of the sets whose thresholds are printed.
        section: of the model card, that gets the tables; None for none.
        model_card: file that has the section.
    """
    data = SavedRois(rois)
    figures: dict[str, dict[str, dict[str, Figure]]] = {name: {} for name in _ROWS}
    fitted: dict[str, dict[str, float]] = {}
    for column, views in VIEWS.items():
        probabilities, said, threshold = judge(data, views, weights, config)
        judged = {column: probabilities}
        if views == ("axial",):
            readers = np.array([by_definition(outline).readers for outline in said])
            judged |= {_BY_OUTLINE: readers, _TOGETHER: (probabilities + readers) / 2}
            figures["outline"] = {"error": assess_outlines(said, true_outlines(data.arrays), data.arrays["patient"])}
            figures["gain"] = {_TOGETHER: gain(judged[column], judged[_TOGETHER], data.arrays, seed)}
        fitted[column] = fitted_on(probabilities, truths(data.arrays, seed)["reader"], coverage)
        for truth, label in truths(data.arrays, seed).items():
            for name, shares in judged.items():
                sets = prediction_sets(shares, threshold) if name == column else None
                figures[truth][name] = assess(shares, {**data.arrays, "label": label}, sets)
    shares = data.arrays["readers"].astype(np.float64)
    figures["reader"]["ceiling"] = assess(shares, {**data.arrays, "label": truths(data.arrays, seed)["reader"]})
    table = markdown(figures, len(data), len(set(data.arrays["patient"].tolist())))
    for name, text in (("figures.json", json.dumps(figures, indent=1) + "\n"), ("figures.md", table)):
        with whole_file(Path(output_dir) / name) as part:
            part.write_text(text)
    if section:
        write_section(model_card, section, table)
    print(table)
    print("fitted on these disks:", json.dumps(fitted))


def gain(
    one: NDArray[np.float64], other: NDArray[np.float64], arrays: Mapping[str, NDArray], seed: int
) -> dict[str, Figure]:
    """How much more often the other judge is right, on the same disks, by either truth."""

    def right_more(label: NDArray[np.int64]) -> Figure:
        more = (other.argmax(1) == label).astype(np.float64) - (one.argmax(1) == label)
        return bootstrap_interval(arrays["patient"], lambda k: float(more[k].mean()), 400)

    return {truth: right_more(label) for truth, label in truths(arrays, seed).items()}


def fitted_on(probabilities: NDArray[np.float64], word: NDArray[np.int64], coverage: float) -> dict[str, float]:
    """Threshold of the sets, and what the temperature would have to be multiplied by to fit best."""
    factor, _ = fit_calibration(np.log(probabilities), word, offsets=False)
    return {
        "set_threshold": round(conformal_threshold(probabilities, word, coverage), 3),
        "temperature_factor": round(factor, 3),
    }


def true_outlines(arrays: Mapping[str, NDArray]) -> list[DiskOutline]:
    """What the network should have given."""
    parts = {name: torch.from_numpy(arrays[name]) / MM_PER_UNIT for name in LENGTHS}
    return _outlines(parts)


def _outlines(parts: Mapping[str, torch.Tensor]) -> list[DiskOutline]:
    return [outline_from({name: part[k] for name, part in parts.items()}) for k in range(len(parts["rim"]))]


def truths(arrays: Mapping[str, NDArray], seed: int) -> dict[str, NDArray[np.int64]]:
    """``reader``: the word of one reader for each disk; ``definition``: the class by the rule."""
    bounds = arrays["readers"].astype(np.float64).cumsum(1)
    drawn = np.random.default_rng(seed).random(len(bounds)) * bounds[:, -1]
    return {"reader": (drawn[:, None] > bounds).sum(1), "definition": arrays["label"].astype(np.int64)}


def judge(
    data: SavedRois, views: Sequence[str], weights: str | Path, config: str | Sequence[str]
) -> tuple[NDArray[np.float64], list[DiskOutline], float]:
    """What the network says of the disks by some of their views.

    Returns:
        (N, 3) calibrated probabilities; the outlines that it gives; the threshold of the sets.
    """
    parser = ConfigParser()
    parser.read_config(config)
    parser["keep_views"] = list(views)
    prepare = parser.get_parsed_content("preprocessing")
    network = load_weights(parser.get_parsed_content("network_def"), weights).eval()
    rows: list[torch.Tensor] = []
    with torch.inference_mode():
        for places in tqdm(DataLoader(range(len(data)), batch_size=32), unit="batch", desc=" and ".join(views)):  # type: ignore[arg-type]
            images = [torch.as_tensor(prepare(data[int(k)])["image"]) for k in places]
            rows.append(network(torch.stack(images)).float())
    parts = split_outputs(torch.cat(rows))
    probabilities = calibrated(parts["findings"], float(parser["temperature"]))
    return probabilities, _outlines(parts), float(parser.get_parsed_content("set_threshold"))


def markdown(figures: Mapping[str, Mapping[str, Mapping[str, Figure]]], disks: int, patients: int) -> str:
    """A row a figure."""
    columns = [*VIEWS, _BY_OUTLINE, _TOGETHER, "ceiling"]
    heads = [f"{disks} disks of {patients} patients", "the paper", *columns]
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " --- |" * (len(heads) - 1)]
    for truth, names in _ROWS.items():
        for name in names:
            paper = PAPER.get(name.removeprefix("accuracy_"))
            cells = ["" if paper is None else f"{paper:.3f}"]
            cells += [_cell(figures[truth].get(column, {}).get(name)) for column in columns]
            lines.append(f"| {name.replace('_', ' ')}, {truth} | " + " | ".join(cells) + " |")
    gained = " and ".join(f"{with_interval(figure)} ({truth})" for truth, figure in figures["gain"][_TOGETHER].items())
    lines += ["", f"The mean of both is right more often than the axial view alone by {gained}, paired.", ""]
    lines += ["| the outline that the axial view is given | error |", "| --- | --- |"]
    lines += [f"| {name} | {with_interval(figure, 2)} |" for name, figure in figures["outline"]["error"].items()]
    return "\n".join(lines) + "\n"


def _cell(figure: Figure | None) -> str:
    return "" if figure is None else with_interval(figure)


if __name__ == "__main__":
    fire.Fire(main)
