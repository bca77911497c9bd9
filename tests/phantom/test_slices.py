import pickle

import numpy as np
import pytest
import torch

from bundle.geometry import BODY_LEVELS, SliceBox, angle_between_deg
from bundle.geometry.resample import square_plane
from bundle.phantom.slices import (
    DEFAULT_CONTRASTS,
    NEGATIVES,
    VertebraSlices,
    acquisition_rates,
    draw,
    sagittal_plane,
    targets,
)

SMALL = {"size_px": 64, "spacing_mm": (4.4, 0.4), "negatives": 0.0}


def same(a: dict, b: dict) -> bool:
    def alike(x, y) -> bool:
        return x == y if isinstance(x, str) else torch.equal(torch.nan_to_num(x, -1), torch.nan_to_num(y, -1))

    return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)


def test_same_index_is_the_same_slice_whatever_was_asked_before():
    one, other = VertebraSlices(8, seed=1, **SMALL), VertebraSlices(8, seed=1, **SMALL)
    for index in (5, 0, 5, 3):
        first = one[index]
        assert same(first, other[index])
        other[(index + 4) % 8]


def test_length_does_not_change_the_slices():
    assert same(VertebraSlices(4, seed=1, **SMALL)[2], VertebraSlices(100, seed=1, **SMALL)[2])


def test_copy_in_another_process_gives_the_same_slices():
    dataset = VertebraSlices(4, seed=1, **SMALL)
    assert same(dataset[1], pickle.loads(pickle.dumps(dataset))[1])


def test_other_indices_and_seeds_are_other_slices():
    dataset = VertebraSlices(4, seed=1, **SMALL)
    assert not torch.equal(dataset[0]["image"], dataset[2]["image"])
    assert not torch.equal(dataset[0]["image"], VertebraSlices(4, seed=2, **SMALL)[0]["image"])


def test_items_of_one_plane_differ_in_contrast_and_share_their_truth():
    dataset = VertebraSlices(4, seed=1, **SMALL, contrasts_per_plane=2)
    one, other, next_plane = dataset[0], dataset[1], dataset[2]
    assert not torch.equal(one["image"], other["image"])
    assert torch.equal(one["boxes"], other["boxes"])
    assert one["boxes"].shape != next_plane["boxes"].shape or not torch.equal(one["boxes"], next_plane["boxes"])


def test_item_has_the_shapes_and_types_that_the_detector_takes():
    item = VertebraSlices(1, seed=1, **SMALL)[0]
    n = len(item["labels"])
    assert n >= 4
    assert (item.pop("patient"), item.pop("contrast") in DEFAULT_CONTRASTS) == ("1 0", True)
    assert {k: tuple(v.shape) for k, v in item.items()} == {
        "image": (1, 64, 64), "boxes": (n, 4), "labels": (n,), "corners": (n, 4, 2), "transition": (n,), "pixel_mm": (),
    }  # fmt: skip
    assert {item[k].dtype for k in item if k != "labels"} == {torch.float32}
    assert item["labels"].dtype == torch.int64


def test_boxes_are_rows_before_columns_and_lie_on_the_image():
    dataset = VertebraSlices(8, seed=3, **SMALL)
    for index in range(0, 8, 2):
        item = dataset[index]
        assert (item["boxes"][:, :2] < item["boxes"][:, 2:]).all()
        assert item["boxes"].min() >= 0 and item["boxes"].max() <= 63
        # The head is up: going up the column means smaller rows.
        order = item["labels"].argsort(stable=True)
        named = item["labels"][order] < len(BODY_LEVELS) - 1
        rows = item["boxes"][order, 0][named]
        assert (rows.diff() < 0).all()


def test_corners_lie_around_their_box():
    item = VertebraSlices(1, seed=1, **SMALL)[0]
    middle = (item["boxes"][:, :2] + item["boxes"][:, 2:]) / 2
    assert (item["corners"].mean(1) - middle).abs().max() < 2


@pytest.mark.parametrize("seed", range(3))
def test_negatives_have_no_bodies(seed):
    kinds = {kind: share for kind, share in NEGATIVES.items() if kind not in ("neck", "chest")}
    dataset = VertebraSlices(6, seed=seed, negative_kinds=kinds, **{**SMALL, "negatives": 1.0})
    for index in range(0, 6, 2):
        item = dataset[index]
        assert len(item["boxes"]) == len(item["labels"]) == len(item["corners"]) == 0
        assert torch.isfinite(item["image"]).all() and item["image"].std() > 0


@pytest.mark.parametrize("index", [-1, 4])
def test_index_beyond_the_end_is_refused(index):
    with pytest.raises(IndexError):
        VertebraSlices(4, **SMALL)[index]


def test_targets_exchange_columns_and_rows():
    corners = np.array([[1.0, 2.0], [5.0, 2.5], [5.5, 8.0], [1.5, 7.0]])
    found = targets([("L3", SliceBox("a", (1.0, 2.0, 5.5, 8.0), 1.0, corners))])
    assert found["boxes"].tolist() == [[2.0, 1.0, 8.0, 5.5]]
    assert found["corners"].tolist() == [corners[:, ::-1].tolist()]
    assert found["labels"].tolist() == [BODY_LEVELS.index("L3")]


