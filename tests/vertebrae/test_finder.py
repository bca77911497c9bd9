"""The finder with a detector that reads the truth off the picture: place, names and flags of a whole study."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bundle.geometry import BODY_LEVELS, LUMBAR_LEVELS
from bundle.phantom.anatomy import Spine, sample_spine
from bundle.phantom.study import sagittal_planes
from bundle.phantom.truth import boxes_on_slice
from bundle.study.types import Series
from bundle.vertebrae.finder import VertebraFinder, likeness
from bundle.vertebrae.naming import Naming
from bundle.vertebrae.view import sagittal_view
from bundle.weights import WeightsError, save_weights
from tests.making import ORDERS, reordered, series_of, study_image

SEED = 9
SIDE = 200


class KnowingDetector(nn.Module):
    """Gives the bodies that are planned for each picture, in the order in which pictures are shown."""

    def __init__(self, planned: dict[int, dict[str, torch.Tensor]]) -> None:
        super().__init__()
        self.network = nn.Linear(1, 1)
        self.planned = planned
        self.seen: list[torch.Tensor] = []

    def forward(self, pictures: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        self.seen += pictures
        return [self.planned[len(self.seen) - len(pictures) + k] for k in range(len(pictures))]


def output(found, confusion: float = 0.0, score: float = 0.9, transition: float = 0.1) -> dict[str, torch.Tensor]:
    """A detector's output, (row, column), of boxes (column, row)."""
    boxes = np.asarray([b.xyxy for _, b in found], dtype=np.float32).reshape(-1, 4)[:, [1, 0, 3, 2]]
    corners = np.asarray([b.corners_px for _, b in found], dtype=np.float32).reshape(-1, 4, 2)[..., ::-1]
    scores = np.full((len(found), len(BODY_LEVELS)), 0.02 + confusion, dtype=np.float32)
    for k, (level, _) in enumerate(found):
        scores[k, BODY_LEVELS.index(level)] = score
    return {
        "boxes": torch.from_numpy(boxes.copy()),
        "labels": torch.from_numpy(scores.argmax(1)) if len(found) else torch.zeros(0, dtype=torch.int64),
        "labels_scores": torch.full((len(found),), score),
        "class_scores": torch.from_numpy(scores),
        "corners": torch.from_numpy(corners.copy()),
        "transition": torch.full((len(found),), transition),
    }


def examination(spine: Spine, order=(False, False, False), slices: int = 15, step_mm: float = 4.0) -> Series:
    """Sagittal images of a spine whose pixels tell their height in the patient."""
    middle = np.mean([spine.body(level).center_lps_mm for level in ("L1", "L3", "S1")], axis=0)
    images = []
    for k, plane in enumerate(sagittal_planes(middle, slices, step_mm, 320.0, SIDE, 6.0)):
        rows, columns = np.indices(plane.shape)
        height = plane.to_patient(np.stack([columns, rows], axis=-1))[..., 2]
        images.append(study_image(f"slice{k}", *reordered(height, plane, order)))
    return series_of(images, "sagittal", [tuple(range(slices))])


def truth_of(spine: Spine, series: Series, longest_px: int = 256):
    views = [sagittal_view(image.plane, longest_px) for image in series.images]
    return [boxes_on_slice(spine, view) for view in views]


def finder(tmp_path, planned: list[dict], **settings) -> VertebraFinder:
    detector = KnowingDetector(dict(enumerate(planned)))
    return VertebraFinder(detector, save_weights(detector.network, tmp_path / "v.pt"), **settings)


def find(tmp_path, series: Series, planned: list[dict], **settings):
    return finder(tmp_path, planned, **settings)(series)


@pytest.fixture(scope="module")
def spine() -> Spine:
    return sample_spine(SEED)


@pytest.mark.parametrize("order", ORDERS)
def test_bodies_are_named_and_placed_where_they_are_in_the_patient(spine, tmp_path, order):
    series = examination(spine, order)
    vertebrae, flags = find(tmp_path, series, [output(t) for t in truth_of(spine, series)])
    assert flags == ()
    by_level = {v.level: v for v in vertebrae}
    for level in LUMBAR_LEVELS:
        true = spine.body(level)
        assert np.linalg.norm(by_level[level].center_lps_mm - true.center_lps_mm) < 3.0
        # Across the slices corners lie in the slices' plane, which is turned by 6 degrees against the patient.
        assert np.abs(by_level[level].corners_lps_mm - true.corners_lps_mm())[:, 1:].max() < 1.0


