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
    """One round, in which the second hospital learns nothing: (its config, its folder, what it printed)."""
    folder = tmp_path_factory.mktemp(request.param)
    config = yaml.safe_load((root / "configs" / f"federation_{request.param}.yaml").read_text())
    config |= {"rounds": 1, "output_dir": str(folder / "out")}
    for part, changes in SMALL[request.param].items():
        config[part] |= changes
    config["training"]["iterations_per_epoch"] = 2
    config["sites"]["site-2"]["learning_rate"] = 0.0
    (folder / "federation.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [sys.executable, "-m", "scripts.federated", "--config_file", str(folder / "federation.yaml")],
        cwd=root, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return config, folder / "out", done.stdout


def weights(path):
    return torch.load(path, weights_only=True)


def test_what_a_hospital_learns_goes_halfway_into_the_average_of_two(federation):
    _, folder, _ = federation
    start = weights(folder / "initial.pt")
    learned = [name for name, value in start.items() if value.is_floating_point() and "running" not in name]

    def moved(name):
        trained = weights(folder / f"{name}.pt")
        assert set(trained) == set(start)
        return max(float((trained[key] - start[key]).abs().max()) for key in learned)

    assert moved("site-1") > 1e-6 and moved("site-2") == 0
    # Adam's first steps are as long as the learning rate, whatever the gradient.
    assert moved("federated") == pytest.approx(moved("site-1") / 2, rel=0.1)


def test_all_are_evaluated_on_the_same_test_set(federation):
    config, folder, said = federation
    results = json.loads((folder / "results.json").read_text())
    assert set(results) == {"federated", *config["sites"]}
    key = config["key_metric"]
    counted = {metrics["images" if key == "found" else "disks"] for metrics in results.values()}
    assert len(counted) == 1 and all(metrics[key] >= 0 or key == "kappa" for metrics in results.values())
    assert [line.split(":")[0] for line in said.splitlines() if f": {key} " in line and "[" in line][-3:] == list(results)


def test_a_hospital_leaves_the_released_weights_alone(federation, root):
    status = subprocess.run(["git", "status", "--short", "models"], cwd=root, capture_output=True, text=True, check=True)
    assert status.stdout == ""
