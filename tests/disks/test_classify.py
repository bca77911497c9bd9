import numpy as np
import pytest
import torch
from torch import nn

from bundle.disks.classify import DiskClassifier
from bundle.disks.outputs import PARTS
from bundle.disks.types import DiskReading, DiskRoi
from bundle.disks.views import stack_views
from bundle.geometry import FINDINGS
from bundle.weights import WeightsError, save_weights
from tests.making import axial_plane

SIZE = 16


class Brightness(nn.Module):
    """Logits from the mean brightness of each view: enough to see what the classifier was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor([0.0, 8.0, -8.0]))
        self.batches: list[torch.Tensor] = []

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        self.batches.append(views)
        return (views[:, :3].mean((1, 2, 3)) - views[:, 3:].mean((1, 2, 3)))[:, None] * self.gain


def roi(power: float) -> DiskRoi:
    pixels = np.linspace(0, 1, 3 * SIZE * SIZE, dtype=np.float32).reshape(3, SIZE, SIZE) ** power
    return DiskRoi(pixels, axial_plane(0.0, size=SIZE), ())


@pytest.fixture
def weights(tmp_path):
    return save_weights(Brightness(), tmp_path / "disks.pt")


def classifier(weights, **settings) -> DiskClassifier:
    return DiskClassifier(Brightness(), weights, size_px=SIZE, **settings)


def test_probabilities_are_those_of_the_network_and_sum_to_one(weights):
    reading = DiskReading("L4-L5", axial=roi(1.0), sagittal=roi(3.0))
    (judged,) = classifier(weights)([reading])
    logits = Brightness()(stack_views(reading.axial.pixels, reading.sagittal.pixels, SIZE)[None])
    expected = dict(zip(FINDINGS, torch.softmax(logits, 1)[0].tolist(), strict=True))
    assert judged.probabilities == pytest.approx(expected, abs=1e-6)
    assert sum(judged.probabilities.values()) == pytest.approx(1)


def test_finding_is_the_most_probable_class(weights):
    bright, dark = roi(0.3), roi(5.0)
    judged = classifier(weights)(
        [DiskReading("a", axial=bright, sagittal=dark), DiskReading("b", axial=dark, sagittal=bright)]
    )
    assert [d.finding for d in judged] == ["bulge", "herniation"]


def test_disk_without_a_view_stays_unjudged_in_its_place(weights):
    empty = DiskReading("L2-L3", flags=("no_axial_slice",))
    judged = classifier(weights)([DiskReading("L1-L2", axial=roi(1.0)), empty, DiskReading("L3-L4", sagittal=roi(1.0))])
    assert judged[1] is empty
    assert [d.level for d in judged] == ["L1-L2", "L2-L3", "L3-L4"]
    assert judged[0].finding and judged[2].finding


def test_views_tell_what_was_judged(weights):
    readings = [
        DiskReading("a", axial=roi(1.0)),
        DiskReading("b", sagittal=roi(1.0)),
        DiskReading("c", axial=roi(1.0), sagittal=roi(1.2)),
    ]
    assert [d.views for d in classifier(weights)(readings)] == [("axial",), ("sagittal",), ("axial", "sagittal")]


def test_without_any_view_the_network_does_not_run(weights):
    judge = classifier(weights)
    judge([DiskReading("L1-L2")])
    assert judge.network.batches == []


def test_all_disks_go_through_the_network_at_once(weights):
    judge = classifier(weights)
    judge([DiskReading(str(k), axial=roi(1.0)) for k in range(5)])
    assert [tuple(b.shape) for b in judge.network.batches] == [(5, 6, SIZE, SIZE)]


def test_higher_temperature_makes_less_sure_but_keeps_the_finding(weights):
    reading = DiskReading("L4-L5", axial=roi(0.3), sagittal=roi(5.0))
    (sharp,), (soft,) = classifier(weights)([reading]), classifier(weights, temperature=4.0)([reading])
    assert soft.finding == sharp.finding
    assert soft.probabilities[soft.finding] < sharp.probabilities[sharp.finding]


def test_unsure_finding_is_flagged_beside_the_flags_that_were_there(weights):
    reading = DiskReading("L4-L5", axial=roi(1.0), sagittal=roi(1.0), flags=("tilted",))
    (judged,) = classifier(weights)([reading])  # both views alike: all classes equal
    assert judged.flags == ("tilted", "not_sure")
    assert judged.finding is not None


def test_sure_finding_is_not_flagged(weights):
    (judged,) = classifier(weights)([DiskReading("L4-L5", axial=roi(0.1), sagittal=roi(9.0))])
    assert judged.flags == ()


def test_missing_weights_are_told(tmp_path):
    with pytest.raises(WeightsError, match="missing"):
        classifier(tmp_path / "none.pt")([DiskReading("L1-L2", axial=roi(1.0))])


def test_weights_of_the_file_are_used(tmp_path):
    other = Brightness()
    other.gain.data = torch.tensor([9.0, 0.0, -9.0])
    path = save_weights(other, tmp_path / "other.pt")
    (judged,) = classifier(path)([DiskReading("L4-L5", axial=roi(0.3), sagittal=roi(5.0))])
    assert judged.finding == "normal"


class Everything(nn.Module):
    """Gives every part: a bulge rather than a herniation, grade 4, a rim of 20 mm and a disk 1 mm beyond it."""

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        parts = {name: torch.zeros(len(views), width) for name, width in PARTS.items()}
        parts["findings"][:] = torch.tensor([-4.0, 1.0, 0.5])
        parts["pfirrmann"][:, 3] = 5
        parts["rim"][:] = 2.0
        parts["excess"][:] = 0.1
        return torch.cat(list(parts.values()), dim=1)


@pytest.fixture
def full(tmp_path):
    def make(**settings):
        return DiskClassifier(Everything(), save_weights(Everything(), tmp_path / "full.pt"), size_px=SIZE, **settings)

    return make


def test_grade_outline_and_uncertainty_come_with_the_finding(full):
    both, sagittal = full()([DiskReading("a", axial=roi(1.0), sagittal=roi(1.0)), DiskReading("b", sagittal=roi(1.0))])
    assert (both.finding, both.pfirrmann) == ("bulge", 4)
    assert both.outline.rim_mm == pytest.approx([20.0] * 24) and both.outline.excess_mm == pytest.approx([1.0] * 24)
    assert sagittal.outline is None  # an axial outline is not seen in a sagittal view
    assert 0 < both.uncertainty < 1


def test_an_outline_of_another_finding_by_the_definition_is_flagged(full):
    (within,) = full()([DiskReading("a", axial=roi(1.0))])  # its outline keeps within 1.5 mm of the rim: normal
    assert (within.finding, within.definition.finding) == ("bulge", "normal")
    assert within.flags == ("outline_disagrees",)
    (normal,) = full(offsets=[9.0, 0.0, 0.0])([DiskReading("a", axial=roi(1.0))])
    assert (normal.finding, normal.flags) == ("normal", ())
    (unseen,) = full()([DiskReading("a", sagittal=roi(1.0))])
    assert unseen.definition is None and unseen.flags == ()


def test_a_disk_with_more_than_one_possible_finding_is_not_sure(full):
    (unsure,) = full(set_threshold=0.2)([DiskReading("a", sagittal=roi(1.0))])
    (sure,) = full(set_threshold=0.5)([DiskReading("a", sagittal=roi(1.0))])
    assert (unsure.prediction_set, unsure.flags) == (("bulge", "herniation"), ("not_sure",))
    assert (sure.prediction_set, sure.flags, sure.finding) == (("bulge",), (), "bulge")


def test_offsets_shift_the_classes_after_the_temperature(full):
    (judged,) = full(temperature=2.0, offsets=[0.0, 0.0, 1.0])([DiskReading("a", sagittal=roi(1.0))])
    expected = torch.softmax(torch.tensor([-2.0, 0.5, 1.25]), 0).tolist()
    assert list(judged.probabilities.values()) == pytest.approx(expected, abs=1e-6)
    assert judged.finding == "herniation"


def test_a_network_of_three_logits_gives_nothing_else(weights):
    (judged,) = classifier(weights)([DiskReading("a", axial=roi(1.0), sagittal=roi(3.0))])
    assert judged.pfirrmann is judged.outline is None and judged.prediction_set == ()


def test_each_way_to_see_a_disk_can_have_its_own_threshold(weights):
    readings = [
        DiskReading("a", axial=roi(1.0)),
        DiskReading("b", sagittal=roi(1.0)),
        DiskReading("c", axial=roi(1.0), sagittal=roi(1.2)),
    ]
    judged = classifier(weights, set_threshold={"axial": 0.0, "sagittal": 0.99, "both": 0.15})(readings)
    assert [len(disk.prediction_set) for disk in judged] == [3, 1, 3]
    judged = classifier(weights, set_threshold={"axial": 0.99, "sagittal": 0.0, "both": 0.42})(readings)
    assert [len(disk.prediction_set) for disk in judged] == [1, 3, 1]