def test_bodies_come_from_the_head_down(spine, tmp_path):
    series = examination(spine)
    vertebrae, _ = find(tmp_path, series, [output(t) for t in truth_of(spine, series)])
    heights = [v.center_lps_mm[2] for v in vertebrae]
    assert heights == sorted(heights, reverse=True)
    assert [v.level for v in vertebrae if v.level in LUMBAR_LEVELS] == list(LUMBAR_LEVELS)


@pytest.mark.parametrize("order", ORDERS[::3])
def test_detector_sees_upright_pictures_of_one_size_from_zero_to_one(spine, tmp_path, order):
    series = examination(spine, order)
    tool = finder(tmp_path, [output(t) for t in truth_of(spine, series)])
    tool.detect(series.images)
    for picture in tool.detector.seen:
        assert tuple(picture.shape) == (1, 256, 256)
        assert (float(picture.min()), float(picture.max())) == (0.0, 1.0)
        assert picture[0, 20].mean() > picture[0, 230].mean()  # the pixels tell their height: the head is up


def test_boxes_are_given_in_the_images_own_pixels(spine, tmp_path):
    order = (True, True, False)
    series = examination(spine, order)
    vertebrae, _ = find(tmp_path, series, [output(t) for t in truth_of(spine, series)])
    planes = {image.sop_instance_uid: image.plane for image in series.images}
    l3 = next(v for v in vertebrae if v.level == "L3")
    assert len(l3.boxes) >= 5
    for box in l3.boxes:
        plane = planes[box.sop_instance_uid]
        true = dict(boxes_on_slice(spine, plane))["L3"]
        assert box.xyxy == pytest.approx(true.xyxy, abs=0.01)
        assert box.corners_px == pytest.approx(true.corners_px, abs=0.01)


def test_one_slice_with_wrong_names_is_outvoted(spine, tmp_path):
    series = examination(spine)
    truth = truth_of(spine, series)
    planned = [output(t) for t in truth]
    scores = planned[4]["class_scores"].roll(1, dims=1)  # each body looks like the one above it
    scores[:, -1] = torch.maximum(scores[:, -1], scores[:, 0])
    scores[:, 0] = 0.02
    planned[4]["class_scores"] = scores
    vertebrae, _ = find(tmp_path, series, planned)
    right, _ = find(tmp_path, series, [output(t) for t in truth])
    assert [v.level for v in vertebrae] == [v.level for v in right]


def test_box_on_a_single_slice_is_no_body(spine, tmp_path):
    series = examination(spine)
    planned = [output(t) for t in truth_of(spine, series)]
    usual, _ = find(tmp_path, series, planned)
    stray = {key: value[:1].clone() for key, value in planned[2].items()}
    stray["boxes"] += torch.tensor([0.0, 60.0, 0.0, 60.0])
    stray["corners"] += torch.tensor([0.0, 60.0])
    planned[2] = {key: torch.cat([value, stray[key]]) for key, value in planned[2].items()}
    vertebrae, _ = find(tmp_path, series, planned)
    assert [(v.level, len(v.boxes)) for v in vertebrae] == [(v.level, len(v.boxes)) for v in usual]


def test_body_seen_on_a_single_slice_is_not_believed(spine, tmp_path):
    series = examination(spine)
    truth = truth_of(spine, series)
    planned = [output([b for b in t if b[0] != "L1" or k == 7]) for k, t in enumerate(truth)]
    vertebrae, flags = find(tmp_path, series, planned)
    assert "L1" not in {v.level for v in vertebrae}
    assert "levels_missing" in flags


