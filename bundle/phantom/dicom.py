"""Writes a phantom's examination as a DICOM study, with its truth beside it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bundle.geometry import SlicePlane
from bundle.phantom.headers import TRANSFER_SYNTAXES, objects_of, series_number, stacks_of, uid
from bundle.phantom.paint import SpinePatient
from bundle.phantom.render import Patient
from bundle.phantom.shapes import Spine
from bundle.phantom.study import Examination, SeriesPlan, lumbar_examination, series_images
from bundle.phantom.truth import as_dict, disk_at
from bundle.phantom.vendors import Filing
from bundle.whole_folder import whole_folder

_TRUTH = "truth.json"


class FolderError(ValueError):
    """The folder of a study is something else; the message is one line for the user."""


def write_study(
    folder: str | Path, spine: Spine, seed: int = 0, examination: Examination | None = None, progress: bool = False
) -> dict[str, Any]:
    """Write an examination of ``spine`` as ``folder``: one subfolder a series, and ``truth.json``; whole, or not at all.

    Args:
        folder: is made; of an older phantom study there the series and the truth are replaced, other files are kept.
        spine: the patient.
        seed: of the examination and its noise.
        examination: default lumbar_examination(spine, seed), filed plainly.
        progress: show a bar over the images.

    Returns:
        The truth, as written; see docs/phantom.md.

    Raises:
        FolderError: ``folder`` holds something else than a phantom study.
    """
    place = Path(folder)
    kept = files_kept(place)
    if examination is None:
        examination = Examination(tuple(lumbar_examination(spine, seed)))
    name = f"{seed}-{spine.seed}" + ("" if examination.vendor == "plain" else f"-{examination.vendor}")
    name += "-enhanced" if examination.filing.enhanced else ""
    images = sum(len(plan.planes) for plan in examination.plans)
    with whole_folder(place) as part, tqdm(total=images, unit="image", disable=not progress) as bar:
        written = write_series(part, SpinePatient(spine), examination.plans, name, seed, examination.filing, bar.update)
        truth = {**as_dict(spine), **_truth_of_series(spine, examination, written, name)}
        (part / _TRUTH).write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
        for file in kept:
            shutil.copy2(file, part / file.name)
    return truth


def files_kept(place: Path) -> list[Path]:
    """Files beside an older phantom study at ``place``, such as a README, which a new one there keeps.

    Raises:
        FolderError: anything else is at ``place``, which must survive a wrong argument.
    """
    if not place.exists():
        return []
    entries = sorted(place.iterdir()) if place.is_dir() else []
    foreign = [e for e in entries if e.is_dir() and not re.match(r"\d\d", e.name)]
    if not place.is_dir() or foreign or (entries and not (place / _TRUTH).is_file()):
        raise FolderError(f"{place} exists and is no phantom study; name another folder")
    return [e for e in entries if e.is_file() and e.name != _TRUTH]


def write_series(
    folder: Path,
    patient: Patient,
    plans: Sequence[SeriesPlan],
    name: str,
    seed: int = 0,
    filing: Filing | None = None,
    rendered: Callable[[], object] = lambda: None,
) -> list[list[str]]:
    """Write ``plans`` of one patient as DICOM files; returns the SOP Instance UIDs of each series.

    Args:
        folder: of the study.
        patient: who is examined.
        plans: its series.
        name: tells this study from others: the UIDs and the made-up patient's ID follow from it.
        seed: of the noise.
        filing: how they are written; default Filing().
        rendered: is called after each image.

    Returns:
        By series, in the order of its planes; of a frame of a multi-frame object ``<UID>#<frame>``, counted from 1.
    """
    filing = filing if filing is not None else Filing()
    uids: list[list[str]] = []
    for number, plan in enumerate(plans, start=1):
        where = folder / series_folder(plan, number, filing)
        where.mkdir(parents=True, exist_ok=True)
        stored = _stored(series_images(patient, plan, seed + 1000 * number), filing, rendered)
        uids.append([""] * len(plan.planes))
        for count, (ds, members) in enumerate(objects_of(plan, stored, number, name, filing), start=1):
            syntax = TRANSFER_SYNTAXES[filing.transfer_syntax]
            if syntax.is_compressed:
                ds.compress(syntax, generate_instance_uid=False)
            ds.save_as(where / f"{count:04d}.dcm", enforce_file_format=True)
            for frame, index in enumerate(members, start=1):
                uids[-1][index] = f"{ds.SOPInstanceUID}#{frame}" if filing.enhanced else str(ds.SOPInstanceUID)
    return uids


def series_folder(plan: SeriesPlan, number: int, filing: Filing) -> str:
    """Name of the folder of the ``number``-th series."""
    words = "" if filing.deidentified else re.sub(r"[^A-Za-z0-9.+-]+", "_", plan.description).strip("_")
    return f"{number:02d}_{words}" if words else f"{number:02d}"


def _truth_of_series(spine: Spine, examination: Examination, written: list[list[str]], name: str) -> dict[str, Any]:
    filing = examination.filing
    series, slices = [], []
    for number, (plan, images) in enumerate(zip(examination.plans, written, strict=True), start=1):
        series_uid = str(uid(name, number))
        stacks = stacks_of(plan)
        series.append(
            {
                "series_instance_uid": series_uid,
                "series_number": series_number(number, filing),
                "folder": series_folder(plan, number, filing),
                "role": plan.role,
                "orientation": plan.orientation,
                "description": "" if filing.deidentified else plan.description,
                "images": len(images),
                "stacks": [
                    {
                        "level": plan.levels[stack] if plan.levels else None,
                        "sop_instance_uids": [images[k] for k in _in_patient_order(plan.planes, stacks[stack])],
                    }
                    for stack in sorted(stacks)
                ],
            }
        )
        if plan.orientation != "axial":
            continue
        for sop, plane in zip(images, plan.planes, strict=True):
            level, margin = disk_at(spine, plane)
            # A slice that meets no disk's line has no margin, and JSON knows no infinity.
            rounded = round(margin, 2) if np.isfinite(margin) else None
            slices.append({"sop_instance_uid": sop, "level": level, "margin_mm": rounded, "series_instance_uid": series_uid})
    return {
        "study_instance_uid": str(uid(name)),
        "vendor": examination.vendor,
        "transfer_syntax": filing.transfer_syntax,
        "enhanced": filing.enhanced,
        "deidentified": filing.deidentified,
        "series": series,
        "axial_slices": slices,
    }


def _in_patient_order(planes: Sequence[SlicePlane], members: Sequence[int]) -> list[int]:
    """``members`` from the patient's right to left, front to back, or head to feet, by the axis that they are across."""
    axis = int(np.abs(planes[members[0]].normal).argmax())
    sign = -1 if axis == 2 else 1
    return sorted(members, key=lambda k: sign * float(planes[k].center_lps_mm[axis]))


def _stored(images: Iterator[np.ndarray], filing: Filing, rendered: Callable[[], object]) -> Iterator[np.ndarray]:
    """Brightness as it is stored."""
    pixels = filing.pixels
    for image in images:
        rendered()
        yield np.clip(np.rint(image * pixels.scale), 0, pixels.largest).astype("<i2" if pixels.signed else "<u2")
