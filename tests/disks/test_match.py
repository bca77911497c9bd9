from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.disks.match import SliceMatcher
from tests.making import ORDERS, axial_plane, blank, flat_disk, reordered, study_image, upright_sagittal

DISKS = {level: flat_disk(level, (0, 0, z)) for level, z in (("L2-L3", 36.0), ("L3-L4", 0.0), ("L4-L5", -36.0))}


def match(plane, disks=None, **settings_):
    settings_ = {"near_mm": 0.0, **settings_}  # a disk that has no other slice would take a slice beyond its reach
    (found,) = SliceMatcher(**settings_)([blank("slice", plane)], DISKS if disks is None else disks)
    return found


@pytest.mark.parametrize(("z_mm", "level"), [(36, "L2-L3"), (40, "L2-L3"), (3, "L3-L4"), (-33, "L4-L5"), (-38, "L4-L5")])
def test_slice_between_the_endplates_belongs_to_the_disk(z_mm, level):
    assert match(axial_plane(z_mm)).level == level


@pytest.mark.parametrize("z_mm", [18.0, -18.0, 80.0, -9.0])
def test_slice_through_a_body_belongs_to_no_disk(z_mm):
    assert match(axial_plane(z_mm)).level is None


def test_tolerance_is_added_to_half_the_height_and_no_more():
    assert match(axial_plane(5.9), tolerance_mm=1.0).level == "L3-L4"
    assert match(axial_plane(6.1), tolerance_mm=1.0).level is None


def test_lordotic_disk_is_judged_by_its_height_at_the_canal():
    # 10 mm high in the middle, 8 mm more at the front than at the back: 8 mm at three quarters of the way.
    disks = {"L5-S1": replace(flat_disk("L5-S1"), wedge_mm=8.0)}
    assert match(axial_plane(3.9), disks).level == "L5-S1"
    assert match(axial_plane(4.1), disks).level is None
    assert match(axial_plane(-4.1), disks).level is None


def test_distance_is_positive_toward_the_head():
    assert match(axial_plane(2.5)).distance_mm == pytest.approx(2.5)
    assert match(axial_plane(-2.5)).distance_mm == pytest.approx(-2.5)


def test_margin_is_the_way_to_the_limit_from_both_sides():
    assert match(axial_plane(4.0), tolerance_mm=1.0).margin_mm == pytest.approx(2.0)
    assert match(axial_plane(9.0), tolerance_mm=1.0).margin_mm == pytest.approx(3.0)


def test_slice_outside_of_every_disk_still_tells_the_nearest():
    found = match(axial_plane(-45.0))
    assert found.level is None
    assert found.distance_mm == pytest.approx(-9.0)


def test_tilted_slice_is_judged_at_the_back_of_the_disk():
    # At 20 degrees the slice through the disk's middle is 8.5 * tan(20) = 3.1 mm lower at its back quarter.
    found = match(axial_plane(0.0, tilt_deg=20.0))
    assert found.distance_mm == pytest.approx(-8.5 * 0.36397, abs=1e-3)
    assert found.angle_deg == pytest.approx(20)


def test_steep_slice_that_cuts_two_disks_belongs_to_the_one_at_the_canal():
    # Through the middle of L3-L4 at y = 8.5, and through L2-L3 far before the spine.
    plane = axial_plane(8.5 * 0.7002, tilt_deg=35.0)
    assert match(plane).level == "L3-L4"


def test_slice_tilted_too_much_belongs_to_none():
    assert match(axial_plane(8.5 * 0.5774, tilt_deg=30.0), max_angle_deg=29.0).level is None
    assert match(axial_plane(8.5 * 0.5774, tilt_deg=30.0), max_angle_deg=31.0).level == "L3-L4"


def test_slice_whose_image_ends_before_the_disk_belongs_to_none():
    assert match(axial_plane(0.0, size=20, y_mm=60.0)).level is None


def test_sagittal_slice_belongs_to_none():
    found = match(upright_sagittal(0.0))
    assert found.level is None
    assert found.angle_deg == pytest.approx(90)


