"""Detectors of several sizes, trained alike: what each finds on patients it has not seen, and what it costs.

python -m scripts.compare_detectors --data ../shared/data
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fire
import torch
import yaml
from tqdm import tqdm

from bundle.datasets.lumbar_t1 import read_lumbar_t1
from bundle.vertebrae.metrics import VertebraMetrics
from bundle.vertebrae.naming import ColumnNames
from scripts.ablate_phantom import train
from scripts.benchmark_detector import in_turn
from scripts.cross_validate_detector import on_phantom
from scripts.evaluate_detector import Tally, load_finder, percent, write_figures


def main(
    data: str,
    config: str = "configs/detector_sizes.yaml",
    output_dir: str = "runs/detector_sizes",
    repeats: int = 9,
    **options: Any,
) -> None:
    """Train, measure, and print the table. What is trained already is not trained again.

    Args:
        data: folder with ``lumbar-t1``.
        config: ``sizes`` of the network's feature extractor, the ``common`` options of their trainings, and the ``fold``.
        output_dir: weights, and ``figures.json``.
        repeats: of the times.
        options: more options of every training, such as ``--autocast bfloat16``.
    """
    plan = yaml.safe_load(Path(config).read_text())
    figures: dict[str, dict[str, Any]] = {}
    networks = []
    for name, size in plan["sizes"].items():
        place = Path(output_dir) / name.replace(" ", "-")
        weights = place / "vertebrae.pt"
        if not weights.exists():
            changes = {f"network_def#feature_extractor#{key}": value for key, value in size.items()}
            train(place, plan["overlays"], {**plan["common"], **changes, "weights": str(weights), **options})
        finder = load_finder(weights, changes={f"vertebra_network_def#feature_extractor#{k}": v for k, v in size.items()})
        figures[name] = measure(Path(data), finder, plan)
        networks.append(finder.detector.network)
    for name, seconds in zip(figures, times(networks, repeats), strict=True):
        figures[name]["ms_a_slice"] = round(1000 * seconds / 8, 1)
    write_figures(Path(output_dir) / "figures.json", figures)
    print(table(figures))


def measure(data: Path, finder: Any, plan: dict[str, Any]) -> dict[str, Any]:
    """Figures of one detector on the patients of the fold, and on phantoms."""
    folds, fold = plan["fold"]
    outlined = Tally()
    for image in tqdm([i for i in read_lumbar_t1(data / "lumbar-t1") if i.patient % folds == fold], unit="picture"):
        outlined.read(finder, image)
    phantom = VertebraMetrics(name_bodies=ColumnNames())
    on_phantom(phantom, finder.detector, plan, 0, 1)
    weights = sum(p.numel() for p in finder.detector.network.parameters())
    return {"weights": weights, "lumbar_t1": outlined.figures(), "phantom": phantom.compute()}


def times(networks: list[torch.nn.Module], repeats: int, size_px: int = 256) -> list[float]:
    """Median seconds of each network's forward pass on the same eight slices, on one thread, in turn."""
    torch.set_num_threads(1)
    slices = torch.rand(8, 1, size_px, size_px).to(memory_format=torch.channels_last)

    def forward(network: torch.nn.Module) -> None:
        with torch.inference_mode():
            network.eval()(slices)

    for network in networks:
        forward(network)
    return in_turn([lambda network=network: forward(network) for network in networks], repeats)  # type: ignore[misc]


def table(figures: dict[str, dict[str, Any]]) -> str:
    """Markdown: a row a size; percent with 95% bootstrap interval by patient."""
    lines = [
        "| network | weights | ms a slice, one thread | lumbar T1: bodies found | bodies named right | corner error, mm | "
        "phantom: bodies found | bodies named right |",
        "| --- " * 8 + "|",
    ]
    for name, found in figures.items():
        real, digital = found["lumbar_t1"], found["phantom"]
        lines.append(
            f"| {name} | {found['weights'] / 1e6:.1f} million | {found['ms_a_slice']:.1f} | {percent(real, 'found')} | "
            f"{percent(real, 'named')} | {real['corner_error_mm']:.2f} | {percent(digital, 'found')} | "
            f"{percent(digital, 'named')} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    fire.Fire(main)
