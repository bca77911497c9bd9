import numpy as np
import pytest

from bundle.statistics import bootstrap_interval, with_interval


def mean_of(values: np.ndarray):
    return lambda cases: float(values[cases].mean())


def test_value_is_the_statistic_of_all_cases():
    values = np.arange(10.0)
    assert bootstrap_interval(np.arange(10), mean_of(values))[0] == 4.5


def test_interval_is_near_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(10, 2, 400)
    _, low, high = bootstrap_interval(np.arange(400), mean_of(values), repeats=2000)
    half = 1.96 * values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)


def test_wider_coverage_gives_a_wider_interval():
    values = np.random.default_rng(0).normal(size=60)
    _, low_50, high_50 = bootstrap_interval(np.arange(60), mean_of(values), coverage=0.5)
    _, low_99, high_99 = bootstrap_interval(np.arange(60), mean_of(values), coverage=0.99)
    assert low_99 < low_50 < high_50 < high_99


def test_patients_are_drawn_whole():
    # Five cases of a patient are all alike: the interval must be as wide as that of ten patients, not of fifty cases.
    per_patient = np.random.default_rng(2).normal(size=10)
    alone = bootstrap_interval(np.arange(10), mean_of(per_patient))
    together = bootstrap_interval(np.repeat(np.arange(10), 5), mean_of(np.repeat(per_patient, 5)))
    assert together == pytest.approx(alone)


def test_every_sample_has_only_whole_patients_with_repeats():
    groups = np.array(["a", "a", "b", "c", "c", "c"])
    seen = []

    def keep(cases):
        seen.append(np.bincount(cases, minlength=6))
        return 0.0

    bootstrap_interval(groups, keep, repeats=50)
    for counts in seen:
        assert counts[0] == counts[1]
        assert counts[3] == counts[4] == counts[5]
        assert counts[0] + counts[2] + counts[3] == 3


def test_same_seed_gives_the_same_interval_and_another_one_another():
    values = np.random.default_rng(0).normal(size=30)
    one, again, other = (bootstrap_interval(np.arange(30), mean_of(values), repeats=200, seed=s) for s in (1, 1, 2))
    assert one == again
    assert one[1:] != other[1:]


def test_samples_without_a_figure_are_left_out():
    values = np.array([1.0, np.nan, 3.0])

    def first(cases):
        return float(values[cases[0]])

    _, low, high = bootstrap_interval(np.arange(3), first, repeats=200)
    assert (low, high) == (1.0, 3.0)


def test_one_patient_has_no_spread():
    assert bootstrap_interval(np.zeros(5), mean_of(np.arange(5.0))) == (2.0, 2.0, 2.0)


def test_no_cases_have_no_figure():
    assert np.isnan(bootstrap_interval(np.zeros(0), mean_of(np.zeros(0)))).all()


def test_a_figure_is_written_with_its_interval():
    assert with_interval((0.7754, 0.749, 0.8)) == "0.775 [0.749, 0.800]"
    assert with_interval((0.7754, 0.749, 0.8), 1, 100) == "77.5 [74.9, 80.0]"