def test_tilted_disk_takes_slices_of_its_own_tilt():
    disk = flat_disk("L5-S1", (0, 0, -72.0), tilt_deg=30.0)
    found = match(axial_plane(-72.0, tilt_deg=30.0), {"L5-S1": disk})
    assert found.level == "L5-S1"
    assert found.distance_mm == pytest.approx(0, abs=1e-9)
    assert found.angle_deg == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("order", ORDERS)
def test_match_does_not_depend_on_how_the_array_is_stored(order):
    plane = axial_plane(2.0, tilt_deg=12.0)
    pixels, other = reordered(blank("a", plane).load_pixels(), plane, order)
    usual = match(plane)
    (found,) = SliceMatcher()([study_image("a", pixels, other)], DISKS)
    assert found.level == usual.level
    assert found.distance_mm == pytest.approx(usual.distance_mm)
    assert found.angle_deg == pytest.approx(usual.angle_deg)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.floats(-60, 60), st.floats(-25, 25))
def test_matched_slice_crosses_its_disk_within_reach(z_mm, tilt_deg):
    found = match(axial_plane(z_mm, tilt_deg), tolerance_mm=1.0)
    assert (found.level is not None) == (abs(found.distance_mm) <= 6.0)


def test_every_image_with_a_plane_has_a_match_in_order():
    images = [blank(f"s{k}", axial_plane(z)) for k, z in enumerate((30.0, -2.0, 36.0))]
    images.insert(1, study_image("plain", images[0].load_pixels(), None))
    found = SliceMatcher()(images, DISKS)
    assert [m.image.sop_instance_uid for m in found] == ["s0", "s1", "s2"]


def test_without_disks_nothing_is_matched():
    found = match(axial_plane(0.0), {})
    assert (found.level, found.distance_mm, found.angle_deg, found.margin_mm) == (None, None, None, None)


def test_without_slices_there_are_no_matches():
    assert SliceMatcher()([], DISKS) == ()


def test_best_slice_is_the_nearest_to_the_middle():
    images = [blank(f"z{z}", axial_plane(z)) for z in (4.0, 0.5, -3.5)]
    matcher = SliceMatcher()
    best = matcher.best_first(matcher(images, DISKS), "L3-L4")
    assert [m.image.sop_instance_uid for m in best] == ["z0.5", "z-3.5", "z4.0"]


def test_of_two_slices_as_near_the_less_tilted_is_better():
    steep = axial_plane(8.5 * 0.26795 + 1.0, tilt_deg=15.0)
    images = [blank("steep", steep), blank("flat", axial_plane(1.0))]
    matcher = SliceMatcher()
    best = matcher.best_first(matcher(images, DISKS), "L3-L4")
    assert [m.image.sop_instance_uid for m in best] == ["flat", "steep"]


def test_slices_of_other_disks_are_not_chosen():
    images = [blank("a", axial_plane(0.0)), blank("b", axial_plane(36.0)), blank("c", axial_plane(18.0))]
    matcher = SliceMatcher()
    assert [m.image.sop_instance_uid for m in matcher.best_first(matcher(images, DISKS), "L2-L3")] == ["b"]


def test_a_disk_thinner_than_the_step_gets_its_nearest_slice_and_only_that():
    thin = {"L3-L4": flat_disk("L3-L4", height=3.0)}
    slices = [blank(f"s{z}", axial_plane(z)) for z in (2.2, -2.3, 6.7)]
    assert [m.level for m in SliceMatcher()(slices, thin)] == ["L3-L4", None, None]


def test_a_slice_farther_than_the_disk_is_high_is_never_taken():
    thin = {"L3-L4": flat_disk("L3-L4", height=2.0)}
    assert SliceMatcher(near_mm=5.0)([blank("s", axial_plane(2.4))], thin)[0].level is None


def test_a_disk_that_has_a_slice_takes_no_other():
    disks = {"L3-L4": flat_disk("L3-L4", height=6.0)}
    slices = [blank(f"s{z}", axial_plane(z)) for z in (1.0, -4.0)]
    assert [m.level for m in SliceMatcher()(slices, disks)] == ["L3-L4", None]
