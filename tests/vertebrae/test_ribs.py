"""Which bodies carry ribs: the window around a body, the network, and the released reader on digital patients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bundle.geometry import Vertebra
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.paint import SpinePatient
from bundle.phantom.sequences import Sequence as MrSequence
from bundle.phantom.study import ACQUISITION, SeriesPlan, sagittal_planes, series_images
from bundle.vertebrae.finder import VertebraFinder
from bundle.vertebrae.ribs import RandChooseSlicesd, RibNet, RibReader, RibWindow, StackRibSlicesd, rib_input
from bundle.weights import WeightsError, save_weights
from scripts.evaluate_detector import load_finder
from tests.making import ORDERS, reordered, straight_spine, study_image

WINDOW = RibWindow()
BODIES = straight_spine(("L1", "L2"))


def named(spine, shift: int = 0) -> list[Vertebra]:
    """The true bodies around T12 and L1, under the names of those ``shift`` places higher."""
    levels = [b.level for b in spine.bodies]
    result = []
    for name in ("L2", "L1", "T12", "T11"):
        body = spine.bodies[levels.index(name) - shift]
        result.append(Vertebra(name, 0.9, (), body.center_lps_mm, body.corners_lps_mm()))
    return result


def slices_of(spine, count: int = 15, order=(False, False, False)):
    """The upper half of a sagittal T2 series."""
    middle = (spine.body("T12").center_lps_mm + spine.body("L1").center_lps_mm) / 2 + np.array([0.0, 20.0, 0.0])
    plan = SeriesPlan("", MrSequence("T2", 3500.0, 100.0), sagittal_planes(middle, count, 4.4, 150.0, 140), ACQUISITION)
    shown = zip(series_images(SpinePatient(spine), plan, 1, profile=1), plan.planes, strict=True)
    return [study_image(str(k), *reordered(pixels, plane, order)) for k, (pixels, plane) in enumerate(shown)]


@pytest.fixture(scope="module")
def finder(root) -> VertebraFinder:
    changes = {"bundle_root": str(root)}
    return load_finder(root / "models" / "vertebrae.pt", str(root / "configs" / "inference.yaml"), changes)


@pytest.fixture(scope="module")
def reader(finder) -> RibReader:
    return finder.ribs


@pytest.fixture(scope="module")
def max_ribs(finder) -> float:
    return finder.max_ribs


@pytest.mark.parametrize("order", ORDERS)
def test_the_window_is_upright_with_the_body_however_the_slice_is_stored(order):
    _, plane = reordered(np.zeros((60, 50)), sagittal_planes(np.zeros(3), 1, 4.0, 250.0, 50)[0], order)
    center = np.array([7.0, 3.0, 11.0])
    t = np.radians(20.0)
    window = WINDOW.window(center, np.array([0.0, -np.sin(t), np.cos(t)]), plane)
    assert window.shape == (48, 72)
    column, row = window.to_pixel(center)
    assert (column * 1.15, row) == pytest.approx((23.0, 23.5))
    assert window.row_direction == pytest.approx([0.0, np.cos(t), np.sin(t)])  # to the back, and up where it leans forward
    assert window.column_direction == pytest.approx([0.0, np.sin(t), -np.cos(t)])
    assert (window.origin_lps_mm - plane.origin_lps_mm) @ plane.normal == pytest.approx(0.0)


def test_brightness_is_that_of_the_stack_and_absent_slices_are_marked():
    slices = torch.rand(4, 48, 72) * 900 + 100
    slices[3] = 0
    stack = rib_input(slices, torch.tensor([-10.0, 0.0, 20.0, float("nan")]))
    assert stack.shape == (2, 4, 48, 72)
    assert stack[1, :, 0, 0].tolist() == [0.5, 0.0, 1.0, -1.0]
    assert stack[0, :3].min() == 0 and stack[0, :3].max() == 1
    assert not stack[0, 3].any()
    brighter = rib_input(
        3 * slices + torch.tensor([50.0, 50, 50, 0])[:, None, None], torch.tensor([-10.0, 0, 20, float("nan")])
    )
    torch.testing.assert_close(brighter, stack, atol=1e-4, rtol=0)


def test_neither_the_slices_order_nor_absent_ones_count():
    torch.manual_seed(0)
    network = RibNet().eval()
    slices, offsets = torch.rand(6, 48, 72), torch.linspace(-25, 25, 6)
    stack = rib_input(slices, offsets)
    padded = rib_input(torch.cat([slices, torch.zeros(2, 48, 72)]), torch.cat([offsets, torch.full((2,), float("nan"))]))
    expected = network(stack[None])
    torch.testing.assert_close(network(stack[None].flip(2)), expected)
    torch.testing.assert_close(network(padded[None]), expected)
    torch.testing.assert_close(network(torch.stack([padded, padded.flip(1)])), expected.repeat(2))


def test_some_slices_are_chosen_with_their_places():
    item = {
        "image": torch.arange(6.0)[:, None, None].expand(6, 4, 4),
        "offset_mm": torch.tensor([0.0, 1, 2, 3, np.nan, np.nan]),
    }
    choose = RandChooseSlicesd(3)
    choose.set_random_state(0)
    seen = set()
    for _ in range(20):
        chosen = choose(item)
        assert chosen["image"][:, 0, 0].tolist() == chosen["offset_mm"].tolist()
        seen.add(tuple(sorted(chosen["offset_mm"].tolist())))
    assert len(seen) == 4  # of four slices that are there
    filled = RandChooseSlicesd(5)(item)
    assert torch.isfinite(filled["offset_mm"]).sum() == 4 and len(filled["image"]) == 5
    assert StackRibSlicesd()(filled)["image"].shape == (2, 5, 4, 4)


class Says(nn.Module):
    """Logits by the place of the body: the head's side is said to carry ribs."""

    def forward(self, stacks):
        return 4.0 - 8.0 * stacks[:, 0].mean((1, 2, 3))


