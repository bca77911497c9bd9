"""Images as the viewer gets them: plain 16-bit pixels and geometry, without any of the headers they came with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.geometry import SlicePlane
from bundle.study import Series, Study, StudyError, StudyImage
from bundle.whole_file import whole_file

INDEX = "series.json"
_TOP = 65535
_SAMPLED = 5  # every so manieth pixel in both directions goes into the window
_WINDOW_PERCENT = (1.0, 99.5)


def write_view(study: Study, folder: Path) -> None:
    """Write all images of a study for the viewer; ``series.json`` comes last, so that it is there when all is.

    The two series that were read are among them also where they were joined from several or cut from a volume.

    Args:
        study: what was read.
        folder: is made if it is not there.

    Raises:
        StudyError: none of the images can be decoded.
        OSError: it cannot be written.
    """
    shown = list(study.series)
    shown += [series for series in (study.sagittal, study.axial) if series is not None and not _among(series, shown)]
    entries: list[dict[str, Any]] = []
    for series in shown:
        entry = _write_series(study, series, len(entries), folder)
        if entry is not None:
            entries.append(entry)
    if not entries:
        raise StudyError("none of the images can be decoded")
    with whole_file(folder / INDEX) as part:
        part.write_text(json.dumps({"series": entries}), encoding="utf-8")


def pixel_file(folder: Path, series: int, image: int) -> Path:
    """Where an image's pixels are."""
    return folder / f"{series:03d}" / f"{image:05d}.u16"


def _among(series: Series, shown: list[Series]) -> bool:
    return any(series is other for other in shown)


def _write_series(study: Study, series: Series, number: int, folder: Path) -> dict[str, Any] | None:
    pixel_file(folder, number, 0).parent.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    samples: list[NDArray[np.float32]] = []
    kept: dict[int, int] = {}
    for index, image, pixels in _decoded(series):
        kept[index] = len(entries)
        stored, slope, intercept = _stored(pixels)
        pixel_file(folder, number, len(entries)).write_bytes(stored.tobytes())
        samples.append(pixels[::_SAMPLED, ::_SAMPLED].ravel())
        entries.append(
            {
                "sop_instance_uid": image.sop_instance_uid,
                "rows": pixels.shape[0],
                "columns": pixels.shape[1],
                "plane": None if image.plane is None else _plane(image.plane),
                "slope": slope,
                "intercept": intercept,
            }
        )
    if not entries:
        return None
    low, high = np.percentile(np.concatenate(samples), _WINDOW_PERCENT).tolist()
    window = {"window_center": (low + high) / 2, "window_width": max(high - low, 1e-3)}
    stacks = [[kept[index] for index in stack if index in kept] for stack in series.stacks]
    return {
        "index": number,
        "series_instance_uid": series.series_instance_uid,
        "description": series.description,
        "orientation": series.orientation,
        "weighting": series.weighting,
        "role": "sagittal" if series is study.sagittal else "axial" if series is study.axial else None,
        "stacks": [stack for stack in stacks if stack],
        "images": [entry | window for entry in entries],
    }


def _decoded(series: Series) -> Iterator[tuple[int, StudyImage, NDArray[np.float32]]]:
    """The images that can be decoded; the two series that are read were decoded before, so nothing is missed in them."""
    for index, image in enumerate(series.images):
        try:
            yield index, image, np.nan_to_num(image.load_pixels(), posinf=0.0, neginf=0.0)
        except StudyError:
            continue


def _stored(pixels: NDArray[np.float32]) -> tuple[NDArray[np.uint16], float, float]:
    """(stored numbers, slope, intercept); whole numbers within 16 bit stay exact."""
    low, high = float(pixels.min()), float(pixels.max())
    exact = high - low <= _TOP and bool(np.all(pixels == np.rint(pixels)))
    slope = 1.0 if exact else max(high - low, 1e-9) / _TOP
    return np.rint((pixels - low) / slope).astype("<u2"), slope, low


def _plane(plane: SlicePlane) -> dict[str, Any]:
    return {
        "origin_lps_mm": plane.origin_lps_mm.tolist(),
        "row_direction": plane.row_direction.tolist(),
        "column_direction": plane.column_direction.tolist(),
        "spacing_mm": list(plane.pixel_spacing_mm),
        "thickness_mm": plane.thickness_mm,
    }
