import math

import pytest
import torch
from monai.networks.nets import DenseNet121
from torch import nn

from bundle.disks.network import GridDenseNet121, TwoViewNet
from bundle.disks.outputs import CHANNELS, split_outputs


class Mean(nn.Module):
    """Gives the view's mean times ``gain`` in all outputs, and counts the cases that it was asked for."""

    def __init__(self, gain: float, outputs: int = 2) -> None:
        super().__init__()
        self.outputs = outputs
        self.gain = nn.Parameter(torch.tensor(gain))
        self.asked = 0

    def forward(self, view):
        self.asked += len(view)
        return (self.gain * view.mean((1, 2, 3)))[:, None].expand(-1, self.outputs)


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


def test_an_outline_is_the_axial_trunks_alone_wherever_there_is_an_axial_view():
    network = TwoViewNet(Mean(1.0, CHANNELS), Mean(10.0, CHANNELS), outputs=CHANNELS)
    with torch.no_grad():
        network.gain.fill_(1.0)
    parts = split_outputs(network(torch.cat([image(0.5, 0.5), image(0.5, 0.0), image(0.0, 0.5)])))
    for name in ("rim", "excess", "center"):
        assert parts[name][:, 0].tolist() == pytest.approx([0.5, 0.5, 5.0])
    assert parts["measures"][0, 0].item() == pytest.approx(2.75 * math.e)


def test_one_trunk_can_serve_both_views():
    shared = Mean(2.0)
    network = TwoViewNet(shared, None, outputs=2)
    assert len(list(network.parameters())) == 3  # its own, and how views meet
    assert network(image(0.5, 0.0)).tolist() == network(image(0.0, 0.5)).tolist()


def test_gradients_reach_only_the_view_that_is_there():
    network = TwoViewNet(Mean(1.0), Mean(1.0), outputs=2)
    network(image(0.0, 0.5)).sum().backward()
    assert network.axial.gain.grad is None and network.sagittal.gain.grad is not None


def test_a_scripted_network_says_the_same():
    network = TwoViewNet(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), 2)
    pictures = torch.cat([image(0.5, 0.5), image(0.5, 0.0), image(0.0, 0.5)])
    torch.testing.assert_close(torch.jit.script(network)(pictures), network(pictures))


def test_two_views_can_be_surer_than_one():
    network = TwoViewNet(Mean(1.0), Mean(1.0), outputs=2)
    with torch.no_grad():
        network.gain[1] = torch.log(torch.tensor(3.0))
    found = network(torch.cat([image(0.5, 0.5), image(0.5, 0.0)]))
    assert found.flatten().tolist() == pytest.approx([0.5, 1.5, 0.5, 0.5])


def test_fixed_trunks_learn_nothing_but_how_they_meet():
    network = TwoViewNet(_small(1), _small(1), outputs=4, fixed_trunks=True).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network(torch.rand(3, 6, 64, 64)).square().sum().backward()
    optimizer.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"say", "gain"}


def _small(grid):
    return GridDenseNet121(grid, out_channels=4, in_channels=3, init_features=8, growth_rate=4)


def test_a_grid_of_one_cell_is_the_densenet_of_monai():
    torch.manual_seed(0)
    ours = _small(1).eval()
    theirs = DenseNet121(2, 3, 4, init_features=8, growth_rate=4).eval()
    theirs.load_state_dict(ours.state_dict())
    pictures = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(ours(pictures), theirs(pictures))


def test_a_grid_takes_weights_of_one_cell_and_says_the_same():
    one, many = _small(1).eval(), _small(2).eval()
    many.load_state_dict(one.state_dict())
    pictures = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(many(pictures), one(pictures), atol=1e-5, rtol=1e-5)


def test_a_grid_tells_places_apart_where_the_mean_does_not():
    torch.manual_seed(0)
    cells = torch.rand(1, 5, 2, 2)
    for grid, same in ((1, True), (2, False)):
        network = GridDenseNet121(grid, out_channels=4, in_channels=5, init_features=8, growth_rate=4).eval()
        network.features = nn.Identity()
        network.class_layers.out = nn.Linear(5 * network.cells, 4)
        moved = torch.flip(cells, [-1])
        assert torch.allclose(network(cells), network(moved), atol=1e-6) is same
