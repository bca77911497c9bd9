import pytest
import torch

from bundle.disks.losses import DiskLoss
from bundle.disks.outputs import CHANNELS, LENGTHS, PARTS, split_outputs


def cases(labels, **known):
    labels = torch.tensor(labels)
    unknown = {name: torch.full((len(labels), PARTS[name]), torch.nan) for name in ("flags", *LENGTHS)}
    return {"readers": torch.eye(3)[labels], "pfirrmann": torch.zeros(len(labels), dtype=torch.int64), **unknown, **known}


def outputs(labels, sure=6.0):
    found = torch.zeros(len(labels), CHANNELS)
    found[torch.arange(len(labels)), torch.tensor(labels)] = sure
    return found


def test_the_right_class_costs_least():
    loss = DiskLoss()
    assert loss(outputs([0, 2]), cases([0, 2])) < loss(outputs([1, 2]), cases([0, 2])) < loss(outputs([1, 0]), cases([0, 2]))


def test_an_ordinal_loss_finds_normal_farther_from_herniation_than_bulge():
    plain, ordinal = DiskLoss(), DiskLoss(ordinal=1.0)
    near, far = outputs([1]), outputs([0])
    assert plain(near, cases([2])) == pytest.approx(float(plain(far, cases([2]))))
    assert ordinal(near, cases([2])) < ordinal(far, cases([2]))


def test_shares_of_readers_are_a_target():
    shared = cases([0], readers=torch.tensor([[0.5, 0.5, 0.0]]))
    undecided = torch.zeros(1, CHANNELS)
    undecided[0, 2] = -6
    loss = DiskLoss(smoothing=0.0)
    assert loss(undecided, shared) < loss(outputs([0]), shared)


def test_a_prior_asks_more_of_what_is_rare():
    even, adjusted = DiskLoss(), DiskLoss(prior=[0.45, 0.45, 0.1])
    undecided = torch.zeros(1, CHANNELS)
    assert adjusted(undecided, cases([2])) > even(undecided, cases([2])) > adjusted(undecided, cases([0]))


def test_what_is_not_known_costs_nothing_and_gives_no_nan():
    loss, bare = DiskLoss(flags=1.0, pfirrmann=1.0, lengths=1.0), DiskLoss()
    found = outputs([0, 1]).requires_grad_()
    total = loss(found, cases([0, 1]))
    assert float(total) == pytest.approx(float(bare(found, cases([0, 1]))))
    total.backward()
    assert torch.isfinite(found.grad).all()


@pytest.mark.parametrize(
    ("weight", "known"),
    [
        ("flags", {"flags": torch.tensor([[1.0, 0.0]])}),
        ("pfirrmann", {"pfirrmann": torch.tensor([4])}),
        ("lengths", {"rim": torch.full((1, 24), 20.0)}),
    ],
)
def test_each_part_is_learned_where_it_is_known(weight, known):
    loss = DiskLoss(**{weight: 1.0})
    found = outputs([0]).requires_grad_()
    loss(found, cases([0], **known)).backward()
    name = next(iter(known))
    assert split_outputs(found.grad)[name].abs().sum() > 0


def test_millimetres_of_the_data_are_the_networks_centimetres():
    loss = DiskLoss(lengths=1.0)
    right = outputs([0])
    split_outputs(right)["rim"][:] = 2.0
    assert loss(right, cases([0], rim=torch.full((1, 24), 20.0))) == pytest.approx(float(DiskLoss()(right, cases([0]))))


def test_each_length_can_have_a_weight_of_its_own():
    wrong = cases([0], rim=torch.full((1, 24), 20.0), excess=torch.full((1, 24), 2.0))
    found = outputs([0]).requires_grad_()
    DiskLoss(lengths={"excess": 3.0, "rim": 0.0})(found, wrong).backward()
    parts = split_outputs(found.grad)
    assert parts["rim"].abs().sum() == 0
    assert parts["excess"].abs().sum() > 0