def test_joint_behind_the_column_is_no_body_however_often_it_is_seen(spine, tmp_path):
    series = examination(spine)
    truth = truth_of(spine, series)
    expected = {v.level: v.center_lps_mm for v in find(tmp_path, series, [output(t) for t in truth])[0]}
    for shown in [t for t in truth if {"L2", "L3"} <= {level for level, _ in t}]:  # as high as the disk L2-L3, behind it
        boxes = dict(shown)
        (x0, y0, x1, y1), above = boxes["L3"].xyxy, boxes["L2"].xyxy
        moved = np.array([0.85 * (x1 - x0), (above[1] - y0) / 2])
        joint = replace(boxes["L3"], xyxy=(x0 + moved[0], y0 + moved[1], x1 + moved[0], y1 + moved[1]),
                        corners_px=boxes["L3"].corners_px + moved)  # fmt: skip
        shown.append(("L2", joint))
    found = {v.level: v.center_lps_mm for v in find(tmp_path, series, [output(t) for t in truth])[0]}
    assert found.keys() == expected.keys()
    assert max(np.linalg.norm(found[level] - expected[level]) for level in expected) < 1.0


def test_body_has_at_most_one_box_a_slice(spine, tmp_path):
    series = examination(spine)
    planned = [output(t + t) for t in truth_of(spine, series)]
    vertebrae, _ = find(tmp_path, series, planned)
    for body in vertebrae:
        slices = [box.sop_instance_uid for box in body.boxes]
        assert len(slices) == len(set(slices))


def test_nothing_found_is_told(spine, tmp_path):
    series = examination(spine)
    assert find(tmp_path, series, [output([]) for _ in series.images]) == ((), ("no_spine_found",))


def test_two_bodies_are_no_spine(spine, tmp_path):
    series = examination(spine)
    few = [output([b for b in t if b[0] in ("L3", "L4")]) for t in truth_of(spine, series)]
    assert find(tmp_path, series, few) == ((), ("no_spine_found",))


def test_weak_detections_are_no_spine(spine, tmp_path):
    series = examination(spine)
    weak = [output(t, score=0.35) for t in truth_of(spine, series)]
    assert find(tmp_path, series, weak, min_likeness=0.4) == ((), ("no_spine_found",))


def test_outer_slices_on_which_bodies_look_like_less_do_not_have_a_spine_refused(spine, tmp_path):
    series = examination(spine)
    truth = truth_of(spine, series)
    # The middle five of fifteen slices are sure; each slice alone of the others would be refused.
    planned = [output(t, score=0.9 if 5 <= k < 10 else 0.4) for k, t in enumerate(truth)]
    vertebrae, flags = find(tmp_path, series, planned)
    assert set(LUMBAR_LEVELS) <= {v.level for v in vertebrae}
    assert flags == ()
    weak = [output(t, score=0.4) for t in truth]
    assert find(tmp_path, series, weak) == ((), ("no_spine_found",))


def test_one_slice_that_is_sure_and_wrong_does_not_have_a_spine_refused(spine, tmp_path):
    series = examination(spine)
    truth = truth_of(spine, series)
    planned = [output(t) for t in truth]
    wrong = output(truth[7], score=0.95)
    for level in ("L2", "L3"):
        row = [name for name, _ in truth[7]].index(level)
        wrong["class_scores"][row] = wrong["class_scores"][row].roll(3)
    planned[7] = wrong
    vertebrae, flags = find(tmp_path, series, planned)
    assert set(LUMBAR_LEVELS) <= {v.level for v in vertebrae}
    assert flags == ()
    assert find(tmp_path, series, planned, surest_slices=1) == ((), ("no_spine_found",))


@pytest.mark.parametrize(("settings", "expected"), [({}, 0.9), ({"fewer": 3}, 0.45), ({"margin": 0.0}, 0.675)])
def test_likeness_falls_with_fewer_bodies_and_with_names_that_are_a_toss_up(settings, expected):
    number = settings.get("fewer", 7)
    scores = np.full((number + 1, len(BODY_LEVELS)), 0.1)
    levels = np.append(np.arange(number), -1)  # one more body is no part of the column
    scores[np.arange(number), np.arange(number)] = 0.9
    assert likeness(Naming(levels, settings.get("margin", 4.0)), scores[:, None]) == pytest.approx(expected)


def test_nothing_is_not_like_a_spine():
    assert likeness(Naming(np.array([-1]), 0.0), np.ones((1, 1, len(BODY_LEVELS)))) == 0


def test_missing_sacrum_is_flagged(spine, tmp_path):
    series = examination(spine)
    planned = [output([b for b in t if b[0] not in ("S1", "S2")]) for t in truth_of(spine, series)]
    vertebrae, flags = find(tmp_path, series, planned)
    assert "S1" not in {v.level for v in vertebrae}
    assert set(flags) >= {"sacrum_not_seen", "levels_missing"}


