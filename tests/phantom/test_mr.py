import numpy as np
import pytest
import torch

from bundle.geometry.resample import square_plane
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.mr import Acquisition, paint_slice, sample_acquisition, scan
from bundle.phantom.negatives import HeadPainter, empty_field
from bundle.phantom.paint import Canvas, Painter
from bundle.phantom.tissues import TISSUES, Sequence, sample_contrast, sample_sequence, spin_echo_signal

SPINE = sample_spine(2)
PERFECT = Acquisition(resolution=(1.0, 1.0), noise=0.0, coil_depth_mm=0.0, bias=0.0, texture=0.0)


def sagittal(size: int = 80, x_mm: float = 0.0):
    center = SPINE.body("L3").center_lps_mm + np.array([x_mm, 0, 0])
    return square_plane(center, np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), 280.0, size, 4.0)


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter(SPINE)


@pytest.fixture(scope="module")
def fractions(painter) -> torch.Tensor:
    """(tissues, rows, columns): with the identity as contrasts, the share of each tissue."""
    return paint_slice(painter, sagittal(), torch.eye(len(TISSUES)))


def test_shares_of_all_tissues_sum_to_one_everywhere(fractions):
    assert fractions.min() >= -1e-5
    assert torch.allclose(fractions.sum(0), torch.ones(80, 80), atol=1e-4)


def test_painting_is_linear_in_the_contrast(painter, fractions):
    contrast = torch.rand((2, len(TISSUES)), generator=torch.Generator().manual_seed(0))
    image = paint_slice(painter, sagittal(), contrast)
    assert torch.allclose(image, torch.einsum("ct,tij->cij", contrast, fractions), atol=1e-4)


@pytest.mark.parametrize("level", ["L1", "L3", "L5", "S1"])
def test_middle_of_a_body_is_marrow(painter, level):
    body = SPINE.body(level)
    # Beside the middle line and off the middle of the height, where a vein opens into the body.
    point = body.to_patient(np.array([8.0, -2.0, 0.4 * min(body.half_height_mm)]))
    plane = square_plane(point, np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), 3.0, 3)
    assert paint_slice(painter, plane, torch.eye(len(TISSUES)))[TISSUES.index("marrow"), 1, 1] > 0.95


@pytest.mark.parametrize("level", ["L2-L3", "L4-L5"])
def test_rim_of_a_disk_is_annulus_and_not_bone(painter, level):
    shape = SPINE.disks[level]
    point = shape.disk.center_lps_mm + 0.85 * shape.half_depth_mm * shape.axes[1]
    plane = square_plane(point, np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), 3.0, 3)
    assert paint_slice(painter, plane, torch.eye(len(TISSUES)))[TISSUES.index("annulus"), 1, 1] > 0.5


def test_two_planes_show_the_same_patient(painter):
    """An axial and a sagittal plane through a point have the same tissue there."""
    point = SPINE.disks["L3-L4"].disk.back_lps_mm
    eye = torch.eye(len(TISSUES))
    y, x, z = np.array([0.0, 1, 0]), np.array([1.0, 0, 0]), np.array([0.0, 0, -1])
    seen = [
        paint_slice(painter, square_plane(point, row, column, 50.0, 51), eye)[:, 25, 25] for row, column in ((y, z), (x, y))
    ]
    assert torch.allclose(seen[0], seen[1], atol=1e-3)


def test_thick_slice_is_the_mean_over_its_thickness(painter):
    plane = sagittal(40)
    contrast = spin_echo_signal(Sequence("T2", 3500, 100))[None]
    offsets = (-4 / 3, 0.0, 4 / 3)
    single = torch.stack([painter.paint(Canvas(plane, contrast, o)) for o in offsets])
    assert torch.allclose(paint_slice(painter, plane, contrast, profile=3), single.mean(0), atol=1e-6)


# ---- the scanner ----------------------------------------------------------------------------------------------------------


def test_perfect_scanner_returns_what_was_painted(painter):
    image = torch.rand((1, 40, 40), generator=torch.Generator().manual_seed(0))
    assert torch.allclose(scan(painter, sagittal(40), image, PERFECT, 0), image, atol=1e-5)


def test_same_seed_gives_the_same_image_and_another_one_another(painter):
    image = torch.ones(1, 40, 40)
    one, again, other = (scan(painter, sagittal(40), image, Acquisition(), seed) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)


def test_noise_of_air_has_the_rayleigh_mean(painter):
    noisy = Acquisition((1.0, 1.0), 0.05, 0.0, 0.0, 0.0)
    air = scan(painter, sagittal(80), torch.zeros(1, 80, 80), noisy, 0)
    assert air.mean() == pytest.approx(0.05 * np.sqrt(np.pi / 2), rel=0.03)


