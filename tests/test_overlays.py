"""Overlays of the training configs, really run, for a few iterations."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from tests.command import run_bundle
from tests.test_training import SMALL

TINY = ("--max_epochs", "2", "--iterations_per_epoch", "4", "--num_workers", "0")


def places(folder):
    return ("--output_dir", str(folder), "--weights", str(folder / "new.pt"))


@pytest.mark.parametrize("part", ["vertebrae", "disks"])
def test_two_processes_share_a_training_and_the_first_one_writes(root, tmp_path, part):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
            *("-m", "monai.bundle", "run"),
            *("--config_file", f"['configs/train_{part}.yaml', 'configs/multi_gpu.yaml']"),
            *(*places(tmp_path), *TINY, *SMALL[part]),
        ],
        cwd=root, capture_output=True, text=True, timeout=900, check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    checkpoint = torch.load(next(tmp_path.glob("checkpoint*.pt")), weights_only=True)
    trained = torch.load(tmp_path / "new.pt", weights_only=True)
    assert set(checkpoint["model"]) == set(trained) and all(torch.isfinite(v).all() for v in trained.values())
    # Four iterations by one process are two each by two processes.
    assert {int(state["step"]) for state in checkpoint["optimizer"]["state"].values()} == {4}
    assert len(list(tmp_path.glob("checkpoint*.pt"))) == 1
    assert "--max_epochs" in json.loads((tmp_path / "run.json").read_text())["arguments"]
    assert "Traceback" not in done.stderr


def test_a_run_is_tracked_by_mlflow(root, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    done = run_bundle(
        root, *places(tmp_path), *TINY, *SMALL["disks"], config="['configs/train_disks.yaml', 'configs/mlflow.yaml']"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlruns.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "lumbar-disk-bundle"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "train" and run.info.status == "FINISHED"
    assert run.data.params["iterations_per_epoch"] == "4"
    assert {"train_loss", "lr_group_0", "kappa"} <= set(run.data.metrics)
    assert len(client.get_metric_history(run.info.run_id, "train_loss")) == 8


def test_the_learning_rate_is_drawn_in_tensorboard(root, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = run_bundle(
        root, *places(tmp_path), *TINY, *SMALL["disks"], config="['configs/train_disks.yaml', 'configs/tensorboard.yaml']"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    curves = {}
    for file in tmp_path.glob("events.out.tfevents*"):
        events = EventAccumulator(str(file)).Reload()
        curves |= {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
    assert len(curves["train_loss"]) == 8 and "kappa" in curves
    rates = [point.value for point in curves["learning_rate"]]
    assert len(rates) == 8 and rates == sorted(rates) and rates[0] < rates[-1]  # it is warming up
