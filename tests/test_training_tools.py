"""What the training configs need besides MONAI: clipped gradients, and a run that goes on."""

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from bundle.training import clip_gradients, resume
from bundle.weights import WeightsError


def stepped(max_norm: float, factor: float) -> torch.Tensor:
    weight = nn.Parameter(torch.zeros(2))
    optimizer = clip_gradients(torch.optim.SGD([weight], lr=1.0), max_norm)
    (factor * (weight * torch.tensor([3.0, 4.0])).sum()).backward()
    optimizer.step()
    return -weight.detach()


def test_long_gradients_are_shortened_and_keep_their_direction():
    assert stepped(1.0, 10.0).tolist() == pytest.approx([0.6, 0.8], abs=1e-4)


def test_short_gradients_are_left_alone():
    assert stepped(100.0, 1.0).tolist() == pytest.approx([3.0, 4.0])


def trainer(seen: list[int]) -> Engine:
    engine = Engine(lambda engine, batch: seen.append(engine.state.epoch))
    engine.state.max_epochs, engine.state.epoch_length = 4, 2
    return engine


def test_training_goes_on_after_the_newest_checkpoint(tmp_path):
    saved, later = nn.Linear(2, 1), nn.Linear(2, 1)
    for epoch in (1, 3):
        torch.save({"model": saved.state_dict()}, tmp_path / f"checkpoint_epoch={epoch}.pt")
    seen: list[int] = []
    engine = trainer(seen)
    assert resume(engine, tmp_path, {"model": later}) == 3
    assert torch.equal(later.weight, saved.weight)
    engine.run([0, 1], max_epochs=4, epoch_length=2)
    assert seen == [4, 4]


def test_without_a_checkpoint_training_starts_anew(tmp_path):
    seen: list[int] = []
    engine = trainer(seen)
    assert resume(engine, tmp_path, {"model": nn.Linear(2, 1)}) == 0
    engine.run([0, 1], max_epochs=4, epoch_length=2)
    assert seen == [1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("content", [{"other": {}}, {"model": nn.Linear(3, 1).state_dict()}])
def test_checkpoint_of_another_training_is_told(tmp_path, content):
    torch.save(content, tmp_path / "checkpoint_epoch=2.pt")
    with pytest.raises(WeightsError, match="cannot go on from this checkpoint"):
        resume(trainer([]), tmp_path, {"model": nn.Linear(2, 1)})
