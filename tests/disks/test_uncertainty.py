"""What is unsure ranks before what is sure."""

from __future__ import annotations

import math

import pytest

from bundle.disks.uncertainty import disk_uncertainty, naming_uncertainty


def test_a_toss_up_of_names_is_one_and_certainty_zero():
    assert naming_uncertainty(0.0) == 1.0
    assert naming_uncertainty(math.inf) == 0.0
    assert naming_uncertainty(3.0) == pytest.approx(0.5)
    assert naming_uncertainty(1.0) > naming_uncertainty(2.0)


def test_disks_are_as_unsure_as_their_entropy():
    even, sure = dict.fromkeys("abc", 1 / 3), {"a": 1.0, "b": 0.0, "c": 0.0}
    assert disk_uncertainty([even]) == pytest.approx(1.0)
    assert disk_uncertainty([sure]) == pytest.approx(0.0)
    assert disk_uncertainty([even, sure]) == pytest.approx(0.5)


def test_a_disk_that_could_not_be_judged_is_as_unsure_as_can_be():
    assert disk_uncertainty([None]) == 1.0
    assert disk_uncertainty([]) == 1.0
