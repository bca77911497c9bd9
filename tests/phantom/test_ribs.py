import pytest
import torch

from bundle.geometry import BODY_LEVELS
from bundle.phantom.ribs import RibStacks
from bundle.vertebrae.ribs import RibWindow

SMALL = RibWindow(rows=12, columns=18, pixel_mm=4.6)


def stacks(transition: str | None, patients: int = 1, **settings) -> RibStacks:
    shares = {} if transition is None else {transition: 1.0}
    return RibStacks(patients, SMALL, seed=3, transitions=shares, contrasts_per_patient=1, **settings)


def test_a_patient_s_l1_and_a_neighbour_are_shown_in_every_contrast():
    dataset = RibStacks(2, SMALL, seed=3, contrasts_per_patient=2)
    assert len(dataset) == 8
    items = [dataset[k] for k in range(8)]
    assert [item["patient"] for item in items] == [0] * 4 + [1] * 4
    for first, second in zip(items[::2], items[1::2], strict=True):
        assert first["level"] == second["level"] and first["label"] == second["label"]
        assert torch.equal(first["offset_mm"].nan_to_num(-999), second["offset_mm"].nan_to_num(-999))
        assert not torch.equal(first["image"], second["image"])
    assert all(BODY_LEVELS[items[k]["level"]] == "L1" for k in (0, 1, 4, 5))


@pytest.mark.parametrize(("transition", "expected"), [(None, 0.0), ("L6", 0.0), ("T13", 1.0)])
def test_l1_carries_ribs_in_patients_who_have_one_there(transition, expected):
    assert stacks(transition)[0]["label"] == expected


def test_thoracic_bodies_carry_ribs_and_l2_does_not():
    dataset = stacks("T13", 12)
    seen = {BODY_LEVELS[item["level"]]: item["label"] for item in (dataset[k] for k in range(1, 24, 2))}
    assert {"T12", "L2"} <= set(seen)
    assert all(label == float(level[0] == "T") for level, label in seen.items())


def test_slices_reach_beside_the_body_and_those_that_are_lacking_are_told():
    dataset = stacks(None, 6)
    for index in range(len(dataset)):
        item = dataset[index]
        there = torch.isfinite(item["offset_mm"])
        assert item["image"].shape == (17, 12, 18)
        assert 9 <= there.sum() <= 17
        assert item["offset_mm"][there].abs().max() > 15
        assert (item["image"][there].flatten(1).amax(1) > 0).all() and not item["image"][~there].any()


def test_the_same_index_is_the_same_item_whatever_was_asked_before():
    one, other = stacks(None, 2), stacks(None, 2)
    other[0]
    assert torch.equal(one[3]["image"], other[3]["image"])


def test_an_index_beyond_the_last_ends_an_iteration():
    with pytest.raises(IndexError):
        stacks(None)[2]
