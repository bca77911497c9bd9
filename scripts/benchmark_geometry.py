"""Times steps 2 and 3 of a reading against the networks of the same study.

python -m scripts.benchmark_geometry
python -m scripts.benchmark_geometry --repeats 20 --threads 1

Geometry: 200 axial slices matched to 6 disks, and 15 ROIs cut (10 axial and 5 sagittal squares, each of a slice and its
two neighbours). Networks: the vertebra detector's on 15 slices of 256 pixels and the disk classifier's on 5 disks, both as
configs/inference.yaml defines them, with random weights, eager and in single precision.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import fire
import numpy as np
import torch
from monai.bundle import ConfigParser

from bundle.disks.match import SliceMatcher
from bundle.disks.roi import RoiCropper
from bundle.geometry import DISK_LEVELS, Disk, SlicePlane
from bundle.phantom.anatomy import Spine, sample_spine
from bundle.phantom.study import axial_stack, sagittal_planes
from bundle.study.types import Series, StudyImage

ROOT = Path(__file__).resolve().parents[1]
#: A lumbar reading has five disks; this one is the phantom's too.
LEVELS: tuple[str, ...] = ("T12-L1", *DISK_LEVELS)
SLICES = 200
SIZE_PX = 384


def series(orientation: str, stacks: list[tuple[SlicePlane, ...]]) -> Series:
    """A series of slices with one random picture on all of them."""
    pixels = np.random.default_rng(0).random((SIZE_PX, SIZE_PX), dtype=np.float32)
    images: list[StudyImage] = []
    indices: list[tuple[int, ...]] = []
    for planes in stacks:
        indices.append(tuple(range(len(images), len(images) + len(planes))))
        for plane in planes:
            images.append(StudyImage(str(len(images)), plane, lambda: pixels, Path("none"), plane.shape))
    return Series(orientation, tuple(images), tuple(indices), orientation, "T2")  # type: ignore[arg-type]


def examination(spine: Spine) -> tuple[dict[str, Disk], Series, Series]:
    """Six disks, 200 axial slices in six stacks, 15 sagittal slices; pixels half a millimetre wide in the axial ones."""
    disks = {level: spine.disks[level].disk for level in LEVELS}
    counts = [SLICES // len(LEVELS) + (k < SLICES % len(LEVELS)) for k in range(len(LEVELS))]
    axial = [
        axial_stack(disks[level].center_lps_mm, disks[level].normal_lps, count, 1.0, 0.5 * SIZE_PX, SIZE_PX)
        for level, count in zip(LEVELS, counts, strict=True)
    ]
    sagittal = sagittal_planes(disks["L3-L4"].center_lps_mm, 15, 4.4, 300.0, SIZE_PX, 2.0)
    return disks, series("axial", axial), series("sagittal", [sagittal])


def median_s(work: Callable[[], object], repeats: int) -> float:
    """Median time of ``work`` in seconds, after one run that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main(repeats: int = 10, threads: int = 0, config: str = str(ROOT / "configs" / "inference.yaml")) -> None:
    """Print both times and their ratio.

    Args:
        repeats: of each; medians are taken.
        threads: of torch; 0 leaves what it chooses. The geometry runs in one.
        config: defines matcher, ROI and networks.
    """
    if threads:
        torch.set_num_threads(threads)
    parser = ConfigParser(ConfigParser.load_config_file(config))
    matcher: SliceMatcher = parser.get_parsed_content("slice_matcher")
    cropper: RoiCropper = parser.get_parsed_content("roi")
    disks, axial, sagittal = examination(sample_spine(0))
    best = {m.level: m.image for m in matcher(axial.images, disks)}
    # A reading cuts ten; the axial ones once more make 15.
    views = [(level, view) for view in ("axial", "sagittal", "axial") for level in DISK_LEVELS]

    def cut() -> list[np.ndarray]:
        return [
            (cropper.axial(disks[lv], axial, best[lv]) if view == "axial" else cropper.sagittal(disks[lv], sagittal)).pixels
            for lv, view in views
        ]

    vertebra_network = parser.get_parsed_content("vertebra_network_def").eval()
    disk_network = parser.get_parsed_content("disk_network_def").eval()
    slices = torch.rand(15, 1, 256, 256)
    rois = torch.rand(len(DISK_LEVELS), 6, cropper.size_px, cropper.size_px)
    with torch.inference_mode():
        times = {
            f"matching {SLICES} slices to {len(LEVELS)} disks": median_s(lambda: matcher(axial.images, disks), repeats),
            f"cutting {len(views)} ROIs of {cropper.slices} slices": median_s(cut, repeats),
            "vertebra network, 15 slices": median_s(lambda: vertebra_network(slices), repeats),
            "disk network, 5 disks": median_s(lambda: disk_network(rois), repeats),
        }
    for name, seconds in times.items():
        print(f"{name}: {1000 * seconds:.1f} ms")
    match_s, cut_s, vertebra_s, disk_s = times.values()
    ratio = (match_s + cut_s) / (vertebra_s + disk_s)
    print(f"geometry / networks: {ratio:.3f} ({repeats} repeats, {torch.get_num_threads()} threads)")


if __name__ == "__main__":
    fire.Fire(main)
