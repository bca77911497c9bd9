"""What the vertebra detector says of whole sagittal series of digital patients, as seven makers' scanners take them.

python -m scripts.detector_studies centers
python -m scripts.detector_studies transitions

Phantom figures: they say nothing about patients.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fire
import numpy as np
from tqdm import tqdm

from bundle.geometry import LUMBAR_LEVELS
from bundle.phantom.anatomy import TRANSITIONS, sample_spine
from bundle.phantom.examination import vendor_examination
from bundle.phantom.paint import SpinePatient
from bundle.phantom.shapes import Spine
from bundle.phantom.study import SeriesPlan, series_images
from bundle.phantom.vendors import load_vendors
from bundle.statistics import wilson_interval
from bundle.study.types import Series, StudyImage
from scripts.evaluate_detector import load_finder, write_figures

_LEVELS = (*LUMBAR_LEVELS, "S1")
_NEAR_MM = 12.0
#: Flags that say that the count of vertebrae, or the look of the lowest, is not the usual one.
_DOUBTED = {"transitional_anatomy", "ribs_do_not_fit"}


def phantom_series(
    count: int,
    seed: int,
    role: str = "sagittal_t2",
    transition: str | None = None,
    max_px: int = 256,
    body: str = "L3",
) -> Iterator[tuple[str, Spine, Series]]:
    """Maker, patient and one series of each of ``count`` patients, the makers in turn.

    Args:
        count: patients.
        seed: of the first one.
        role: of the series, see configs/phantom_studies.yaml.
        transition: key of TRANSITIONS, or None for ordinary patients.
        max_px: largest matrix; the field of view stays.
        body: around which the series lies; L3 for a lumbar study.
    """
    vendors = list(load_vendors().items())
    for k in range(count):
        name, vendor = vendors[k % len(vendors)]
        spine = sample_spine(seed + k, transition=transition, top="T7" if body[0] == "L" else "C2")
        plans = vendor_examination(spine, vendor, seed + k, max_px=max_px).plans
        for plan in plans:
            if plan.role == role:
                way = spine.body(body).center_lps_mm - spine.body("L3").center_lps_mm
                moved = replace(plan, planes=tuple(replace(p, origin_lps_mm=p.origin_lps_mm + way) for p in plan.planes))
                yield name, spine, rendered(spine, moved, seed + k)


def rendered(spine: Spine, plan: SeriesPlan, seed: int) -> Series:
    """A plan's series, its slices from the patient's right to left."""
    images = []
    planes = sorted(plan.planes, key=lambda plane: float(plane.to_patient(np.zeros(2))[0]))
    plan = replace(plan, planes=tuple(planes))
    for number, (plane, pixels) in enumerate(zip(plan.planes, series_images(SpinePatient(spine), plan, seed), strict=True)):
        images.append(StudyImage(str(number), plane, lambda held=pixels: held, Path("phantom"), plane.shape))  # type: ignore[misc]
    return Series("phantom", tuple(images), (tuple(range(len(images))),), "sagittal", "unknown")


def centers(
    weights: str = "models/vertebrae.pt",
    count: int = 70,
    roles: str = "sagittal_t2,sagittal_t1,sagittal_stir",
    output: str = "runs/detector_centers.json",
) -> None:
    """Share of ordinary patients with all of L1-S1 found within 12 mm of their centre, and the errors, by series and maker.

    Args:
        weights: of the detector.
        count: patients; not each of them has a series of every kind.
        roles: series that are read, separated by commas.
        output: JSON file.
    """
    finder = load_finder(weights)
    found: dict[str, Any] = {}
    for role in roles.split(",") if isinstance(roles, str) else roles:
        errors: list[dict[str, float]] = []
        makers: dict[str, list[bool]] = {}
        for maker, spine, series in tqdm(phantom_series(count, 9_200_000, role), total=count, desc=role):
            bodies = {v.level: v.center_lps_mm for v in finder(series)[0]}
            each = {
                level: float(np.linalg.norm(bodies[level] - spine.body(level).center_lps_mm))
                if bodies.get(level) is not None
                else float("inf")
                for level in _LEVELS
            }
            errors.append(each)
            makers.setdefault(maker, []).append(max(each.values()) <= _NEAR_MM)
        near = [max(each.values()) <= _NEAR_MM for each in errors]
        distances = np.array([list(each.values()) for each in errors])
        found[role] = {
            "patients": len(near),
            "all_within_12_mm": wilson_interval(sum(near), len(near)),
            "bodies_within_12_mm": wilson_interval(int((distances <= _NEAR_MM).sum()), distances.size),
            "median_error_mm": round(float(np.median(distances)), 2),
            "makers": {maker: f"{sum(right)} of {len(right)}" for maker, right in makers.items()},
        }
        write_figures(output, found)
    print(json.dumps(found, indent=1))


def transitions(
    weights: str = "models/vertebrae.pt",
    count: int = 98,
    kinds: str = ",".join(("ordinary", *TRANSITIONS)),
    seed: int = 9_100_000,
    output: str = "runs/transitions.json",
) -> None:
    """Share of patients of each kind whose sagittal T2 series is flagged: as transitional or by its ribs, or as unsure too.

    Args:
        weights: of the detector.
        count: patients of each kind.
        kinds: ``ordinary`` and keys of TRANSITIONS, separated by commas.
        seed: of the first patient of each kind.
        output: JSON file.
    """
    finder = load_finder(weights)
    found: dict[str, Any] = {}
    for kind in kinds.split(",") if isinstance(kinds, str) else kinds:
        drawn = phantom_series(count, seed, transition=None if kind == "ordinary" else kind)
        each = [set(finder(series)[1]) for *_, series in tqdm(drawn, total=count, desc=kind)]
        marked = sum(bool(flags & _DOUBTED) for flags in each)
        either = sum(bool(flags & {*_DOUBTED, "levels_unsure"}) for flags in each)
        found[kind] = {
            "patients": len(each),
            "transitional_anatomy or ribs_do_not_fit": wilson_interval(marked, len(each)),
            "or levels_unsure": wilson_interval(either, len(each)),
            "flags": {flag: sum(flag in flags for flags in each) for flag in sorted(set().union(*each))},
        }
        write_figures(output, found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    fire.Fire({"centers": centers, "transitions": transitions})
