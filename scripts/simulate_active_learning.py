"""How many labelled studies active learning saves, on labelled data that plays the unlabelled.

Disks with findings (ROIs of scripts/cut_rois.py) are grouped by patient: a patient's label is the findings of all disks, as
a person gives them in MONAI Label. Each run holds out patients for testing, begins with a few random ones, and then adds one
at a time: the most uncertain by the score that the app uses (bundle.disks.uncertainty), the one with the most herniations
to expect, or a random one. What learns is a logistic regression on the principal components of the trained classifier's
features, so that hundreds of trainings take seconds; the network itself stays as it is. The patients must be others than the
network was trained on.

python -m scripts.simulate_active_learning --rois runs/spider.npz --weights runs/disks_phantom.pt --patients "[2,[1]]"
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fire
import numpy as np
import torch
from monai.bundle import ConfigParser
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from tqdm import tqdm

from bundle.disks.uncertainty import disk_uncertainty
from bundle.geometry import FINDINGS
from bundle.weights import load_weights
from bundle.whole_file import whole_file

CONFIGS = ("train_disks.yaml", "evaluate_disks.yaml", "evaluate_disks_real.yaml")
STRATEGIES = ("uncertain", "herniations", "random")


@dataclass(frozen=True)
class Cases:
    """Labelled disks.

    Args:
        features: (N, F) of the classifier.
        labels: (N,) index into FINDINGS.
        patients: (N,) numbers.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    patients: NDArray[np.int64]


def main(
    rois: str = "runs/spider.npz",
    output: str = "runs/active_learning.png",
    weights: str = "models/disks.pt",
    seeds: int = 20,
    first: int = 4,
    budget: int = 24,
    tested: float = 0.5,
    patients: tuple[int, list[int]] | None = None,
) -> None:
    """Write the learning curves as a figure, and beside it as ``.json``.

    Args:
        rois: file of scripts/cut_rois.py.
        output: PNG.
        weights: of the classifier whose features are used.
        seeds: runs, each with other patients held out and other first ones.
        first: labelled patients at the beginning.
        budget: labelled patients at the end.
        tested: share of the patients held out.
        patients: who are used, by the remainder of their number: ``[2,[0]]`` for the even ones.
    """
    cases = features_of(rois, weights, patients)
    sizes = np.arange(first, budget + 1)
    curves = {
        strategy: np.array([run(cases, strategy, seed, sizes, tested) for seed in tqdm(range(seeds), desc=strategy)])
        for strategy in STRATEGIES
    }
    result = summary(sizes, curves)
    path = Path(output)
    with whole_file(path.with_suffix(".json")) as part:
        part.write_text(json.dumps(result, indent=1) + "\n")
    draw(path, sizes, curves, result)
    print(
        f"{path}: random reaches {result['final_random']:.3f} balanced accuracy with {budget} patients; the others need for "
        f"that: {result['patients_needed']}"
    )


def features_of(rois: str, weights: str, patients: tuple[int, list[int]] | None = None) -> Cases:
    """What the classifier sees in every ROI of the patients: the input of its last layer."""
    parser = ConfigParser()
    parser.read_config([Path("configs") / name for name in CONFIGS])
    parser["rois"] = rois
    parser["patients"] = patients
    network = load_weights(parser.get_parsed_content("network_def"), weights).eval()
    seen: list[torch.Tensor] = []
    last_layer(network).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    loader = parser.get_parsed_content("validate#dataloader")
    labels, owners = [], []
    with torch.inference_mode():
        for batch in tqdm(loader, desc="features"):
            network(torch.as_tensor(batch["image"]))
            labels.append(np.asarray(batch["label"]))
            owners.append(np.asarray(batch["patient"]))
    return Cases(torch.cat(seen).numpy(), np.concatenate(labels), np.concatenate(owners))


