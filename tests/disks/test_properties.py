"""Steps 2 and 3 on random patients: any anatomy, slice tilt, spacing, array order and patient position.

What is true comes from the phantom's own geometry (its disks and bodies), never from the code under test; that runs with the
settings of configs/inference.yaml. Patients are turned and moved after the truth is known, in all of their planes at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser
from scipy.spatial.transform import Rotation

from bundle.disks.transforms import CropRoisd, LocateDisksd, MatchSlicesd
from bundle.disks.types import SliceMatch
from bundle.geometry import DISK_LEVELS, LUMBAR_LEVELS, SliceBox, SlicePlane, Vertebra, angle_between_deg, unit
from bundle.geometry.lifting import lift_vertebra
from bundle.phantom.anatomy import Body, DiskShape, Spine, sample_spine
from bundle.phantom.paint import SpinePatient
from bundle.phantom.render import paint_plane
from bundle.phantom.tissues import TISSUES
from bundle.phantom.truth import boxes_on_slice, disk_at, vertebrae
from bundle.study.types import Study
from tests.conftest import ROOT
from tests.making import ORDERS, blank, reordered, series_of, spine_and_left_herniation, study_image

steady = settings(max_examples=60, deadline=None, derandomize=True)
CONFIG = ConfigParser(ConfigParser.load_config_file(ROOT / "configs" / "inference.yaml"))
LOCATOR, MATCHER, CROPPER = (CONFIG.get_parsed_content(name) for name in ("disk_locator", "slice_matcher", "roi"))
TILT_DEG = 45.0


# ---- patients ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Position:
    """A patient turned and moved as a whole, in LPS."""

    turn: np.ndarray
    shift_mm: np.ndarray

    def points(self, points_lps_mm: np.ndarray) -> np.ndarray:
        return np.asarray(points_lps_mm) @ self.turn.T + self.shift_mm

    def directions(self, directions: np.ndarray) -> np.ndarray:
        return np.asarray(directions) @ self.turn.T

    def plane(self, plane: SlicePlane) -> SlicePlane:
        return replace(
            plane,
            origin_lps_mm=self.points(plane.origin_lps_mm),
            row_direction=self.directions(plane.row_direction),
            column_direction=self.directions(plane.column_direction),
        )

    def vertebra(self, body: Vertebra) -> Vertebra:
        return replace(body, center_lps_mm=self.points(body.center_lps_mm), corners_lps_mm=self.points(body.corners_lps_mm))


#: Lying on the back or on the belly, head or feet first: half turns of the patient against the axes.
LYING = {
    "head first, supine": np.diag([1.0, 1.0, 1.0]),
    "head first, prone": np.diag([-1.0, -1.0, 1.0]),
    "feet first, supine": np.diag([-1.0, 1.0, -1.0]),
    "feet first, prone": np.diag([1.0, -1.0, -1.0]),
}


@st.composite
def positions(draw) -> Position:
    """Any way of lying, turned by up to 20 degrees about any axis and moved by up to 30 cm."""
    axis = unit([draw(st.floats(-1, 1)), draw(st.floats(-1, 1)), draw(st.floats(0.1, 1))])
    oblique = Rotation.from_rotvec(np.radians(draw(st.floats(-20, 20))) * axis).as_matrix()
    shift = np.array([draw(st.floats(-300, 300)) for _ in range(3)])
    return Position(oblique @ LYING[draw(st.sampled_from(sorted(LYING)))], shift)


AT_HOME = Position(np.eye(3), np.zeros(3))
seeds = st.integers(0, 10**6)
degrees = st.floats(-180, 180)
signed = st.floats(-1, 1)


@cache
def spine_of(seed: int) -> Spine:
    return sample_spine(seed)


# ---- axial slices, and what is true of them ----------------------------------------------------------------------------


def line_point(shape: DiskShape) -> np.ndarray:
    """Where a slice is judged: on the disk's middle plane, three quarters of the way from its front to its back edge."""
    return shape.disk.center_lps_mm + 0.5 * shape.half_depth_mm * shape.axes[1]


def between_endplates(spine: Spine, level: str, share: float) -> np.ndarray:
    """A point halfway between the endplates of the two bodies, at a share of the way from front to back."""
    upper, lower = (spine.body(name).corners_lps_mm() for name in level.split("-"))
    return ((1 - share) * (upper[3] + lower[0]) + share * (upper[2] + lower[1])) / 2


