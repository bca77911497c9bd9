"""A phantom patient's examination: which series are taken, on which planes, and their images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bundle.geometry import SlicePlane, unit
from bundle.geometry.resample import square_plane
from bundle.phantom.acquisition import Acquisition
from bundle.phantom.render import Patient, View, render
from bundle.phantom.sequences import Sequence as MrSequence
from bundle.phantom.sequences import spin_echo_signal
from bundle.phantom.shapes import Spine
from bundle.phantom.vendors import Filing

#: A scanner as good as most.
ACQUISITION = Acquisition(voxel_mm=(1.0, 0.9), noise=0.012, coil_depth_mm=160.0, bias=0.08, texture=0.06, fat_shift_mm=0.8)


@dataclass(frozen=True)
class SeriesPlan:
    """One series of an examination.

    Args:
        description: its name.
        sequence: protocol.
        planes: in the order in which they are filed.
        acquisition: scanner settings.
        role: what the series is in the study, such as ``sagittal_t2``, ``axial_t2``, ``localizer``; empty for none.
        stack_numbers: of each plane, the stack in which it was planned, from 0; empty for a single stack.
        levels: of each stack, the disk for which it was planned, None for none; empty for no stack planned on a disk.
        instance_numbers: of each plane; empty for 1, 2, ...
        tags: DICOM attributes by keyword that the maker writes.
    """

    description: str
    sequence: MrSequence
    planes: tuple[SlicePlane, ...]
    acquisition: Acquisition
    role: str = ""
    stack_numbers: tuple[int, ...] = ()
    levels: tuple[str | None, ...] = ()
    instance_numbers: tuple[int, ...] = ()
    tags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def orientation(self) -> str:
        """``sagittal``, ``coronal`` or ``axial`` by the axis nearest to the normals; ``several`` where they differ."""
        nearest = {int(np.abs(plane.normal).argmax()) for plane in self.planes}
        return ("sagittal", "coronal", "axial")[nearest.pop()] if len(nearest) == 1 else "several"


@dataclass(frozen=True)
class Examination:
    """All that is taken of one patient, and how it is filed.

    Args:
        plans: the series, in the order in which they are taken.
        filing: what the headers say of the scanner, and how pixels are stored.
        vendor: whose habits these are.
    """

    plans: tuple[SeriesPlan, ...]
    filing: Filing = field(default_factory=Filing)
    vendor: str = "plain"


def sagittal_planes(
    center_lps_mm: np.ndarray, slices: int, step_mm: float, field_of_view_mm: float, size_px: int, oblique_deg: float = 0.0
) -> tuple[SlicePlane, ...]:
    """Sagittal planes from the patient's right to left, turned by ``oblique_deg`` about the long axis."""
    turn = np.radians(oblique_deg)
    row = np.array([-np.sin(turn), np.cos(turn), 0.0])
    down = np.array([0.0, 0.0, -1.0])
    to_left = np.array([np.cos(turn), np.sin(turn), 0.0])
    return tuple(
        square_plane(
            center_lps_mm + (k - (slices - 1) / 2) * step_mm * to_left, row, down, field_of_view_mm, size_px, step_mm * 0.9
        )
        for k in range(slices)
    )


def axial_stack(
    center_lps_mm: np.ndarray, normal_lps: np.ndarray, slices: int, step_mm: float, field_of_view_mm: float, size_px: int
) -> tuple[SlicePlane, ...]:
    """Axial planes from head to feet around a disk's centre, across ``normal_lps``, the patient's left to the right."""
    normal = unit(normal_lps)
    row = unit(np.array([1.0, 0.0, 0.0]) - normal[0] * normal)
    column = np.cross(normal, row)  # to the back
    return tuple(
        square_plane(
            center_lps_mm - (k - (slices - 1) / 2) * step_mm * normal, row, column, field_of_view_mm, size_px, step_mm * 0.9
        )
        for k in range(slices)
    )


def lumbar_examination(spine: Spine, seed: int = 0, slices_per_disk: Sequence[int] = (3, 3, 4, 4, 4)) -> list[SeriesPlan]:
    """Localizer, sagittal T2 and axial T2 in one stack a disk, as a technician would plan them on this patient."""
    rng = np.random.default_rng([seed, spine.seed])
    middle = np.mean([spine.body(level).center_lps_mm for level in ("L1", "L3", "S1")], axis=0)
    scout = (
        square_plane(middle, np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), 400, 128, 8.0),
        square_plane(middle, np.array([1.0, 0, 0]), np.array([0.0, 0, -1]), 400, 128, 8.0),
        square_plane(middle, np.array([1.0, 0, 0]), np.array([0.0, 1, 0]), 400, 128, 8.0),
    )
    sagittal = sagittal_planes(middle + np.array([0.0, 15.0, 0.0]), 15, 4.4, 300.0, 320, float(rng.normal(0, 2)))
    axial: list[SlicePlane] = []
    for level, count in zip(spine.presacral_levels, slices_per_disk, strict=True):
        disk = spine.disks[level].disk
        # Stacks are tilted in the sagittal plane only, and never quite as the disk is.
        tilt = np.arctan2(disk.normal_lps[1], disk.normal_lps[2]) + np.radians(rng.normal(0, 2))
        normal = np.array([0.0, np.sin(tilt), np.cos(tilt)])
        # The field of view reaches far behind the disk, in the slices' own plane.
        center = disk.center_lps_mm + rng.normal(0, 1.0) * disk.normal_lps + 18.0 * np.cross(normal, [1.0, 0.0, 0.0])
        axial.extend(axial_stack(center, normal, count, 4.4, 180.0, 288))
    scout_tags = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "LOCALIZER"]}
    stack_of_slice = np.repeat(np.arange(len(slices_per_disk)), slices_per_disk).tolist()
    return [
        SeriesPlan("localizer", MrSequence("T1", 20.0, 5.0), scout, ACQUISITION, "localizer", (0, 1, 2), tags=scout_tags),
        SeriesPlan("t2_tse_sag", MrSequence("T2", 3500.0, 100.0), sagittal, ACQUISITION, "sagittal_t2"),
        SeriesPlan(
            "t2_tse_tra", MrSequence("T2", 4200.0, 105.0), tuple(axial), ACQUISITION, "axial_t2",
            tuple(stack_of_slice), spine.presacral_levels,
        ),
    ]  # fmt: skip


def series_images(patient: Patient, plan: SeriesPlan, seed: int, profile: int = 3) -> Iterator[np.ndarray]:
    """Images (rows, columns) float32 of a series, slice by slice; the brightest tissue is near 1."""
    signal = spin_echo_signal(plan.sequence)[None]
    for number, plane in enumerate(plan.planes):
        seed_of_slice = int(np.random.default_rng([seed, number]).integers(2**31))
        view = View(patient, plane, signal, [plan.acquisition], [seed_of_slice])
        yield render([view], profile)[0, 0].numpy()
