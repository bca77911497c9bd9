"""Training and evaluation, really run, for a few iterations."""

import csv
import json

import pytest
import torch

from tests.command import run_bundle

SMALL = {
    "vertebrae": ("--validation_images", "4", "--batch_size", "2", "--size_px", "128"),
    "disks": ("--validation_patients", "1", "--batch_size", "5"),
}
TEST_SET = {"vertebrae": ("--test_images", "4", "--batch_size", "2"), "disks": ("--test_patients", "2")}


@pytest.mark.parametrize("part", ["vertebrae", "disks"])
def test_training_writes_weights_checkpoint_and_record(root, tmp_path, part):
    weights = tmp_path / "new.pt"
    done = run_bundle(
        root,
        *("--output_dir", str(tmp_path), "--weights", str(weights), "--max_epochs", "2", "--iterations_per_epoch", "2"),
        *("--num_workers", "0", *SMALL[part]),
        config=f"configs/train_{part}.yaml",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    trained, released = (torch.load(p, weights_only=True) for p in (weights, root / "models" / f"{part}.pt"))
    assert {k: v.shape for k, v in trained.items()} == {k: v.shape for k, v in released.items()}
    assert all(torch.isfinite(v).all() for v in trained.values())
    assert list(tmp_path.glob("checkpoint*.pt"))
    assert list(tmp_path.glob("events.out.tfevents*"))
    assert (tmp_path / f"train_{part}.yaml").is_file()
    assert "--max_epochs" in json.loads((tmp_path / "run.json").read_text())["arguments"]


@pytest.mark.parametrize(("part", "figure"), [("vertebrae", "named"), ("disks", "kappa")])
def test_evaluation_writes_figures_with_intervals(root, tmp_path, part, figure):
    done = run_bundle(
        root,
        *("--output_dir", str(tmp_path), "--num_workers", "0", *TEST_SET[part]),
        config=f"['configs/train_{part}.yaml', 'configs/evaluate_{part}.yaml']",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with (tmp_path / "metrics.csv").open() as file:
        rows = {row[0]: row[1] for row in csv.reader(file) if len(row) == 2}
    assert {figure, f"{figure}_low", f"{figure}_high"} <= set(rows)
    assert float(rows[f"{figure}_low"]) <= float(rows[figure]) <= float(rows[f"{figure}_high"])
