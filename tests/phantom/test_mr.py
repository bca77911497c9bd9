import numpy as np
import pytest
import torch

from bundle.geometry.resample import square_plane
from bundle.phantom.acquisition import Acquisition
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.mr import CHANNELS, channel_weights, profile_weights, scan
from bundle.phantom.negatives import HeadPatient, empty_field
from bundle.phantom.paint import SpinePatient
from bundle.phantom.render import View, paint_plane, render
from bundle.phantom.sequences import Sequence, spin_echo_signal
from bundle.phantom.tissues import PROPERTIES, TISSUES

SPINE = sample_spine(4)


def sagittal(size: int = 80, x_mm: float = 0.0):
    center = SPINE.body("L3").center_lps_mm + np.array([x_mm, 0, 0])
    return square_plane(center, np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), 280.0, size, 4.0)


@pytest.fixture(scope="module")
def patient() -> SpinePatient:
    return SpinePatient(SPINE)


def image_of(patient, plane, signal, acquisition, seed) -> torch.Tensor:
    """(rows, columns) image of one plane."""
    return render([View(patient, plane, signal[None], [acquisition], [seed])])[0, 0]


@pytest.fixture(scope="module")
def fractions(patient) -> torch.Tensor:
    """(tissues, rows, columns): with the identity as contrasts, the share of each tissue."""
    return paint_plane(patient, sagittal(), torch.eye(len(TISSUES)))


def test_shares_of_all_tissues_sum_to_one_everywhere(fractions):
    assert fractions.min() >= -1e-5
    assert torch.allclose(fractions.sum(0), torch.ones(80, 80), atol=1e-4)


def test_painting_is_linear_in_the_contrast(patient, fractions):
    contrast = torch.rand((2, len(TISSUES)), generator=torch.Generator().manual_seed(0))
    image = paint_plane(patient, sagittal(), contrast)
    assert torch.allclose(image, torch.einsum("ct,tij->cij", contrast, fractions), atol=1e-4)


@pytest.mark.parametrize("level", ["L1", "L3", "L5", "S1"])
def test_middle_of_a_body_is_marrow(patient, level):
    body = SPINE.body(level)
    # Beside the middle line and off the middle of the height, where a vein opens into the body.
    point = body.to_patient(np.array([8.0, -2.0, 0.4 * min(body.half_height_mm)]))
    plane = square_plane(point, np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), 3.0, 3)
    seen = paint_plane(patient, plane, torch.eye(len(TISSUES)))[:, 1, 1]
    assert seen[TISSUES.index("marrow")] > 0.3
    assert seen[TISSUES.index("marrow")] + seen[TISSUES.index("fatty_marrow")] > 0.95


@pytest.mark.parametrize("level", ["L2-L3", "L4-L5"])
def test_rim_of_a_disk_is_annulus_and_not_bone(patient, level):
    shape = SPINE.disks[level]
    point = shape.disk.center_lps_mm + 0.85 * shape.half_depth_mm * shape.axes[1]
    plane = square_plane(point, np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), 3.0, 3)
    assert paint_plane(patient, plane, torch.eye(len(TISSUES)))[TISSUES.index("annulus"), 1, 1] > 0.5


def test_two_planes_show_the_same_patient(patient):
    """An axial and a sagittal plane through a point have the same tissue there."""
    point = SPINE.disks["L3-L4"].disk.back_lps_mm
    eye = torch.eye(len(TISSUES))
    y, x, z = np.array([0.0, 1, 0]), np.array([1.0, 0, 0]), np.array([0.0, 0, -1])
    seen = [
        paint_plane(patient, square_plane(point, row, column, 50.0, 51), eye)[:, 25, 25] for row, column in ((y, z), (x, y))
    ]
    assert torch.allclose(seen[0], seen[1], atol=1e-3)


def test_thick_slice_is_the_weighted_mean_over_its_profile(patient):
    plane = sagittal(40)
    contrast = spin_echo_signal(Sequence("T2", 3500, 100))[None]
    offsets, weights = profile_weights(3)
    painter = patient.painter([patient])
    single = [w * painter.paint([plane], contrast[None], [4.0 * o])[0] for o, w in zip(offsets, weights, strict=True)]
    assert torch.allclose(paint_plane(patient, plane, contrast, profile=3), torch.stack(single).sum(0), atol=1e-6)


# ---- slice profile and channels ------------------------------------------------------------------------------------------


def test_one_plane_is_the_middle_of_the_slice():
    offsets, weights = profile_weights(1)
    assert offsets.tolist() == [0.0] and weights.tolist() == [1.0]


def test_slice_profile_is_symmetric_half_as_high_at_half_the_thickness_and_sums_to_one():
    offsets, weights = profile_weights(161)
    assert weights.sum() == pytest.approx(1)
    assert np.allclose(weights, weights[::-1]) and np.allclose(offsets, -offsets[::-1])
    at_half = np.interp(0.5, offsets, weights)
    assert at_half == pytest.approx(weights.max() / 2, rel=0.02)
    assert weights[0] < 0.05 * weights.max()


def test_slice_without_planes_is_refused():
    with pytest.raises(ValueError, match="at least one plane"):
        profile_weights(0)


def test_channels_add_up_to_the_signal():
    signal = torch.rand(len(TISSUES), generator=torch.Generator().manual_seed(0))
    assert torch.allclose(channel_weights(signal)[:3].sum(0), signal, atol=1e-6)


