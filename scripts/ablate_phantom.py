"""Trains the vertebra detector on phantoms that lack one ingredient each, and measures every one of them on real images.

python -m scripts.ablate_phantom --data ../shared/data
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import fire
import yaml
from tqdm import tqdm

from scripts.evaluate_detector import evaluate, percent, write_figures

_COLUMNS = {
    ("lumbar_t1", "found"): "lumbar T1: bodies found",
    ("lumbar_t1", "named"): "bodies named right",
    ("lumbar_t1", "images_named"): "images with L1-L5 right",
    ("spider_t2", "count_right"): "SPIDER T2: count right",
    ("spider_t2", "count_within_one"): "count within one",
}


def main(
    data: str,
    config: str = "configs/ablate_phantom.yaml",
    output_dir: str = "runs/ablation",
    overlays: str = "configs/pool.yaml",
    **options: Any,
) -> None:
    """Train and measure every variant, and print the table. What is there already is not done again.

    Args:
        data: folder with ``lumbar-t1`` and ``spider``.
        config: ``common`` options and ``variants``, name -> options of configs/train_vertebrae.yaml.
        output_dir: weights and figures of each variant.
        overlays: configs laid over the training's, separated by commas.
        options: more options of every training, such as ``--autocast bfloat16``.
    """
    plan = yaml.safe_load(Path(config).read_text())
    folder = Path(output_dir)
    figures = {}
    for name, changes in tqdm(plan["variants"].items(), unit="variant"):
        place = folder / name.replace(" ", "-")
        result = place / "figures.json"
        if not result.exists():
            weights = place / "vertebrae.pt"
            if not weights.exists():
                train(place, overlays.split(","), {**plan["common"], **changes, **options, "weights": str(weights)})
            write_figures(result, evaluate(data, weights))
        figures[name] = json.loads(result.read_text())
        (folder / "table.md").write_text(table(figures))
    print(table(figures))


def train(place: Path, overlays: list[str], options: dict[str, Any]) -> None:
    """One training by the bundle's own command, its output in ``place``.

    Raises:
        SystemExit: it failed; its log says why.
    """
    place.mkdir(parents=True, exist_ok=True)
    configs = ["configs/train_vertebrae.yaml", *(o for o in overlays if o)]
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(configs), "--output_dir", str(place)]
    for key, value in options.items():
        command += [f"--{key}", str(value)]
    with (place / "log.txt").open("w") as log:
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise SystemExit(f"error: a training failed; see {place / 'log.txt'}")


def table(figures: dict[str, dict[str, Any]]) -> str:
    """Markdown: a row a variant, each figure in percent with its 95% interval."""
    lines = ["| phantom | " + " | ".join(_COLUMNS.values()) + " |", "| --- " * (len(_COLUMNS) + 1) + "|"]
    for name, found in figures.items():
        cells = [percent(found[source], figure) for source, figure in _COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    fire.Fire(main)
