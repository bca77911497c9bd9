"""Each fault of the scanner does what it says, seen in the image that comes out."""

import numpy as np
import pytest
import torch
from torch import Tensor

from bundle.phantom import artefacts
from bundle.phantom.acquisition import Acquisition, Export
from bundle.phantom.mr import CHANNELS, scan

SIZE = 64


def scanned(
    acquisition: Acquisition, depth_mm: Tensor | None = None, spacing=(1.0, 1.0), seed: int = 0, **painted
) -> Tensor:
    """Image of what was painted in each channel, by its name."""
    shape = next(iter(painted.values())).shape
    channels = torch.stack([painted.get(name, torch.zeros(shape)) for name in CHANNELS])
    depth = torch.zeros(shape) if depth_mm is None else depth_mm
    return scan(channels[None], [acquisition], depth[None], torch.tensor([spacing]), [seed])[0]


def point(row: int = 32, column: int = 32) -> Tensor:
    image = torch.zeros(SIZE, SIZE)
    image[row, column] = 1.0
    return image


def block(rows: slice = slice(24, 40), columns: slice = slice(24, 40)) -> Tensor:
    image = torch.zeros(SIZE, SIZE)
    image[rows, columns] = 1.0
    return image


def full() -> Tensor:
    return torch.ones(SIZE, SIZE)


def depth_of_columns() -> Tensor:
    """2 mm deeper with each column."""
    return (2.0 * torch.arange(SIZE)).expand(SIZE, SIZE)


# ---- noise and resolution ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("voxel_mm", [(0.0, 0.0), (1.6, 1.3)])
def test_noise_of_air_has_the_rayleigh_mean_whatever_the_resolution(voxel_mm):
    air = torch.stack([scanned(Acquisition(noise=0.05, voxel_mm=voxel_mm), seed=s, water=0 * full()) for s in range(8)])
    assert air.mean() == pytest.approx(0.05 * np.sqrt(np.pi / 2), rel=0.03)
    assert air.std() == pytest.approx(0.05 * np.sqrt(2 - np.pi / 2), rel=0.05)


def test_noise_of_bright_tissue_is_gaussian_around_its_brightness():
    tissue = scanned(Acquisition(noise=0.03), water=full())
    assert tissue.std() == pytest.approx(0.03, rel=0.05)
    assert tissue.mean() == pytest.approx(1.0, abs=0.003)


def test_noise_is_grained_as_coarsely_as_the_acquired_pixels():
    coarse = scanned(Acquisition(noise=0.05, voxel_mm=(0.0, 3.0)), water=full()) - 1
    beside = (coarse[:, 1:] * coarse[:, :-1]).mean() / coarse.var()
    below = (coarse[1:] * coarse[:-1]).mean() / coarse.var()
    assert beside > 0.6 and below.abs() < 0.15


def test_point_is_as_wide_as_the_acquired_pixel_along_each_axis():
    image = scanned(Acquisition(voxel_mm=(4.0, 2.0)), water=point())
    # Full width at half maximum of a point through a Fermi window is 1.2 acquired pixels.
    widths = [float((line > line.max() / 2).sum()) for line in (image[:, 32], image[32])]
    assert widths == [5.0, 3.0]


