"""Training slices of the phantom, rendered on the fly; the same index always gives the same slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from bundle.geometry import BODY_LEVELS, SliceBox, SlicePlane, unit
from bundle.geometry.resample import square_plane
from bundle.phantom.acquisition import AcquisitionRates, sample_acquisition
from bundle.phantom.anatomy import sample_spine, sample_transition
from bundle.phantom.negatives import HeadPatient, empty_field
from bundle.phantom.paint import SpinePatient
from bundle.phantom.render import Patient, View, render
from bundle.phantom.sequences import sample_contrast, tissue_spread
from bundle.phantom.truth import boxes_on_slice

#: Images without a lumbar name, and how often each kind comes among them.
NEGATIVES: Mapping[str, float] = {
    "head": 0.15, "neck": 0.2, "chest": 0.1, "empty": 0.1, "coronal": 0.1, "axial": 0.15, "beside": 0.1, "myelogram": 0.1,
}  # fmt: skip
DEFAULT_CONTRASTS: Mapping[str, float] = {"T2": 0.5, "T1": 0.2, "STIR": 0.1, "T2FS": 0.12, "PD": 0.08}
#: Bodies around which a lumbar field of view lies: most show the sacrum, as technicians take care to.
_CENTERS: Mapping[str, float] = {"L5": 0.1, "L4": 0.35, "L3": 0.35, "L2": 0.15, "L1": 0.05}
#: Transitions that the shape of L5 and S1 shows; a sixth lumbar body or a rib on L1 shows in the ribs (bundle.phantom.ribs).
TRANSITIONS_IN_VIEW = ("sacralised L5", "lumbarised S1")
#: How far from the middle of the column lie the outer slices of a stack (from the pedicles to the tips of the transverse
#: processes), and planes beside the spine.
_LATERAL_MM, _BESIDE_MM = (13.0, 42.0), (38.0, 90.0)
_TALL_MM = 330.0  # larger fields of view show bodies above T7


def draw(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    """One of the keys of ``shares``, with a chance in proportion to its value."""
    weights = np.asarray(list(shares.values()), dtype=np.float64)
    return str(rng.choice(list(shares), p=weights / weights.sum()))


def sagittal_plane(
    rng: np.random.Generator,
    center_lps_mm: np.ndarray,
    size_px: int,
    field_of_view_mm: float,
    spread_mm: float,
    roll_deg: float = 4.0,
) -> SlicePlane:
    """A sagittal plane near ``center_lps_mm``, a little tilted, head up and front to the left as radiologists view it."""
    tilt, turn, roll = np.radians(rng.normal(0, (3.0, 4.0, roll_deg)))
    row = unit([np.sin(turn), np.cos(turn), np.sin(roll)])
    column = np.array([np.sin(tilt), 0.0, -1.0])
    column = unit(column - (column @ row) * row)
    across = np.cross(row, column)
    middle = center_lps_mm + rng.normal(0, (0, 0.09, 0.09)) * field_of_view_mm + float(rng.normal(0, spread_mm)) * across
    return square_plane(middle, row, column, field_of_view_mm, size_px, float(rng.uniform(3, 5)))


@dataclass(frozen=True)
class _Plan:
    """What one group of items shows: a view and the boxes on it; without a view an empty field from ``rng``."""

    view: View | None
    boxes: list[tuple[str, SliceBox]]
    rng: np.random.Generator
    transitional: bool = False
    contrasts: tuple[str, ...] = ()

    @property
    def pixel_mm(self) -> float:
        return self.view.plane.pixel_spacing_mm[0] if self.view is not None else 1.0


class VertebraSlices(Dataset):
    """Sagittal slices with boxes, classes and corners of their vertebral bodies, and some slices without any.

    An item is a dictionary:
        ``image``: (1, size_px, size_px) float32, unscaled brightness;
        ``boxes``: (N, 4) float32, (row, column) of the top-left, then of the bottom-right corner: the axes' order, as
        MONAI's detection has it;
        ``labels``: (N,) int64, index into BODY_LEVELS, -1 for a name that is not taught (``name_transitional``);
        ``corners``: (N, 4, 2) float32, (row, column) of upper front, upper back, lower back, lower front;
        ``transition``: (N,) float32, for L5 and S1 whether they are transitional (1 or 0), NaN for the other bodies;
        ``pixel_mm``: size of a pixel;
        ``patient``, ``contrast``: name of the patient, key of ``contrasts``.

    Args:
        length: number of items.
        seed: of all items; item ``i`` is the same for the same seed, whatever the length.
        size_px: side of the images.
        spacing_mm: mean and standard deviation of the pixel size, which with ``size_px`` is the field of view.
        contrasts: shares of the protocols.
        randomised: chance of random tissue brightness instead (see sample_contrast).
        rates: settings and faults of the scanners; a mapping changes single ones, ``none`` is a scanner without artefacts.
        negatives: share of images without any lumbar name.
        negative_kinds: shares of their kinds, keys of NEGATIVES.
        contrasts_per_plane: consecutive items that show the same plane of the same patient, each in its own contrast and
            from its own scanner. Painting is what takes time, and more contrasts cost little.
        roll_deg: standard deviation of the picture's turn in its own plane.
        cut: share of planes that end below S1 or S2 and are padded with black, as many studies are: the names must not
            depend on seeing the whole sacrum.
        lateral: share of planes to the side of the column: the outer slices of a stack, on which joints, processes and
            foramina must not be taken for bodies.
        transitions: shares of transitional anatomy; a sixth lumbar body has no name, so it is not among the defaults.
        name_transitional: whether bodies of transitional patients have names. Those follow from counting, of which a slice
            shows little, and they contradict the look by which readers name: without them a detector names by the look
            alone, and its score of transition says that the look may mislead.
        variation: how much patients differ, see sample_spine.
        soft_tissue: whether there is any besides fat.
        device: where to render.
    """

    def __init__(
        self,
        length: int,
        seed: int = 0,
        size_px: int = 256,
        spacing_mm: tuple[float, float] = (1.17, 0.23),
        contrasts: Mapping[str, float] = DEFAULT_CONTRASTS,
        randomised: float = 0.15,
        rates: AcquisitionRates | Mapping[str, Any] | str | None = None,
        negatives: float = 0.08,
        negative_kinds: Mapping[str, float] = NEGATIVES,
        contrasts_per_plane: int = 2,
        roll_deg: float = 4.0,
        cut: float = 0.3,
        lateral: float = 0.0,
        transitions: Mapping[str, float] | None = None,
        name_transitional: bool = True,
        variation: float = 1.0,
        soft_tissue: bool = True,
        device: str | torch.device = "cpu",
    ) -> None:
        self.length = int(length)
        self.seed = int(seed)
        self.size_px = int(size_px)
        self.spacing_mm = (float(spacing_mm[0]), float(spacing_mm[1]))
        self.contrasts = dict(contrasts)
        self.randomised = float(randomised)
        self.rates = acquisition_rates(rates)
        self.negatives = float(negatives)
        self.negative_kinds = dict(negative_kinds)
        self.contrasts_per_plane = int(contrasts_per_plane)
        self.roll_deg = float(roll_deg)
        self.cut = float(cut)
        self.lateral = float(lateral)
        self.transitions = dict(transitions) if transitions is not None else {"sacralised L5": 0.06, "lumbarised S1": 0.06}
        self.name_transitional = bool(name_transitional)
        self.variation = float(variation)
        self.soft_tissue = bool(soft_tissue)
        self.device = torch.device(device)
        self._last: dict[int, list[dict[str, Any]]] = {}

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Several items, rendered together: what a DataLoader asks for."""
        for index in indices:
            if not 0 <= index < self.length:
                raise IndexError(index)
        groups = dict.fromkeys(index // self.contrasts_per_plane for index in indices)
        wanted = [g for g in groups if g not in self._last]
        self._last = {g: items for g, items in self._last.items() if g in groups} | dict(
            zip(wanted, self._render(wanted), strict=True)
        )
        return [self._last[i // self.contrasts_per_plane][i % self.contrasts_per_plane] for i in indices]

    def _render(self, groups: Sequence[int]) -> list[list[dict[str, Any]]]:
        plans = [self._plan(group) for group in groups]
        images: list[Tensor | None] = [None] * len(plans)
        by_kind: dict[type, list[int]] = {}
        for k, plan in enumerate(plans):
            if plan.view is not None:
                by_kind.setdefault(type(plan.view.patient), []).append(k)
        for members in by_kind.values():
            rendered = render([v for k in members if (v := plans[k].view) is not None], device=self.device)
            for k, image in zip(members, rendered.cpu(), strict=True):
                images[k] = image
        finished = [self._finished(plan, image) for plan, image in zip(plans, images, strict=True)]
        for group, items in zip(groups, finished, strict=True):
            for item in items:
                item["patient"] = f"{self.seed} {group}"
        return finished

    def _plan(self, group: int) -> _Plan:
        rng = np.random.default_rng([self.seed, group])
        kind = draw(rng, self.negative_kinds) if rng.random() < self.negatives else "spine"
        if kind == "empty":
            return _Plan(None, [], rng)
        mean, spread = self.spacing_mm
        field_of_view_mm = self.size_px * float(np.clip(rng.normal(mean, spread), 0.55 * mean, 1.6 * mean))
        patient, plane, boxes = self._place(rng, kind, field_of_view_mm)
        factors = tissue_spread(rng, 0.12)
        contrasts = {"MYELO": 1.0} if kind == "myelogram" else self.contrasts
        randomised = 0.0 if kind == "myelogram" else self.randomised
        names, signals = [], []
        for _ in range(self.contrasts_per_plane):
            names.append(draw(rng, contrasts))
            signals.append(sample_contrast(rng, names[-1], randomised=randomised, patient=factors))
        front_mm = patient.spine.front_depth_mm if isinstance(patient, SpinePatient) else 110.0
        acquisitions = [sample_acquisition(rng, self.rates, front_mm) for _ in signals]
        seeds = [int(rng.integers(2**31)) for _ in signals]
        transitional = isinstance(patient, SpinePatient) and patient.spine.transition in TRANSITIONS_IN_VIEW
        return _Plan(View(patient, plane, torch.stack(signals), acquisitions, seeds), boxes, rng, transitional, tuple(names))

    def _place(
        self, rng: np.random.Generator, kind: str, field_of_view_mm: float
    ) -> tuple[Patient, SlicePlane, list[tuple[str, SliceBox]]]:
        """Who is imaged, on which plane, and the bodies on it."""
        size, seed = self.size_px, int(rng.integers(2**31))
        if kind == "head":
            return HeadPatient(seed), sagittal_plane(rng, np.zeros(3), size, field_of_view_mm, 9.0), []
        top = "C2" if kind in ("neck", "chest") else "T1" if field_of_view_mm > _TALL_MM else "T7"
        transition = sample_transition(rng, self.transitions)
        spine = sample_spine(seed, transition=transition, variation=self.variation, top=top)
        patient = SpinePatient(spine, self.soft_tissue)
        level = {"neck": "C5", "chest": "T5"}.get(kind) or draw(rng, _CENTERS)
        center = spine.body(level).center_lps_mm
        if kind in ("coronal", "axial"):
            down = np.array([0, 0, -1.0]) if kind == "coronal" else np.array([0, 1.0, 0])
            return patient, square_plane(center, np.array([1.0, 0, 0]), down, field_of_view_mm, size), []
        if kind in ("neck", "chest"):
            field_of_view_mm *= 0.75
        lateral = kind == "spine" and self.lateral > 0 and rng.random() < self.lateral
        spread_mm, away = 9.0, np.zeros(3)
        if kind == "beside" or lateral:
            away[0] = rng.choice([-1, 1])
            center = center + away * float(rng.uniform(*(_LATERAL_MM if lateral else _BESIDE_MM)))
            spread_mm = 2.0 if lateral else 9.0
        if kind == "myelogram" and rng.random() < 0.5:
            plane = square_plane(
                np.add(center, (0, 25.0, 0)), np.array([1.0, 0, 0]), np.array([0, 0, -1.0]), field_of_view_mm, size, 40.0
            )
            return patient, plane, []
        plane = sagittal_plane(rng, center, size, field_of_view_mm, spread_mm, self.roll_deg)
        found = boxes_on_slice(spine, plane)
        while kind == "beside" and found:  # a curved spine comes back into the slice
            plane = replace(plane, origin_lps_mm=plane.origin_lps_mm + 15.0 * away)
            found = boxes_on_slice(spine, plane)
        return patient, plane, [] if kind == "myelogram" else found

    def _finished(self, plan: _Plan, images: Tensor | None) -> list[dict[str, Any]]:
        """Items of one group; at times the image ends below S1 or S2."""
        rng, found = plan.rng, plan.boxes
        if images is None:
            shape = (self.size_px, self.size_px)
            images = torch.stack([empty_field(shape, rng) for _ in range(self.contrasts_per_plane)])
        sacral = [box.xyxy[3] for level, box in found if level in ("S1", "S2")]
        if sacral and rng.random() < self.cut:
            last_row = int(rng.choice(sacral) + rng.uniform(-3, 25))
            images, found = padded(images, last_row), seen_above(found, last_row)
        truth = targets(found, plan.transitional) | {"pixel_mm": torch.tensor(plan.pixel_mm)}
        if plan.transitional and not self.name_transitional:
            truth["labels"] = torch.full_like(truth["labels"], -1)
        contrasts = plan.contrasts or ("none",) * self.contrasts_per_plane
        return [
            {"image": image[None].clone(), "contrast": contrast, **truth}
            for image, contrast in zip(images, contrasts, strict=True)
        ]


def acquisition_rates(rates: AcquisitionRates | Mapping[str, Any] | str | None) -> AcquisitionRates:
    """Rates as a config writes them: null for the defaults, ``none`` for no artefacts, or a mapping of what differs.

    Raises:
        ValueError: any other word.
    """
    if rates is None:
        return AcquisitionRates()
    if isinstance(rates, AcquisitionRates):
        return rates
    if isinstance(rates, str):
        if rates != "none":
            raise ValueError(f"{rates!r} says nothing of a scanner: write none, or a mapping of rates")
        return AcquisitionRates.without_artefacts()
    changed: dict[str, Any] = {k: tuple(v) if isinstance(v, Sequence) else v for k, v in rates.items()}
    return replace(AcquisitionRates(), **changed)


def padded(images: Tensor, last_row: int) -> Tensor:
    """Images (..., H, W), black below ``last_row``."""
    result = images.clone()
    result[..., last_row + 1 :, :] = 0
    return result


def seen_above(found: list[tuple[str, SliceBox]], last_row: int, least: float = 0.6) -> list[tuple[str, SliceBox]]:
    """Boxes cut off below ``last_row``, without those of which less than a share ``least`` is left."""
    result = []
    for level, box in found:
        c0, r0, c1, r1 = box.xyxy
        if min(r1, last_row) - r0 >= least * (r1 - r0):
            result.append((level, replace(box, xyxy=(c0, r0, c1, min(r1, float(last_row))))))
    return result


def targets(found: list[tuple[str, SliceBox]], transitional: bool = False) -> dict[str, Tensor]:
    """Boxes, labels, corners and transition as tensors, in the axes' order (row, column); see VertebraSlices."""
    boxes = np.asarray([b.xyxy for _, b in found], dtype=np.float32).reshape(-1, 4)[:, [1, 0, 3, 2]]
    corners = np.asarray([b.corners_px for _, b in found], dtype=np.float32).reshape(-1, 4, 2)[..., ::-1].copy()
    labels = np.asarray([BODY_LEVELS.index(level) for level, _ in found], dtype=np.int64)
    transition = [float(transitional) if level in ("L5", "S1") else float("nan") for level, _ in found]
    return {
        "boxes": torch.from_numpy(boxes.copy()),
        "labels": torch.from_numpy(labels),
        "corners": torch.from_numpy(corners),
        "transition": torch.tensor(transition, dtype=torch.float32),
    }
