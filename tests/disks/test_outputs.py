import pytest
import torch

from bundle.disks.outputs import CHANNELS, LENGTHS, PARTS, PROFILE_DIRECTIONS, FillTargetsd, RandReaderd, split_outputs
from bundle.phantom.rois import PROFILE_DEG


def test_parts_follow_one_another_and_findings_come_first():
    parts = split_outputs(torch.arange(2.0 * CHANNELS).reshape(2, CHANNELS))
    assert list(parts) == list(PARTS) and parts["findings"][0].tolist() == [0, 1, 2]
    assert {name: part.shape[1] for name, part in parts.items()} == dict(PARTS)


def test_a_network_of_three_logits_has_findings_alone():
    assert list(split_outputs(torch.zeros(4, 3))) == ["findings"]
    with pytest.raises(ValueError, match="7 channels"):
        split_outputs(torch.zeros(4, 7))


def test_the_phantom_gives_the_outline_in_the_same_directions():
    assert len(PROFILE_DEG) == PROFILE_DIRECTIONS
    assert PROFILE_DEG[0] == -180 and PROFILE_DEG[PROFILE_DIRECTIONS // 2] == 0


def test_items_of_any_source_get_every_target():
    bare = FillTargetsd()({"image": torch.zeros(1), "label": 2, "level": 1, "patient": 5, "contrast": "t2"})
    known = FillTargetsd()(
        {"image": torch.zeros(1), "label": 2, "level": 1, "patient": 5, "pfirrmann": 4, "rim": torch.ones(24)}
    )
    assert set(bare) == set(known) and "contrast" not in bare
    assert bare["readers"].tolist() == [0, 0, 1]
    assert bare["pfirrmann"] == 0 and known["pfirrmann"] == 4
    assert all(torch.isnan(bare[name]).all() and len(bare[name]) == PARTS[name] for name in ("flags", *LENGTHS))
    assert known["rim"].tolist() == [1.0] * 24


def test_a_readers_word_is_drawn_by_the_shares():
    transform = RandReaderd()
    transform.set_random_state(0)
    said = [transform({"label": 0, "readers": torch.tensor([0.7, 0.3, 0.0])})["label"] for _ in range(400)]
    assert set(said) == {0, 1}
    assert said.count(1) / 400 == pytest.approx(0.3, abs=0.06)
