import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.geometry import SlicePlane, angle_between_deg, unit
from tests.making import planes

quiet = settings(max_examples=60, deadline=None, derandomize=True)
points = st.tuples(*[st.floats(-300, 300)] * 2)


def oblique() -> SlicePlane:
    """Turned by 30 degrees about the patient's left-right axis; rows run to the left, columns back and down."""
    c, s = np.cos(np.radians(30)), np.sin(np.radians(30))
    return SlicePlane([-80.0, -60.0, 40.0], [1, 0, 0], [0, c, -s], (0.5, 0.8), (256, 192), 4.0)


# ---- DICOM PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1, by hand --------------------------------------------------------------


def test_column_moves_along_the_first_triple_by_the_second_spacing():
    assert oblique().to_patient([10, 0]) == pytest.approx([-80 + 10 * 0.8, -60, 40])


def test_row_moves_along_the_second_triple_by_the_first_spacing():
    # 20 rows of 0.5 mm are 10 mm: 8.660254 to the back and 5 down.
    assert oblique().to_patient([0, 20]) == pytest.approx([-80, -60 + 8.660254037844387, 35.0])


def test_oblique_pixel_is_where_the_standard_puts_it():
    assert oblique().to_patient([100, 40]) == pytest.approx([0.0, -60 + 17.320508075688775, 30.0])


def test_doubly_oblique_pixel_is_where_the_standard_puts_it():
    # Rows (2, 1, 2) / 3 and columns (-2, 2, 1) / 3 are at right angles; pixel (3, 6) with spacing (0.5, 2):
    # (1, 2, 3) + 3 * 2 * (2, 1, 2) / 3 + 6 * 0.5 * (-2, 2, 1) / 3 = (1, 2, 3) + (4, 2, 4) + (-2, 2, 1).
    plane = SlicePlane([1, 2, 3], np.array([2, 1, 2]) / 3, np.array([-2, 2, 1]) / 3, (0.5, 2.0), (64, 64))
    assert plane.to_patient([3, 6]) == pytest.approx([3.0, 6.0, 8.0])


def test_normal_is_row_direction_cross_column_direction():
    # x cross (0, cos, -sin) = (0, sin, cos): this image is looked at from the feet, its normal points up and back.
    assert oblique().normal == pytest.approx([0.0, 0.5, 0.8660254037844386])


def test_affine_takes_pixels_and_height_to_the_patient():
    plane = oblique()
    assert (plane.affine @ [7, 9, 2.5, 1])[:3] == pytest.approx(plane.to_patient([7, 9]) + 2.5 * plane.normal)


def test_plane_from_its_own_affine_is_the_same_plane():
    plane = oblique()
    again = SlicePlane.from_affine(plane.affine, plane.shape, 4.0)
    assert again.affine == pytest.approx(plane.affine)
    assert (again.pixel_spacing_mm, again.shape, again.thickness_mm) == (pytest.approx((0.5, 0.8)), (256, 192), 4.0)


def test_center_is_halfway_between_first_and_last_pixel():
    plane = oblique()
    assert plane.center_lps_mm == pytest.approx((plane.to_patient([0, 0]) + plane.to_patient([191, 255])) / 2)


# ---- pixels and patient ---------------------------------------------------------------------------------------------


@quiet
@given(planes(), st.lists(points, min_size=1, max_size=5))
def test_pixel_to_patient_and_back_is_the_same_pixel(plane, where):
    where = np.asarray(where)
    assert np.abs(plane.to_pixel(plane.to_patient(where)) - where).max() < 1e-6


@quiet
@given(planes(), points, st.floats(-100, 100))
def test_point_off_the_plane_falls_on_its_foot(plane, where, height):
    above = plane.to_patient(where) + height * plane.normal
    assert np.abs(plane.to_pixel(above) - where).max() < 1e-6
    assert abs(plane.signed_distance_mm(above) - height) < 1e-6


@quiet
@given(planes())
def test_directions_are_unit_vectors_at_right_angles(plane):
    frame = np.stack([plane.row_direction, plane.column_direction, plane.normal])
    assert frame @ frame.T == pytest.approx(np.eye(3), abs=1e-9)


def test_many_points_keep_their_shape():
    plane = oblique()
    assert plane.to_patient(np.zeros((4, 5, 2))).shape == (4, 5, 3)
    assert plane.to_pixel(np.zeros((4, 5, 3))).shape == (4, 5, 2)
    assert plane.signed_distance_mm(np.zeros((4, 5, 3))).shape == (4, 5)


def test_position_is_measured_along_the_normal_from_the_patient_origin():
    assert oblique().position_mm == pytest.approx(-60 * 0.5 + 40 * 0.8660254037844386)


@pytest.mark.parametrize(
    ("pixel", "inside"),
    [
        ([0, 0], True),
        ([-0.5, -0.5], True),
        ([-0.51, 0], False),
        ([191.5, 255.5], True),
        ([191.6, 0], False),
        ([0, 255.6], False),
        ([255, 191], False),  # rows and columns are not to be mixed up
    ],
)
def test_image_ends_half_a_pixel_outside_the_outer_centres(pixel, inside):
    assert bool(oblique().contains_px(pixel)) is inside


