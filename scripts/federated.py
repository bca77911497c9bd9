"""Two hospitals train one network without showing each other an image: federated averaging, and each alone to compare.

python -m scripts.federated --config_file configs/federation_vertebrae.yaml

Needs NVIDIA FLARE and MONAI's part for it (requirements-dev.txt). The hospitals are processes of FLARE's simulator; each
runs monai.fl.client.MonaiAlgo on the training config.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import fire
import torch
from monai.bundle import ConfigParser
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject
from monai.utils import set_determinism
from torch import Tensor

from bundle.whole_file import whole_file
from scripts.federation_figure import draw, table

ROOT = Path(__file__).resolve().parents[1]
_FEDERATED = "federated"


class FederationError(Exception):
    """The simulation cannot be done; the message is one line for the user."""


def client_arguments(federation: Mapping[str, Any], site: str, folder: Path) -> dict[str, Any]:
    """Arguments of MonaiAlgo for one hospital.

    Args:
        federation: of the config.
        site: its name.
        folder: absolute, for what its training writes.
    """
    changes = {**federation["training"], **federation["sites"][site]}
    place = {"bundle_root": str(ROOT), "output_dir": str(folder)}
    return {
        "bundle_root": str(ROOT),
        "local_epochs": federation["local_epochs"],
        "send_weight_diff": False,
        "config_train_filename": federation["config_train"],
        "train_kwargs": {**place, **changes},
        # The hospital's own validation images, by which FLARE reports the averaged weights before each round.
        "config_evaluate_filename": federation["config_train"],
        "eval_kwargs": {**place, **changes},
    }


def write_job(federation: Mapping[str, Any], job: Path, initial: Path, output_dir: Path) -> Path:
    """A job of FLARE: scatter, train at each hospital, average by the number of iterations, and again.

    Args:
        federation: of the config.
        job: folder to write.
        initial: weights file that the hospitals start from.
        output_dir: absolute; each hospital gets a folder there.

    Returns:
        ``job``.
    """
    sites = list(federation["sites"])
    server = {
        "format_version": 2,
        "workflows": [
            {
                "id": "scatter_and_gather",
                "path": "nvflare.app_common.workflows.scatter_and_gather.ScatterAndGather",
                "args": {
                    "min_clients": len(sites),
                    "num_rounds": federation["rounds"],
                    "start_round": 0,
                    "wait_time_after_min_received": 0,
                    "aggregator_id": "aggregator",
                    "persistor_id": "persistor",
                    "shareable_generator_id": "shareable_generator",
                    "train_task_name": "train",
                    "train_timeout": 0,
                },
            }
        ],
        "components": [
            {
                "id": "persistor",
                "path": "monai_nvflare.monai_bundle_persistor.MonaiBundlePersistor",
                "args": {
                    "bundle_root": str(ROOT),
                    "config_train_filename": federation["config_train"][0],
                    "source_ckpt_filename": str(initial),
                },
            },
            {
                "id": "shareable_generator",
                "path": "nvflare.app_common.shareablegenerators.full_model_shareable_generator.FullModelShareableGenerator",
                "args": {},
            },
            {
                "id": "aggregator",
                "path": "nvflare.app_common.aggregators.intime_accumulate_model_aggregator"
                ".InTimeAccumulateWeightedAggregator",
                "args": {"expected_data_kind": "WEIGHTS"},
            },
        ],
    }
    _write_json(job / "app_server" / "config" / "config_fed_server.json", server)
    for site in sites:
        client = {
            "format_version": 2,
            "executors": [
                {
                    "tasks": ["train"],
                    "executor": {
                        "path": "monai_nvflare.client_algo_executor.ClientAlgoExecutor",
                        "args": {"client_algo_id": "client_algo", "key_metric": federation["key_metric"]},
                    },
                }
            ],
            "components": [
                {
                    "id": "client_algo",
                    "path": "monai.fl.client.MonaiAlgo",
                    "args": client_arguments(federation, site, output_dir / site),
                }
            ],
        }
        _write_json(job / f"app_{site}" / "config" / "config_fed_client.json", client)
    meta = {
        "name": "lumbar",
        "min_clients": len(sites),
        "resource_spec": {},
        "deploy_map": {"app_server": ["server"], **{f"app_{site}": [site] for site in sites}},
    }
    _write_json(job / "meta.json", meta)
    return job


def train_together(federation: Mapping[str, Any], output_dir: Path, initial: Path) -> dict[str, Tensor]:
    """Federated averaging in FLARE's simulator, a process for the server and one for each hospital.

    Returns:
        The averaged weights of the last round.

    Raises:
        FederationError: the simulator failed; its log is in ``output_dir/flare``.
    """
    job = write_job(federation, output_dir / "job", initial, output_dir)
    workspace = output_dir / "flare"
    shutil.rmtree(workspace, ignore_errors=True)
    sites = list(federation["sites"])
    command = [sys.executable, "-m", "nvflare.private.fed.app.simulator.simulator", str(job), "-w", str(workspace)]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [*command, "-c", ",".join(sites), "-t", str(len(sites))],
        cwd=output_dir,
        env={**os.environ, "PYTHONPATH": paths},
        check=False,
    )
    found = list(workspace.rglob("FL_global_model.pt"))
    if done.returncode or not found:
        raise FederationError(f"FLARE's simulator failed; see {workspace}")
    return torch.load(found[0], map_location="cpu", weights_only=True)["model"]


def train_alone(federation: Mapping[str, Any], site: str, output_dir: Path, initial: Path) -> dict[str, Tensor]:
    """The same training of one hospital, as many epochs on the same patients, without the others.

    Returns:
        Its weights.
    """
    algo = MonaiAlgo(
        **{**client_arguments(federation, site, output_dir / f"{site}-alone"), "config_evaluate_filename": None}
    )
    algo.initialize(extra={ExtraItems.CLIENT_NAME: f"{site}-alone"})
    weights = torch.load(initial, map_location="cpu", weights_only=True)
    for _ in range(federation["rounds"]):
        algo.train(ExchangeObject(weights=weights))
        weights = _copied(algo.get_weights().weights)
    algo.finalize()
    return weights


def evaluate(federation: Mapping[str, Any], weights: Mapping[str, Tensor], output_dir: Path) -> dict[str, float]:
    """Metrics of weights on the test set that belongs to no hospital."""
    changes = {**federation["test"], "bundle_root": str(ROOT), "output_dir": str(output_dir), "num_workers": 0}
    changes["initialize"] = ["$monai.utils.set_determinism(seed=@seed)"]  # the released weights are not wanted
    algo = MonaiAlgo(
        bundle_root=str(ROOT),
        config_train_filename=None,
        config_evaluate_filename=federation["config_evaluate"],
        eval_kwargs=changes,
    )
    algo.initialize(extra={ExtraItems.CLIENT_NAME: "test"})
    metrics = algo.evaluate(ExchangeObject(weights=dict(weights))).metrics
    return {name: float(value) for name, value in metrics.items() if isinstance(value, (int, float))}


def train_each_alone(federation: Mapping[str, Any], output_dir: Path, initial: Path) -> dict[str, dict[str, Tensor]]:
    """Every hospital by itself, all at the same time, a process for each as in FLARE's simulator.

    Returns:
        Hospital -> weights.
    """
    sites = list(federation["sites"])
    with ProcessPoolExecutor(len(sites), mp_context=get_context("spawn"), initializer=_quiet) as pool:
        running = {site: pool.submit(train_alone, federation, site, output_dir, initial) for site in sites}
        return {site: done.result() for site, done in running.items()}


def main(config_file: str = "configs/federation_vertebrae.yaml", **changes: Any) -> None:
    """Train together and alone, evaluate all on the same test set, and write the results.

    ``results.json`` has all metrics, ``results.md`` and ``results.png`` those that the config shows.

    Args:
        config_file: of the federation.
        changes: of its entries, such as ``--rounds 2`` or ``--training#batch_size 2``.
    """
    _quiet()
    federation = _federation(config_file, changes)
    output_dir = Path(federation["output_dir"]).absolute()
    output_dir.mkdir(parents=True, exist_ok=True)
    initial = _initial_weights(federation, output_dir / "initial.pt")
    began = time.monotonic()
    try:
        trained = {_FEDERATED: train_together(federation, output_dir, initial)}
    except FederationError as error:
        raise SystemExit(f"error: {error}") from None
    trained |= train_each_alone(federation, output_dir, initial)
    results = {}
    for name, weights in trained.items():
        with whole_file(output_dir / f"{name}.pt") as part:
            torch.save(weights, part)
        results[name] = evaluate(federation, weights, output_dir / "test")
    names = {_FEDERATED: "together", **{site: f"{site} alone" for site in federation["sites"]}}
    _write_json(output_dir / "results.json", results)
    text = table(results, federation["shown"], names)
    with whole_file(output_dir / "results.md") as part:
        part.write_text(text, encoding="utf-8")
    draw(results, federation["shown"], names, output_dir / "results.png")
    print(
        f"{text}{(time.monotonic() - began) / 60:.0f} minutes; results.json, results.md and results.png are in {output_dir}"
    )


def _quiet() -> None:
    logging.getLogger("monai.fl").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="executing the bundle config")  # the configs are this folder's own


def _federation(config_file: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    try:
        parser = ConfigParser(ConfigParser.load_config_file(config_file))
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {config_file}: cannot be read ({error})") from None
    parser.update(dict(changes))
    return dict(parser.get())


def _initial_weights(federation: Mapping[str, Any], path: Path) -> Path:
    """Random weights by the seed, the same for all."""
    set_determinism(seed=federation["seed"])
    parser = ConfigParser()
    parser.read_config([str(ROOT / name) for name in federation["config_train"][:1]])
    with whole_file(path) as part:
        torch.save(parser.get_parsed_content("network_def").state_dict(), part)
    return path


def _copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """MonaiAlgo gives the network's own tensors away, which cannot be copied onto themselves."""
    return {name: tensor.clone() for name, tensor in weights.items()}


def _write_json(path: Path, content: Any) -> None:
    with whole_file(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    fire.Fire(main)
