import json

import numpy as np
import pytest

from bundle.datasets.rois import save_rois
from scripts.evaluate_phantom_disks import fitted_on, gain, main, true_outlines, truths


def test_a_readers_word_is_drawn_by_the_shares_and_the_definition_stays():
    shares = np.tile(np.array([[0.2, 0.5, 0.3], [0.0, 0.0, 1.0]]), (2000, 1))
    arrays = {"readers": shares, "label": np.tile([1, 2], 2000)}
    found = truths(arrays, seed=3)
    often = np.bincount(found["reader"][::2], minlength=3) / 2000
    np.testing.assert_allclose(often, [0.2, 0.5, 0.3], atol=0.04)
    assert set(found["reader"][1::2]) == {2}
    assert np.array_equal(found["definition"], arrays["label"])
    assert np.array_equal(found["reader"], truths(arrays, seed=3)["reader"])


def test_the_true_outline_is_what_was_rendered():
    arrays = {
        "rim": np.full((1, 24), 20.0), "excess": np.full((1, 24), 3.0), "center": np.array([[1.0, -2.0]]),
        "measures": np.zeros((1, 4)),
    }  # fmt: skip
    (outline,) = true_outlines(arrays)
    assert outline.rim_mm == pytest.approx([20.0] * 24) and outline.excess_mm == pytest.approx([3.0] * 24)
    assert outline.center_mm == pytest.approx([1.0, -2.0])


def test_the_fitted_threshold_covers_as_many_words_as_asked_for():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([1, 1, 1], 3000)
    word = (rng.random(3000)[:, None] > probabilities.cumsum(1)).sum(1)
    found = fitted_on(probabilities, word, 0.8)
    assert (probabilities[np.arange(3000), word] >= found["set_threshold"]).mean() == pytest.approx(0.8, abs=0.005)
    assert found["temperature_factor"] == pytest.approx(1.0, abs=0.1)


def test_the_gain_of_another_judge_is_paired():
    label = np.arange(30) % 3
    arrays = {"label": label, "readers": np.eye(3)[label], "patient": np.arange(30) // 5}
    right, wrong = np.eye(3)[label], np.eye(3)[(label + 1) % 3]
    half = np.where((np.arange(30) % 2 == 0)[:, None], right, wrong)
    found = gain(half, right, arrays, seed=0)
    assert found["reader"][0] == found["definition"][0] == 0.5
    assert gain(right, right, arrays, seed=0)["reader"] == (0.0, 0.0, 0.0)


def test_every_view_and_the_outline_are_told_with_intervals(tmp_path):
    rng = np.random.default_rng(0)
    count, label = 10, np.arange(10) % 3
    arrays = {
        **{view: rng.integers(0, 255, (count, 3, 96, 96), dtype=np.uint8) for view in ("axial", "sagittal")},
        "label": label, "level": np.arange(count) % 5, "patient": np.arange(count) // 5, "pfirrmann": label + 1,
        "readers": np.eye(3, dtype=np.float32)[label], "flags": np.zeros((count, 2), dtype=np.float32),
        "rim": np.full((count, 24), 20.0, dtype=np.float32), "excess": np.zeros((count, 24), dtype=np.float32),
        "center": np.zeros((count, 2), dtype=np.float32), "measures": np.zeros((count, 4), dtype=np.float32),
    }  # fmt: skip
    card = tmp_path / "card.md"
    card.write_text("<!-- begin disks -->\n<!-- end disks -->\n")
    main(str(save_rois(tmp_path / "rois.npz", arrays)), str(tmp_path), section="disks", model_card=str(card))
    found = json.loads((tmp_path / "figures.json").read_text())
    assert found["reader"]["ceiling"]["accuracy"] == [1.0, 1.0, 1.0]
    assert set(found["definition"]) == {
        "axial alone", "sagittal alone", "both views", "axial, by the outline", "axial, mean of both",
    }  # fmt: skip
    table = (tmp_path / "figures.md").read_text()
    assert table in card.read_text() and "| accuracy L5-S1, reader | 0.842 |" in table
    value, low, high = found["outline"]["error"]["excess_mm"]
    assert low <= value <= high and f"| excess_mm | {value:.2f} [{low:.2f}, {high:.2f}] |" in table
