"""Training ROIs of the phantom's disks, rendered on the fly; the same index always gives the same ROI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from bundle.geometry import DISK_LEVELS, FINDINGS, Disk, SlicePlane, unit
from bundle.phantom.acquisition import AcquisitionRates, sample_acquisition
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.paint import SpinePatient
from bundle.phantom.prevalence import TRAINING_PREVALENCE, Prevalence
from bundle.phantom.render import View, render
from bundle.phantom.sequences import sample_contrast
from bundle.phantom.shapes import DiskShape
from bundle.phantom.slices import acquisition_rates, draw

ROI_CONTRASTS: Mapping[str, float] = {"T2": 0.8, "T2FS": 0.1, "T1": 0.1}


class RoiPlacer(Protocol):
    """Who lays the ROIs: the reading's own bundle.disks.roi.RoiCropper, so that training sees what it will see."""

    def axial_square(self, disk: Disk, plane: SlicePlane) -> SlicePlane:
        """The ROI of ``disk`` in an axial plane."""
        ...

    def sagittal_square(self, disk: Disk, plane: SlicePlane) -> SlicePlane:
        """The ROI of ``disk`` in a sagittal plane."""
        ...


#: Directions in which the outline of a disk is given, degrees: 0 is the patient's back, positive to the patient's left.
PROFILE_DEG: NDArray[np.float64] = np.arange(-180.0, 180.0, 15.0)


def disk_truth(shape: DiskShape, axial: SlicePlane) -> dict[str, Any]:
    """What defines a disk's class, as targets of training; lengths are millimetres, all float32 but the grade.

    ``readers`` (3,) shares of readers who would call it each of FINDINGS; ``flags`` (2,) whether it bulges and whether it is
    herniated, which can go together; ``pfirrmann`` 1 to 5; ``rim`` (24,) distance of its rim from its centre in PROFILE_DEG;
    ``excess`` (24,) how far its outline lies beyond the rim there; ``center`` (2,) where its centre is in the axial ROI,
    from the ROI's centre to the patient's left and back; ``measures`` (4,): extent beyond the rim, base of a herniation,
    reach above (positive) or below the disk, and the tip's distance to the left of the middle (0 without a herniation).

    Args:
        shape: the disk.
        axial: plane of its axial ROI.
    """
    path = shape.pathology
    bulging = path.measures.reference_mm > 0 if path.finding == "herniation" else path.finding == "bulge"
    tip = path.measures.tip_left_mm if path.finding == "herniation" else 0.0
    at = (PROFILE_DEG + 180).astype(int)
    middle = (np.array(axial.shape[::-1]) - 1) / 2
    offset = (axial.to_pixel(shape.disk.center_lps_mm) - middle) * axial.pixel_spacing_mm[0]
    floats = {
        "readers": path.soft_label(),
        "flags": [bulging, path.finding == "herniation"],
        "rim": path.rim.radius_mm[at],
        "excess": path.excess_mm[at],
        "center": offset,
        "measures": [path.reach_mm, path.base_mm, path.migration_mm, tip],
    }
    arrays = {name: torch.from_numpy(np.asarray(values, dtype=np.float32)) for name, values in floats.items()}
    return {**arrays, "pfirrmann": int(path.pfirrmann)}


