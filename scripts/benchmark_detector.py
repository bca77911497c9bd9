"""What the whole of step 1 costs against the bare network's forward pass on the same slices, in one run.

python -m scripts.benchmark_detector
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fire
import numpy as np
import torch
from monai.bundle import ConfigParser

from bundle.geometry.resample import resample_plane
from bundle.vertebrae.finder import VertebraFinder
from bundle.vertebrae.view import image_plane, sagittal_view


def main(
    study: str = "docs/sample-study", repeats: int = 15, threads: int = 1, config: str = "configs/inference.yaml"
) -> None:
    """Print both times and their ratio; the limit is 1.3.

    Args:
        study: whose sagittal series is read.
        repeats: of both, in turn.
        threads: of PyTorch.
        config: with the finder.
    """
    torch.set_num_threads(threads)
    parser = ConfigParser()
    parser.read_config(config)
    finder: VertebraFinder = parser.get_parsed_content("vertebra_finder")
    series = parser.get_parsed_content("study_reader")(Path(study)).sagittal
    finder(series)
    pictures = network_input(finder, series)

    def forward() -> None:
        with torch.inference_mode():
            for part in pictures.split(finder.batch_size):
                finder.detector.network(part)

    whole, bare = in_turn([lambda: finder(series), forward], repeats)
    print(f"{len(pictures)} slices of {tuple(pictures.shape[2:])}, {threads} thread(s), median of {repeats}:")
    print(f"step 1 {1000 * whole:.0f} ms, network alone {1000 * bare:.0f} ms, ratio {whole / bare:.2f} (limit 1.3)")


def network_input(finder: VertebraFinder, series: Any) -> torch.Tensor:
    """(slices, 1, H, W) as the network sees the slices that the finder looks at, padded to its divisor."""
    views = []
    for image in finder._middle(series):
        plane = image_plane(image)
        views.append(resample_plane(image.load_pixels(), plane, sagittal_view(plane, finder.longest_px)))
    images = torch.from_numpy(np.stack(views)[:, None].astype(np.float32))
    divisor = int(np.max(np.asarray(finder.detector.size_divisible)))
    rows, columns = (-n % divisor for n in images.shape[2:])
    padded = torch.nn.functional.pad(images, (0, columns, 0, rows))
    return padded.to(finder.device, memory_format=torch.channels_last)


def in_turn(calls: list[Callable[[], Any]], repeats: int) -> list[float]:
    """Median seconds of each call, all of them once in each round: what else the machine does falls on all alike."""
    seconds = np.zeros((repeats, len(calls)))
    for row in seconds:
        for k, call in enumerate(calls):
            began = time.perf_counter()
            call()
            row[k] = time.perf_counter() - began
    return [float(s) for s in np.median(seconds, axis=0)]


if __name__ == "__main__":
    fire.Fire(main)
