"""The result of a reading as ``report.json``: built from what the steps found, and held against its schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bundle.disks.measure import lordosis_deg
from bundle.disks.types import Definition, DiskReading, DiskRoi, SliceMatch
from bundle.geometry import DISK_LEVELS, Vertebra
from bundle.report.errors import ReportError
from bundle.study.types import Series, Study
from bundle.vertebrae.view import image_plane

#: All that 1.1 adds to 1.0 is the key ``review``; all that 1.2 and 1.3 add, with or without a review, are keys that may be
#: missing: a reader of 1.3 reads every older file.
SCHEMA_VERSION = "1.3"
_MAX_MESSAGE = 240


@cache
def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of ``report.json``."""
    loaded: dict[str, Any] = json.loads(files("bundle.report").joinpath("report.schema.json").read_text(encoding="utf-8"))
    return loaded


def build(
    study: Study,
    vertebrae: Sequence[Vertebra],
    matches: Sequence[SliceMatch],
    disks: Sequence[DiskReading],
    flags: Iterable[str],
    model: Mapping[str, Any],
) -> dict[str, Any]:
    """The document of a reading; see ``report.schema.json``.

    Patient space is LPS, millimetres rounded to 0.01, pixels to 0.01, probabilities to 0.0001. In a study of plain images
    everything in millimetres is None, also where a step worked with a plane of its own making.

    Args:
        study: what was read; its own flags come before ``flags``.
        vertebrae: from step 1.
        matches: from step 2, one for each axial slice that has a plane.
        disks: the five disks, in any order.
        flags: codes about the whole study.
        model: ``version``, and ``weights_sha256`` by name.

    Raises:
        ReportError: a disk is missing or there twice, or a number is not finite.
    """
    by_level = {disk.level: disk for disk in disks}
    if len(disks) != len(DISK_LEVELS) or set(by_level) != set(DISK_LEVELS):
        raise ReportError(
            f"a report has the disks {', '.join(DISK_LEVELS)}, not {', '.join(d.level for d in disks) or 'none'}"
        )
    in_space = has_patient_space(study)
    return {
        "schema_version": SCHEMA_VERSION,
        "study": {"name": study.name, "study_instance_uid": study.study_instance_uid},
        "series": {
            "sagittal": _series(study, "sagittal", study.sagittal),
            "axial": _series(study, "axial", study.axial),
        },
        "vertebrae": [_vertebra(v, in_space) for v in vertebrae],
        "axial_slices": [_match(m) for m in matches],
        "disks": [_disk(by_level[level], in_space) for level in DISK_LEVELS],
        "measurements": _measurements({"lordosis_deg": lordosis_deg(vertebrae)}),
        "flags": _once((*study.flags, *flags)),
        "model": {"version": str(model["version"]), "weights_sha256": dict(model["weights_sha256"])},
    }


def has_patient_space(study: Study) -> bool:
    """Whether the study's own images say where they lie; a step may have given a picture a plane of its own making."""
    chosen = [series for series in (study.sagittal, study.axial) if series is not None]
    return any(image.plane is not None for series in chosen for image in series.images)