def test_each_channel_has_the_tissue_it_is_for():
    weights = dict(zip(CHANNELS, channel_weights(torch.ones(len(TISSUES))), strict=True))
    named = {name: dict(zip(TISSUES, row.tolist(), strict=True)) for name, row in weights.items()}
    assert named["fat"]["fat"] == named["csf"]["csf"] == named["metal"]["metal"] == named["water"]["muscle"] == 1
    assert named["fat"]["marrow"] == pytest.approx(PROPERTIES[TISSUES.index("marrow")].fat)
    assert named["metal"]["cortex"] == named["csf"]["fluid"] == named["water"]["fat"] == 0


# ---- the scanner ----------------------------------------------------------------------------------------------------------

EVERYTHING = Acquisition(
    voxel_mm=(1.5, 1.1), partial_fourier=0.7, noise=0.02, coil_depth_mm=90, coil_correction=0.5, coil_elements=0.3, bias=0.2,
    texture=0.1, fat_shift_mm=1.2, flow_void=0.6, pulsation=0.1, breathing=0.1, motion_mm=0.5, wrap=0.4, saturation=0.8,
    metal_mm=10, zipper=0.2, spike=0.05, border=0.05,
)  # fmt: skip


def random_batch(size: int = 3, rows: int = 48, columns: int = 40):
    """Channels, depths and spacings of a batch, with a bit of metal in each member."""
    generator = torch.Generator().manual_seed(0)
    channels = torch.rand((size, len(CHANNELS), rows, columns), generator=generator)
    channels[:, CHANNELS.index("metal")] = 0
    channels[:, CHANNELS.index("metal"), 20:24, 20:24] = 1
    depth = torch.rand((size, rows, columns), generator=generator) * 200
    return channels, depth, torch.tensor([[1.0, 0.9]] * size)


def test_perfect_scanner_returns_what_was_painted():
    channels, depth, spacing = random_batch()
    image = scan(channels, [Acquisition()] * 3, depth, spacing, [0, 1, 2])
    assert torch.allclose(image, channels[:, :3].sum(1), atol=1e-6)


def test_scan_leaves_the_painted_channels_as_they_were():
    channels, depth, spacing = random_batch()
    before = channels.clone()
    scan(channels, [EVERYTHING] * 3, depth, spacing, [0, 1, 2])
    assert torch.equal(channels, before)


def test_same_seed_gives_the_same_image_and_another_one_another():
    channels, depth, spacing = random_batch(1)
    one, again, other = (scan(channels, [EVERYTHING], depth, spacing, [seed]) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)


def test_image_does_not_depend_on_the_batch_it_is_in():
    channels, depth, spacing = random_batch()
    plain = Acquisition(noise=0.01, voxel_mm=(1.4, 1.4))
    together = scan(channels, [EVERYTHING, plain, EVERYTHING], depth, spacing, [7, 8, 9])
    alone = scan(channels[2:], [EVERYTHING], depth[2:], spacing[2:], [9])
    turned = scan(channels.flip(0), [EVERYTHING, plain, EVERYTHING], depth.flip(0), spacing, [9, 8, 7])
    assert torch.equal(together[2], alone[0])
    assert torch.equal(together, turned.flip(0))


def test_everything_at_once_stays_finite_and_near_one():
    channels, depth, spacing = random_batch()
    image = scan(channels / 3, [EVERYTHING] * 3, depth, spacing, [0, 1, 2])
    assert torch.isfinite(image).all() and image.min() >= 0 and image.max() < 6


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_scan_works_where_its_channels_are():
    channels, depth, spacing = random_batch()
    images = scan(channels.cuda(), [EVERYTHING] * 3, depth.cuda(), spacing.cuda(), [0, 1, 2])
    again = scan(channels.cuda(), [EVERYTHING] * 3, depth.cuda(), spacing.cuda(), [0, 1, 2])
    assert images.is_cuda and torch.allclose(images, again, atol=1e-5)
    perfect = scan(channels.cuda(), [Acquisition()] * 3, depth.cuda(), spacing.cuda(), [0, 1, 2])
    assert torch.allclose(perfect.cpu(), channels[:, :3].sum(1), atol=1e-6)


def test_image_of_a_slice_is_painted_and_scanned(patient):
    signal = spin_echo_signal(Sequence("T2", 3500, 100))
    image = image_of(patient, sagittal(40), signal, Acquisition(), 0)
    assert torch.allclose(image, paint_plane(patient, sagittal(40), signal[None])[0], atol=1e-4)


# ---- negatives -------------------------------------------------------------------------------------------------------


def test_head_is_painted_around_the_origin_and_air_around_it():
    plane = square_plane(np.zeros(3), np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), 400.0, 60)
    seen = paint_plane(HeadPatient(0), plane, torch.eye(len(TISSUES)))
    assert seen[TISSUES.index("air"), 30, 30] < 0.01
    assert seen[TISSUES.index("air"), 2, 2] > 0.99
    head = HeadPatient(0)
    assert not head.painter([head]).depth_below_skin_mm([plane]).any()


def test_empty_field_is_noise_of_the_asked_shape():
    field = empty_field((20, 30), np.random.default_rng(0))
    assert field.shape == (20, 30)
    assert field.dtype == torch.float32
    assert field.min() >= 0 and field.std() > 0