def test_nothing_is_said_without_planes_sides_or_the_two_bodies(tmp_path):
    reader = RibReader(nn.Linear(1, 1), tmp_path / "missing.pt")
    planes = sagittal_planes(np.zeros(3), 15, 4.0, 300.0, 100)
    pixels = np.random.default_rng(0).random((15, 100, 100)).astype(np.float32)
    images = [study_image(str(k), pixels[k], plane) for k, plane in enumerate(planes)]
    assert reader([], BODIES) is None
    assert reader([study_image("picture", np.zeros((9, 9)), None)], BODIES) is None
    assert reader([*images, study_image("picture", np.zeros((9, 9)), None)], BODIES) is None
    assert reader(images, straight_spine(("L2", "L3"))) is None
    assert reader(images[3:12], BODIES) is None  # 16 mm to either side
    with pytest.raises(WeightsError, match=r"missing\.pt is missing"):
        reader(images, BODIES)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("below_edge_mm", "judged"), [(15.0, False), (25.0, True)])
def test_a_body_at_the_images_edge_is_not_judged(tmp_path, below_edge_mm, judged, padded):
    """Whether the images end there, or are filled up with black rows."""
    reader = RibReader(Says(), save_weights(Says(), tmp_path / "none.pt"))
    middle = BODIES[0].center_lps_mm + np.array([0.0, 0.0, below_edge_mm - 150.0 + (60.0 if padded else 0.0)])
    planes = sagittal_planes(middle, 15, 4.0, 300.0, 100)
    pixels = np.random.default_rng(0).random((15, 100, 100)).astype(np.float32)
    pixels[:, : 20 if padded else 0] = 0
    said = reader([study_image(str(k), pixels[k], plane) for k, plane in enumerate(planes)], BODIES)
    assert (said is not None) == judged


def test_t12_without_ribs_and_l1_with_ribs_speak_against_the_names(tmp_path):
    reader = RibReader(Says(), save_weights(Says(), tmp_path / "none.pt"))
    planes = sagittal_planes(np.zeros(3), 15, 4.0, 400.0, 100)
    t12, l1 = (
        Vertebra(level, 0.9, (), np.array([0.0, 0.0, z]), BODIES[0].corners_lps_mm + np.array([0.0, 0.0, z - 72.0]))
        for level, z in (("T12", 36.0), ("L1", -72.0))
    )

    def shown(upper: float, lower: float):
        """Half of the pixels bright around one body, few around the other: see Says."""
        rng = np.random.default_rng(0)
        images = []
        for k, plane in enumerate(planes):
            rows, columns = np.indices(plane.shape)
            z = plane.to_patient(np.stack([columns, rows], axis=-1))[..., 2]
            share = np.where(z > -18, upper, lower)
            images.append(study_image(str(k), (rng.random(plane.shape) < share).astype(np.float32), plane))
        return images

    assert reader(shown(0.1, 0.9), [t12, l1]) < -1
    assert reader(shown(0.9, 0.9), [t12, l1]) > 1  # T12 has none
    assert reader(shown(0.1, 0.1), [t12, l1]) > 1  # L1 has some
    assert reader(shown(0.9, 0.9), [l1]) < -1


@pytest.mark.parametrize("seed", [31, 32])
def test_the_released_reader_finds_the_ribs_of_digital_patients(reader, max_ribs, seed):
    usual = sample_spine(seed)
    images = slices_of(usual)
    assert reader(images, named(usual)) < max_ribs
    assert reader(images, named(usual, shift=-1)) > max_ribs  # every name one too high
    assert reader(images, named(usual, shift=1)) > max_ribs
    rib_on_l1 = sample_spine(seed, transition="T13")
    assert reader(slices_of(rib_on_l1), named(rib_on_l1)) > max_ribs


def test_how_slices_are_stored_makes_no_difference(reader):
    spine = sample_spine(33)
    said = [reader(slices_of(spine, 11, order), named(spine)) for order in (ORDERS[0], ORDERS[5])]
    backward = reader(slices_of(spine, 11)[::-1], named(spine))
    assert said[1] == pytest.approx(said[0], abs=0.05)
    assert backward == pytest.approx(said[0], abs=1e-4)
