import numpy as np
import pytest

from bundle.geometry.rim import Rim
from bundle.phantom.endplates import SIDES, sample_changes, sample_nodes
from bundle.phantom.pathology import sample_pathology
from bundle.phantom.prevalence import MODIC, SCHMORL

RIM = Rim.superellipse(24.0, 17.0, 9.0, wedge=0.1)


def rng(k: int) -> np.random.Generator:
    return np.random.default_rng([3, k])


CHANGES = {grade: [sample_changes(rng(k), grade, RIM) for k in range(400)] for grade in MODIC}
NODES = [n for k in range(2000) for n in sample_nodes(rng(k), "L1-L2", RIM)]


@pytest.mark.parametrize("grade", MODIC)
def test_modic_changes_are_as_frequent_as_the_grade_asks(grade):
    assert np.mean([bool(c) for c in CHANGES[grade]]) == pytest.approx(MODIC[grade], abs=0.07)


def test_modic_changes_of_a_disk_are_of_one_type_and_on_different_endplates():
    for changes in (c for drawn in CHANGES.values() for c in drawn if c):
        assert len({c.modic for c in changes}) == 1
        assert len({c.side for c in changes}) == len(changes) <= 2
        assert {c.side for c in changes} <= set(SIDES)


def test_every_type_of_modic_change_is_drawn_and_type_2_most_often():
    types = [c[0].modic for c in CHANGES[5] if c]
    counts = [types.count(k) for k in (1, 2, 3)]
    assert min(counts) > 5
    assert counts[1] == max(counts)


def test_modic_changes_lie_under_the_endplate_and_have_depth():
    for change in (c for drawn in CHANGES.values() for changes in drawn for c in changes):
        assert abs(change.center_uv_mm[0]) < 24 and abs(change.center_uv_mm[1]) < 17
        assert change.depth_mm > 0 and min(change.radii_uv_mm) > 0


def test_schmorl_nodes_are_as_frequent_as_the_level_asks():
    assert len(NODES) / 4000 == pytest.approx(SCHMORL["L1-L2"], abs=0.01)
    assert sample_nodes(rng(0), "T8-T9", RIM) == ()


def test_schmorl_node_is_centred_on_its_endplate():
    for node in NODES:
        _, back, up = node.center_uvw_mm
        assert up == pytest.approx((1 if node.side == "upper" else -1) * (9 - 0.1 * back) / 2)


def test_disks_carry_their_endplates():
    drawn = [sample_pathology(rng(k), "L4-L5", 17.0, finding="herniation") for k in range(150)]
    assert np.mean([bool(d.changes) for d in drawn]) > 0.3
    assert any(d.nodes for d in drawn)
