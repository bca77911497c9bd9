"""A phantom patient's examination as users of a vendor's scanner take it: which series, on which planes, in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar

import numpy as np

from bundle.geometry import SlicePlane, unit
from bundle.geometry.resample import square_plane
from bundle.phantom.acquisition import Acquisition, sample_acquisition
from bundle.phantom.sequences import Sequence as MrSequence
from bundle.phantom.shapes import Spine
from bundle.phantom.study import Examination, SeriesPlan, axial_stack, sagittal_planes
from bundle.phantom.vendors import Filing, Interval, SeriesHabit, Vendor, VendorError

_TILT_ERROR_DEG = 1.5  # of a stack against its disk, standard deviation
_Choice = TypeVar("_Choice")


@dataclass(frozen=True)
class _Stack:
    """Parallel planes in patient order, and the disk for which they were planned."""

    planes: tuple[SlicePlane, ...]
    level: str | None = None


def vendor_examination(
    spine: Spine,
    vendor: Vendor,
    seed: int = 0,
    max_px: int | None = None,
    transfer_syntax: str | None = None,
    enhanced: bool | None = None,
    deidentified: bool | None = None,
) -> Examination:
    """An examination of ``spine`` with a scanner of ``vendor``.

    Args:
        spine: the patient.
        vendor: whose habits are followed.
        seed: of all that is drawn.
        max_px: largest matrix, to save time; the field of view stays. Default: the vendor's.
        transfer_syntax: see Filing, as for the next two; default: drawn.
        enhanced: default: drawn.
        deidentified: default: drawn.

    Raises:
        VendorError: multi-frame objects are asked of a vendor that has no scanner for them.
    """
    rng = np.random.default_rng([seed, spine.seed, *vendor.name.encode()])
    scanners = [s for s in vendor.scanners if s.enhanced > 0] if enhanced else list(vendor.scanners)
    if not scanners:
        raise VendorError(f"{vendor.name} has no scanner that writes enhanced multi-frame MR")
    scanner = _choice(rng, scanners)
    # Everything is drawn, whether it is used or not, so that naming one option leaves the rest of the study as it is.
    drawn_enhanced, drawn_deidentified = (bool(rng.random() < share) for share in (scanner.enhanced, vendor.deidentified))
    drawn_syntax = _choice(rng, vendor.transfer_syntaxes)
    filing = Filing(
        tags={**vendor.tags, **scanner.tags},
        private=vendor.private,
        pixels=vendor.pixels,
        series_numbers=vendor.series_numbers,
        transfer_syntax=drawn_syntax if transfer_syntax is None else transfer_syntax,
        enhanced=drawn_enhanced if enhanced is None else enhanced,
        deidentified=drawn_deidentified if deidentified is None else deidentified,
    )
    planner = _Planner(spine, vendor, scanner.field_t, rng, max_px)
    plans = chain.from_iterable(planner.series(habit) for habit in vendor.series if rng.random() < habit.chance)
    return Examination(tuple(plans), filing, vendor.name)


class _Planner:
    """Plans one series after another; those of one view share their planes, as technicians copy them."""

    def __init__(self, spine: Spine, vendor: Vendor, field_t: float, rng: np.random.Generator, max_px: int | None) -> None:
        self.spine = spine
        self.vendor = vendor
        self.field_t = field_t
        self.rng = rng
        self.rng_of_scanner = rng.spawn(1)[0]  # so that other faults of the scanner leave the planes as they are
        self.max_px = max_px
        self.planned: dict[str, list[_Stack]] = {}
        self.axial_layout = ""
        points = [spine.body(level).center_lps_mm for level in ("L1", "L3", "S1")]
        self.middle = np.mean(points, axis=0) + rng.normal(0, (1.0, 3.0, 6.0))

    def series(self, habit: SeriesHabit) -> list[SeriesPlan]:
        """The plans of a habit: one, or of an axial series that is filed by disk, one for each disk."""
        if habit.view not in self.planned:
            planning: Mapping[str, Callable[[SeriesHabit], list[_Stack]]] = {
                "localizer": self._localizer,
                "sagittal": self._sagittal,
                "axial": self._axial,
                "coronal": self._coronal,
                "radial": self._radial,
                "sagittal_volume": self._sagittal,
                "axial_volume": self._axial_volume,
                "scout_copy": self._scout_copy,
            }
            self.planned[habit.view] = planning[habit.view](habit)
        size_px = _choice(self.rng, habit.matrix_px)
        if self.max_px is not None:
            size_px = min(size_px, self.max_px)
        stacks = [replace(s, planes=tuple(_with_matrix(p, size_px) for p in s.planes)) for s in self.planned[habit.view]]
        apart = habit.view == "axial" and self.axial_layout == "series_per_disk"
        groups = [[stack] for stack in stacks] if apart else [stacks]
        description, order = _choice(self.rng, habit.descriptions), _choice(self.rng, habit.orders)
        sequence = self._sequence(habit)
        tags = {**habit.tags, "ImageType": list(habit.image_type or self.vendor.image_type)}
        acquisition = self._acquisition()
        result = []
        for group in groups:
            places = file_order([len(stack.planes) for stack in group], order)
            planes = tuple(group[stack].planes[index] for stack, index in places)
            numbers = [index + 1 for _, index in places] if order == "restarting" else range(1, len(places) + 1)
            result.append(
                SeriesPlan(
                    description, sequence, planes, acquisition, habit.role, tuple(stack for stack, _ in places),
                    tuple(stack.level for stack in group), tuple(numbers), tags,
                )
            )  # fmt: skip
        return result

    def _acquisition(self) -> Acquisition:
        drawn = sample_acquisition(self.rng_of_scanner, self.vendor.acquisition, self.spine.front_depth_mm)
        # Noise against signal falls with the field, less than in proportion, since low fields are given more time.
        return replace(drawn, noise=drawn.noise * (1.5 / self.field_t) ** 0.4)

    def _draw(self, ends: Interval) -> float:
        return float(self.rng.uniform(*ends))

    def _count(self, habit: SeriesHabit) -> int:
        return int(self.rng.integers(habit.slices[0], habit.slices[1] + 1))

    def _sequence(self, habit: SeriesHabit) -> MrSequence:
        tr, te, ti = (round(self._draw(ends), 1) for ends in (habit.tr_ms, habit.te_ms, habit.ti_ms))
        # T1 grows with the field, and with it the inversion time at which fat is dark.
        ti = round(ti * (self.field_t / 1.5) ** 0.3, 1)
        echoes = int(habit.tags.get("EchoTrainLength", 16))
        return MrSequence(habit.sequence, tr, te, ti_ms=ti, field_t=self.field_t, echo_train=echoes)

    def _measures(self, habit: SeriesHabit) -> tuple[float, float, float]:
        """(thickness, step, field of view) in millimetres."""
        thickness = round(self._draw(habit.thickness_mm), 1)
        step = round(thickness * (1 + self._draw(habit.gap)), 2)
        return thickness, step, round(self._draw(habit.field_of_view_mm) / 5) * 5.0

    def _localizer(self, habit: SeriesHabit) -> list[_Stack]:
        count = self._count(habit)
        thickness, step, side = self._measures(habit)
        right, back, down = np.eye(3) * [1.0, 1.0, -1.0]
        result = []
        for row, column, along in ((back, down, right), (right, down, back), (right, back, down)):
            places = [self.middle + (k - (count - 1) / 2) * step * along for k in range(count)]
            result.append(_Stack(tuple(square_plane(place, row, column, side, 1, thickness) for place in places)))
        return result

    def _sagittal(self, habit: SeriesHabit) -> list[_Stack]:
        count = self._count(habit)
        thickness, step, side = self._measures(habit)
        center = self.middle + np.array([0.0, 15.0, 0.0])  # the canal and the muscle behind it matter as well
        planes = sagittal_planes(center, count, step, side, 1, float(self.rng.normal(0, 2)))
        return [_Stack(_as_thick(planes, thickness))]

    def _axial(self, habit: SeriesHabit) -> list[_Stack]:
        layout = self.axial_layout = _choice(self.rng, habit.stacks)
        levels = self.spine.presacral_levels[-_choice(self.rng, self.vendor.levels) :]
        count = self._count(habit)
        thickness, step, side = self._measures(habit)
        follows = self.rng.random()  # how far the technician follows a curve to the side
        disks = [self.spine.disks[level].disk for level in levels]
        normals = [unit(disk.normal_lps * [follows, 1.0, 1.0]) for disk in disks]
        centers = [disk.center_lps_mm for disk in disks]
        if layout == "block":
            normals, span = [unit(np.mean(normals, axis=0))], float(np.linalg.norm(centers[0] - centers[-1]))
            count, centers = int(np.ceil(span / step)) + 5, [(centers[0] + centers[-1]) / 2]
        result = []
        for number, (center, exact) in enumerate(zip(centers, normals, strict=True)):
            normal = unit(exact + np.radians(self.rng.normal(0, _TILT_ERROR_DEG, 3)) * [0.4, 1.0, 0.0])
            back = np.cross(normal, [1.0, 0.0, 0.0])
            place = center + self.rng.normal(0, 0.7) * exact + 0.1 * side * back
            planes = axial_stack(place, normal, count, step, side, 1)
            result.append(_Stack(_as_thick(planes, thickness), None if layout == "block" else levels[number]))
        return result

    def _axial_volume(self, habit: SeriesHabit) -> list[_Stack]:
        count = self._count(habit)
        thickness, step, side = self._measures(habit)
        center = self.spine.disks["L3-L4"].disk.center_lps_mm + np.array([0.0, 0.1 * side, -10.0])
        return [_Stack(_as_thick(axial_stack(center, np.array([0.0, 0.0, 1.0]), count, step, side, 1), thickness))]

    def _coronal(self, habit: SeriesHabit) -> list[_Stack]:
        count = self._count(habit)
        thickness, step, side = self._measures(habit)
        places = [self.middle + (10.0 + (k - (count - 1) / 2) * step) * np.eye(3)[1] for k in range(count)]
        right, down = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, -1.0])
        return [_Stack(tuple(square_plane(place, right, down, side, 1, thickness) for place in places))]

    def _radial(self, habit: SeriesHabit) -> list[_Stack]:
        """Slabs that turn about the thecal sac, from the coronal one on."""
        count = self._count(habit)
        thickness, _, side = self._measures(habit)
        sac = self.spine.body("L3").center_lps_mm + np.array([0.0, 25.0, 0.0])
        down = np.array([0.0, 0.0, -1.0])
        turns = np.arange(count) * np.pi / count
        rows = [np.array([np.cos(turn), np.sin(turn), 0.0]) for turn in turns]
        return [_Stack((square_plane(sac, row, down, side, 1, thickness),)) for row in rows]

    def _scout_copy(self, habit: SeriesHabit) -> list[_Stack]:
        """The middle sagittal image once more, as it is stored to show where the axial slices lie."""
        planes = self.planned["sagittal"][0].planes if "sagittal" in self.planned else self._sagittal(habit)[0].planes
        return [_Stack((planes[len(planes) // 2],))]


def file_order(counts: Sequence[int], order: str) -> list[tuple[int, int]]:
    """(stack, index) of each slice in the order in which it is filed; see ORDERS in bundle.phantom.vendors.

    Args:
        counts: slices of each stack; stacks and slices are in patient order.
        order: one of ORDERS.

    Example:
        >>> file_order([3, 2], "across_stacks")
        [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2)]
    """
    places = [(stack, index) for stack, count in enumerate(counts) for index in range(count)]
    if order == "descending":
        return places[::-1]
    keys: Mapping[str, Callable[[tuple[int, int]], tuple[int, ...]]] = {
        "interleaved": lambda place: (place[0], place[1] % 2, place[1]),
        "feet_first": lambda place: (-place[0], place[1]),
        "across_stacks": lambda place: (place[1], place[0]),
    }
    return sorted(places, key=keys[order]) if order in keys else places


def _with_matrix(plane: SlicePlane, size_px: int) -> SlicePlane:
    """The same square with ``size_px`` pixels a side."""
    side = plane.pixel_spacing_mm[0] * plane.shape[0]
    return square_plane(plane.center_lps_mm, plane.row_direction, plane.column_direction, side, size_px, plane.thickness_mm)


def _as_thick(planes: Sequence[SlicePlane], thickness_mm: float) -> tuple[SlicePlane, ...]:
    return tuple(replace(plane, thickness_mm=thickness_mm) for plane in planes)


def _choice(rng: np.random.Generator, choices: Sequence[_Choice]) -> _Choice:
    return choices[int(rng.integers(len(choices)))]