def test_image_finer_than_acquired_shows_no_stripes_finer_than_the_voxel():
    stripes = torch.tensor([0.0, 1.0]).repeat(SIZE // 2).expand(SIZE, SIZE)
    assert scanned(Acquisition(voxel_mm=(0.0, 2.6)), water=stripes).std() < 0.02
    assert scanned(Acquisition(voxel_mm=(2.6, 0.0)), water=stripes).std() > 0.45


def test_coarser_image_than_acquired_is_left_as_it_is():
    image = torch.rand((SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    assert torch.allclose(scanned(Acquisition(voxel_mm=(0.7, 0.7)), water=image), image, atol=1e-6)


def test_zero_filling_does_not_ring_from_one_edge_into_the_opposite_one():
    half = torch.cat([torch.zeros(SIZE, SIZE // 2), torch.ones(SIZE, SIZE // 2)], 1)
    image = scanned(Acquisition(voxel_mm=(0.0, 1.6)), water=half)
    assert image[:, 0].max() < 0.02 and (image[:, -1] - 1).abs().max() < 0.02


def test_partial_fourier_blurs_along_the_phase_axis_only():
    sharp, partial = (
        scanned(Acquisition(voxel_mm=(1.2, 1.2), partial_fourier=p, phase_axis=0), water=point()) for p in (1.0, 0.6)
    )
    assert (partial[:, 32] / partial.max() > 0.3).sum() > (sharp[:, 32] / sharp.max() > 0.3).sum()
    assert (partial[32] / partial.max() > 0.3).sum() == (sharp[32] / sharp.max() > 0.3).sum()


# ---- coil, bias, texture ----------------------------------------------------------------------------------------------


def test_surface_coil_has_half_of_its_signal_at_its_depth():
    image = scanned(Acquisition(coil_depth_mm=50.0), depth_of_columns(), water=full())
    assert image[0, 0] == pytest.approx(1.0)
    assert image[0, 25] == pytest.approx(0.5, abs=1e-4)
    assert image[0, 50] == pytest.approx(0.25, abs=1e-4)


def test_coil_correction_evens_the_brightness_and_raises_the_noise_in_the_depth():
    acquisition = Acquisition(coil_depth_mm=50.0, coil_correction=1.0, noise=0.01)
    image = scanned(acquisition, depth_of_columns(), water=full())
    near, far = image[:, :8], image[:, 50:58]
    assert far.mean() == pytest.approx(near.mean().item(), rel=0.02)
    assert far.std() > 3 * near.std()


def test_bias_is_smooth_and_of_its_strength():
    fields = torch.stack([scanned(Acquisition(bias=0.2, field_seed=s), water=full()).log() for s in range(40)])
    assert fields.std() == pytest.approx(0.2, rel=0.4)
    assert fields.diff(dim=-1).abs().max() < 0.06


def test_slices_of_a_series_share_their_bias():
    series = Acquisition(bias=0.2, coil_elements=0.3, field_seed=4)
    assert torch.equal(scanned(series, seed=1, water=full()), scanned(series, seed=2, water=full()))


def test_elements_of_the_coil_show_near_the_skin_only():
    image = scanned(Acquisition(coil_elements=0.4), depth_of_columns(), spacing=(4.0, 4.0), water=full())
    assert image[:, :4].std() > 0.1 and image[:, 60:].std() < 0.02


def test_texture_is_grain_of_tissue_and_not_of_fluid():
    assert scanned(Acquisition(texture=0.1), water=full()).std() > 0.05
    assert scanned(Acquisition(texture=0.1), csf=full()).std() < 1e-6


# ---- fat, flow, motion ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("phase_axis", "place"), [(0, (32, 36)), (1, (36, 32))])
def test_fat_moves_along_the_frequency_axis_while_water_stays(phase_axis, place):
    acquisition = Acquisition(fat_shift_mm=2.0, phase_axis=phase_axis)
    fat = scanned(acquisition, spacing=(0.5, 0.5), fat=block())
    assert torch.allclose(fat, block().roll((place[0] - 32, place[1] - 32), (0, 1)), atol=1e-3)
    assert torch.allclose(scanned(acquisition, spacing=(0.5, 0.5), water=block()), block(), atol=1e-6)


def test_fat_does_not_come_round_at_the_edge():
    edge = block(slice(0, SIZE), slice(SIZE - 6, SIZE))
    assert scanned(Acquisition(fat_shift_mm=3.0), fat=edge)[:, :16].max() < 0.02


def test_part_of_a_pixel_shifts_by_part_of_a_pixel():
    bump = torch.exp(-((torch.arange(SIZE) - 32.0) ** 2) / 32).expand(SIZE, SIZE)
    moved = artefacts.shifted(bump, 0.5, 1)
    assert torch.allclose(moved, torch.exp(-((torch.arange(SIZE) - 32.5) ** 2) / 32).expand(SIZE, SIZE), atol=1e-3)


def test_flow_voids_darken_csf_and_nothing_else():
    voids = scanned(Acquisition(flow_void=0.8), csf=full())
    assert voids.min() < 0.5 and voids.max() > 0.9 and voids.max() <= 1 + 1e-6
    assert torch.allclose(scanned(Acquisition(flow_void=0.8), water=full()), full(), atol=1e-6)


@pytest.mark.parametrize("phase_axis", [0, 1])
def test_pulsation_ghosts_lie_at_multiples_of_their_spacing_along_the_phase_axis(phase_axis):
    acquisition = Acquisition(pulsation=0.1, ghost_spacing=0.125, phase_axis=phase_axis)
    image = scanned(acquisition, csf=point())
    line = image[:, 32] if phase_axis == 0 else image[32]
    assert torch.nonzero(line > 0.01).flatten().tolist() == [16, 24, 32, 40, 48]
    assert line[40] == pytest.approx(0.1, abs=1e-4) and line[32] == pytest.approx(0.95, abs=1e-4)
    assert (image > 0.01).sum() == 5


def test_water_has_no_pulsation_ghosts():
    assert torch.allclose(scanned(Acquisition(pulsation=0.1), water=point()), point(), atol=1e-6)


def test_breathing_ghosts_come_from_the_front_only():
    acquisition = Acquisition(breathing=0.2, ghost_spacing=0.25, phase_axis=0)
    depth = torch.where(torch.arange(SIZE) < 32, 220.0, 60.0).expand(SIZE, SIZE)
    image = scanned(acquisition, depth, water=block(slice(30, 34), slice(0, SIZE)))
    assert image[48, :32].min() > 0.1 and image[48, 32:].max() < 1e-6


def test_motion_spreads_signal_along_the_phase_axis_and_keeps_it_near():
    image = scanned(Acquisition(motion_mm=1.5, shots=8, phase_axis=0), water=block())
    outside = image.clone()
    outside[:, 20:44] = 0
    assert image[:20, 24:40].mean() > 5 * outside.mean()
    assert image[24:40, 24:40].mean() > 0.6


def test_motion_of_nothing_changes_nothing():
    still = artefacts.motion_phases((SIZE, SIZE), (1.0, 1.0), 0.0, 8, 0, torch.Generator().manual_seed(0))
    assert torch.allclose(still, torch.ones(SIZE, SIZE, dtype=torch.complex64))


# ---- field of view, saturation, metal ---------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1])
def test_what_lies_beyond_one_edge_appears_at_the_other(axis):
    near_end = block(slice(0, SIZE), slice(58, 62)) if axis == 1 else block(slice(58, 62), slice(0, SIZE))
    image = scanned(Acquisition(wrap=0.5, wrap_mm=20.0, phase_axis=axis), water=near_end)
    line = image[32] if axis == 1 else image[:, 32]
    # Two lines of the edge are empty, so the mirror image begins with two empty lines.
    assert torch.nonzero(line[:20] > 0.05).flatten().tolist() == [2, 3, 4, 5]
    assert torch.allclose(line[20:], (near_end[32] if axis == 1 else near_end[:, 32])[20:], atol=1e-6)
    assert line[2] > line[5]


def test_wrap_does_not_touch_the_frequency_axis():
    image = scanned(Acquisition(wrap=0.5, wrap_mm=20.0, phase_axis=0), water=block(slice(24, 40), slice(58, 64)))
    assert torch.allclose(image, block(slice(24, 40), slice(58, 64)), atol=1e-6)


def test_saturation_band_takes_its_share_beyond_its_depth():
    acquisition = Acquisition(saturation=0.9, saturation_depth_mm=64.0)
    image = scanned(acquisition, depth_of_columns(), water=full())
    assert image[:, :22].min() > 0.99 and image[:, 42:].max() == pytest.approx(0.1, abs=0.01)
    assert image[0, 32] == pytest.approx(0.55, abs=0.01)


def test_tilted_saturation_band_begins_deeper_further_down():
    acquisition = Acquisition(saturation=0.9, saturation_depth_mm=64.0, saturation_tilt=0.5)
    image = scanned(acquisition, depth_of_columns(), water=full())
    assert image[60, 36] > 0.9 and image[4, 28] < 0.2


METAL = block(slice(28, 36), slice(28, 36))


def test_metal_pulls_signal_apart_and_piles_it_up_around_itself():
    image = scanned(Acquisition(metal_mm=12.0), water=1 - METAL, metal=METAL)
    around = image[16:48, 16:48]
    assert around.max() > 1.4
    assert (around < 0.3).sum() > 1.3 * (METAL > 0).sum()


def test_what_metal_displaces_is_neither_made_nor_lost():
    image = torch.rand((SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    away = 5 * torch.exp(-(((torch.arange(SIZE) - 32.0) / 6) ** 2)).expand(SIZE, SIZE)
    for axis, moved in ((1, away), (0, away.T)):
        assert artefacts._carried(image, moved, axis).sum(axis) == pytest.approx(image.sum(axis).numpy(), rel=1e-4)
    assert torch.allclose(artefacts._carried(image, torch.full((SIZE, SIZE), 3.0), 1)[:, 4:], image[:, 1:-3], atol=0.5)


def test_metal_leaves_what_is_far_from_it():
    image = scanned(Acquisition(metal_mm=6.0), water=1 - METAL, metal=METAL)
    assert (image[:6] - 1).abs().max() < 0.1 and (image[-6:] - 1).abs().max() < 0.1


def test_metal_reaches_further_in_a_stronger_field():
    weak, strong = (scanned(Acquisition(metal_mm=d), water=1 - METAL, metal=METAL) for d in (3.0, 20.0))
    assert ((strong - 1).abs() > 0.2).sum() > 2 * ((weak - 1).abs() > 0.2).sum()


def test_slice_without_metal_is_not_touched_by_its_strength():
    assert torch.allclose(scanned(Acquisition(metal_mm=20.0), water=block()), block(), atol=1e-6)


# ---- interference and export ------------------------------------------------------------------------------------------


def test_zipper_is_a_line_along_the_phase_axis_at_its_place():
    image = scanned(Acquisition(zipper=0.5, zipper_place=0.5, phase_axis=0), water=torch.zeros(SIZE, SIZE))
    assert image[:, 32].mean() == pytest.approx(0.5 * np.sqrt(2 / np.pi), rel=0.3)
    image[:, 31:33] = 0
    assert image.max() == 0


def test_spike_is_one_wave_over_the_whole_image():
    wave = scanned(Acquisition(spike=0.1), water=full()) - 1
    spectrum = torch.fft.fft2(wave).abs()
    assert wave.abs().max() <= 0.1 + 1e-5
    # A wave that does not fit the image a whole number of times leaks a little around its two points.
    assert spectrum.flatten().topk(32).values.square().sum() > 0.75 * spectrum.square().sum()


def test_cut_corners_are_black_and_the_middle_of_each_side_is_not():
    image = scanned(Acquisition(border=0.1), water=full())
    assert image[0, 0] == image[-1, -1] == image[0, -1] == image[-1, 0] == 0
    assert image[0, 32] == image[32, 0] == image[32, 63] == 1


def test_export_clips_its_share_of_pixels_to_white_and_has_256_levels():
    ramp = 3 * torch.linspace(0, 1, SIZE).expand(SIZE, SIZE)
    image = scanned(Acquisition(export=Export(clipped=0.2, black=0.1)), water=ramp)
    assert (image == 1).float().mean() == pytest.approx(0.2, abs=0.05)
    # Black is a tenth of the white level, which lies at 80% of the ramp.
    assert (image == 0).float().mean() == pytest.approx(0.08, abs=0.02)
    assert torch.allclose(image * 255, (image * 255).round(), atol=1e-4)


def test_gamma_bends_the_curve_and_keeps_its_ends():
    ramp = torch.linspace(0, 1, SIZE).expand(SIZE, SIZE)
    image = scanned(Acquisition(export=Export(gamma=2.0)), water=ramp)
    assert torch.allclose(image, ramp**2, atol=0.003)


def test_jpeg_leaves_the_steps_of_its_blocks():
    smooth = torch.linspace(0, 1, SIZE).expand(SIZE, SIZE) * torch.linspace(1, 0, SIZE)[:, None]
    noisy = smooth + 0.1 * torch.rand((SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    image = scanned(Acquisition(export=Export(jpeg_quality=5)), water=noisy)
    steps = image.diff(dim=1).abs().mean(0)
    edges = torch.arange(7, SIZE - 1, 8)
    inside = torch.tensor([k for k in range(SIZE - 1) if k % 8 != 7])
    assert steps[edges].mean() > 2 * steps[inside].mean()
    assert (image - noisy).abs().mean() < 0.1