def clear_level(spine: Spine, plane: SlicePlane) -> tuple[bool, str | None]:
    """Whether it is clear what an axial slice shows, and then the disk's level, or None for a body.

    Clear is a slice that crosses the reference line of one disk, which runs along the disk's normal, within a third of the
    disk's height of its middle and at no more than 45 degrees; or of every disk farther away than the disk is high. Where a
    disk's height at that line differs from that at its centre, the smaller counts inside and the larger outside. Both of
    the phantom's accounts of the middle must say so, the disk's and that of the bodies beside it: by an old fracture,
    where they differ by up to 1.2 mm, a slice may be on the edge by one of them.
    """
    inside, apart = [], []
    for level in DISK_LEVELS:
        shape = spine.disks[level]
        up = shape.axes[2]
        cosine = float(plane.normal @ up)
        if abs(cosine) < 0.5:
            continue  # nearly along the line: no axial slice of this disk
        away = []
        for point in (line_point(shape), between_endplates(spine, level, 0.75)):
            along = -float(plane.signed_distance_mm(point)) / cosine
            if plane.contains_px(plane.to_pixel(point + along * up)):
                away.append(abs(along))
        if not away:
            continue
        heights = (shape.gap_mm, shape.gap_mm - shape.wedge * 0.5 * shape.half_depth_mm)
        apart.append(min(away) > max(heights))
        if len(away) == 2 and max(away) <= min(heights) / 3 and plane.angle_deg(up) <= TILT_DEG + 1e-6:
            inside.append(level)
    return len(inside) == 1 or all(apart), inside[0] if inside else None


def as_stored(plane: SlicePlane, order: tuple[bool, bool, bool]) -> SlicePlane:
    """The plane of an image whose array is stored another way."""
    return reordered(np.empty(plane.shape, dtype=np.uint8), plane, order)[1]


@st.composite
def axial_planes(draw, spine: Spine, level: str, at_mm: Sequence[float], sideways_deg: float = TILT_DEG) -> list[SlicePlane]:
    """Parallel slices that cross a disk's line ``at_mm`` along their normal: any tilt up to 45 degrees against the disk (and
    up to ``sideways_deg`` of lean), any turn in their plane, any pixels, stored any way."""
    shape = spine.disks[level]
    left, back, up = shape.axes
    tilt, toward, turn = np.radians([draw(st.floats(0, TILT_DEG)), draw(degrees), draw(degrees)])
    lean = np.tan(tilt) * np.sin(toward)
    lean = np.clip(lean, -np.tan(np.radians(sideways_deg)), np.tan(np.radians(sideways_deg)))
    normal = unit(up + np.tan(tilt) * np.cos(toward) * back + lean * left)
    side = unit(left - (left @ normal) * normal)
    row = np.cos(turn) * side + np.sin(turn) * np.cross(normal, side)
    column = np.cross(normal, row)
    spacing = (draw(st.floats(0.4, 2.0)), draw(st.floats(0.4, 2.0)))
    shape_px = (round(170 / spacing[0]), round(170 / spacing[1]))
    corner = line_point(shape)
    for along, step, count in zip((column, row), spacing, shape_px, strict=True):
        corner = corner - (0.5 + 0.3 * draw(signed)) * (count - 1) * step * along
    order = draw(st.sampled_from(ORDERS))
    return [as_stored(SlicePlane(corner + d * normal, row, column, spacing, shape_px, 4.0), order) for d in at_mm]


@st.composite
def any_slices(draw, spine: Spine) -> list[SlicePlane]:
    """One to five slices, each by itself near some disk."""
    planes: list[SlicePlane] = []
    for _ in range(draw(st.integers(1, 5))):
        level = draw(st.sampled_from(DISK_LEVELS))
        share, height = draw(signed), spine.disks[level].gap_mm
        share = share / 3 if draw(st.booleans()) else 1.5 * share + np.copysign(1.0, share)
        planes += draw(axial_planes(spine, level, [share * height]))
    return planes


@st.composite
def stacks(draw, spine: Spine, sideways_deg: float = TILT_DEG) -> list[SlicePlane]:
    """An axial series of one stack a disk, its slices in any order."""
    planes: list[SlicePlane] = []
    for level in DISK_LEVELS:
        step, count, off = draw(st.floats(3.0, 5.5)), draw(st.integers(3, 5)), draw(st.floats(-0.5, 0.5))
        at = [(off + k - (count - 1) / 2) * step for k in range(count)]
        planes += draw(axial_planes(spine, level, at, sideways_deg))
    return draw(st.permutations(planes))