def test_surface_coil_is_weaker_the_deeper_it_looks(painter):
    coil = Acquisition((1.0, 1.0), 0.0, 100.0, 0.0, 0.0)
    plane = sagittal(40)
    image = scan(painter, plane, torch.ones(1, 40, 40), coil, 0)[0]
    depth = painter.points_behind_skin_mm(plane, torch.device("cpu"))
    deep = depth > 20
    assert torch.allclose(image[deep], 2.0 ** (-depth[deep] / 100), atol=1e-4)


def test_less_of_k_space_is_a_blurred_image(painter):
    stripes = torch.tensor([0.0, 1.0]).repeat(20).expand(1, 40, 40)
    across = Acquisition((1.0, 0.5), 0.0, 0.0, 0.0, 0.0)
    along = Acquisition((0.5, 1.0), 0.0, 0.0, 0.0, 0.0)
    assert scan(painter, sagittal(40), stripes, across, 0).std() < 0.05
    assert scan(painter, sagittal(40), stripes, along, 0).std() > 0.45


def test_drawn_acquisitions_lie_between_a_good_and_a_poor_scanner():
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawn = sample_acquisition(rng)
        assert 0.5 <= min(drawn.resolution) <= max(drawn.resolution) <= 1.0
        assert 0.004 <= drawn.noise <= 0.06


# ---- tissues ---------------------------------------------------------------------------------------------------------


def brightness(sequence: Sequence) -> dict[str, float]:
    return dict(zip(TISSUES, spin_echo_signal(sequence).tolist(), strict=True))


def test_signal_is_the_spin_echo_equation():
    # Two tissues at 1.5 T: their ratio is free of the scale.
    seen = brightness(Sequence("T2", 2000.0, 90.0))
    muscle = 0.85 * (1 - np.exp(-2000 / 1000)) * np.exp(-90 / 44)
    nerve = 0.85 * (1 - np.exp(-2000 / 1000)) * np.exp(-90 / 75)
    assert seen["muscle"] / seen["nerve"] == pytest.approx(muscle / nerve, rel=1e-5)


def test_fluid_is_bright_in_t2_and_dark_in_t1():
    t2, t1 = brightness(Sequence("T2", 3500, 100)), brightness(Sequence("T1", 550, 12))
    assert t2["csf"] > t2["fat"] > t2["muscle"]
    assert t1["fat"] > t1["muscle"] > t1["csf"]


def test_healthy_nucleus_is_brighter_than_annulus_in_t2():
    seen = brightness(Sequence("T2", 3500, 100))
    assert seen["nucleus"] > 3 * seen["annulus"]


def test_inversion_and_fat_suppression_darken_fat():
    plain = brightness(Sequence("T2", 4000, 60))
    assert brightness(Sequence("STIR", 4000, 60, ti_ms=160))["fat"] < 0.3 * plain["fat"]
    assert brightness(Sequence("T2FS", 4000, 60, fat_fraction=0.1))["fat"] < 0.3 * plain["fat"]


@pytest.mark.parametrize("name", ["T2", "T1", "STIR", "T2FS", "PD"])
def test_every_protocol_gives_finite_brightness(name):
    contrast = sample_contrast(np.random.default_rng(0), name)
    assert contrast.shape == (len(TISSUES),)
    assert torch.isfinite(contrast).all() and (contrast >= 0).all()


def test_randomised_contrast_leaves_air_cortex_and_gas_dark():
    contrast = sample_contrast(np.random.default_rng(0), "T2", randomised=1.0)
    assert max(contrast[TISSUES.index(t)] for t in ("air", "cortex", "gas")) <= 0.08


def test_unknown_protocol_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="choose T2, T1"):
        sample_sequence(np.random.default_rng(0), "DWI")


# ---- negatives -------------------------------------------------------------------------------------------------------


def test_head_is_painted_around_the_origin_and_air_around_it():
    plane = square_plane(np.zeros(3), np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), 400.0, 60)
    seen = paint_slice(HeadPainter(0), plane, torch.eye(len(TISSUES)))
    assert seen[TISSUES.index("air"), 30, 30] < 0.01
    assert seen[TISSUES.index("air"), 2, 2] > 0.99
    assert not HeadPainter(0).points_behind_skin_mm(plane, torch.device("cpu")).any()


def test_empty_field_is_noise_of_the_asked_shape():
    field = empty_field((20, 30), np.random.default_rng(0))
    assert field.shape == (1, 20, 30)
    assert field.dtype == torch.float32
    assert field.min() >= 0 and field.std() > 0
