import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score

from bundle.disks.engine import prepare_cases
from bundle.disks.metrics import DiskMetrics

# 40 patients with five disks each; every fourth disk is judged one class too high.
PATIENT = torch.arange(40).repeat_interleave(5)
LEVEL = torch.arange(5).repeat(40)
LABEL = (torch.arange(200) * 7 // 3) % 3
JUDGED = torch.where(torch.arange(200) % 4 == 0, (LABEL + 1) % 3, LABEL)


def cases(part=slice(None)) -> dict:
    return {"label": LABEL[part], "level": LEVEL[part], "patient": PATIENT[part]}


def measured(judged: torch.Tensor = JUDGED, batches: int = 1) -> dict[str, float]:
    metric = DiskMetrics()
    logits = torch.nn.functional.one_hot(judged, 3).float() * 4 - 2
    for part in np.array_split(np.arange(200), batches):
        metric.update((logits[part], cases(part)))
    return metric.compute()


def test_accuracy_is_the_share_of_right_disks():
    assert measured()["accuracy"] == pytest.approx(0.75)


def test_kappa_and_balanced_accuracy_are_those_of_scikit_learn():
    found = measured()
    assert found["kappa"] == pytest.approx(cohen_kappa_score(LABEL, JUDGED))
    recall = [float((JUDGED[k == LABEL] == k).float().mean()) for k in range(3)]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recall))


def test_each_level_has_its_own_accuracy():
    found = measured()
    for index, level in enumerate(("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1")):
        chosen = index == LEVEL
        assert found[f"accuracy_{level}"] == pytest.approx(float((LABEL == JUDGED)[chosen].float().mean()))


def test_perfect_reading_scores_one_with_a_narrow_interval():
    found = measured(LABEL)
    for name in ("accuracy", "kappa", "balanced_accuracy"):
        assert (found[name], found[f"{name}_low"], found[f"{name}_high"]) == (1.0, 1.0, 1.0)


def test_interval_holds_the_figure_and_is_not_empty():
    found = measured()
    assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]


def test_batches_do_not_matter():
    assert measured(batches=7) == measured(batches=1)


def test_number_of_disks_is_given():
    assert measured()["disks"] == 200


def test_level_that_does_not_occur_is_left_out():
    metric = DiskMetrics()
    chosen = LEVEL == 3
    metric.update((torch.nn.functional.one_hot(JUDGED[chosen], 3).float(), cases(chosen)))
    found = metric.compute()
    assert "accuracy_L4-L5" in found
    assert "accuracy_L1-L2" not in found


def test_reset_forgets_all_disks():
    metric = DiskMetrics()
    metric.update((torch.zeros(200, 3), cases()))
    metric.reset()
    assert metric.compute() == {}


def test_engine_hands_on_images_and_all_that_is_known_of_the_disks():
    batch = {"image": torch.ones(2, 6, 8, 8), "label": [0, 2], "level": [1, 4], "patient": [7, 7], "grade": [2, -1]}
    images, labels = prepare_cases(batch, "cpu")
    assert images.shape == (2, 6, 8, 8)
    assert {k: v.tolist() for k, v in labels.items()} == {k: batch[k] for k in batch if k != "image"}


def test_recall_of_each_class_is_the_share_of_its_disks_that_were_called_so():
    scores = DiskMetrics()
    judged = torch.tensor([0, 0, 1, 1, 1, 0])
    logits = torch.nn.functional.one_hot(judged, 3).float()
    label = torch.tensor([0, 0, 0, 0, 1, 2])
    scores.update((logits, {"label": label, "level": torch.zeros(6).long(), "patient": torch.arange(6)}))
    found = scores.compute()
    assert (found["recall_normal"], found["recall_bulge"], found["recall_herniation"]) == (0.5, 1.0, 0.0)


def test_probabilities_are_calibrated_before_they_are_measured():
    sure = torch.full((200, 3), -3.0).scatter(1, JUDGED[:, None], 3.0)  # three in four are right
    figures = {}
    for temperature in (1.0, 3.35):
        scores = DiskMetrics(temperature=temperature)
        scores.update((sure, cases()))
        figures[temperature] = scores.compute()
    assert figures[1.0]["ece"] == pytest.approx(1 / (1 + 2 * np.exp(-6)) - 0.75, abs=1e-6)
    assert figures[3.35]["ece"] < 0.01
    assert figures[1.0]["accuracy"] == figures[3.35]["accuracy"]
    assert "coverage" not in figures[1.0]


def test_sets_are_measured_where_there_is_a_threshold():
    logits = torch.nn.functional.one_hot(LABEL, 3).float()  # 0.58 for the right one, 0.21 for the others
    for threshold, size in ((0.3, 1.0), (0.2, 3.0)):
        scores = DiskMetrics(set_threshold=threshold)
        scores.update((logits, cases()))
        found = scores.compute()
        assert (found["coverage"], found["set_size"]) == (1.0, size)
