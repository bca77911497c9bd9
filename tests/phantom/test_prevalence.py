import csv
from collections import Counter

import numpy as np
import pytest

from bundle.geometry import DISK_LEVELS, FINDINGS
from bundle.phantom.prevalence import (
    MODIC,
    PFIRRMANN,
    PUBLISHED_PREVALENCE,
    TRAINING_PREVALENCE,
    odds_ratio,
    pfirrmann_shares,
    published_prevalence,
)


@pytest.mark.parametrize("table", [PUBLISHED_PREVALENCE, TRAINING_PREVALENCE], ids=["published", "training"])
def test_shares_of_each_level_sum_to_one(table):
    assert tuple(table) == DISK_LEVELS
    for shares in table.values():
        assert sum(shares) == pytest.approx(1)


def test_training_shows_every_class_often_at_every_level():
    assert min(min(shares) for shares in TRAINING_PREVALENCE.values()) >= 0.1


def test_published_shares_at_the_reference_age_are_the_table():
    for level, shares in published_prevalence(50).items():
        assert shares == pytest.approx(PUBLISHED_PREVALENCE[level])


def test_bulges_and_herniations_are_more_frequent_in_the_old():
    young, old = published_prevalence(20), published_prevalence(80)
    for level in DISK_LEVELS:
        assert young[level][0] > PUBLISHED_PREVALENCE[level][0] > old[level][0]
        assert sum(old[level]) == pytest.approx(1)


def test_odds_ratio_is_that_of_the_survey():
    assert odds_ratio("bulge", 80) == pytest.approx((0.84 / 0.16) / (0.60 / 0.40))
    assert odds_ratio("protrusion", 50) == 1
    assert odds_ratio("bulge", 15) == odds_ratio("bulge", 20)  # not carried on beyond the survey's ages


def test_worn_grades_gain_with_age():
    young, old = (pfirrmann_shares("bulge", age) for age in (20, 80))
    assert young.sum() == pytest.approx(1)
    assert old[2:].sum() > young[2:].sum() + 0.1


def test_published_tables_are_those_of_spiders_gradings(shared_data):
    with open(shared_data / "spider" / "radiological_gradings.csv", newline="") as file:
        rows = list(csv.DictReader(file))

    def finding(row: dict[str, str]) -> str:
        return "herniation" if row["Disc herniation"] == "1" else "bulge" if row["Disc bulging"] == "1" else "normal"

    for label, level in enumerate(reversed(DISK_LEVELS), start=1):
        counts = Counter(finding(row) for row in rows if row["IVD label"] == str(label))
        shares = [counts[f] / counts.total() for f in FINDINGS]
        assert shares == pytest.approx(PUBLISHED_PREVALENCE[level], abs=1e-3)
    for name, shares in PFIRRMANN.items():
        grades = Counter(int(row["Pfirrman grade"]) for row in rows if finding(row) == name)
        assert [grades[g] / grades.total() for g in range(1, 6)] == pytest.approx(shares, abs=1e-3)
    for grade, share in MODIC.items():
        changes = [row["Modic"] != "0" for row in rows if row["Pfirrman grade"] == str(grade)]
        assert np.mean(changes) == pytest.approx(share, abs=1e-3)
