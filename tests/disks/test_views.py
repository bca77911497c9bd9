import numpy as np
import pytest
import torch

from bundle.disks.views import (
    RandChooseViewsd,
    RandCropAxiald,
    RandMirrorPatientd,
    RandWindowd,
    StackViewsd,
    scaled,
    stack_views,
)


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
    transform = RandChooseViewsd(drop=1.0)
    transform.set_random_state(0)
    for _ in range(5):
        assert "axial" in transform({"axial": ramp(0, 1)})


def test_dropping_leaves_out_either_view_but_never_both():
    transform = RandChooseViewsd(drop=1.0)
    transform.set_random_state(0)
    left = [tuple(name in found for name in ("axial", "sagittal")) for found in (transform(item()) for _ in range(20))]
    assert set(left) == {(True, False), (False, True)}


def test_dropping_happens_as_often_as_asked():
    transform = RandChooseViewsd(drop=0.35)
    transform.set_random_state(0)
    both = [{"axial", "sagittal"} <= set(transform(item())) for _ in range(200)]
    assert 0.55 < np.mean(both) < 0.75


def test_a_view_that_is_not_kept_is_left_out_and_the_other_is_never_dropped():
    transform = RandChooseViewsd(keep=["sagittal"], drop=1.0)
    assert [set(transform(item())) for _ in range(5)] == [{"sagittal", "label"}] * 5


def test_same_random_state_drops_the_same_views():
    def run():
        transform = RandChooseViewsd(drop=0.5, single=0.5)
        transform.set_random_state(7)
        return [{k: np.shape(v) for k, v in transform(item()).items()} for _ in range(20)]

    assert run() == run()


def test_a_picture_is_the_middle_slice_and_stands_for_all_three():
    found = RandChooseViewsd(keep=["sagittal"], single=1.0)({"sagittal": ramp(0, 1)})
    np.testing.assert_array_equal(found["sagittal"], ramp(0, 1)[1:2])
    image = StackViewsd(16)(found)["image"]
    assert torch.equal(image[3], image[4]) and torch.equal(image[4], image[5]) and image[4].max() == 1


def test_a_window_cuts_off_the_dark_and_the_bright_end():
    wide, narrow = RandWindowd(prob=0.0), RandWindowd(prob=1.0, low=(10, 10), high=(90, 90))
    assert float((wide({"axial": ramp(0, 1)})["axial"] == 0).float().mean()) < 0.01
    window = narrow({"axial": ramp(5, 9), "label": 1})["axial"]
    assert (window.min(), window.max()) == (0, 1)
    assert float((window == 0).float().mean()) == pytest.approx(0.1, abs=0.01)
    assert float((window == 1).float().mean()) == pytest.approx(0.1, abs=0.01)


def drawn_outline(item, spacing_mm: float = 1.0) -> np.ndarray:
    """What lies within the outline of an item's targets, on the pixels of its axial view."""
    size = item["axial"].shape[-1]
    axis = (np.arange(size) - (size - 1) / 2) * spacing_mm
    left, back = np.meshgrid(axis - float(item["center"][0]), axis - float(item["center"][1]))
    direction = np.degrees(np.arctan2(left, back))
    outline = (item["rim"] + item["excess"]).numpy()
    return np.hypot(left, back) <= np.interp(direction, np.arange(-180, 181, 15), np.append(outline, outline[0]))


def lopsided_disk(size: int = 80):
    excess = torch.zeros(24)
    excess[14:16] = 6.0  # back and left
    item = {"rim": torch.full((24,), 20.0), "excess": excess, "center": torch.tensor([3.0, -4.0]), "label": 2}
    item["measures"] = torch.tensor([6.0, 9.0, 1.0, 12.0])
    item["axial"] = torch.zeros(3, size, size)
    item["sagittal"] = torch.arange(3.0)[:, None, None].expand(3, 4, 4)
    item["axial"][1] = torch.from_numpy(drawn_outline(item).astype(np.float32))
    return item


def test_the_mirror_image_has_its_outline_mirrored_too():
    item = lopsided_disk()
    mirrored = RandMirrorPatientd(prob=1.0)(item)
    assert not torch.equal(mirrored["axial"], item["axial"])
    assert np.array_equal(drawn_outline(mirrored), mirrored["axial"][1].numpy() > 0)
    assert mirrored["measures"].tolist() == [6.0, 9.0, 1.0, -12.0]
    assert mirrored["sagittal"][:, 0, 0].tolist() == [2.0, 1.0, 0.0]


def test_the_mirror_image_of_the_mirror_image_is_the_patient():
    item, mirror = lopsided_disk(), RandMirrorPatientd(prob=1.0)
    twice = mirror(mirror(item))
    assert all(torch.equal(torch.as_tensor(twice[name]), torch.as_tensor(item[name])) for name in item)


def test_without_an_outline_the_picture_alone_is_mirrored():
    mirrored = RandMirrorPatientd(prob=1.0)({"sagittal": torch.arange(1.0)[:, None, None], "label": 0})
    assert set(mirrored) == {"sagittal", "label"}


def test_the_centre_moves_with_the_place_that_is_cut_out():
    crop = RandCropAxiald(size_px=64, shift_px=6, spacing_mm=1.0)
    crop.set_random_state(4)
    item = lopsided_disk()
    places = set()
    for _ in range(6):
        cut = crop(item)
        assert cut["axial"].shape == (3, 64, 64)
        assert np.array_equal(drawn_outline(cut), cut["axial"][1].numpy() > 0)
        places.add(tuple(cut["center"].tolist()))
    assert len(places) > 3
    assert all(abs(x - 3) <= 6 and abs(y + 4) <= 6 for x, y in places)


def test_what_is_no_larger_than_the_roi_stays_where_it_is():
    item = lopsided_disk()
    assert torch.equal(RandCropAxiald(80, 5, 1.0)(item)["axial"], item["axial"])
