"""Stacks of sagittal slices through one vertebra at the thoracolumbar border, with whether it carries ribs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from bundle.geometry import BODY_LEVELS, SlicePlane
from bundle.phantom.acquisition import AcquisitionRates, sample_acquisition
from bundle.phantom.anatomy import sample_spine, sample_transition
from bundle.phantom.paint import SpinePatient
from bundle.phantom.render import View, render
from bundle.phantom.sequences import sample_contrast, tissue_spread
from bundle.phantom.slices import DEFAULT_CONTRASTS, acquisition_rates, draw
from bundle.phantom.study import sagittal_planes

#: How often patients have a rib on L1 or six lumbar bodies, of whom training needs many.
RIB_TRANSITIONS: Mapping[str, float] = {"T13": 0.4, "L6": 0.1}
#: How often each neighbour of L1 is shown beside it.
_NEIGHBOURS: Mapping[str, float] = {"T12": 0.6, "L2": 0.25, "T11": 0.15}


class BodyPlacer(Protocol):
    """Who lays the window around a body: the reader's own, so that training sees what it will see."""

    def window(self, center_lps_mm: NDArray, up_lps: NDArray, plane: SlicePlane) -> SlicePlane:
        """The window around a body in a sagittal plane."""
        ...


class RibStacks(Dataset):
    """Every slice of a sagittal series in the window around one body, from beside the spine to beside it.

    Items come in groups, one for each patient: L1 and one of its neighbours, each in every contrast. An item is a
    dictionary: ``image`` (max_slices, rows, columns) float32 brightness, the slices that the series lacks 0; ``offset_mm``
    (max_slices,) distance of each slice from the body's middle across the slices, NaN for those it lacks; ``label`` 1.0
    for a body that carries ribs, else 0.0; ``level`` index into BODY_LEVELS; ``patient`` a number.

    Args:
        patients: number of patients.
        placer: lays the windows.
        seed: of the first patient.
        max_slices: of a series.
        contrasts: shares of the protocols.
        contrasts_per_patient: protocols in which each patient's slices are taken: painting takes the time.
        randomised: chance of random tissue brightness instead (see sample_contrast).
        transitions: shares of transitional anatomy.
        placement_mm: standard deviation of the error of the body's place along each axis, as a detector makes it.
        placement_deg: the same of its tilt.
        rates: settings and faults of the scanners, see bundle.phantom.slices.acquisition_rates.
        device: where to render.
    """

    def __init__(
        self,
        patients: int,
        placer: BodyPlacer,
        seed: int = 0,
        max_slices: int = 17,
        contrasts: Mapping[str, float] = DEFAULT_CONTRASTS,
        contrasts_per_patient: int = 2,
        randomised: float = 0.15,
        transitions: Mapping[str, float] = RIB_TRANSITIONS,
        placement_mm: float = 1.5,
        placement_deg: float = 4.0,
        rates: AcquisitionRates | Mapping[str, Any] | str | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.patients = int(patients)
        self.placer = placer
        self.seed = int(seed)
        self.max_slices = int(max_slices)
        self.contrasts = dict(contrasts)
        self.contrasts_per_patient = int(contrasts_per_patient)
        self.randomised = float(randomised)
        self.transitions = dict(transitions)
        self.placement_mm = float(placement_mm)
        self.placement_deg = float(placement_deg)
        self.rates = acquisition_rates(rates)
        self.device = torch.device(device)
        self._last: tuple[int, list[dict[str, Any]]] = (-1, [])

    @property
    def per_patient(self) -> int:
        """Items of each patient."""
        return 2 * self.contrasts_per_patient

    def __len__(self) -> int:
        return self.patients * self.per_patient

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number, place = divmod(index, self.per_patient)
        if self._last[0] != number:
            self._last = (number, self._patient(number))
        return self._last[1][place]

    def _patient(self, number: int) -> list[dict[str, Any]]:
        rng = np.random.default_rng([self.seed, number])
        transition = sample_transition(rng, self.transitions)
        spine = sample_spine(int(rng.integers(2**31)), transition=transition)
        patient = SpinePatient(spine)
        factors = tissue_spread(rng, 0.12)
        signals = [
            sample_contrast(rng, draw(rng, self.contrasts), randomised=self.randomised, patient=factors)
            for _ in range(self.contrasts_per_patient)
        ]
        acquisitions = [sample_acquisition(rng, self.rates, spine.front_depth_mm).cropped() for _ in signals]
        planes = self._planes(rng, np.mean([spine.body(level).center_lps_mm for level in ("L1", "L3", "S1")], axis=0))
        items = []
        for level in ("L1", draw(rng, _NEIGHBOURS)):
            body = spine.body(level)
            center = body.center_lps_mm + rng.normal(0, self.placement_mm, 3)
            turn = np.radians(rng.normal(0, self.placement_deg))
            up = np.cos(turn) * body.axes[2] + np.sin(turn) * body.axes[1]
            views = [
                View(
                    patient, self.placer.window(center, up, plane), torch.stack(signals), acquisitions,
                    [int(seed) for seed in rng.integers(2**31, size=len(signals))],
                )
                for plane in planes
            ]  # fmt: skip
            images = render(views, device=self.device).cpu()
            offsets = [-float(plane.signed_distance_mm(center)) for plane in planes]
            ribs = float(level[0] == "T" or (transition == "T13" and level == "L1"))
            for contrast in range(len(signals)):
                items.append(self._item(images[:, contrast], offsets, ribs, level, number))
        return items

    def _planes(self, rng: np.random.Generator, middle: NDArray) -> Sequence[SlicePlane]:
        """Planes as technicians lay them, more or less wide and more or less in the middle."""
        thickness = float(rng.uniform(3.2, 4.8))
        center = middle + np.array([float(rng.normal(0, 2.0)), 0.0, 0.0])
        count, step = int(rng.integers(9, self.max_slices + 1)), thickness * float(rng.uniform(1.0, 1.25))
        planes = sagittal_planes(center, count, step, 300.0, 1, float(rng.normal(0, 2)))
        return [replace(plane, thickness_mm=thickness) for plane in planes]

    def _item(self, slices: torch.Tensor, offsets: Sequence[float], ribs: float, level: str, number: int) -> dict[str, Any]:
        image = torch.zeros(self.max_slices, *slices.shape[1:])
        image[: len(slices)] = slices
        offset_mm = torch.full((self.max_slices,), float("nan"))
        offset_mm[: len(offsets)] = torch.tensor(offsets)
        return {"image": image, "offset_mm": offset_mm, "label": ribs, "level": BODY_LEVELS.index(level), "patient": number}
