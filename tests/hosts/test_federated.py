"""Federated averaging in NVIDIA FLARE's simulator, for a round of a few iterations."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
import yaml

from scripts.render_rois import main as render_rois

pytestmark = pytest.mark.hosts

SMALL = {
    "vertebrae": {"training": {"size_px": 96, "batch_size": 2, "validation_images": 2}, "test": {"test_images": 4}},
    "disks": {"training": {"batch_size": 5}, "test": {"batch_size": 5}},
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
    if request.param == "disks":
        rois = str(folder / "rois.npz")
        render_rois(rois, patients=4, seed=5, config=str(root / "configs" / "train_disks.yaml"))
        for site in config["sites"].values():
            site["phantom_rois"] = rois
        config["test"]["validate#dataset#data"]["path"] = rois
    (folder / "federation.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
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
    config, folder, _ = federation
    results = json.loads((folder / "results.json").read_text())
    assert list(results) == ["federated", *config["sites"]]
    for name in ("images", "bodies", "disks"):
        assert len({metrics.get(name) for metrics in results.values()}) == 1
    counted = {metrics.get("images", metrics.get("disks")) for metrics in results.values()}
    assert counted == {config["test"].get("test_images", 20)}
    for metrics in results.values():
        key = config["key_metric"]
        assert metrics[f"{key}_low"] <= metrics[key] <= metrics[f"{key}_high"]


def test_what_came_out_is_shown_as_a_table_and_a_figure(federation):
    config, folder, said = federation
    table = (folder / "results.md").read_text()
    assert table in said
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    assert rows[0] == list(config["shown"].values())
    assert [row[0] for row in rows[2:]] == ["together", "site-1 alone", "site-2 alone"]
    results = json.loads((folder / "results.json").read_text())
    assert [float(row[1].split()[0]) for row in rows[2:]] == [
        pytest.approx(metrics[config["key_metric"]], abs=0.0006) for metrics in results.values()
    ]
    assert (folder / "results.png").read_bytes().startswith(b"\x89PNG")


def test_a_hospital_leaves_the_released_weights_alone(federation, root):
    status = subprocess.run(["git", "status", "--short", "models"], cwd=root, capture_output=True, text=True, check=True)
    assert status.stdout == ""