def test_no_bodies_are_empty_targets():
    shapes = {k: tuple(v.shape) for k, v in targets([]).items()}
    assert shapes == {"boxes": (0, 4), "labels": (0,), "corners": (0, 4, 2), "transition": (0,)}


def test_transition_is_known_of_the_bodies_that_can_show_it():
    found = [(level, SliceBox("a", (1.0, 2.0, 5.5, 8.0), 1.0, np.zeros((4, 2)))) for level in ("L4", "L5", "S1", "S2")]
    for transitional in (False, True):
        value = targets(found, transitional)["transition"]
        assert value[1:3].tolist() == [float(transitional)] * 2
        assert torch.isnan(value[[0, 3]]).all()


@pytest.mark.parametrize(("transition", "value"), [("sacralised L5", 1.0), ("lumbarised S1", 1.0), ("T13", 0.0)])
def test_slices_of_a_transitional_patient_say_so(transition, value):
    dataset = VertebraSlices(8, seed=2, transitions={transition: 1.0}, **{**SMALL, "size_px": 96})
    known = torch.cat([dataset[k]["transition"] for k in range(0, 8, 2)])
    known = known[~torch.isnan(known)]
    assert len(known) >= 2 and (known == value).all()


def test_names_of_a_transitional_patient_can_be_left_out():
    settings = {"transitions": {"sacralised L5": 1.0}, **SMALL}
    item = VertebraSlices(2, seed=2, name_transitional=False, **settings)[0]
    assert len(item["labels"]) >= 4 and (item["labels"] == -1).all()
    assert (VertebraSlices(2, seed=2, **settings)[0]["labels"] >= 0).all()
    assert (VertebraSlices(2, seed=2, name_transitional=False, transitions={}, **SMALL)[0]["labels"] >= 0).all()


def test_items_of_one_plane_have_the_same_patient_and_say_their_contrast():
    dataset = VertebraSlices(8, seed=1, contrasts={"T1": 1.0}, **SMALL)
    assert dataset[0]["patient"] == dataset[1]["patient"] != dataset[2]["patient"]
    assert {dataset[k]["contrast"] for k in range(8)} == {"T1"}


def test_draw_follows_the_shares():
    rng = np.random.default_rng(0)
    drawn = [draw(rng, {"a": 3.0, "b": 1.0, "c": 0.0}) for _ in range(400)]
    assert drawn.count("a") / 400 == pytest.approx(0.75, abs=0.06)
    assert "c" not in drawn


def test_plane_is_centred_on_its_point():
    plane = square_plane(np.array([1.0, 2, 3]), np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), 100.0, 50, 4.0)
    assert plane.center_lps_mm == pytest.approx([1, 2, 3])
    assert plane.pixel_spacing_mm == (2.0, 2.0)


def test_drawn_sagittal_planes_are_upright_and_near_the_middle():
    rng = np.random.default_rng(0)
    for _ in range(20):
        plane = sagittal_plane(rng, np.zeros(3), 64, 280.0, 9.0)
        assert plane.row_direction[1] > 0.9 and plane.column_direction[2] < -0.9
        assert angle_between_deg(plane.normal, [1, 0, 0]) < 20
        assert abs(plane.center_lps_mm[0]) < 40


def test_cut_slice_is_black_below_its_last_row_and_shows_no_body_there():
    dataset = VertebraSlices(24, seed=1, **SMALL, cut=1.0, contrasts_per_plane=1)
    cut = 0
    for index in range(24):
        item = dataset[index]
        dark = (item["image"][0] == 0).all(1)
        if dark[-1]:
            cut += 1
            last = int((~dark).nonzero().max())
            assert (item["boxes"][:, 2] <= last).all()
    assert cut >= 3


@pytest.mark.parametrize("kind", ["neck", "chest"])
def test_neck_and_chest_have_bodies_above_the_lumbar_spine_only(kind):
    dataset = VertebraSlices(6, seed=4, negative_kinds={kind: 1.0}, **{**SMALL, "negatives": 1.0})
    labels = torch.cat([dataset[index]["labels"] for index in range(0, 6, 2)])
    assert len(labels) > 6
    assert set(labels.tolist()) <= {BODY_LEVELS.index("T11"), BODY_LEVELS.index("T12")}


def test_lateral_planes_show_fewer_bodies():
    shown = [
        sum(len(dataset[k]["labels"]) for k in range(0, 24, 2))
        for dataset in (VertebraSlices(24, seed=4, lateral=share, **SMALL) for share in (0.0, 1.0))
    ]
    assert 0 < shown[1] < 0.6 * shown[0]


def test_batch_is_the_same_as_its_items_one_by_one():
    one, many = (VertebraSlices(12, seed=2, **{**SMALL, "negatives": 0.3}) for _ in range(2))
    indices = [7, 0, 1, 4, 10, 11]
    for index, item in zip(indices, many.__getitems__(indices), strict=True):
        assert torch.allclose(item["image"], one[index]["image"], atol=1e-4)
        assert torch.equal(item["boxes"], one[index]["boxes"])


def test_rates_are_written_in_a_config_as_what_differs():
    assert acquisition_rates({"noise": [0.1, 0.2]}).noise == (0.1, 0.2)
    assert acquisition_rates("none").chance_wrap == 0
    with pytest.raises(ValueError, match="says nothing of a scanner"):
        acquisition_rates("some")