def test_missing_lumbar_body_is_flagged_and_shifts_no_name(spine, tmp_path):
    series = examination(spine)
    truth = truth_of(spine, series)
    vertebrae, flags = find(tmp_path, series, [output([b for b in t if b[0] != "L3"]) for t in truth])
    assert flags == ("levels_missing",)
    l2 = next(v for v in vertebrae if v.level == "L2")
    assert np.linalg.norm(l2.center_lps_mm - spine.body("L2").center_lps_mm) < 3.0


def test_names_that_might_be_shifted_are_flagged(spine, tmp_path):
    series = examination(spine)
    above = [[b for b in t if b[0] in ("T12", "L1", "L2", "L3", "L4", "L5")] for t in truth_of(spine, series)]
    planned = [output(t, score=0.99) for t in above]
    for one in planned:  # the next lower name scores as much
        one["class_scores"] = torch.maximum(one["class_scores"], one["class_scores"].roll(-1, dims=1) - 0.01)
    _, flags = find(tmp_path, series, planned)
    assert "levels_unsure" in flags


@pytest.mark.parametrize(("transition", "flags"), [(0.3, ()), (0.8, ("transitional_anatomy",))])
def test_body_between_lumbar_and_sacral_is_flagged(spine, tmp_path, transition, flags):
    series = examination(spine)
    planned = [output(t, transition=transition) for t in truth_of(spine, series)]
    assert find(tmp_path, series, planned)[1] == flags


@pytest.mark.parametrize(("slices", "flags"), [(2, ()), (3, ("transitional_anatomy",))])
def test_most_of_a_body_s_slices_decide_whether_it_is_transitional(spine, tmp_path, slices, flags):
    series = examination(spine, slices=5)
    planned = [output(t, transition=0.75 if k < slices else 0.0) for k, t in enumerate(truth_of(spine, series))]
    assert find(tmp_path, series, planned)[1] == flags


@pytest.mark.parametrize(("said", "flags"), [(None, ()), (1.9, ()), (2.1, ("ribs_do_not_fit",))])
def test_ribs_that_speak_against_the_names_are_flagged(spine, tmp_path, said, flags):
    series = examination(spine)
    asked = []

    def ribs(images, vertebrae):
        asked.append(([image.sop_instance_uid for image in images], [v.level for v in vertebrae]))
        return said

    column = finder(tmp_path, [output(t) for t in truth_of(spine, series)], ribs=ribs, max_ribs=2.0).find(series)
    assert (column.flags, column.ribs) == (flags, said)
    ((slices, levels),) = asked
    assert set(slices) == {image.sop_instance_uid for image in series.images}
    assert {"T12", "L1"} <= set(levels)


@pytest.mark.parametrize(("longest_px", "looks"), [(256, 1), (100, 2), (500, 2)])
def test_bodies_of_an_unusual_size_are_looked_at_again_in_a_fitting_view(spine, tmp_path, longest_px, looks):
    series = examination(spine, slices=1)
    fitting = min(longest_px * np.sqrt(18 * 40) / _size_px(truth_of(spine, series, longest_px)[0]), 2.5 * longest_px)
    first, second = (truth_of(spine, series, int(size))[0] for size in (longest_px, fitting))
    detector = finder(tmp_path, [output(first), output(second, score=0.95)], longest_px=longest_px)
    vertebrae, _ = detector(series)
    assert len(detector.detector.seen) == looks
    by_level = {v.level: v for v in vertebrae}
    for level in LUMBAR_LEVELS:
        off = by_level[level].center_lps_mm - spine.body(level).center_lps_mm
        assert np.linalg.norm(off[1:]) < 3.5  # across the single slice nothing is known


def test_second_look_that_sees_less_is_forgotten(spine, tmp_path):
    series = examination(spine, slices=1)
    truth = truth_of(spine, series, 100)[0]
    detector = finder(tmp_path, [output(truth), output(truth[:2])], longest_px=100)
    assert len(detector.detect(series.images)) == len(truth)


