"""How fast the phantom renders training slices, beside how fast the vertebra detector learns from them.

python -m scripts.benchmark_phantom
"""

from __future__ import annotations

import multiprocessing as mp
import time
from collections.abc import Callable
from typing import Any

import fire
import torch
from monai.bundle import ConfigParser

from bundle.phantom.pool import RenderPool
from bundle.phantom.slices import VertebraSlices
from bundle.vertebrae.engine import prepare_batch, total_loss

BATCH = 8


def main(
    processes: int = 2, seconds: float = 15.0, size_px: int = 256, autocast: str | None = None, device: str | None = None
) -> None:
    """Print slices a second of rendering, of training, and of both at once.

    Args:
        processes: that render, one thread each: as many as the machine has cores. On a GPU one is enough.
        seconds: how long each figure is measured.
        size_px: side of the slices.
        autocast: type in which the network computes, as in configs/train_vertebrae.yaml.
        device: where to work; a GPU where there is one.
    """
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    print(f"{processes} processes on {where}, slices of {size_px} x {size_px} pixels")
    rendered = {}
    for contrasts in (1, 2, 4):
        rendered[contrasts] = rendering(processes, seconds, size_px, contrasts, where)
        print(f"rendering, {contrasts} contrasts a plane and patient: {rendered[contrasts]:.1f} slices a second")
    items = VertebraSlices(BATCH, size_px=size_px).__getitems__(range(BATCH))
    trained = rate(training_step(items, autocast, where), seconds)
    print(f"training the detector, data at hand: {trained:.1f} slices a second")
    print(f"rendering (2 contrasts) to training: {rendered[2] / trained:.2f}")
    print(together(seconds, size_px, autocast, where))


def rendering(processes: int, seconds: float, size_px: int, contrasts: int, device: str) -> float:
    """Slices a second of ``processes`` that render at the same time."""
    context = mp.get_context("spawn")
    results = context.Queue()
    started = context.Barrier(processes)
    arguments = [(seconds, size_px, contrasts, device, k, started, results) for k in range(processes)]
    workers = [context.Process(target=_render, args=a) for a in arguments]
    for worker in workers:
        worker.start()
    total = sum(results.get() for _ in workers)
    for worker in workers:
        worker.join()
    return float(total)


def _render(seconds: float, size_px: int, contrasts: int, device: str, number: int, started: Any, results: Any) -> None:
    torch.set_num_threads(1)
    dataset = VertebraSlices(10**9, seed=number, size_px=size_px, contrasts_per_plane=contrasts, device=device)
    batch = max(BATCH, contrasts) if device == "cpu" else 16 * BATCH
    dataset.__getitems__(range(batch))
    place = batch

    def step() -> int:
        nonlocal place
        dataset.__getitems__(range(place, place + batch))
        place += batch
        return batch

    started.wait()
    results.put(rate(step, seconds))


def rate(step: Callable[[], int], seconds: float) -> float:
    """Slices a second of a step that returns how many it did."""
    step()
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        done += step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return done / (time.perf_counter() - began)


def _trainer(autocast: str | None, device: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config("configs/train_vertebrae.yaml")
    parser.update({"autocast": autocast, "device": f"$torch.device('{device}')"})
    return parser


def training_step(items: Any, autocast: str | None, device: str) -> Callable[[], int]:
    """A step of training on a batch: a list of items, or a function that gives one."""
    parser = _trainer(autocast, device)
    network, inferer, optimizer = (parser.get_parsed_content(name) for name in ("network", "inferer", "optimizer"))
    network.train()

    def step() -> int:
        batch = items() if callable(items) else items
        images, targets, *_ = prepare_batch(batch, device)
        optimizer.zero_grad()
        total_loss(inferer(images, network, targets)).backward()
        optimizer.step()
        return len(batch)

    return step


def together(seconds: float, size_px: int, autocast: str | None, device: str) -> str:
    """One process renders into the pool while the network trains on one thread: what it reaches, and how long it waits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    dataset = VertebraSlices(10**9, seed=99, size_px=size_px, device=device)
    pool = RenderPool(dataset, length=10**9, size=256, ready=64)
    place = 0

    def batch() -> list[dict[str, Any]]:
        nonlocal place
        place += BATCH
        return [pool[k] for k in range(place - BATCH, place)]

    batch()  # the pool is filled once before training
    pool.waited_s = 0.0
    reached = rate(training_step(batch, autocast, device), seconds)
    drawn, rendered, waited = pool.drawn, pool.rendered, pool.waited_s
    pool.close()
    torch.set_num_threads(threads)
    return (
        f"both at once, a pool filled by one process: {reached:.1f} slices a second; the network waited {waited:.2f} s for "
        f"data; an item was drawn {drawn / max(rendered, 1):.2f} times"
    )


if __name__ == "__main__":
    fire.Fire(main)
