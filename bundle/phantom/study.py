"""A phantom patient's examination: which series are taken, on which planes, and their images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bundle.geometry import DISK_LEVELS, SlicePlane, unit
from bundle.geometry.resample import square_plane
from bundle.phantom.acquisition import Acquisition
from bundle.phantom.render import Patient, View, render
from bundle.phantom.sequences import Sequence as MrSequence
from bundle.phantom.sequences import spin_echo_signal
from bundle.phantom.shapes import Spine


@dataclass(frozen=True)
class SeriesPlan:
    """One series of an examination: name, protocol, planes in the order in which they are taken, and scanner settings."""

    description: str
    sequence: MrSequence
    planes: tuple[SlicePlane, ...]
    acquisition: Acquisition


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
    acquisition = Acquisition(
        voxel_mm=(1.0, 0.9), noise=0.012, coil_depth_mm=160.0, bias=0.08, texture=0.06, fat_shift_mm=0.8
    )
    scout = (
        square_plane(middle, np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), 400, 128, 8.0),
        square_plane(middle, np.array([1.0, 0, 0]), np.array([0.0, 0, -1]), 400, 128, 8.0),
        square_plane(middle, np.array([1.0, 0, 0]), np.array([0.0, 1, 0]), 400, 128, 8.0),
    )
    sagittal = sagittal_planes(middle + np.array([0.0, 15.0, 0.0]), 15, 4.4, 300.0, 320, float(rng.normal(0, 2)))
    axial: list[SlicePlane] = []
    for level, count in zip(DISK_LEVELS, slices_per_disk, strict=True):
        disk = spine.disks[level].disk
        # Stacks are tilted in the sagittal plane only, and never quite as the disk is.
        tilt = np.arctan2(disk.normal_lps[1], disk.normal_lps[2]) + np.radians(rng.normal(0, 2))
        normal = np.array([0.0, np.sin(tilt), np.cos(tilt)])
        # The field of view reaches far behind the disk, in the slices' own plane.
        center = disk.center_lps_mm + rng.normal(0, 1.0) * disk.normal_lps + 18.0 * np.cross(normal, [1.0, 0.0, 0.0])
        axial.extend(axial_stack(center, normal, count, 4.4, 180.0, 288))
    return [
        SeriesPlan("localizer", MrSequence("T1", 20.0, 5.0), scout, acquisition),
        SeriesPlan("t2_tse_sag", MrSequence("T2", 3500.0, 100.0), sagittal, acquisition),
        SeriesPlan("t2_tse_tra", MrSequence("T2", 4200.0, 105.0), tuple(axial), acquisition),
    ]


def series_images(patient: Patient, plan: SeriesPlan, seed: int, profile: int = 3) -> Iterator[np.ndarray]:
    """Images (rows, columns) float32 of a series, slice by slice; the brightest tissue is near 1."""
    signal = spin_echo_signal(plan.sequence)[None]
    for number, plane in enumerate(plan.planes):
        seed_of_slice = int(np.random.default_rng([seed, number]).integers(2**31))
        view = View(patient, plane, signal, [plan.acquisition], [seed_of_slice])
        yield render([view], profile)[0, 0].numpy()
