"""Corrected labels of the datastore: what bodies and findings a person has left in them.

A label of a sagittal series is one of
- ROI markups of 3D Slicer (``.json``): ROIs named by a body (``L4``) are its box; those named by a disk and a finding
  (``L4-L5 bulge``) are that disk's finding;
- a label map (``.nii.gz``, ``.nrrd``) with the values of bundle.vertebrae.markups.LABEL_VALUES.
Findings may also be given beside any label, as ``{"findings": {"L4-L5": "bulge"}}`` in the parameters it is saved with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.geometry import BODY_LEVELS, DISK_LEVELS, FINDINGS
from bundle.study import StudyError
from bundle.study.plain import slice_axes
from bundle.study.types import StudyImage
from bundle.vertebrae.markups import LABEL_VALUES, RoiBox, slice_number
from scripts.label.studies import Volume

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Label:
    """What a person says of one series.

    Args:
        boxes: image UID -> body level -> (c0, r0, c1, r1) in the image's pixels.
        findings: disk level -> one of FINDINGS.
    """

    boxes: Mapping[str, Mapping[str, Box]] = field(default_factory=dict)
    findings: Mapping[str, str] = field(default_factory=dict)


def read_label(path: Path, volume: Volume, info: Mapping[str, Any], segments: Mapping[int, str] | None = None) -> Label:
    """The label of a series.

    Args:
        path: of the label's file.
        volume: the series.
        info: what the datastore keeps of the label.
        segments: value -> name of a label map that counts otherwise than LABEL_VALUES.

    Raises:
        StudyError: the file cannot be read, or says something that is no body, disk or finding.
    """
    findings = _checked({str(k): str(v) for k, v in dict(info.get("findings") or {}).items()}, path)
    if path.name.endswith(".json"):
        rois = _read_markups(path)
        bodies = [roi for roi in rois if roi.name in BODY_LEVELS]
        named = [roi.name.split() for roi in rois if roi.name not in BODY_LEVELS]
        if any(len(words) != 2 for words in named):
            raise StudyError(f"{path.name}: an ROI is named by a body (L4), or by a disk and its finding (L4-L5 bulge)")
        return Label(_boxes_of_rois(bodies, volume), _checked({words[0]: words[1] for words in named}, path) | findings)
    return Label(
        _boxes_of_map(_read_map(path, volume), volume, segments or {v: k for k, v in LABEL_VALUES.items()}), findings
    )


def segment_names(path: Path) -> list[dict[str, str]]:
    """The bodies of a label map as MONAI Label's ``label_info``, by growing value.

    Raises:
        StudyError: it is no label map, or has a value that is no body.
    """
    import SimpleITK as sitk

    bodies = {value: level for level, value in LABEL_VALUES.items()}
    try:
        values = np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(path)))).tolist()
    except RuntimeError as error:
        raise StudyError("the label is no label map: markups cannot be stored in a PACS") from error
    foreign = [value for value in values if value and value not in bodies]
    if foreign:
        raise StudyError(f"a label map has the value {foreign[0]}, which is no body")
    return [{"name": bodies[value], "model_name": "vertebra_segmentation"} for value in values if value]


def _checked(findings: dict[str, str], path: Path) -> dict[str, str]:
    for level, finding in findings.items():
        if level not in DISK_LEVELS or finding not in FINDINGS:
            raise StudyError(f"{path.name}: '{level} {finding}' is no disk and finding")
    return findings


def _read_markups(path: Path) -> list[RoiBox]:
    try:
        markups = json.loads(path.read_text(encoding="utf-8"))["markups"]
        return [
            RoiBox(
                str(m["name"]),
                np.array(m["center"], dtype=np.float64),
                np.array(m["size"], dtype=np.float64),
                _lps(np.array(m["orientation"], dtype=np.float64).reshape(3, 3).T, m),
            )
            for m in markups
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path.name}: no ROI markups of 3D Slicer ({type(error).__name__})") from error


def _lps(axes: NDArray[np.float64], markup: Mapping[str, Any]) -> NDArray[np.float64]:
    if str(markup.get("coordinateSystem", "LPS")) != "LPS":
        raise ValueError("3D Slicer writes LPS")
    return axes


def _boxes_of_rois(rois: Sequence[RoiBox], volume: Volume) -> dict[str, dict[str, Box]]:
    """Where each ROI meets the slices: the outline of what it covers there."""
    boxes: dict[str, dict[str, Box]] = {}
    signs = np.array([[a, b] for a in (-0.5, 0.5) for b in (-0.5, 0.5)])
    for image in volume.series.images:
        for roi in rois:
            plane = image.plane
            assert plane is not None  # a volume has planes
            if abs(float(plane.signed_distance_mm(roi.center_lps_mm))) > roi.size_mm[0] / 2:
                continue
            corners = roi.center_lps_mm + (signs * roi.size_mm[1:]) @ roi.axes[1:]
            pixels = plane.to_pixel(corners)
            low, high = pixels.min(0), pixels.max(0)
            boxes.setdefault(image.sop_instance_uid, {})[roi.name] = (low[0], low[1], high[0], high[1])
    return boxes


def _read_map(path: Path, volume: Volume) -> NDArray[np.int64]:
    """A label map on the voxels of the series; one of a DICOM SEG has only the slices that show something."""
    import SimpleITK as sitk

    try:
        labels = sitk.ReadImage(str(path))
        if labels.GetSize() != volume.voxels.shape:
            affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine_ras
            spacing = np.linalg.norm(affine[:3, :3], axis=0)
            grid = sitk.Image(volume.voxels.shape, sitk.sitkUInt16)
            grid.SetOrigin(affine[:3, 3].tolist())
            grid.SetSpacing(spacing.tolist())
            grid.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
            labels = sitk.Resample(labels, grid, sitk.Transform(), sitk.sitkNearestNeighbor)
        # ITK's arrays are (K, J, I).
        return np.rint(sitk.GetArrayFromImage(labels)).astype(np.int64).T
    except Exception as error:  # whatever the library raises on a damaged file, the user gets one line
        raise StudyError(f"{path.name}: the label map cannot be read ({type(error).__name__})") from error


def _boxes_of_map(labels: NDArray[np.int64], volume: Volume, names: Mapping[int, str]) -> dict[str, dict[str, Box]]:
    if labels.shape != volume.voxels.shape:
        raise StudyError(
            f"{volume.series.series_instance_uid}: its label map has {labels.shape} voxels, not {volume.voxels.shape}"
        )
    across = slice_axes(volume.affine_ras)[0]
    boxes: dict[str, dict[str, Box]] = {}
    for image in volume.series.images:
        found = _boxes_of_slice(np.take(labels, slice_number(image), axis=across).T, names)
        if found:
            boxes[image.sop_instance_uid] = found
    return boxes


def _boxes_of_slice(labels: NDArray[np.int64], names: Mapping[int, str]) -> dict[str, Box]:
    found: dict[str, Box] = {}
    for value in np.unique(labels[labels > 0]).tolist():
        if names.get(value) not in BODY_LEVELS:
            raise StudyError(f"a label map has the value {value}, which is no body")
        rows, columns = np.nonzero(labels == value)
        found[names[value]] = (float(columns.min()), float(rows.min()), float(columns.max()), float(rows.max()))
    return found


def middle_images(label: Label, volume: Volume, most: int, least_bodies: int = 3) -> list[StudyImage]:
    """The slices nearest to the bodies' middle that show at least so many labelled bodies."""
    shown = [i for i in volume.series.images if len(label.boxes.get(i.sop_instance_uid, {})) >= least_bodies]
    if not shown:
        return []
    middle = len(shown) // 2
    first = max(middle - most // 2, 0)
    return shown[first : first + most]
