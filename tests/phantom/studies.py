"""Small studies of each vendor whose pixels tell their own place, so that geometry shows in the image itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle.phantom import dicom
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.examination import vendor_examination
from bundle.phantom.shapes import Spine
from bundle.phantom.study import Examination, SeriesPlan
from bundle.phantom.vendors import Vendor, load_vendors

SPINE = sample_spine(9)
VENDORS = load_vendors()
SIZE_PX = 32
#: Few slices of each view, but as many as tell a series from a localizer.
_SLICES = {"localizer": 1, "sagittal": 6, "axial": 3, "radial": 4, "sagittal_volume": 8, "axial_volume": 8}
_GRADIENT = np.array([0.9e-3, 0.6e-3, 1.1e-3])


def brightness(points_lps_mm: np.ndarray) -> np.ndarray:
    """(...) brightness of each place (..., 3): grows evenly to the left, to the back and up."""
    return 0.5 + np.asarray(points_lps_mm) @ _GRADIENT


def by_place(patient: Any, plan: SeriesPlan, seed: int) -> Iterator[np.ndarray]:
    """In place of bundle.phantom.study.series_images, which takes a hundred times as long."""
    for plane in plan.planes:
        rows, columns = np.indices(plane.shape)
        yield brightness(plane.to_patient(np.stack([columns, rows], axis=-1))).astype(np.float32)


def slim(vendor: Vendor, chance: float = 1.0) -> Vendor:
    """The vendor with every series it knows (or, at chance 0, the sagittal and axial T2 only), of few slices."""
    always = ("sagittal_t2", "axial_t2")
    habits = tuple(
        replace(h, chance=1.0 if h.role in always else chance, slices=(_SLICES.get(h.view, 3),) * 2) for h in vendor.series
    )
    return replace(vendor, series=habits)


def with_axial(vendor: Vendor, stacks: str, order: str) -> Vendor:
    """The vendor with its axial T2 laid out so."""
    habits = tuple(replace(h, stacks=(stacks,), orders=(order,)) if h.role == "axial_t2" else h for h in vendor.series)
    return replace(vendor, series=habits)


def examination(vendor: Vendor, seed: int = 1, spine: Spine = SPINE, **options: Any) -> Examination:
    options = {"transfer_syntax": "explicit", "enhanced": False, "deidentified": False, **options}
    return vendor_examination(spine, vendor, seed, SIZE_PX, **options)


def write(folder: Path, vendor: Vendor, seed: int = 1, spine: Spine = SPINE, **options: Any) -> dict[str, Any]:
    """Write a study with pixels by place; returns its truth."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dicom, "series_images", by_place)
        return dicom.write_study(folder, spine, seed, examination(vendor, seed, spine, **options))
