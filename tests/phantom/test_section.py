import numpy as np
import pytest

from bundle.geometry import SlicePlane
from bundle.geometry.resample import square_plane
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.section import sections_lps_mm
from bundle.phantom.shapes import Body

AXES = np.eye(3)


def body(**change) -> Body:
    """40 mm wide, 30 deep, 24 high, in the axes of the patient."""
    values = {
        "level": "L3", "center_lps_mm": np.zeros(3), "axes": AXES, "half_width_mm": 20.0, "half_depth_mm": (15.0, 15.0),
        "half_height_mm": (12.0, 12.0), "waist": 0.0, "concavity_mm": 0.0, "dent_mm": 0.0,
    }  # fmt: skip
    return Body(**{**values, **change})


def sagittal(x_mm: float = 0.0, lean_deg: float = 0.0) -> SlicePlane:
    a = np.radians(lean_deg)
    return square_plane(np.array([x_mm, 0, 0]), np.array([0.0, 1, 0]), np.array([np.sin(a), 0, -np.cos(a)]), 100.0, 50)


def outline(*bodies: Body, plane: SlicePlane | None = None) -> np.ndarray:
    return sections_lps_mm(bodies, plane or sagittal())[0]


def test_outline_of_a_block_is_as_deep_and_high_as_the_block():
    (points,) = outline(body())
    assert points.min(0)[1:] == pytest.approx([-15, -12], abs=1e-3)
    assert points.max(0)[1:] == pytest.approx([15, 12], abs=1e-3)


def test_outline_lies_on_the_slice():
    plane = sagittal(3.0, 8.0)
    assert np.abs(plane.signed_distance_mm(outline(body(), plane=plane))).max() < 1e-9


def test_rims_are_rounded_with_two_millimetres():
    (points,) = outline(body())
    to_corner = np.linalg.norm(points[:, 1:] - [15, 12], axis=-1).min()
    assert to_corner == pytest.approx(2 * (np.sqrt(2) - 1), abs=0.02)


def test_waist_and_hollow_endplates_are_seen():
    (points,) = outline(body(waist=0.1, concavity_mm=2.0))
    assert np.abs(points[np.abs(points[:, 2]) < 0.5, 1]).max() == pytest.approx(13.5, abs=0.1)
    assert points[(np.abs(points[:, 1]) < 0.5) & (points[:, 2] > 0), 2] == pytest.approx(10, abs=0.1)


def test_back_wall_is_hollow_at_the_middle_and_not_beside_it():
    dented = body(dent_mm=1.5)
    middle, beside = (outline(dented, plane=sagittal(x))[0][:, 1].max() for x in (0.0, 16.0))
    assert middle == pytest.approx(13.5, abs=0.02)
    assert beside == pytest.approx(outline(body(), plane=sagittal(16.0))[0][:, 1].max(), abs=0.15)


def test_corners_are_where_wall_and_endplate_meet_whatever_the_rounding():
    _, (corners,) = sections_lps_mm([body(dent_mm=1.5)], sagittal())
    assert corners[:, 1:] == pytest.approx(np.array([[-15, 12], [13.5, 12], [13.5, -12], [-15, -12]]), abs=0.02)


def test_corners_of_an_upright_middle_slice_are_the_bodys():
    spine = sample_spine(3)
    third = spine.body("L3")
    plane = square_plane(third.center_lps_mm, third.axes[1], -third.axes[2], 100.0, 50)
    assert sections_lps_mm([third], plane)[1][0] == pytest.approx(third.corners_lps_mm(), abs=1e-6)


def test_leaning_slice_cuts_a_body_beside_its_middle_at_its_ends():
    long = body(half_height_mm=(30.0, 30.0), half_width_mm=18.0)
    _, (corners,) = sections_lps_mm([long], sagittal(0.0, 25.0))
    left = 30 * np.tan(np.radians(25.0))
    assert np.abs(corners[:, 0]) == pytest.approx(left, abs=1e-6)
    assert corners[1, 1] == pytest.approx(15 * (1 - (left / 18) ** 2.6) ** (1 / 2.6))


def test_bodies_are_cut_together_as_they_are_alone():
    bodies = sample_spine(5).bodies[4:9]
    plane = sagittal(float(np.mean([b.center_lps_mm[0] for b in bodies])), 3.0)
    together = outline(*bodies, plane=plane)
    for number, one in enumerate(bodies):
        assert outline(one, plane=plane)[0] == pytest.approx(together[number])
