"""Planes, reference lines and resampling against two other implementations: highdicom and ITK."""

from __future__ import annotations

import itk
import numpy as np
import pytest
from highdicom.spatial import (
    PixelToReferenceTransformer,
    ReferenceToPixelTransformer,
    map_pixel_into_coordinate_system,
)
from scipy.spatial.transform import Rotation

from bundle.geometry import SlicePlane
from bundle.geometry.resample import resample_plane, square_plane

CASES = 300
TOLERANCE = 1e-6


def random_plane(rng: np.random.Generator, spread_mm: float = 300.0, max_side: int = 400) -> SlicePlane:
    """Turned in any way, with pixels that are not square; its middle within ``spread_mm`` of the origin."""
    turn = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
    spacing = tuple(rng.uniform(0.2, 3.0, 2))
    shape = tuple(int(n) for n in rng.integers(8, max_side, 2))
    corner = rng.uniform(-spread_mm, spread_mm, 3)
    for along, step, count in zip((turn[1], turn[0]), spacing, shape, strict=True):
        corner = corner - (count - 1) / 2 * step * along
    return SlicePlane(corner, turn[0], turn[1], spacing, shape)


def as_dicom(plane: SlicePlane) -> dict[str, list[float]]:
    """The plane as a DICOM header has it."""
    return {
        "image_position": plane.origin_lps_mm.tolist(),
        "image_orientation": [*plane.row_direction.tolist(), *plane.column_direction.tolist()],
        "pixel_spacing": list(plane.pixel_spacing_mm),
    }


def as_itk(plane: SlicePlane, pixels: np.ndarray | None = None) -> itk.Image:
    """A volume one slice thick: ITK's index is (column, row, slice), its spacing in the same order."""
    image = itk.GetImageFromArray(np.zeros((1, *plane.shape), np.float32) if pixels is None else pixels[None])
    image.SetOrigin(plane.origin_lps_mm.tolist())
    image.SetSpacing([plane.pixel_spacing_mm[1], plane.pixel_spacing_mm[0], 1.0])
    normal = np.cross(plane.row_direction, plane.column_direction)
    image.SetDirection(np.stack([plane.row_direction, plane.column_direction, normal], axis=1))
    return image


def itk_continuous_index(image: itk.Image, point: np.ndarray) -> np.ndarray:
    """(column, row, slice) of a point."""
    return np.array(image.TransformPhysicalPointToContinuousIndex(np.asarray(point, dtype=float).tolist()))


@pytest.fixture(scope="module")
def cases() -> list[tuple[SlicePlane, np.ndarray, np.ndarray]]:
    """Planes, each with whole pixels on it and points of the patient near it."""
    rng = np.random.default_rng(20)
    result = []
    for _ in range(CASES):
        plane = random_plane(rng)
        pixels = rng.integers(0, np.array(plane.shape)[::-1], (5, 2))
        result.append((plane, pixels, plane.center_lps_mm + rng.uniform(-200, 200, (5, 3))))
    return result


# ---- pixels and patient ------------------------------------------------------------------------------------------------


def test_pixels_go_where_highdicom_puts_them(cases):
    for plane, pixels, _ in cases:
        header = as_dicom(plane)
        expected = PixelToReferenceTransformer(**header)(pixels)
        assert plane.to_patient(pixels) == pytest.approx(expected, abs=TOLERANCE)
        one = map_pixel_into_coordinate_system(index=pixels[0].tolist(), **header)
        assert plane.to_patient(pixels[0]) == pytest.approx(one, abs=TOLERANCE)


def test_points_go_to_the_pixel_and_height_that_highdicom_gives(cases):
    for plane, _, points in cases:
        # Its third number is the height above the plane, in steps of spacing_between_slices (1 mm).
        expected = ReferenceToPixelTransformer(**as_dicom(plane), round_output=False)(points)
        assert plane.to_pixel(points) == pytest.approx(expected[:, :2], abs=TOLERANCE)
        assert plane.signed_distance_mm(points) == pytest.approx(expected[:, 2], abs=TOLERANCE)


def test_pixels_go_where_itk_puts_them(cases):
    for plane, pixels, _ in cases:
        image = as_itk(plane)
        expected = [list(image.TransformIndexToPhysicalPoint([int(c), int(r), 0])) for c, r in pixels]
        assert plane.to_patient(pixels) == pytest.approx(np.array(expected), abs=TOLERANCE)