def validate(document: Mapping[str, Any]) -> None:
    """Hold a document against the schema.

    Raises:
        ReportError: it does not fit; one line with the place and the reason.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    try:
        json.dumps(document, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ReportError(f"report.json cannot be written: {_one_line(str(error))}") from error
    misfit = best_match(Draft202012Validator(schema()).iter_errors(document))
    if misfit is not None:
        place = "/".join(str(step) for step in misfit.absolute_path) or "its root"
        raise ReportError(f"report.json does not fit its schema at {place}: {_one_line(misfit.message)}")


def _one_line(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _MAX_MESSAGE else flat[: _MAX_MESSAGE - 3] + "..."


def _once(codes: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(codes))


def _number(value: float, digits: int) -> float:
    number = round(float(value), digits)
    if not np.isfinite(number):
        raise ReportError("report.json cannot be written: a number is not finite")
    return number + 0.0  # -0.0 becomes 0.0


def _number_or_none(value: float | None, digits: int) -> float | None:
    return None if value is None else _number(value, digits)


def _numbers(values: ArrayLike, digits: int) -> list[float]:
    return [_number(v, digits) for v in np.asarray(values, dtype=np.float64).ravel()]


def _series(study: Study, key: str, series: Series | None) -> dict[str, Any] | None:
    if series is None:
        return None
    entry: dict[str, Any] = {"series_instance_uid": series.series_instance_uid, "slices": len(series.images)}
    if key == "axial":
        entry["stacks"] = len(series.stacks)
    entry["description"] = series.description
    entry["reason"] = study.reasons.get(key, "")
    entry["weighting"] = series.weighting
    return entry


def _vertebra(vertebra: Vertebra, in_space: bool) -> dict[str, Any]:
    center = vertebra.center_lps_mm if in_space else None
    return {
        "level": vertebra.level,
        "center_lps_mm": None if center is None else _numbers(center, 2),
        "score": _number(vertebra.score, 4),
        "boxes": [{"sop_instance_uid": b.sop_instance_uid, "xyxy": _numbers(b.xyxy, 2)} for b in vertebra.boxes],
    }


def _match(match: SliceMatch) -> dict[str, Any]:
    return {
        "sop_instance_uid": match.image.sop_instance_uid,
        "level": match.level,
        "distance_mm": _number_or_none(match.distance_mm, 2),
        "angle_deg": _number_or_none(match.angle_deg, 1),
        "margin_mm": _number_or_none(match.margin_mm, 2),
    }


def _disk(reading: DiskReading, in_space: bool) -> dict[str, Any]:
    disk = reading.disk if in_space else None
    shares = reading.probabilities
    return {
        "level": reading.level,
        "center_lps_mm": None if disk is None else _numbers(disk.center_lps_mm, 2),
        "normal_lps": None if disk is None else _numbers(disk.normal_lps, 5),
        "height_mm": None if disk is None else _number(disk.height_mm, 1),
        "axial_sop_instance_uids": [m.image.sop_instance_uid for m in reading.matches],
        "rois": {"axial": _roi(reading.axial, in_space), "sagittal": _roi(reading.sagittal, in_space)},
        "probabilities": None if shares is None else {name: _number(share, 4) for name, share in shares.items()},
        "finding": reading.finding,
        "prediction_set": list(reading.prediction_set),
        "uncertainty": _number_or_none(reading.uncertainty, 4),
        "pfirrmann": reading.pfirrmann,
        "measurements": _measurements(reading.measurements),
        "outline": _outline(reading.definition) if in_space else None,
        "views": list(reading.views),
        "flags": _once(reading.flags),
    }


def _measurements(values: Mapping[str, float | None]) -> dict[str, float]:
    """Values by name, those that are known; millimetres and degrees to 0.1, shares to 0.001."""
    digits = {name: 1 if name.endswith(("_mm", "_deg")) else 3 for name in values}
    return {name: _number(value, digits[name]) for name, value in values.items() if value is not None}


def _outline(definition: Definition | None) -> dict[str, Any] | None:
    """Finding and measures by the outline in the axial view."""
    if definition is None:
        return None
    focal = definition.focal
    return {
        "finding": definition.finding,
        **_measurements({"reach_mm": definition.reach_mm, "beyond_rim_deg": definition.beyond_rim_deg}),
        "focal": None
        if focal is None
        else {
            **_measurements({"extent_mm": focal.extent_mm, "base_mm": focal.base_mm, "arc_deg": focal.arc_deg}),
            "zone": focal.zone,
            "side": focal.side,
        },
    }


def _roi(roi: DiskRoi | None, in_space: bool) -> dict[str, Any] | None:
    if roi is None:
        return None
    image = roi.images[len(roi.images) // 2]
    corners_lps_mm = roi.plane.to_patient(plane_corners_px(roi.plane.shape))
    corners_px = image_plane(image).to_pixel(corners_lps_mm)
    return {
        "sop_instance_uid": image.sop_instance_uid,
        "corners_px": [_numbers(corner, 2) for corner in corners_px],
        "corners_lps_mm": [_numbers(corner, 2) for corner in corners_lps_mm] if in_space else None,
        "side_mm": _number(roi.plane.shape[1] * roi.plane.pixel_spacing_mm[1], 2) if in_space else None,
    }


def plane_corners_px(shape: tuple[int, int]) -> np.ndarray:
    """(4, 2) column and row of an image's outer corners: top-left, top-right, bottom-right, bottom-left.

    They lie half a pixel outside the centres of the outer pixels.
    """
    right, bottom = shape[1] - 0.5, shape[0] - 0.5
    return np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]])