def last_layer(network: nn.Module) -> nn.Module:
    """The linear layer that gives a sagittal ROI's outputs: the last one that is declared."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise SystemExit("error: the classifier has no linear layer whose input could be its features")
    return layers[-1]


def run(cases: Cases, strategy: str, seed: int, sizes: NDArray[np.int64], tested: float) -> list[float]:
    """Balanced accuracy on the held-out patients after each number of labelled ones.

    Args:
        cases: labelled disks.
        strategy: of STRATEGIES.
        seed: of the patients held out, of the first labelled ones, and of random choices.
        sizes: numbers of labelled patients, each one more than that before it.
        tested: share of the patients held out.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(np.unique(cases.patients))
    held_out = order[: round(tested * len(order))]
    cases = _reduced(cases, ~np.isin(cases.patients, held_out))
    pool = list(order[len(held_out) :])
    if len(pool) < sizes[-1]:
        raise SystemExit(f"error: {len(pool)} patients to label are fewer than the budget of {sizes[-1]}")
    test = np.isin(cases.patients, held_out)
    labelled = [pool.pop(0) for _ in range(int(sizes[0]))]
    scores: list[float] = []
    model: Any = None
    for size in sizes:
        if len(labelled) < size:
            labelled.append(pool.pop(_chosen(strategy, model, cases, pool, rng)))
        model = _learned(cases, np.isin(cases.patients, labelled))
        scores.append(float(balanced_accuracy_score(cases.labels[test], model.predict(cases.features[test]))))
    return scores


def _reduced(cases: Cases, pool: NDArray[np.bool_], components: int = 32) -> Cases:
    """The principal components of the features, by those of the patients who may be labelled; it needs no labels."""
    reduce = make_pipeline(StandardScaler(), PCA(components, random_state=0)).fit(cases.features[pool])
    features = reduce.transform(cases.features)
    return replace(cases, features=(features / features[pool].std()).astype(np.float32))


def _learned(cases: Cases, used: NDArray[np.bool_]) -> Any:
    model = LogisticRegression(C=0.3, class_weight="balanced", max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one that has not quite converged, and of classes that are not there yet
        return model.fit(cases.features[used], cases.labels[used])


def _chosen(strategy: str, model: Any, cases: Cases, pool: Sequence[int], rng: np.random.Generator) -> int:
    """Index into ``pool`` of the patient who is labelled next."""
    if strategy == "random":
        return int(rng.integers(len(pool)))
    rows = np.isin(cases.patients, list(pool))
    shares, owners = model.predict_proba(cases.features[rows]), cases.patients[rows]
    names = [FINDINGS[k] for k in model.classes_]
    if strategy == "herniations":
        herniated = shares[:, names.index("herniation")] if "herniation" in names else rng.random(len(shares))
        return int(np.argmax([herniated[owners == one].sum() for one in pool]))
    scores = [disk_uncertainty([dict(zip(names, p, strict=True)) for p in shares[owners == one]]) for one in pool]
    return int(np.argmax(scores))


def summary(sizes: NDArray[np.int64], curves: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Mean curves, and the number of patients with which each strategy reaches what random ones reach at the end."""
    means = {name: values.mean(0) for name, values in curves.items()}
    final = float(means["random"][-1])
    reached = {name: np.flatnonzero(values >= final) for name, values in means.items() if name != "random"}
    needed = {name: int(sizes[at[0]]) if at.size else None for name, at in reached.items()}
    return {
        "patients": sizes.tolist(),
        "balanced_accuracy": {name: np.round(values, 4).tolist() for name, values in means.items()},
        "runs": len(curves["random"]),
        "final_random": round(final, 4),
        "patients_needed": needed,
        "share_needed": {name: None if k is None else round(k / int(sizes[-1]), 3) for name, k in needed.items()},
    }


def draw(path: Path, sizes: NDArray[np.int64], curves: dict[str, NDArray[np.float64]], result: dict[str, Any]) -> None:
    """The figure: mean and standard error of each strategy's runs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.add_subplot()
    colors = {"uncertain": "#0b6e99", "herniations": "#b5530b", "random": "#8a8a8a"}
    words = {"uncertain": "most uncertain first", "herniations": "most herniations to expect first", "random": "random"}
    for name, values in curves.items():
        mean, error = values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
        axes.fill_between(sizes, mean - error, mean + error, color=colors[name], alpha=0.2, linewidth=0)
        axes.plot(sizes, mean, color=colors[name], label=words[name], linewidth=2)
    axes.axhline(result["final_random"], color="#8a8a8a", linestyle=":", linewidth=1)
    for name, needed in result["patients_needed"].items():
        if needed is not None:
            axes.axvline(needed, color=colors[name], linestyle=":", linewidth=1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("labelled patients")
    axes.set_ylabel("balanced accuracy on held-out patients")
    axes.set_title(f"Findings of SPIDER's disks, {result['runs']} runs: mean and standard error", fontsize=11)
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    with whole_file(path) as part:
        FigureCanvasAgg(figure).print_png(str(part))


if __name__ == "__main__":
    fire.Fire(main)
