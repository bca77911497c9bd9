from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bundle.geometry import DISK_LEVELS, angle_between_deg
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.examination import file_order, vendor_examination
from bundle.phantom.vendors import ORDERS, VendorError
from tests.phantom.studies import SPINE, VENDORS, examination, slim, with_axial

SIEMENS = slim(VENDORS["siemens"])


def plan_of(exam, role):
    return next(plan for plan in exam.plans if plan.role == role)


@pytest.mark.parametrize("name", VENDORS)
def test_stacks_on_disks_are_parallel_to_them_within_a_technicians_error(name):
    vendor = with_axial(VENDORS[name], "per_disk", "ascending")
    angles = []
    for seed in range(6):
        spine = sample_spine(seed)
        plan = plan_of(vendor_examination(spine, vendor, seed), "axial_t2")
        for stack, level in enumerate(plan.levels):
            planes = [p for p, s in zip(plan.planes, plan.stack_numbers, strict=True) if s == stack]
            upright = np.array([0.0, 1.0, 1.0])  # a curve to the side is followed more or less
            angles.append(angle_between_deg(planes[0].normal * upright, spine.disks[level].disk.normal_lps * upright))
            middle = np.mean([p.center_lps_mm for p in planes], axis=0)
            assert abs((middle - spine.disks[level].disk.center_lps_mm) @ planes[0].normal) < 5
    assert np.max(angles) < 7
    assert np.median(angles) < 3


def test_axial_slices_lie_on_the_lowest_four_or_five_disks():
    by_disk = with_axial(SIEMENS, "per_disk", "ascending")
    seen = {plan_of(examination(by_disk, seed), "axial_t2").levels for seed in range(12)}
    assert seen == {DISK_LEVELS, DISK_LEVELS[1:]}


def test_a_sixth_lumbar_body_shifts_the_disks_that_get_slices():
    spine = sample_spine(3, transition="L6")
    plan = plan_of(vendor_examination(spine, with_axial(SIEMENS, "per_disk", "ascending"), 3), "axial_t2")
    assert plan.levels[-2:] == ("L5-L6", "L6-S1")


def test_a_block_passes_through_every_disk_at_one_angle():
    vendor = with_axial(replace(VENDORS["ge"], levels=(5,)), "block", "ascending")
    plan = plan_of(vendor_examination(SPINE, vendor, 1), "axial_t2")
    assert max(plan.planes[0].angle_deg(p.normal) for p in plan.planes) < 1e-6
    z = [p.signed_distance_mm(SPINE.disks[level].disk.center_lps_mm) for level in DISK_LEVELS for p in plan.planes]
    distance = np.abs(np.reshape(z, (5, -1))).min(axis=1)
    assert (distance <= plan.planes[0].thickness_mm).all()


def test_series_by_disk_are_one_series_for_each_disk():
    exam = examination(with_axial(replace(SIEMENS, levels=(5,)), "series_per_disk", "ascending"))
    assert [plan.levels for plan in exam.plans if plan.role == "axial_t2"] == [(level,) for level in DISK_LEVELS]


def test_t1_and_t2_of_a_view_share_their_places_and_not_their_matrix():
    philips = slim(VENDORS["philips"])  # whose STIR is always coarser than its T2
    vendor = replace(philips, series=tuple(replace(h, orders=("ascending",)) for h in philips.series))
    exam = vendor_examination(SPINE, vendor, 3)
    t1, t2, stir = (plan_of(exam, f"sagittal_{name}").planes for name in ("t1", "t2", "stir"))
    for others in (t1, stir):
        assert np.allclose([p.center_lps_mm for p in others], [p.center_lps_mm for p in t2])
    assert stir[0].shape[0] < t2[0].shape[0]


def test_a_smaller_matrix_keeps_the_field_of_view():
    full, small = (plan_of(vendor_examination(SPINE, SIEMENS, 3, max_px=px), "sagittal_t2") for px in (None, 40))
    assert small.planes[0].shape == (40, 40)
    assert small.planes[0].pixel_spacing_mm[0] * 40 == pytest.approx(
        full.planes[0].pixel_spacing_mm[0] * full.planes[0].shape[0]
    )


def test_radial_slabs_turn_about_the_canal():
    planes = plan_of(examination(SIEMENS), "myelogram").planes
    turns = [float(a.angle_deg(b.normal)) for a, b in pairwise(planes)]
    assert turns == pytest.approx([45.0] * 3)
    assert np.ptp([p.center_lps_mm for p in planes], axis=0) == pytest.approx([0, 0, 0], abs=1e-9)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("ascending", [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]),
        ("restarting", [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]),
        ("descending", [(1, 2), (1, 1), (1, 0), (0, 2), (0, 1), (0, 0)]),
        ("interleaved", [(0, 0), (0, 2), (0, 1), (1, 0), (1, 2), (1, 1)]),
        ("feet_first", [(1, 0), (1, 1), (1, 2), (0, 0), (0, 1), (0, 2)]),
        ("across_stacks", [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]),
    ],
)
def test_slices_are_filed_in_the_order_that_is_named(order, expected):
    assert order in ORDERS
    assert file_order([3, 3], order) == expected


def test_numbers_restart_in_each_stack_only_where_the_order_says_so():
    for order, numbers in (("restarting", (1, 2, 3) * 5), ("ascending", tuple(range(1, 16)))):
        exam = examination(with_axial(replace(SIEMENS, levels=(5,)), "per_disk", order))
        assert plan_of(exam, "axial_t2").instance_numbers == numbers


def test_the_same_seed_gives_the_same_examination_and_another_another():
    def affines(seed):
        return [p.affine.tolist() for plan in vendor_examination(SPINE, VENDORS["philips"], seed).plans for p in plan.planes]

    assert affines(3) == affines(3)
    assert affines(3) != affines(4)


def test_naming_an_option_leaves_the_planes_as_they_are():
    drawn = vendor_examination(SPINE, VENDORS["canon"], 5)
    named = vendor_examination(SPINE, VENDORS["canon"], 5, transfer_syntax="rle", deidentified=True)
    assert [plan.description for plan in named.plans] == [plan.description for plan in drawn.plans]
    assert (named.plans[1].planes[0].affine == drawn.plans[1].planes[0].affine).all()
    assert (named.filing.transfer_syntax, named.filing.deidentified) == ("rle", True)


def test_multi_frame_is_refused_by_a_vendor_that_has_none():
    with pytest.raises(VendorError, match="ge has no scanner"):
        vendor_examination(SPINE, VENDORS["ge"], 0, enhanced=True)


def test_the_inversion_time_of_fat_follows_the_field():
    vendor = replace(
        SIEMENS, series=tuple(replace(h, ti_ms=(150, 150)) for h in SIEMENS.series if h.role == "sagittal_stir")
    )
    by_field = {}
    for seed in range(8):
        sequence = vendor_examination(SPINE, vendor, seed).plans[0].sequence
        by_field[sequence.field_t] = sequence.ti_ms
    assert by_field[1.5] == 150
    assert 170 < by_field[3.0] < 200
