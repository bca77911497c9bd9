from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bundle.disks.locate import DiskLocator
from bundle.disks.measure import MeasureDisksd, height_index, lordosis_deg, slip_mm, slip_share
from bundle.disks.types import DiskReading
from bundle.geometry import DISK_LEVELS, LUMBAR_LEVELS, Vertebra
from bundle.phantom import alignment
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.truth import vertebrae
from tests.making import straight_spine


def moved(body: Vertebra, forward_mm: float) -> Vertebra:
    shift = np.array([0.0, -forward_mm, 0.0])
    return replace(body, center_lps_mm=body.center_lps_mm + shift, corners_lps_mm=body.corners_lps_mm + shift)


def test_a_straight_spine_has_no_slip_and_no_lordosis():
    spine = straight_spine()
    assert slip_mm(spine[3], spine[4]) == pytest.approx(0)
    assert lordosis_deg(spine) == pytest.approx(0)


@pytest.mark.parametrize("forward", [6.8, -3.4])
def test_slip_is_forward_positive_in_millimetres_and_as_a_share(forward):
    spine = straight_spine()
    upper = moved(spine[3], forward)
    assert slip_mm(upper, spine[4]) == pytest.approx(forward)
    assert slip_share(upper, spine[4]) == pytest.approx(forward / 34)


def test_height_index_is_the_disks_height_against_the_body_above():
    spine = straight_spine()  # disks 10 mm, bodies 26 mm high
    disk = DiskLocator()(spine)["L3-L4"]
    assert height_index(disk, spine[2]) == pytest.approx(10 / 26)


@pytest.mark.parametrize("seed", range(5))
def test_a_phantoms_slip_and_lordosis_are_found_as_its_truth_has_them(seed):
    spine = sample_spine(seed)
    by_level = {v.level: v for v in vertebrae(spine)}
    for upper, lower in pairwise(LUMBAR_LEVELS):
        expected = alignment.slip_mm(spine.body(upper), spine.body(lower))
        assert slip_mm(by_level[upper], by_level[lower]) == pytest.approx(expected, abs=1e-6)
    assert lordosis_deg(by_level.values()) == pytest.approx(alignment.lordosis_deg(spine), abs=1e-6)


def test_what_is_not_there_is_not_measured():
    spine = straight_spine()
    bare = replace(spine[3], corners_lps_mm=None)
    assert slip_mm(bare, spine[4]) is slip_share(spine[4], bare) is lordosis_deg(spine[1:]) is None
    assert height_index(DiskLocator()(spine)["L4-L5"], bare) is None


def item(in_space: bool):
    spine = straight_spine()
    disks = DiskLocator()(spine)
    study, placed = object(), object()
    readings = tuple(DiskReading(level, disks[level]) for level in DISK_LEVELS)
    return {"study": study, "placed": study if in_space else placed, "placed_vertebrae": spine, "readings": readings}


def test_all_disks_of_a_study_are_measured():
    readings = MeasureDisksd()(item(in_space=True))["readings"]
    assert [r.level for r in readings] == list(DISK_LEVELS)
    assert all(set(r.measurements) == {"height_index", "slip_share", "slip_mm"} for r in readings)


def test_a_picture_of_unknown_scale_gets_no_millimetres():
    readings = MeasureDisksd()(item(in_space=False))["readings"]
    assert all(set(r.measurements) == {"height_index", "slip_share"} for r in readings)


def test_a_disk_that_was_not_found_is_passed_on():
    data = item(in_space=True)
    data["readings"] = (DiskReading("L1-L2", flags=("vertebra_not_found",)),)
    assert MeasureDisksd()(data)["readings"][0].measurements == {}