def test_points_go_to_the_pixel_and_height_that_itk_gives(cases):
    for plane, _, points in cases:
        expected = np.stack([itk_continuous_index(as_itk(plane), point) for point in points])
        assert plane.to_pixel(points) == pytest.approx(expected[:, :2], abs=TOLERANCE)
        assert plane.signed_distance_mm(points) == pytest.approx(expected[:, 2], abs=TOLERANCE)


# ---- the line in which two images meet ---------------------------------------------------------------------------------


def on_image(image: itk.Image, point: np.ndarray, slack: float = 1e-5) -> bool:
    """Whether a point of the plane lies on the image, whose edge is half a pixel outside the outer centres."""
    index = itk_continuous_index(image, point)[:2]
    columns, rows, _ = itk.size(image)
    return bool((index >= -0.5 - slack).all() and (index <= np.array([columns, rows]) - 0.5 + slack).all())


def test_reference_line_is_the_longest_that_both_images_hold_by_itk():
    """Both ends lie on both planes and on both images, and half a millimetre beyond either is outside of one of them."""
    rng = np.random.default_rng(21)
    met = 0
    for _ in range(CASES):
        first, second = random_plane(rng, 80.0, 120), random_plane(rng, 80.0, 120)
        ends = first.intersection(second)
        images = [as_itk(first), as_itk(second)]
        if ends is None:
            continue
        met += 1
        along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
        for end, outward in ((ends[0], -along), (ends[1], along)):
            for image in images:
                assert itk_continuous_index(image, end)[2] == pytest.approx(0, abs=TOLERANCE)
                assert on_image(image, end)
            assert not all(on_image(image, end + 0.5 * outward) for image in images)
    assert met > CASES / 6


def test_images_that_do_not_meet_share_no_point_by_itk():
    """Where there is no reference line: along the edges and the inside of one image no point changes sides on the other."""
    rng = np.random.default_rng(22)
    apart = 0
    for _ in range(CASES):
        first, second = random_plane(rng, 80.0, 60), random_plane(rng, 80.0, 60)
        if first.intersection(second) is not None:
            continue
        apart += 1
        image = as_itk(first)
        # Rows of the second image run through the first's plane where the third index changes its sign.
        rows, columns = second.shape
        for row in np.linspace(-0.5, rows - 0.5, 15):
            start, end = second.to_patient([[-0.5, row], [columns - 0.5, row]])
            low, high = (itk_continuous_index(image, p)[2] for p in (start, end))
            if low * high < 0:
                assert not on_image(image, start + low / (low - high) * (end - start), slack=-1e-5)
    assert apart > CASES / 6


# ---- resampling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_resampled_square_is_that_of_itk(seed):
    """Linear interpolation on a square turned in the image's own plane, its pixels no larger than the image's."""
    rng = np.random.default_rng([23, seed])
    turn = Rotation.random(random_state=seed).as_matrix()
    spacing = tuple(rng.uniform(0.6, 1.4, 2))
    source = SlicePlane(rng.uniform(-100, 100, 3), turn[0], turn[1], spacing, (90, 110))
    pixels = (1 + rng.random(source.shape)).astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    row = np.cos(angle) * turn[0] + np.sin(angle) * turn[1]
    column = -np.sin(angle) * turn[0] + np.cos(angle) * turn[1]
    middle = source.center_lps_mm + rng.uniform(-2, 2) * turn[0] + rng.uniform(-2, 2) * turn[1]
    target = square_plane(middle, row, column, 40.0, 80)
    ours = resample_plane(pixels, source, target)
    image = as_itk(source, pixels)
    theirs = itk.resample_image_filter(
        image,
        interpolator=itk.LinearInterpolateImageFunction.New(image),
        reference_image=as_itk(target),
        use_reference_image=True,
        default_pixel_value=-1.0,
    )
    expected = itk.GetArrayFromImage(theirs)[0]
    # Within the outer pixels' centres: beyond them the two fade to the outside in different ways.
    columns, rows = np.meshgrid(np.arange(80), np.arange(80))
    index = source.to_pixel(target.to_patient(np.stack([columns, rows], axis=-1)))
    inside = ((index > 0.01) & (index < np.array(source.shape)[::-1] - 1.01)).all(-1)
    assert inside.mean() > 0.8
    assert ours[inside] == pytest.approx(expected[inside], rel=1e-4)
