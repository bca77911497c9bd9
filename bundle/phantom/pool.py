"""Training items that other processes render in the background, so that a network never waits for data."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
import torch
import torch.multiprocessing as mp
from torch.utils.data import Dataset

_log = logging.getLogger(__name__)


class Renderer(Protocol):
    """A dataset that renders several items together: VertebraSlices, DiskRois."""

    def __len__(self) -> int: ...

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]: ...


class RenderPool(Dataset):
    """Items drawn at random from a pool that is refilled all the time.

    Processes of its own render the items of ``dataset`` in order and put them into the pool, each in the place of the oldest
    one, but no more than are drawn. Where the network is faster than they are, items come more than once; it waits only
    until the pool is first filled. What is drawn depends on the speed of the machine, so a run cannot be repeated to the
    bit: for that, use ``dataset`` itself.

    Args:
        dataset: what to render; its items are taken in order, and again from the start after the last.
        length: number of items that a user may draw.
        size: items in the pool.
        ready: items that must be there before the first is drawn.
        processes: how many render.
        batch: items rendered together.
        seed: of the draws.

    Raises:
        RuntimeError: on drawing, when the processes have died.
    """

    def __init__(
        self,
        dataset: Renderer,
        length: int,
        size: int = 1024,
        ready: int = 128,
        processes: int = 1,
        batch: int = 8,
        seed: int = 0,
    ) -> None:
        self.length, self.size, self.ready = int(length), int(size), min(int(ready), int(size))
        self.seed = int(seed)
        self.rendered = 0
        self.drawn = 0
        self.waited_s = 0.0
        self._items: list[dict[str, Any]] = []
        # A fresh interpreter: a fork would copy the locks of this one's threads, and cannot use a GPU.
        context = mp.get_context("spawn")
        self._queue: Any = context.Queue(maxsize=4)
        self._processes = [
            context.Process(target=_render, args=(dataset, self._queue, k, int(processes), int(batch)), daemon=True)
            for k in range(int(processes))
        ]
        for process in self._processes:
            process.start()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.length:
            raise IndexError(index)
        began = time.perf_counter()
        while len(self._items) < self.ready:
            if not any(process.is_alive() for process in self._processes):
                raise RuntimeError("the processes that render training items have died; their output says why")
            time.sleep(0.01)
        self.waited_s += time.perf_counter() - began
        self.drawn += 1
        place = int(np.random.default_rng([self.seed, index]).integers(len(self._items)))
        return {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in self._items[place].items()}

    def close(self) -> None:
        """Stop rendering, and tell the log how the pool served. What is in it stays."""
        self._closed.set()
        _log.info("%d items rendered, %d drawn, %.1f s waited for", self.rendered, self.drawn, self.waited_s)
        for process in self._processes:
            process.terminate()
            process.join(timeout=5)
        self._thread.join(timeout=5)

    def _fill(self) -> None:
        while not self._closed.is_set():
            if self.rendered >= self.drawn + self.size:
                time.sleep(0.02)
                continue
            try:
                items = self._queue.get(timeout=0.2)
            except queue.Empty:
                continue
            for item in items:
                if len(self._items) < self.size:
                    self._items.append(item)
                else:
                    self._items[self.rendered % self.size] = item
                self.rendered += 1


def _render(dataset: Renderer, results: Any, first: int, processes: int, batch: int) -> None:
    """Render the batches ``first``, ``first + processes`` ... until the process that wants them is gone."""
    torch.set_num_threads(1)
    batches = max(len(dataset) // batch, 1)
    number = first
    parent = mp.parent_process()
    # A parent that is killed cannot stop its children, and one that waits at a full queue would wait for ever.
    while parent is None or parent.is_alive():
        start = number % batches * batch
        items = dataset.__getitems__(range(start, min(start + batch, len(dataset))))
        # Arrays travel as bytes: tensors would take a file descriptor each.
        arrays = [_as_arrays(item) for item in items]
        while parent is None or parent.is_alive():
            with suppress(queue.Full):
                results.put(arrays, timeout=1.0)
                break
        number += processes
    results.cancel_join_thread()


def _as_arrays(item: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.cpu().numpy() if isinstance(v, torch.Tensor) else v for k, v in item.items()}
