import pytest
import torch
from torch import nn

from bundle.disks.network import TwoViewNet


class Mean(nn.Module):
    """Gives the view's mean times ``gain`` in both outputs, and counts the cases that it was asked for."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))
        self.asked = 0

    def forward(self, view):
        self.asked += len(view)
        return (self.gain * view.mean((1, 2, 3)))[:, None].expand(-1, 2)


def image(axial: float, sagittal: float):
    return torch.cat([torch.full((1, 3, 8, 8), axial), torch.full((1, 3, 8, 8), sagittal)], dim=1)


def test_views_are_averaged_and_a_missing_one_has_no_say():
    network = TwoViewNet(Mean(1.0), Mean(10.0), outputs=2)
    found = network(torch.cat([image(0.5, 0.5), image(0.5, 0.0), image(0.0, 0.5), image(0.0, 0.0)]))
    assert found[:, 0].tolist() == pytest.approx([2.75, 0.5, 5.0, 0.0])


def test_a_missing_view_costs_nothing():
    network = TwoViewNet(Mean(1.0), Mean(1.0), outputs=2)
    network(torch.cat([image(0.5, 0.0), image(0.5, 0.5)]))
    assert (network.axial.asked, network.sagittal.asked) == (2, 1)
    network(image(0.0, 0.5))
    assert network.axial.asked == 2


def test_a_view_can_be_given_more_say_for_each_output():
    network = TwoViewNet(Mean(1.0), Mean(10.0), outputs=2)
    with torch.no_grad():
        network.say[1, 0] = 50.0
    found = network(image(0.5, 0.5))[0].tolist()
    assert found == pytest.approx([5.0, 2.75])


def test_one_trunk_can_serve_both_views():
    shared = Mean(2.0)
    network = TwoViewNet(shared, None, outputs=2)
    assert len(list(network.parameters())) == 2
    assert network(image(0.5, 0.0)).tolist() == network(image(0.0, 0.5)).tolist()


def test_gradients_reach_only_the_view_that_is_there():
    network = TwoViewNet(Mean(1.0), Mean(1.0), outputs=2)
    network(image(0.0, 0.5)).sum().backward()
    assert network.axial.gain.grad is None and network.sagittal.gain.grad is not None


def test_a_scripted_network_says_the_same():
    network = TwoViewNet(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), 2)
    pictures = torch.cat([image(0.5, 0.5), image(0.5, 0.0), image(0.0, 0.5)])
    torch.testing.assert_close(torch.jit.script(network)(pictures), network(pictures))
