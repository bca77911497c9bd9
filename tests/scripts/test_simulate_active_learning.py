"""The simulation's runs on made-up features, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.simulate_active_learning import Cases, draw, run, summary


@pytest.fixture
def cases():
    """Forty patients of three disks, whose class is the sign of a feature."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(120, 40)).astype(np.float32)
    labels = (features[:, 0] > 0).astype(np.int64)
    features[:, 0] *= 4
    return Cases(features, labels, np.repeat(np.arange(40), 3))


@pytest.mark.parametrize("strategy", ["uncertain", "herniations", "random"])
def test_a_run_can_be_repeated_and_starts_alike_for_each_strategy(cases, strategy):
    sizes = np.arange(4, 12)
    first = run(cases, strategy, 3, sizes, 0.5)
    assert first == run(cases, strategy, 3, sizes, 0.5)
    assert first[0] == run(cases, "random", 3, sizes, 0.5)[0]
    assert len(first) == len(sizes)


def test_a_budget_beyond_the_patients_is_refused(cases):
    with pytest.raises(SystemExit, match="fewer than the budget"):
        run(cases, "random", 0, np.arange(4, 30), 0.5)


def test_the_summary_says_with_how_many_the_final_accuracy_is_reached(tmp_path):
    sizes = np.arange(4, 9)
    curves = {
        "random": np.array([[0.5, 0.5, 0.6, 0.6, 0.7]] * 2),
        "uncertain": np.array([[0.5, 0.6, 0.7, 0.7, 0.7]] * 2),
    }
    result = summary(sizes, curves)
    assert (result["final_random"], result["patients_needed"], result["share_needed"]) == (
        0.7,
        {"uncertain": 6},
        {"uncertain": 0.75},
    )
    never = summary(sizes, {**curves, "uncertain": curves["uncertain"] - 0.2})
    assert never["patients_needed"] == {"uncertain": None}
    draw(tmp_path / "curves.png", sizes, curves, never)
    assert (tmp_path / "curves.png").stat().st_size > 5000