def matches(bodies: Sequence[Vertebra], position: Position, planes: Sequence[SlicePlane]) -> tuple[SliceMatch, ...]:
    """Slices of the patient as he lies, matched by the config's own steps."""
    axial = series_of([blank(str(k), position.plane(plane)) for k, plane in enumerate(planes)])
    item = {"placed": Study("name", "uid", (), None, axial), "placed_vertebrae": bodies}
    return MatchSlicesd(MATCHER)(LocateDisksd(LOCATOR)(item))["matches"]


def check_against_truth(spine: Spine, planes: Sequence[SlicePlane], found: Sequence[SliceMatch]) -> None:
    """Every slice of which the truth is clear is matched rightly."""
    for plane, match in zip(planes, found, strict=True):
        clear, level = clear_level(spine, plane)
        if clear:
            assert disk_at(spine, plane)[0] == level  # the phantom's own judgement
            assert match.level == level


# ---- vertebrae as a detector finds them --------------------------------------------------------------------------------


def corners_on_slice(body: Body, plane: SlicePlane) -> np.ndarray:
    """(4, 2) pixels in which a sagittal slice cuts the edges of a body's endplates.

    The phantom's own boxes lay the body's upright section onto the slice, which makes a body that leans by 25 degrees
    against the slice 18% lower than the slice shows it.
    """
    normal, height = body.axes @ plane.normal, float(plane.signed_distance_mm(body.center_lps_mm))
    (top, bottom), (front, back) = body.half_depth_mm, body.half_height_mm
    v, w = np.array([-top, top, bottom, -bottom]), np.array([front, back, -back, -front])
    u = np.zeros(4)
    for _ in range(30):  # the depth changes a little to the sides
        depth = v * [body.section(float(left)) for left in u]
        u = -(height + normal[1] * depth + normal[2] * w) / normal[0]
    return plane.to_pixel(body.to_patient(np.stack([u, depth, w], axis=-1)))


