"""Calibrates out-of-fold judgements of disks, and tells how good they are, as tables and figures.

python -m scripts.assess_disks --judged runs/folds/judged.npz --output_dir runs/folds

Calibration and conformal threshold that a fold is measured with are fitted on the other folds. Those that the command prints
for configs/inference.yaml are fitted on all of them, for weights that are trained on all patients.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fire
import numpy as np
from numpy.typing import NDArray

from bundle.disks.assess import Figure, assess
from bundle.disks.conformal import calibrated, calibration_error, conformal_threshold, fit_calibration, prediction_sets
from bundle.disks.outputs import PARTS
from bundle.geometry import FINDINGS
from bundle.statistics import with_interval
from bundle.whole_file import whole_file
from scripts.model_card import write_section


def main(
    judged: str,
    output_dir: str,
    folds: int = 4,
    coverage: float = 0.9,
    contrasts: Sequence[str] = ("t2",),
    fused: Sequence[str] = ("t1", "t2"),
    offsets: bool = False,
    temperature: float | None = None,
    section: str | None = None,
    model_card: str = "docs/README.md",
) -> None:
    """Write ``figures.json``, ``figures.md`` and pictures for one picture of a disk, and for two contrasts together.

    Args:
        judged: ``judged.npz`` of scripts.cross_validate_disks.
        output_dir: of what is written.
        folds: as in the cross-validation.
        coverage: of the conformal sets.
        contrasts: pictures that are measured each by itself, and that the released calibration is fitted on.
        fused: contrasts whose logits are averaged, of the disks that have all of them.
        offsets: fit the classes' shares too, not the temperature alone: right for patients like these. The set at hand may
            have fewer herniations than the hospitals where the weights will be used; then the shares that training has
            drawn serve better.
        temperature: of the release; None for the one that fits best. One for all ways to see a disk cannot fit each best.
        section: of the model card, that gets the tables; None for none.
        model_card: file that has the section.
    """
    with np.load(judged, allow_pickle=False) as file:
        cases = {name: file[name] for name in file.files if name != "sagittal"}
    one = _pick(cases, np.isin(cases["contrast"], list(contrasts)))
    several = _fused(cases, fused)
    results: dict[str, dict[str, Figure]] = {}
    confusion: list[str] = []
    for name, group in {"+".join(contrasts): one, " and ".join(fused): several}.items():
        if len(group["label"]) == 0:
            continue
        results[name], probabilities = measure(group, folds, coverage, offsets)
        confusion += _confusion(name, group["label"], probabilities.argmax(1))
        _pictures(Path(output_dir) / f"{name.replace(' ', '-')}.png", probabilities, group)
    release = _release(one, coverage, offsets, temperature)
    with whole_file(Path(output_dir) / "figures.json") as part:
        part.write_text(json.dumps({"figures": results, "release": release}, indent=1) + "\n")
    table = "\n".join([_table(results, {"+".join(contrasts): one, " and ".join(fused): several}), *confusion])
    with whole_file(Path(output_dir) / "figures.md") as part:
        part.write_text(table)
    if section:
        write_section(model_card, section, table)
    print(table)
    print("for configs/inference.yaml:", json.dumps({k: np.round(v, 3).tolist() for k, v in release.items()}))


def _release(
    cases: Mapping[str, NDArray], coverage: float, offsets: bool, temperature: float | None
) -> dict[str, float | list[float]]:
    """The calibration for weights that are trained on all patients, and its error on the cases that it was fitted on."""
    fitted, shift = fit_calibration(_part(cases, "findings"), cases["label"], offsets)
    released = fitted if temperature is None else float(temperature)
    probabilities = calibrated(_part(cases, "findings"), released, shift)
    return {
        "fitted_temperature": fitted,
        "temperature": released,
        "offsets": shift.tolist(),
        "set_threshold": conformal_threshold(probabilities, cases["label"], coverage),
        "ece": calibration_error(probabilities, cases["label"]),
    }


def measure(
    cases: Mapping[str, NDArray], folds: int, coverage: float, offsets: bool
) -> tuple[dict[str, Figure], NDArray[np.float64]]:
    """Figures of judged cases, and their probabilities, calibrated by the folds to which they do not belong."""
    logits, label, fold = _part(cases, "findings"), cases["label"], cases["patient"] % folds
    probabilities = np.zeros_like(logits, dtype=np.float64)
    sets = np.zeros(logits.shape, dtype=bool)
    for k in range(folds):
        here, there = fold == k, fold != k
        if not here.any():
            continue
        temperature, shift = fit_calibration(logits[there], label[there], offsets)
        probabilities[here] = calibrated(logits[here], temperature, shift)
        threshold = conformal_threshold(calibrated(logits[there], temperature, shift), label[there], coverage)
        sets[here] = prediction_sets(probabilities[here], threshold)
    scores = 1 / (1 + np.exp(-_part(cases, "flags")))
    grades = 1 + _part(cases, "pfirrmann").argmax(1)
    return assess(probabilities, cases, sets, scores, grades), probabilities


def _pick(cases: Mapping[str, NDArray], kept: NDArray[np.bool_]) -> dict[str, NDArray]:
    return {name: values[kept] for name, values in cases.items()}


def _fused(cases: Mapping[str, NDArray], contrasts: Sequence[str]) -> dict[str, NDArray]:
    """The disks that have all contrasts, with the mean of their outputs."""
    places: dict[tuple[int, int], dict[str, int]] = {}
    for k, (patient, level, contrast) in enumerate(zip(cases["patient"], cases["level"], cases["contrast"], strict=True)):
        places.setdefault((int(patient), int(level)), {})[str(contrast)] = k
    whole = [[found[c] for c in contrasts] for found in places.values() if all(c in found for c in contrasts)]
    if not whole:
        return _pick(cases, np.zeros(len(cases["label"]), dtype=bool))
    first = {name: values[[group[0] for group in whole]] for name, values in cases.items()}
    return {**first, "outputs": cases["outputs"][np.array(whole)].mean(1)}


def _part(cases: Mapping[str, NDArray], name: str) -> NDArray[np.float64]:
    start = list(PARTS).index(name)
    low = sum(list(PARTS.values())[:start])
    return np.asarray(cases["outputs"][:, low : low + PARTS[name]], dtype=np.float64)


def _table(results: Mapping[str, Mapping[str, Figure]], groups: Mapping[str, Mapping[str, NDArray]]) -> str:
    lines = ["| figure | " + " | ".join(results) + " |", "| --- |" + " --- |" * len(results)]
    counts = [f"{len(groups[n]['label'])} disks of {len(set(groups[n]['patient']))} patients" for n in results]
    lines.append("| cases | " + " | ".join(counts) + " |")
    for name in next(iter(results.values())):
        cells = [with_interval(group[name]) for group in results.values()]
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _confusion(name: str, label: NDArray, judged: NDArray) -> list[str]:
    counts = [[int(((label == a) & (judged == b)).sum()) for b in range(len(FINDINGS))] for a in range(len(FINDINGS))]
    lines = [f"| {name}: reader \\\\ classifier | " + " | ".join(FINDINGS) + " |", "| --- |" + " --- |" * len(FINDINGS)]
    lines += [f"| {finding} | " + " | ".join(map(str, row)) + " |" for finding, row in zip(FINDINGS, counts, strict=True)]
    return [*lines, ""]


def _pictures(path: Path, probabilities: NDArray[np.float64], cases: Mapping[str, NDArray]) -> None:
    """Confusion matrix, reliability diagram, ROC and precision-recall curves."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from sklearn.metrics import PrecisionRecallDisplay, RocCurveDisplay, confusion_matrix

    label, judged = cases["label"], probabilities.argmax(1)
    figure, axes = pyplot.subplots(1, 4, figsize=(17, 4), layout="constrained")
    counts = confusion_matrix(label, judged, labels=range(len(FINDINGS)))
    axes[0].imshow(counts / counts.sum(1, keepdims=True).clip(min=1), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        axes[0].text(column, row, str(count), ha="center", va="center")
    axes[0].set(
        xticks=range(3), yticks=range(3), xticklabels=FINDINGS, yticklabels=FINDINGS, xlabel="judged", ylabel="reader"
    )
    _reliability(axes[1], probabilities.max(1), judged == label)
    for index, name in enumerate(FINDINGS):
        options: dict[str, Any] = {"name": name}
        RocCurveDisplay.from_predictions(label == index, probabilities[:, index], ax=axes[2], **options)
        PrecisionRecallDisplay.from_predictions(label == index, probabilities[:, index], ax=axes[3], **options)
    axes[2].set(title="ROC, each class against the rest")
    axes[3].set(title="precision and recall")
    with whole_file(path) as part:
        figure.savefig(part, dpi=110)
    pyplot.close(figure)


def _reliability(axes: Any, sure: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 10) -> None:
    place = np.minimum((sure * bins).astype(int), bins - 1)
    used = np.unique(place)
    axes.plot([0, 1], [0, 1], color="0.7")
    axes.plot([sure[place == k].mean() for k in used], [right[place == k].mean() for k in used], "o-")
    axes.set(xlabel="probability of the finding", ylabel="share that is right", xlim=(0.3, 1), ylim=(0, 1))
    axes.set_title("reliability")


if __name__ == "__main__":
    fire.Fire(main)