def _size_px(found) -> float:
    return float(np.median([np.sqrt((b.xyxy[2] - b.xyxy[0]) * (b.xyxy[3] - b.xyxy[1])) for _, b in found]))


def test_only_the_middle_slices_are_looked_at(spine, tmp_path):
    series = examination(spine, slices=9)
    planned = [output(t) for t in truth_of(spine, series)][2:7]
    tool = finder(tmp_path, planned, reach_mm=8.5)  # slices are 4 mm apart
    vertebrae, _ = tool(series)
    assert len(tool.detector.seen) == 5
    assert {b.sop_instance_uid for v in vertebrae for b in v.boxes} <= {f"slice{k}" for k in range(2, 7)}


def test_thin_slices_are_looked_at_only_every_so_many(spine, tmp_path):
    series = examination(spine, slices=21, step_mm=1.0)
    expected = [f"slice{k}" for k in range(1, 20, 3)]  # the middle one, 10, is among them
    truth = {image.sop_instance_uid: t for image, t in zip(series.images, truth_of(spine, series), strict=True)}
    tool = finder(tmp_path, [output(truth[name]) for name in expected], step_mm=3.0)
    vertebrae, _ = tool(series)
    assert {b.sop_instance_uid for v in vertebrae for b in v.boxes} == set(expected)


def test_a_single_slice_is_looked_at(spine, tmp_path):
    series = examination(spine, slices=1)
    tool = finder(tmp_path, [output(t) for t in truth_of(spine, series)])
    assert {v.level for v in tool(series)[0]} >= {"L1", "L5", "S1"}


def test_largest_stack_is_read(spine, tmp_path):
    series = examination(spine, slices=9)
    stray = study_image("stray", np.zeros((SIDE, SIDE)), series.images[0].plane)
    both = series_of([stray, *series.images], "sagittal", [(0,), tuple(range(1, 10))])
    tool = finder(tmp_path, [output(t) for t in truth_of(spine, series)])
    vertebrae, _ = tool(both)
    assert "stray" not in {b.sop_instance_uid for v in vertebrae for b in v.boxes}
    assert len(tool.detector.seen) == 9


def test_plain_image_has_names_and_boxes_but_no_place(spine, tmp_path):
    series = examination(spine, slices=1)
    plain = study_image("spine.png", series.images[0].load_pixels(), None)
    # A plain image counts as upright with pixels of 1 mm, and is seen with 256 of them along its longer side.
    view = sagittal_view(series.images[0].plane, 256)
    shown = output(boxes_on_slice(spine, view))
    # The second look is at the same picture upside down.
    vertebrae, flags = find(tmp_path, series_of([plain], "sagittal", [(0,)]), [shown, output([])])
    assert flags == ()
    for body in vertebrae:
        assert body.center_lps_mm is None and body.corners_lps_mm is None
        (box,) = body.boxes
        assert box.sop_instance_uid == "spine.png"
    true = dict(boxes_on_slice(spine, series.images[0].plane))["L3"]
    assert next(v for v in vertebrae if v.level == "L3").boxes[0].xyxy == pytest.approx(true.xyxy, abs=0.01)


def test_missing_weights_are_told(spine, tmp_path):
    series = examination(spine, slices=1)
    with pytest.raises(WeightsError, match="missing"):
        VertebraFinder(KnowingDetector({}), tmp_path / "none.pt")(series)


def test_plain_picture_that_stands_on_its_head_is_refused(spine, tmp_path):
    series = examination(spine, slices=1)
    picture = replace(series.images[0], plane=None)
    plain = replace(series, images=(picture,))
    truth = truth_of(spine, series)[0]
    upright, fallen = output(truth), output(truth, score=0.3)
    assert find(tmp_path, plain, [upright, fallen])[1] == ()
    assert find(tmp_path, plain, [fallen, upright], min_likeness=0.1) == ((), ("picture_upside_down",))


def test_find_tells_by_how_much_the_names_won(spine, tmp_path):
    series = examination(spine)
    planned = [output(t) for t in truth_of(spine, series)]
    found = finder(tmp_path, planned).find(series)
    vertebrae, flags = find(tmp_path, series, planned)
    assert found.flags == flags and [v.level for v in found.vertebrae] == [v.level for v in vertebrae]
    assert found.margin > 3.0  # else the levels would be unsure
