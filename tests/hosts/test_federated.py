"""Federated averaging in NVIDIA FLARE's simulator, for a round of a few iterations."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
import yaml

pytestmark = pytest.mark.hosts

SMALL = {
    "vertebrae": {"training": {"size_px": 96, "batch_size": 2, "validation_images": 2}, "test": {"test_images": 4}},
    "disks": {"training": {"batch_size": 5, "validation_patients": 1}, "test": {"test_patients": 2}},
}


@pytest.fixture(scope="module", params=["vertebrae", "disks"])
def federation(request, root, tmp_path_factory):
    """A federation of one round, run: (its config, its folder, what it printed)."""
    folder = tmp_path_factory.mktemp(request.param)
    config = yaml.safe_load((root / "configs" / f"federation_{request.param}.yaml").read_text())
    config |= {"rounds": 1, "output_dir": str(folder / "out")}
    for part, changes in SMALL[request.param].items():
        config[part] |= changes
    config["training"]["iterations_per_epoch"] = 2
    (folder / "federation.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [sys.executable, "-m", "scripts.federated", "--config_file", str(folder / "federation.yaml")],
        cwd=root, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return config, folder / "out", done.stdout


def weights(path):
    return torch.load(path, weights_only=True)


def test_the_hospitals_weights_move_and_are_averaged(federation):
    config, folder, _ = federation
    start, together = weights(folder / "initial.pt"), weights(folder / "federated.pt")
    alone = [weights(folder / f"{site}.pt") for site in config["sites"]]
    learned = [name for name, value in start.items() if value.is_floating_point() and "running" not in name]
    moved = [float((together[name] - start[name]).abs().max()) for name in learned]
    assert set(together) == set(start) and min(moved) >= 0 and max(moved) > 1e-5
    # After one round, what each hospital sent is what it comes to alone.
    apart = max(float((alone[0][name] - alone[1][name]).abs().max()) for name in learned)
    off = max(float((together[name] - (alone[0][name] + alone[1][name]) / 2).abs().max()) for name in learned)
    assert off < 0.05 * apart


def test_all_are_evaluated_on_the_same_test_set(federation):
    config, folder, said = federation
    results = json.loads((folder / "results.json").read_text())
    assert set(results) == {"federated", *config["sites"]}
    key = config["key_metric"]
    counted = {metrics["images" if key == "found" else "disks"] for metrics in results.values()}
    assert len(counted) == 1 and all(metrics[key] >= 0 or key == "kappa" for metrics in results.values())
    assert said.count(f": {key} ") == 3


def test_a_hospital_leaves_the_released_weights_alone(federation, root):
    status = subprocess.run(["git", "status", "--short", "models"], cwd=root, capture_output=True, text=True, check=True)
    assert status.stdout == ""