@dataclass(frozen=True)
class SagittalStack:
    """A sagittal series that shows all bodies whole: turned, leaning, its picture rolled; the spine beside its middle."""

    turn_deg: float
    lean_deg: float
    roll_deg: float
    aside_mm: float
    step_mm: float
    spacing_mm: tuple[float, float]
    order: tuple[bool, bool, bool]
    seed: int

    def planes(self, spine: Spine) -> list[SlicePlane]:
        centers = np.array([spine.body(level).center_lps_mm for level in LUMBAR_LEVELS])
        angles = [self.turn_deg, self.lean_deg, self.roll_deg]
        left, back, up = Rotation.from_euler("zyx", angles, degrees=True).as_matrix().T
        shape = (round(320 / self.spacing_mm[0]), round(260 / self.spacing_mm[1]))
        middle = centers.mean(0)
        farthest = max(abs((centers - middle) @ left)) + 32.0  # half a body's width, and a slice
        count = 2 * int(np.ceil((farthest + abs(self.aside_mm)) / self.step_mm)) + 1
        corner = middle + self.aside_mm * left + 160 * up - 130 * back
        stack = [corner + (k - count // 2) * self.step_mm * left for k in range(count)]
        return [as_stored(SlicePlane(at, back, -up, self.spacing_mm, shape, 4.0), self.order) for at in stack]

    def vertebrae(self, spine: Spine, position: Position, noise_mm: float = 0.7) -> tuple[Vertebra, ...]:
        """The bodies lifted from what all slices show of them, as the finder does; each corner is off by about 1 mm, which
        is ``noise_mm`` (standard deviation) along either axis."""
        rng = np.random.default_rng(self.seed)
        boxes: dict[str, list[SliceBox]] = {level: [] for level in LUMBAR_LEVELS}
        lying = {}
        for number, plane in enumerate(self.planes(spine)):
            lying[str(number)] = position.plane(plane)
            step = np.array(plane.pixel_spacing_mm[::-1])
            for level, box in boxes_on_slice(spine, plane, str(number)):
                if level in boxes:
                    corners = corners_on_slice(spine.body(level), plane) + rng.normal(0, noise_mm, (4, 2)) / step
                    boxes[level].append(replace(box, score=float(rng.uniform(0.7, 1.0)), corners_px=corners))
        return tuple(lift_vertebra(level, found, lying) for level, found in boxes.items() if found)


@st.composite
def sagittal_stacks(draw) -> SagittalStack:
    return SagittalStack(
        turn_deg=draw(st.floats(-12, 12)),
        lean_deg=draw(st.floats(-12, 12)),
        roll_deg=draw(st.floats(-30, 30)),
        aside_mm=draw(st.floats(-8, 8)),
        step_mm=draw(st.floats(3.5, 5.0)),
        spacing_mm=(draw(st.floats(0.5, 1.2)), draw(st.floats(0.5, 1.2))),
        order=draw(st.sampled_from(ORDERS)),
        seed=draw(seeds),
    )


# ---- slice to disk ----------------------------------------------------------------------------------------------------


def moved(bodies: Sequence[Vertebra], position: Position) -> list[Vertebra]:
    return [position.vertebra(body) for body in bodies]


@steady
@given(st.data(), seeds, positions())
def test_each_slice_goes_to_its_disk_wherever_the_truth_is_clear(data, seed, position):
    spine = spine_of(seed)
    planes = data.draw(any_slices(spine))
    check_against_truth(spine, planes, matches(moved(vertebrae(spine), position), position, planes))


@steady
@given(st.data(), seeds, positions())
def test_each_slice_of_an_axial_series_goes_to_its_disk(data, seed, position):
    spine = spine_of(seed)
    planes = data.draw(stacks(spine))
    check_against_truth(spine, planes, matches(moved(vertebrae(spine), position), position, planes))


@steady
@given(st.data(), seeds, positions(), sagittal_stacks())
def test_each_slice_goes_to_its_disk_with_vertebrae_as_a_detector_finds_them(data, seed, position, stack):
    """Sideways the slices lean by 15 degrees at most: across sagittal slices 4 or 5 mm apart the bodies' middle is known to
    1 or 2 mm, which at 45 degrees would be as much along the disk's normal, and more than the sixth of a disk's height
    that is between a clear slice and the disk's edge."""
    spine = spine_of(seed)
    planes = data.draw(stacks(spine, sideways_deg=15.0))
    check_against_truth(spine, planes, matches(stack.vertebrae(spine, position), position, planes))


@steady
@given(st.data(), seeds)
def test_matches_do_not_depend_on_the_order_of_the_slices(data, seed):
    spine = spine_of(seed)
    planes = data.draw(stacks(spine))
    as_taken = matches(vertebrae(spine), AT_HOME, planes)
    order = data.draw(st.permutations(range(len(planes))))
    shuffled = matches(vertebrae(spine), AT_HOME, [planes[k] for k in order])
    assert [as_taken[k].level for k in order] == [match.level for match in shuffled]


def test_random_series_leave_enough_slices_whose_truth_is_clear():
    """Else the properties above would say little."""
    clear, of_a_disk, steep = 0, 0, 0

    @settings(max_examples=40, deadline=None, derandomize=True, database=None)
    @given(st.data(), seeds)
    def count(data, seed):
        nonlocal clear, of_a_disk, steep
        spine = spine_of(seed)
        for plane in data.draw(stacks(spine)):
            is_clear, level = clear_level(spine, plane)
            clear += is_clear
            of_a_disk += is_clear and level is not None
            steep += is_clear and level is not None and plane.angle_deg(spine.disks[level].axes[2]) > 30

    count()
    assert clear - of_a_disk >= 20
    assert of_a_disk >= 60
    assert steep >= 10


# ---- vertebrae and disks ----------------------------------------------------------------------------------------------


@steady
@given(seeds, positions(), sagittal_stacks())
def test_lifted_bodies_are_within_three_millimetres_of_the_true_ones(seed, position, stack):
    spine = spine_of(seed)
    found = {body.level: body for body in stack.vertebrae(spine, position)}
    assert set(found) == set(LUMBAR_LEVELS)
    for level, body in found.items():
        assert np.linalg.norm(body.center_lps_mm - position.points(spine.body(level).center_lps_mm)) < 3.0


@steady
@given(seeds, positions())
def test_left_of_a_disk_is_the_patients_left(seed, position):
    spine = spine_of(seed)
    for level, disk in LOCATOR(moved(vertebrae(spine), position)).items():
        left = np.cross(disk.posterior_lps, disk.normal_lps)
        assert angle_between_deg(left, position.directions(spine.disks[level].axes[0])) < 1.0
        assert left @ position.directions(np.array([1.0, 0.0, 0.0])) > 0.5


@pytest.mark.parametrize("lying", LYING)
def test_left_of_a_disk_is_the_patients_left_lying_any_way(lying):
    spine, position = spine_of(0), Position(LYING[lying], np.zeros(3))
    for disk in LOCATOR(moved(vertebrae(spine), position)).values():
        left = np.cross(disk.posterior_lps, disk.normal_lps)
        assert left @ position.directions(np.array([1.0, 0.0, 0.0])) > 0.9


# ---- regions of interest ------------------------------------------------------------------------------------------------


def true_roi_center(spine: Spine, level: str) -> np.ndarray:
    """On the disk's middle line, ``center_before_back_mm`` before its back edge, which is halfway between the back corners
    of the bodies' facing endplates."""
    return between_endplates(spine, level, 1.0) - CROPPER.center_before_back_mm * spine.disks[level].axes[1]


@steady
@given(st.data(), seeds, positions())
def test_axial_roi_is_within_two_millimetres_of_the_true_place(data, seed, position):
    """The true centre (true_roi_center) is carried along the disk's normal into the slice's plane. The slice passes within a
    third of the disk's height of its middle."""
    spine = spine_of(seed)
    level = data.draw(st.sampled_from(DISK_LEVELS))
    share = data.draw(signed) / 3
    (plane,) = data.draw(axial_planes(spine, level, [share * spine.disks[level].gap_mm]))
    square = CROPPER.axial_square(LOCATOR(moved(vertebrae(spine), position))[level], position.plane(plane))
    up, center = spine.disks[level].axes[2], true_roi_center(spine, level)
    true = center - float(plane.signed_distance_mm(center)) / float(plane.normal @ up) * up
    assert abs(plane.signed_distance_mm(true)) < 1e-6
    assert np.linalg.norm(square.center_lps_mm - position.points(true)) < 2.0


@steady
@given(st.data(), seeds, positions(), sagittal_stacks())
def test_sagittal_roi_is_within_two_millimetres_of_the_true_place(data, seed, position, stack):
    """The true centre (true_roi_center) is carried across the slice into its plane."""
    spine = spine_of(seed)
    plane = data.draw(st.sampled_from(stack.planes(spine)))
    for level, disk in LOCATOR(moved(vertebrae(spine), position)).items():
        square = CROPPER.sagittal_square(disk, position.plane(plane))
        center = true_roi_center(spine, level)
        true = center - float(plane.signed_distance_mm(center)) * plane.normal
        assert np.linalg.norm(square.center_lps_mm - position.points(true)) < 2.0


# ---- left stays left ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def herniated():
    """A phantom's spine, an axial slice of its L4-L5, and what a herniation to the left and back adds to the picture."""
    spine, ill = spine_and_left_herniation()
    shape = spine.disks["L4-L5"]
    left, back, _ = shape.axes
    plane = SlicePlane(shape.disk.center_lps_mm - 50 * left - 50 * back, left, back, (1.0, 1.0), (101, 101), 4.0)
    contrast = torch.zeros(1, len(TISSUES))
    contrast[0, TISSUES.index("annulus")] = 1.0
    well_picture, ill_picture = (paint_plane(SpinePatient(s), plane, contrast)[0].numpy() for s in (spine, ill))
    return spine, plane, np.clip(ill_picture - well_picture, 0, None)


@pytest.mark.parametrize("lying", LYING)
@pytest.mark.parametrize("order", ORDERS)
def test_herniation_to_the_left_stays_left(herniated, order, lying):
    spine, plane, added = herniated
    oblique = Rotation.from_rotvec(np.radians([12.0, -9.0, 15.0])).as_matrix()
    position = Position(oblique @ LYING[lying], np.array([30.0, -120.0, 250.0]))
    stored, stored_plane = reordered(added, plane, order)
    axial = series_of([study_image("a", stored, position.plane(stored_plane))])
    sagittal_plane = SagittalStack(0, 0, 0, 0, 4.0, (1.0, 1.0), order, 0).planes(spine)
    sagittal = series_of([blank(f"s{k}", position.plane(p)) for k, p in enumerate(sagittal_plane)], "sagittal")
    item = {
        "placed": Study("name", "uid", (), sagittal, axial),
        "placed_vertebrae": moved(vertebrae(spine), position),
    }
    for step in (LocateDisksd(LOCATOR), MatchSlicesd(MATCHER), CropRoisd(CROPPER, MATCHER)):
        item = step(item)
    roi = item["readings"][DISK_LEVELS.index("L4-L5")].axial
    pixels = roi.pixels[len(roi.pixels) // 2]
    assert pixels.sum() > 50
    rows, columns = np.indices(pixels.shape)
    column, row = np.average(columns, weights=pixels), np.average(rows, weights=pixels)
    assert column > (pixels.shape[1] - 1) / 2 + 10  # the right half of the picture is the patient's left
    assert row > (pixels.shape[0] - 1) / 2 + 5  # the back is below
    place = roi.plane.to_patient([column, row]) - position.points(spine.disks["L4-L5"].disk.center_lps_mm)
    assert place @ position.directions(np.array([1.0, 0.0, 0.0])) > 5  # LPS x before the patient was turned
