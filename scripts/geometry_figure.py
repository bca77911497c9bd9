"""Draws docs/geometry.png: steps 2 and 3 on the sample study, for a radiologist in one look.

python -m scripts.geometry_figure
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fire
import numpy as np
from monai.bundle import ConfigParser

from bundle.disks.transforms import find_disks
from bundle.disks.types import DiskReading
from bundle.geometry import Disk, SlicePlane, Vertebra
from bundle.geometry.resample import resample_plane, square_plane
from bundle.report.document import plane_corners_px
from bundle.report.pictures import best_axial_image, midsagittal_image
from bundle.report.upright import axial_view, cropped
from bundle.study import Study

BODY, DISK, SLICE, OTHER = "#5cc8ff", "#ff7ad1", "#ffd54a", "#8d8d8d"


def main(
    study: str = "docs/sample-study",
    level: str = "L4-L5",
    output: str = "docs/geometry.png",
    config: str = "configs/inference.yaml",
) -> None:
    """Draw the figure.

    Args:
        study: to draw.
        level: of the disk that is explained.
        output: PNG file.
        config: the components of the reading.
    """
    from matplotlib.figure import Figure

    parser = ConfigParser()
    parser.read_config(config)
    read = parser.get_parsed_content("study_reader")(study)
    vertebrae, _ = parser.get_parsed_content("vertebra_finder")(read.sagittal)
    item = find_disks(read, vertebrae, parser.get_parsed_content("disk_steps"))
    disk = item["disks"][level]
    reading = next(r for r in item["readings"] if r.level == level)
    share = parser.get_parsed_content("slice_matcher").back_share

    figure = Figure(figsize=(15, 6.6), facecolor="white", layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=(1, 1, 1))
    _sagittal(axes[0], read, vertebrae, disk, item["matches"], share)
    _axial(axes[1], reading, disk)
    _roi(axes[2], reading)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=90)
    print(output)


def _show(axes: Any, pixels: np.ndarray, title: str, note: str) -> None:
    low, high = np.percentile(pixels, [1, 99.5])
    axes.imshow(pixels, cmap="gray", vmin=low, vmax=high, interpolation="bicubic")
    axes.set(xlim=(-0.5, pixels.shape[1] - 0.5), ylim=(pixels.shape[0] - 0.5, -0.5), xticks=[], yticks=[])
    axes.set_title(title, fontsize=13, fontweight="bold", loc="left")
    axes.set_xlabel(note, fontsize=10.5, loc="left")


def _sagittal(axes: Any, study: Study, vertebrae: tuple[Vertebra, ...], disk: Disk, matches: Any, share: float) -> None:
    """The disk between its two bodies, the line at its back part, and the slices that cross it."""
    assert study.sagittal is not None
    image = midsagittal_image(study.sagittal, vertebrae)
    plane = image.plane
    assert plane is not None
    view = square_plane(disk.center_lps_mm + np.array([0.0, 8.0, 0.0]), [0, 1, 0], [0, 0, -1], 110.0, 440)
    view = SlicePlane(
        view.origin_lps_mm - float(plane.signed_distance_mm(view.origin_lps_mm)) * plane.normal,
        plane.row_direction, plane.column_direction, view.pixel_spacing_mm, view.shape,
    )  # fmt: skip
    _show(
        axes,
        resample_plane(image.load_pixels(), plane, view),
        "Step 2: which slice belongs to the disk?",
        "Blue: the bodies. Pink: the disk between their facing edges, and\n"
        "the line across its back part, before the canal. Yellow: a slice\n"
        "that crosses this line between the endplates belongs to the disk.\n"
        "Grey: slices of other disks, and those that cross it in a body.",
    )
    for vertebra in vertebrae:
        if vertebra.corners_lps_mm is not None and vertebra.center_lps_mm is not None:
            axes.plot(*_closed(view.to_pixel(vertebra.corners_lps_mm)), color=BODY, linewidth=1.4)
            x, y = view.to_pixel(vertebra.center_lps_mm)
            if 0 < x < view.shape[1] and 0 < y < view.shape[0]:
                axes.text(x, y, vertebra.level, color=BODY, fontsize=13, fontweight="bold", ha="center", va="center")
    for match in matches:
        met = plane.intersection(match.image.plane)
        if met is not None:
            mine = match.level == disk.level
            ends = view.to_pixel(np.stack(met))
            axes.plot(*ends.T, color=SLICE if mine else OTHER, linewidth=1.8 if mine else 0.8)
    axes.plot(*view.to_pixel(np.stack([disk.front_lps_mm, disk.back_lps_mm])).T, color=DISK, linewidth=2.2)
    foot = disk.front_lps_mm + share * (disk.back_lps_mm - disk.front_lps_mm)
    half = disk.height_at_mm(share) / 2
    axes.plot(
        *view.to_pixel(np.stack([foot - half * disk.normal_lps, foot + half * disk.normal_lps])).T, color=DISK, linewidth=4
    )


def _axial(axes: Any, reading: DiskReading, disk: Disk) -> None:
    """The best slice with the ROI and the disk's front-to-back line."""
    image = best_axial_image(reading)
    assert image is not None and image.plane is not None and reading.axial is not None
    roi = reading.axial.plane
    view = cropped(axial_view(image.plane), roi.center_lps_mm, 130.0)
    _show(
        axes,
        resample_plane(image.load_pixels(), image.plane, view),
        "Step 3: the region of interest",
        f"The nearest, least tilted slice ({abs(reading.matches[0].distance_mm or 0):.1f} mm, "
        f"{reading.matches[0].angle_deg or 0:.0f}°).\n"
        "Pink: the disk from its front to its back edge. Yellow: a square\n"
        "of fixed size in millimetres around its back part, with the canal\n"
        "and both foramina inside.",
    )
    axes.plot(*view.to_pixel(np.stack([disk.front_lps_mm, disk.back_lps_mm])).T, color=DISK, linewidth=2.2)
    axes.plot(*_closed(view.to_pixel(roi.to_patient(plane_corners_px(roi.shape)))), color=SLICE, linewidth=1.8)
    _sides(axes)


def _roi(axes: Any, reading: DiskReading) -> None:
    """What the classifier sees."""
    assert reading.axial is not None
    pixels = reading.axial.pixels[len(reading.axial.pixels) // 2]
    _show(
        axes,
        pixels,
        "What step 4 sees",
        "The square resampled to one size, the patient's right on the left\n"
        "whatever the order of the file's pixels, with its neighbouring\n"
        "slices and three sagittal ones. Every point maps back to the patient.",
    )
    _sides(axes)


def _sides(axes: Any) -> None:
    """Letters for the patient's right and left."""
    for x, text in ((0.02, "R"), (0.96, "L")):
        axes.text(x, 0.5, text, color="white", fontsize=13, transform=axes.transAxes, va="center")


def _closed(points_px: np.ndarray) -> np.ndarray:
    return np.vstack([points_px, points_px[:1]]).T


if __name__ == "__main__":
    fire.Fire(main)
