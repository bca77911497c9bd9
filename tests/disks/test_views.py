import numpy as np
import pytest
import torch

from bundle.disks.views import StackViewsd, scaled, stack_views


def ramp(low: float, high: float, size: int = 16) -> np.ndarray:
    return np.linspace(low, high, 3 * size * size, dtype=np.float32).reshape(3, size, size)


def test_brightness_between_the_percentiles_becomes_zero_to_one():
    image = scaled(ramp(200, 1200), lower=0, upper=100)
    assert image.min() == 0
    assert image.max() == 1
    assert image.flatten()[384] == pytest.approx(384 / 767, abs=1e-5)


def test_brightness_beyond_the_percentiles_is_cut_off():
    pixels = ramp(0, 1)
    pixels[0, 0, 0], pixels[2, 15, 15] = -1000, 1000
    image = scaled(pixels)
    assert (image.min(), image.max()) == (0, 1)
    assert image[1].std() > 0.05  # the rest keeps its contrast


def test_gain_and_offset_of_the_scanner_do_not_matter():
    assert torch.allclose(scaled(ramp(0, 1)), scaled(ramp(0, 1) * 350 + 90), atol=1e-5)


def test_slices_of_a_view_keep_their_brightness_against_one_another():
    image = scaled(ramp(0, 1))
    assert image[0].mean() < image[1].mean() < image[2].mean()


def test_empty_view_is_finite():
    assert torch.equal(scaled(np.full((3, 8, 8), 5.0, dtype=np.float32)), torch.zeros(3, 8, 8))


def test_axial_channels_come_before_sagittal_ones():
    dark_to_bright, bright_to_dark = ramp(0, 1), ramp(1, 0)
    image = stack_views(dark_to_bright, bright_to_dark, 16)
    assert image.shape == (6, 16, 16)
    assert torch.equal(image[:3], scaled(dark_to_bright))
    assert torch.equal(image[3:], scaled(bright_to_dark))


@pytest.mark.parametrize(("missing", "channels"), [("axial", slice(0, 3)), ("sagittal", slice(3, 6))])
def test_missing_view_is_all_zeros(missing, channels):
    views = {"axial": ramp(0, 1), "sagittal": ramp(0, 1), missing: None}
    image = stack_views(views["axial"], views["sagittal"], 16)
    assert (image[channels] == 0).all()
    assert image.any()


@pytest.mark.parametrize("shape", [(2, 16, 16), (3, 16, 12), (3, 8, 8)])
def test_view_of_another_size_is_refused(shape):
    with pytest.raises(ValueError, match="pixels"):
        stack_views(np.zeros(shape, dtype=np.float32), None, 16)


def item() -> dict:
    return {"axial": ramp(0, 1), "sagittal": ramp(1, 0), "label": 2}


def test_transform_puts_the_image_in_place_of_the_views():
    result = StackViewsd(16)(item())
    assert set(result) == {"image", "label"}
    assert torch.equal(result["image"], stack_views(item()["axial"], item()["sagittal"], 16))


def test_transform_leaves_its_input_alone():
    data = item()
    StackViewsd(16)(data)
    assert set(data) == {"axial", "sagittal", "label"}


def test_view_that_is_not_kept_counts_as_missing():
    image = StackViewsd(16, keep=["sagittal"])(item())["image"]
    assert (image[:3] == 0).all()
    assert image[3:].any()


def test_item_with_one_view_never_loses_it():
    transform = StackViewsd(16, drop=1.0)
    transform.set_random_state(0)
    for _ in range(5):
        assert transform({"axial": ramp(0, 1)})["image"][:3].any()


def test_dropping_leaves_out_either_view_but_never_both():
    transform = StackViewsd(16, drop=1.0)
    transform.set_random_state(0)
    left = [tuple(bool(part.any()) for part in transform(item())["image"].split(3)) for _ in range(20)]
    assert set(left) == {(True, False), (False, True)}


def test_dropping_happens_as_often_as_asked():
    transform = StackViewsd(16, drop=0.35)
    transform.set_random_state(0)
    both = [all(part.any() for part in transform(item())["image"].split(3)) for _ in range(200)]
    assert 0.55 < np.mean(both) < 0.75


def test_same_random_state_drops_the_same_views():
    def run():
        transform = StackViewsd(16, drop=0.5)
        transform.set_random_state(7)
        return [transform(item())["image"] for _ in range(6)]

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))
