"""Fourfold cross-validation of the vertebra detector by patient, on real labelled pictures and on phantoms.

For each fold the detector is trained without the patients of that fold, and measured on them; the figures are of all folds
together. What is there already is not done again, so an interrupted run goes on.

    python -m scripts.cross_validate_detector --data ../shared/data
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fire
import torch
import yaml
from monai.bundle import ConfigParser
from tqdm import tqdm

from bundle.datasets.lumbar_t1 import read_lumbar_t1
from bundle.geometry import BODY_LEVELS
from bundle.phantom.slices import VertebraSlices
from bundle.vertebrae.column import find_column
from bundle.vertebrae.engine import prepare_batch
from bundle.vertebrae.metrics import VertebraMetrics
from bundle.vertebrae.naming import ColumnNames
from scripts.ablate_phantom import train
from scripts.evaluate_detector import (
    CONTRASTS,
    Counts,
    Tally,
    counted_pictures,
    load_finder,
    percent,
    read_image,
    write_figures,
)
from scripts.model_card import write_section


def main(
    data: str,
    config: str = "configs/cross_validate_detector.yaml",
    rows: str = "phantom,phantom then real,phantom then both",
    output_dir: str = "runs/cross_validation",
    model_card: str | None = "docs/README.md",
    **options: Any,
) -> None:
    """Train, measure, and write the tables.

    Args:
        data: folder with ``lumbar-t1`` and ``spider``.
        config: the number of ``folds``, and ``rows``: what each is trained on.
        rows: those to do, separated by commas.
        output_dir: weights and figures.
        model_card: file whose section ``vertebrae-cross-validation`` gets the tables; none if null.
        options: more options of every training, such as ``--autocast bfloat16``.
    """
    plan = yaml.safe_load(Path(config).read_text())
    wanted = rows if isinstance(rows, (list, tuple)) else str(rows).split(",")
    figures: dict[str, Any] = {}
    for row in wanted:
        place = Path(output_dir) / row.replace(" ", "-")
        weights = [fold_weights(place, plan, row, fold, options) for fold in range(plan["folds"])]
        result = place / "figures.json"
        if not result.exists():
            found = measure(Path(data), weights, plan)
            write_figures(result, found)
        figures[row] = json.loads(result.read_text())
    text = tables(figures, plan["folds"])
    print(text)
    if model_card:
        write_section(model_card, "vertebrae-cross-validation", text)


def fold_weights(place: Path, plan: dict[str, Any], row: str, fold: int, options: dict[str, Any]) -> Path:
    """Weights trained without the patients of a fold; trained now if they are not there."""
    settings = plan["rows"][row]
    if "weights" in settings:  # one training that has seen no real picture serves all folds
        return Path(settings["weights"])
    weights = place / f"fold-{fold}.pt"
    if not weights.exists():
        folds = plan["folds"]
        others = [k for k in range(folds) if k != fold]
        changes = {"patients": [folds, others], "seed": plan["seed"] + fold, "weights": str(weights)}
        train(place / f"fold-{fold}", settings["overlays"], {**settings.get("options", {}), **changes, **options})
    return weights


def measure(data: Path, weights: list[Path], plan: dict[str, Any]) -> dict[str, Any]:
    """Figures of all folds together, each picture read by the weights that have not seen its patient."""
    folds = len(weights)
    outlined, numbers = Tally(), {contrast: Counts() for contrast in CONTRASTS}
    phantom = VertebraMetrics(name_bodies=ColumnNames())
    for fold, path in enumerate(weights):
        finder = load_finder(path)
        for image in tqdm([i for i in read_lumbar_t1(data / "lumbar-t1") if i.patient % folds == fold], desc=f"fold {fold}"):
            outlined.read(finder, image)
        for contrast, counts in numbers.items():
            for picture_path, count in counted_pictures(data / "spider", contrast):
                if int(picture_path.stem.split("_")[0]) % folds == fold:
                    counts.add(picture_path.stem, find_column(finder, read_image(picture_path)), count)
        on_phantom(phantom, finder.detector, plan, fold, folds)
    return {
        "lumbar_t1": outlined.figures(),
        **{f"spider_{contrast}": counts.figures() for contrast, counts in numbers.items()},
        "phantom": {key: round(value, 4) for key, value in phantom.compute().items()},
        "pictures": outlined.pictures,
    }


def on_phantom(metric: VertebraMetrics, detector: torch.nn.Module, plan: dict[str, Any], fold: int, folds: int) -> None:
    """Add phantom patients of a fold: none of them is drawn in any training."""
    parser = ConfigParser()
    parser.read_config("configs/train_vertebrae.yaml")
    prepare = parser.get_parsed_content("preprocessing")
    slices = VertebraSlices(plan["phantom_slices"] // folds, seed=plan["phantom_seed"] + fold, size_px=plan["size_px"])
    detector.eval()
    with torch.inference_mode():
        for start in range(0, len(slices), 8):
            items = [prepare(item) for item in slices.__getitems__(range(start, min(start + 8, len(slices))))]
            images, targets, _, _ = prepare_batch(items)
            metric.update((detector(list(images)), targets))


def tables(figures: dict[str, Any], folds: int) -> str:
    """Markdown: the three rows on the same real pictures, then names by level as the paper has them."""
    lines = [
        f"`lumbar-t1`, all {folds} folds together, names decided over the column; percent with 95% bootstrap interval by "
        "patient, errors at a body depth of 34 mm:",
        "",
        "| trained on | bodies found | bodies named right | images with all of L1-L5 right | AP50 | AP | AR | "
        "centre error, mm | corner error, mm |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row, found in figures.items():
        real = found["lumbar_t1"]
        lines.append(
            f"| {row} | {percent(real, 'found')} | {percent(real, 'named')} | {percent(real, 'images_named')} | "
            f"{real['ap_50']:.3f} | {real['ap']:.3f} | {real['ar']:.3f} | {real['center_error_mm']:.2f} | "
            f"{real['corner_error_mm']:.2f} |"
        )
    caption = "SPIDER, number of vertebrae above the sacrum against `overview.csv` (right / right but for a body that the "
    lines += ["", caption + "upper edge cuts off, which some count and some do not):", ""]
    lines += ["| trained on | " + " | ".join(CONTRASTS) + " |", "| --- " * (len(CONTRASTS) + 1) + "|"]
    for row, found in figures.items():
        cells = [
            " / ".join(percent(found[f"spider_{contrast}"], name) for name in ("count_right", "agrees"))
            for contrast in CONTRASTS
        ]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    levels = [level for level in reversed(BODY_LEVELS) if level[0] == "L" or level == "S1"]
    lines += ["", "Bodies named right by level (the paper: 100% on each, in its own hospital):", ""]
    lines += ["| trained on, measured on | " + " | ".join(levels) + " |", "| --- " * (len(levels) + 1) + "|"]
    for row, found in figures.items():
        for kind, name in (("lumbar_t1", "lumbar-t1"), ("phantom", "phantom")):
            cells = [percent(found[kind], f"named_{level}") for level in levels]
            lines.append(f"| {row}, {name} | " + " | ".join(cells) + " |")
    lines += ["", "Phantom figures (digital patients, single slices):", ""]
    lines += [
        "| trained on | bodies found | bodies named right | images with all of L1-L5 right | AP50 | corner error, mm |"
    ]
    lines += ["| --- " * 6 + "|"]
    for row, found in figures.items():
        digital = found["phantom"]
        lines.append(
            f"| {row} | {percent(digital, 'found')} | {percent(digital, 'named')} | {percent(digital, 'images_named')} | "
            f"{digital['ap_50']:.3f} | {digital['corner_error_mm']:.2f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    fire.Fire(main)