class DiskRois(Dataset):
    """Axial and sagittal ROIs of disks, three neighbouring slices each, with the disk's class.

    Five consecutive items are the five disks of one patient, from L1-L2 down. An item is a dictionary: ``axial`` and
    ``sagittal`` (3, size, size) float32 brightness; ``label`` index into FINDINGS; ``level`` index into DISK_LEVELS;
    ``patient`` a number; and what else is true of the disk (see disk_truth).

    Args:
        patients: number of patients; there are five items each.
        placer: lays the ROIs.
        seed: of the first patient.
        contrasts: shares of the protocols.
        randomised: chance of random tissue brightness instead (see sample_contrast).
        prevalence: shares of the classes by level.
        placement_mm: standard deviation of the error of the disk's place along each axis, as a detector would make it.
        placement_deg: the same of its tilt.
        slice_tilt_deg: standard deviation of the angle between slice and disk.
        rates: settings and faults of the scanners, see bundle.phantom.slices.acquisition_rates.
        device: where to render.
    """

    def __init__(
        self,
        patients: int,
        placer: RoiPlacer,
        seed: int = 0,
        contrasts: Mapping[str, float] = ROI_CONTRASTS,
        randomised: float = 0.1,
        prevalence: Prevalence = TRAINING_PREVALENCE,
        placement_mm: float = 1.2,
        placement_deg: float = 2.5,
        slice_tilt_deg: float = 5.0,
        rates: AcquisitionRates | Mapping[str, Any] | str | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.patients = int(patients)
        self.placer = placer
        self.seed = int(seed)
        self.contrasts = dict(contrasts)
        self.randomised = float(randomised)
        self.prevalence = prevalence
        self.placement_mm = float(placement_mm)
        self.placement_deg = float(placement_deg)
        self.slice_tilt_deg = float(slice_tilt_deg)
        self.rates = acquisition_rates(rates)
        self.device = torch.device(device)
        self._last: dict[int, SpinePatient] = {}

    def __len__(self) -> int:
        return self.patients * len(DISK_LEVELS)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Several items, rendered together: what a DataLoader asks for."""
        items, views = [], []
        patients: dict[int, SpinePatient] = {}
        for index in indices:
            if not 0 <= index < len(self):
                raise IndexError(index)
            number, level = divmod(index, len(DISK_LEVELS))
            if number not in patients:
                patients[number] = self._last.get(number) or self._patient(number)
            patient = patients[number]
            shape = patient.spine.disks[DISK_LEVELS[level]]
            rng = np.random.default_rng([self.seed, number, level])
            axial = self._axial(rng, shape)
            views += self._views(rng, patient, axial) + self._views(rng, patient, self._sagittal(rng, shape))
            truth = disk_truth(shape, axial[len(axial) // 2])
            items.append({"label": FINDINGS.index(shape.pathology.finding), "level": level, "patient": number, **truth})
        self._last = patients
        images = render(views, device=self.device).cpu().reshape(len(items), 2, 3, *views[0].plane.shape)
        return [{"axial": a, "sagittal": s, **item} for (a, s), item in zip(images, items, strict=True)]

    def _patient(self, number: int) -> SpinePatient:
        seed = int(np.random.default_rng([self.seed, number]).integers(2**31))
        return SpinePatient(sample_spine(seed, self.prevalence))

    def _axial(self, rng: np.random.Generator, shape: DiskShape) -> list[SlicePlane]:
        left, posterior, up = shape.axes
        tilt, lean = np.radians(rng.normal(0, (self.slice_tilt_deg, 0.5 * self.slice_tilt_deg)))
        normal = unit(up + np.tan(tilt) * posterior + np.tan(lean) * left)
        row = unit(left - (left @ normal) * normal)
        column = np.cross(normal, row)
        # The best slice of a stack lies within half a step of the disk's middle.
        step = float(rng.uniform(3.3, 5.0))
        offset = float(rng.uniform(-0.5, 0.5)) * min(step, 0.9 * shape.gap_mm)
        center = shape.disk.center_lps_mm + 0.5 * shape.half_depth_mm * posterior + offset * normal
        seen = self._misplaced(rng, shape.disk)
        planes = [SlicePlane(center - k * step * normal, row, column, (1.0, 1.0), (1, 1)) for k in (-1, 0, 1)]
        return [replace(self.placer.axial_square(seen, p), thickness_mm=0.9 * step) for p in planes]

    def _sagittal(self, rng: np.random.Generator, shape: DiskShape) -> list[SlicePlane]:
        turn, roll = np.radians(rng.normal(0, (4.0, 3.0)))
        row = unit([np.sin(turn), np.cos(turn), 0.0])
        column = unit([np.sin(roll), 0.0, -1.0])
        column = unit(column - (column @ row) * row)
        across = np.cross(column, row)  # to the patient's left
        step = float(rng.uniform(3.5, 5.0))
        center = shape.disk.center_lps_mm + float(rng.uniform(-0.5, 0.5)) * step * across
        seen = self._misplaced(rng, shape.disk)
        planes = [SlicePlane(center + k * step * across, row, column, (1.0, 1.0), (1, 1)) for k in (-1, 0, 1)]
        return [replace(self.placer.sagittal_square(seen, p), thickness_mm=0.9 * step) for p in planes]

    def _misplaced(self, rng: np.random.Generator, disk: Disk) -> Disk:
        """The disk where a detector might put it."""
        shift = rng.normal(0, self.placement_mm, 3)
        turn = np.radians(rng.normal(0, self.placement_deg))
        posterior = unit(disk.posterior_lps + np.tan(turn) * disk.normal_lps)
        normal = unit(disk.normal_lps - (disk.normal_lps @ posterior) * posterior)
        half = disk.depth_mm / 2 + rng.normal(0, 0.5 * self.placement_mm)
        center = disk.center_lps_mm + shift
        return replace(
            disk,
            center_lps_mm=center,
            normal_lps=normal,
            front_lps_mm=center - half * posterior,
            back_lps_mm=center + half * posterior,
        )

    def _views(self, rng: np.random.Generator, patient: SpinePatient, planes: list[SlicePlane]) -> list[View]:
        """Views of one series: the same contrast and scanner on every plane."""
        signal = sample_contrast(rng, draw(rng, self.contrasts), randomised=self.randomised)[None]
        acquisition = sample_acquisition(rng, self.rates, patient.spine.front_depth_mm).cropped()
        return [View(patient, plane, signal, [acquisition], [int(rng.integers(2**31))]) for plane in planes]
