import numpy as np
import pytest
import torch

from bundle.geometry import BODY_LEVELS
from bundle.vertebrae.metrics import VertebraMetrics

# Where nothing is found there is no corner error: numpy says so, and the figure is not a number.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{text}:RuntimeWarning")
    for text in ("Mean of empty slice", "invalid value encountered", "All-NaN slice")
]


def bodies(levels, shift: float = 0.0, sure: float = 0.9) -> dict[str, torch.Tensor]:
    """Bodies 24 high and 30 wide, 33 apart, at the places of their names, with or without an error of place."""
    rows = torch.tensor([300.0 - 33 * BODY_LEVELS.index(level) for level in levels]).reshape(-1, 1)
    boxes = torch.cat([rows, torch.full_like(rows, 40), rows + 24, torch.full_like(rows, 70)], dim=1) + shift
    return {
        "boxes": boxes,
        "labels": torch.tensor([BODY_LEVELS.index(level) for level in levels], dtype=torch.int64),
        "labels_scores": torch.full((len(levels),), sure),
        "corners": torch.stack([boxes[:, [0, 1]], boxes[:, [0, 3]], boxes[:, [2, 3]], boxes[:, [2, 1]]], dim=1),
    }


def measured(*pairs, **settings) -> dict[str, float]:
    metric = VertebraMetrics(**settings)
    for found, truth in pairs:
        metric.update(([found], [truth]))
    return metric.compute()


LUMBAR = ("S1", "L5", "L4", "L3", "L2", "L1")


def named(levels, labels) -> dict[str, torch.Tensor]:
    found = bodies(levels)
    found["labels"] = torch.tensor([BODY_LEVELS.index(level) for level in labels], dtype=torch.int64)
    return found


def without(levels, *left_out) -> dict[str, torch.Tensor]:
    return bodies([level for level in levels if level not in left_out])


def test_perfect_detections_score_one():
    found = measured((bodies(LUMBAR), bodies(LUMBAR)))
    for name in ("named", "found", "images_named", "ap_50"):
        assert found[name] == pytest.approx(1)
    assert found["false_per_image"] == 0
    assert found["corner_error_px"] == 0
    assert (found["images"], found["bodies"]) == (1, 6)


def test_missed_body_is_neither_found_nor_named():
    found = measured((without(LUMBAR, "L3"), bodies(LUMBAR)))
    assert found["found"] == pytest.approx(5 / 6)
    assert found["named"] == pytest.approx(5 / 6)
    assert found["images_named"] == 0


def test_wrong_name_is_found_but_not_named():
    found = measured((named(LUMBAR, ("S1", "L5", "L4", "L2", "L2", "L1")), bodies(LUMBAR)))
    assert found["found"] == 1
    assert found["named"] == pytest.approx(5 / 6)
    assert found["false_per_image"] == 0


def test_wrong_sacrum_does_not_count_against_the_lumbar_bodies():
    found = measured((named(LUMBAR, ("S2", "L5", "L4", "L3", "L2", "L1")), bodies(LUMBAR)))
    assert found["images_named"] == 1


def test_images_count_as_named_only_where_lumbar_bodies_are_in_view():
    good = (bodies(LUMBAR), bodies(LUMBAR))
    bad = (without(LUMBAR, "L1"), bodies(LUMBAR))
    sacrum_only = (bodies(("S2", "S1")), bodies(("S2", "S1")))
    empty = (bodies(()), bodies(()))
    assert measured(good, bad, sacrum_only, empty)["images_named"] == pytest.approx(0.5)


def test_detection_beside_every_body_is_false():
    found = measured((bodies((*LUMBAR, "T12", "T11")), bodies(LUMBAR)), (bodies(("L3",)), bodies(())))
    assert found["false_per_image"] == pytest.approx((2 + 1) / 2)


def test_box_that_overlaps_too_little_is_no_find():
    found = measured((bodies(LUMBAR, shift=12.0), bodies(LUMBAR)))
    assert found["found"] == 0
    assert found["false_per_image"] == 6
    assert np.isnan(found["corner_error_px"])


def test_corner_error_is_the_distance_in_pixels_over_found_bodies():
    found = measured((bodies(LUMBAR, shift=3.0), bodies(LUMBAR)))
    assert found["corner_error_px"] == pytest.approx(3 * np.sqrt(2), rel=1e-5)


def test_bodies_without_known_corners_do_not_count_for_the_corner_error():
    truth = bodies(LUMBAR)
    truth["corners"][2:4] = float("nan")
    found = measured((bodies(LUMBAR, shift=3.0), truth))
    assert found["corner_error_px"] == pytest.approx(3 * np.sqrt(2), rel=1e-5)
    assert np.isfinite(found["corner_error_px_high"])


def test_names_that_do_not_occur_do_not_lower_the_average_precision():
    assert measured((bodies(("L3", "L2")), bodies(("L3", "L2"))))["ap_50"] == pytest.approx(1)


def test_average_precision_falls_with_a_missed_name():
    assert measured((bodies(("L3",)), bodies(("L3", "L2"))))["ap_50"] == pytest.approx(0.5)


def test_data_without_any_body_has_no_average_precision():
    found = measured((bodies(()), bodies(())))
    assert np.isnan(found["ap_50"])
    assert found["false_per_image"] == 0


def test_interval_is_over_images():
    pairs = [(bodies(LUMBAR), bodies(LUMBAR))] * 6 + [(without(LUMBAR, "L1", "L2", "L3"), bodies(LUMBAR))] * 6
    found = measured(*pairs)
    assert found["found"] == pytest.approx(0.75)
    assert 0.5 <= found["found_low"] < 0.75 < found["found_high"] <= 1.0


def test_names_decided_over_the_column_replace_those_of_single_boxes():
    def mend(prediction):
        return {**prediction, "labels": bodies(LUMBAR)["labels"]}

    wrong = named(LUMBAR, ["L3"] * 6)
    assert measured((wrong, bodies(LUMBAR)))["images_named"] == 0
    assert measured((wrong, bodies(LUMBAR)), name_bodies=mend)["images_named"] == 1


def test_reset_forgets_all_images():
    metric = VertebraMetrics()
    metric.update(([bodies(LUMBAR)], [bodies(LUMBAR)]))
    metric.reset()
    assert metric.compute() == {}


def test_figures_by_contrast_count_the_images_of_that_contrast():
    right, wrong = bodies(LUMBAR), without(LUMBAR, "L3")
    found = measured(
        (right, {**bodies(LUMBAR), "contrast": "T2"}), (wrong, {**bodies(LUMBAR), "contrast": "T1"}),
        (right, {**bodies(LUMBAR), "contrast": "T1"}),
    )  # fmt: skip
    assert (found["named_T2"], found["named_T1"]) == (1, pytest.approx(11 / 12))
    assert (found["images_named_T2"], found["images_named_T1"]) == (1, 0.5)
