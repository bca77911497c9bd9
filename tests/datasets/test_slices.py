import numpy as np
import pytest
import torch
from PIL import Image

from bundle.datasets.mixture import Mixture
from bundle.datasets.slices import LabelledPictures, LabelledSlices, write_datalist
from bundle.geometry import BODY_LEVELS


@pytest.fixture
def datalist(tmp_path):
    """Two patients, each with a picture of two bright bodies; the corners of one body are not known."""
    items = []
    for patient in (1, 2):
        pixels = np.zeros((240, 160), dtype=np.uint8)
        boxes = [[60, 60, 94, 86], [60, 96, 94, 122]]
        for c0, r0, c1, r1 in boxes:
            pixels[r0 : r1 + 1, c0 : c1 + 1] = 200
        Image.fromarray(pixels).save(tmp_path / f"{patient}.png")
        corners = [[[60, 60], [94, 60], [94, 86], [60, 86]], None]
        items.append(
            {
                "image": str(tmp_path / f"{patient}.png"),
                "patient": patient,
                "boxes": boxes,
                "labels": ["L4", "L5"],
                "corners": corners,
            }
        )
    return write_datalist(tmp_path / "list.json", items)


def test_boxes_lie_on_their_bodies(datalist):
    data = LabelledSlices(datalist, 20, seed=1, size_px=128, turn_deg=0.0)
    seen = 0
    for item in (data[k] for k in range(20)):
        image = item["image"][0]
        for r0, c0, r1, c1 in item["boxes"].round().int().tolist():
            inside = image[r0 + 2 : r1 - 1, c0 + 2 : c1 - 1]
            assert inside.mean() > 3 * image[:, :3].mean()
            seen += 1
    assert seen > 20


def test_corners_follow_a_turn_and_unknown_ones_are_nan(datalist):
    data = LabelledSlices(datalist, 20, seed=2, size_px=128, turn_deg=20.0)
    turned = 0
    for item in (data[k] for k in range(20)):
        for label, box, corners in zip(item["labels"], item["boxes"], item["corners"], strict=True):
            if BODY_LEVELS[label] == "L5":
                assert torch.isnan(corners).all()
                continue
            low, high = corners.min(0).values, corners.max(0).values
            torch.testing.assert_close(box, torch.cat([low, high]).clip(0, 127), atol=1e-3, rtol=0)
            sides = (corners - corners.roll(1, 0)).norm(dim=1)
            assert sides[1] / sides[0] == pytest.approx(34 / 26, rel=0.01)
            turned += abs(float(corners[0, 0] - corners[1, 0])) > 3
    assert turned > 5


def test_the_same_index_gives_the_same_item(datalist):
    one, other = LabelledSlices(datalist, 5, seed=3)[4], LabelledSlices(datalist, 9, seed=3)[4]
    torch.testing.assert_close(one["image"], other["image"])
    torch.testing.assert_close(one["boxes"], other["boxes"])
    assert not torch.equal(one["image"], LabelledSlices(datalist, 5, seed=4)[4]["image"])


def test_patients_are_chosen_by_the_remainder_of_their_number(datalist):
    assert {item["patient"] for item in LabelledSlices(datalist, 1, patients=(2, [0])).items} == {2}
    with pytest.raises(ValueError, match="no item"):
        LabelledSlices(datalist, 1, patients=(7, [5]))


def test_whole_pictures_keep_their_bodies_where_they_are(datalist):
    data = LabelledPictures(datalist, size_px=120)
    assert len(data) == 2
    item = data[1]
    # 240 rows become 120; the picture is narrower than it is high and lies in the middle of the square.
    assert item["image"].shape == (1, 120, 120)
    assert (item["image"][0, :, :19] == 0).all()
    torch.testing.assert_close(item["boxes"][0], torch.tensor([30.0, 50.0, 43.0, 67.0]), atol=0.6, rtol=0)
    assert item["patient"] == "2"
    assert float(item["pixel_mm"]) == pytest.approx(34 / 17)


def test_whole_pictures_of_some_patients_only(datalist):
    assert [item["patient"] for item in (LabelledPictures(datalist, patients=(2, [1]))[0],)] == ["1"]


def test_a_mixture_draws_in_its_shares_and_each_in_turn():
    mixed = Mixture([list(range(0, 1000)), list(range(5000, 6000))], [0.25, 0.75], 1000, seed=1)
    values = [mixed[k] for k in range(1000)]
    first = [v for v in values if v < 5000]
    assert 200 < len(first) < 300
    assert first == list(range(len(first)))
    with pytest.raises(IndexError):
        mixed[1000]


def test_a_mixture_needs_a_share_for_each():
    with pytest.raises(ValueError, match="2 datasets have 1 shares"):
        Mixture([[1], [2]], [1.0], 3)