# ---- what headers hold ------------------------------------------------------------------------------------------------


def test_rounded_directions_are_made_exact():
    plane = SlicePlane([0, 0, 0], [0.9998, 0.0175, 0], [-0.0171, 0.9999, 0], (1, 1), (8, 8))
    assert plane.row_direction @ plane.column_direction == pytest.approx(0, abs=1e-15)
    assert np.linalg.norm(plane.row_direction) == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"column_direction": [0.5, 0.8, 0]}, "right angles"),
        ({"origin_lps_mm": [np.nan, 0, 0]}, "not a number"),
        ({"pixel_spacing_mm": (0.0, 1.0)}, "spacing"),
        ({"pixel_spacing_mm": (1.0, np.inf)}, "spacing"),
        ({"shape": (0, 5)}, "rows and columns"),
        ({"row_direction": [0, 0, 0]}, "zero length"),
    ],
)
def test_impossible_plane_is_refused(change, complaint):
    good = {
        "origin_lps_mm": [0, 0, 0],
        "row_direction": [1, 0, 0],
        "column_direction": [0, 1, 0],
        "pixel_spacing_mm": (1.0, 1.0),
        "shape": (8, 8),
    }
    with pytest.raises(ValueError, match=complaint):
        SlicePlane(**{**good, **change})


# ---- angles -----------------------------------------------------------------------------------------------------------


def test_angle_between_lines_does_not_depend_on_which_way_they_point():
    assert angle_between_deg([0, 0, 1], [0, 1, -1]) == pytest.approx(45)


def test_angle_of_equal_directions_is_zero_in_spite_of_rounding():
    v = unit([0.3, -0.7, 0.2])
    assert angle_between_deg(v, v * (1 + 1e-15)) == pytest.approx(0, abs=1e-5)


def test_angle_of_a_plane_is_that_of_its_normal():
    assert oblique().angle_deg([0, 0, -1]) == pytest.approx(30)


# ---- the line in which two images meet ------------------------------------------------------------------------------------


def sagittal() -> SlicePlane:
    return SlicePlane([3.0, -100.0, 100.0], [0, 1, 0], [0, 0, -1], (1.0, 1.0), (201, 201))


def axial(z_mm: float = 10.0, x_mm: float = -50.0) -> SlicePlane:
    return SlicePlane([x_mm, -60.0, z_mm], [1, 0, 0], [0, 1, 0], (1.0, 1.0), (101, 101))


def test_axial_and_sagittal_image_meet_in_the_line_reckoned_by_hand():
    # x is the sagittal image's, z the axial one's; y runs over the axial image, half a pixel beyond its outer centres.
    ends = sagittal().intersection(axial())
    assert sorted(ends, key=lambda p: p[1])[0] == pytest.approx([3, -60.5, 10])
    assert sorted(ends, key=lambda p: p[1])[1] == pytest.approx([3, 40.5, 10])


def test_parallel_images_do_not_meet():
    assert axial(0).intersection(axial(5)) is None


def test_images_whose_planes_cross_outside_of_them_do_not_meet():
    assert sagittal().intersection(axial(x_mm=20.0)) is None
    assert sagittal().intersection(axial(z_mm=130.0)) is None


@settings(max_examples=150, deadline=None, derandomize=True)
@given(planes(spread_mm=10), planes(spread_mm=10))
def test_intersection_is_symmetric_and_lies_on_both_images(a, b):
    if np.linalg.norm(np.cross(a.normal, b.normal)) < 0.05:
        return  # nearly parallel: where they meet is beyond any accuracy
    one, other = a.intersection(b), b.intersection(a)
    assert (one is None) == (other is None)
    if one is None:
        return
    gap = min(
        max(np.linalg.norm(one[0] - other[i]), np.linalg.norm(one[1] - other[1 - i])) for i in (0, 1)
    )  # the two ends may change places
    assert gap < 1e-6
    for plane in (a, b):
        for end in one:
            assert abs(plane.signed_distance_mm(end)) < 1e-6
            column, row = plane.to_pixel(end)
            assert -0.5 - 1e-6 <= column <= plane.shape[1] - 0.5 + 1e-6
            assert -0.5 - 1e-6 <= row <= plane.shape[0] - 0.5 + 1e-6


@settings(max_examples=60, deadline=None, derandomize=True)
@given(planes(spread_mm=5), st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.floats(20, 160))
def test_images_that_share_a_point_meet_in_a_line_through_it(plane, across, down, turn_deg):
    point = plane.to_patient([across * (plane.shape[1] - 1), down * (plane.shape[0] - 1)])
    turn = np.radians(turn_deg)
    column = np.cos(turn) * plane.column_direction + np.sin(turn) * plane.normal
    corner = point - 10 * plane.row_direction - 10 * column
    other = SlicePlane(corner, plane.row_direction, column, (1.0, 1.0), (21, 21))
    start, end = plane.intersection(other)
    along = unit(end - start)
    assert np.linalg.norm((point - start) - ((point - start) @ along) * along) < 1e-6
    assert 0 <= (point - start) @ along <= np.linalg.norm(end - start)
