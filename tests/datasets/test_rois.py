import numpy as np
import pytest

from bundle.datasets.rois import SavedRois, save_rois
from bundle.disks.views import StackViewsd


@pytest.fixture
def rois(tmp_path):
    """Six ROIs of three patients; the brightness of each is its number."""
    pixels = np.stack([np.full((16, 16), 10 * k, dtype=np.uint8) for k in range(6)])
    return save_rois(tmp_path / "rois.npz", pixels, [0, 1, 2, 0, 1, 2], [0, 1, 2, 3, 4, 0], [1, 1, 2, 2, 3, 3])


def test_each_roi_is_given_once_in_order(rois):
    data = SavedRois(rois)
    assert [float(data[k]["sagittal"][0, 0, 0]) for k in range(len(data))] == [0, 10, 20, 30, 40, 50]
    assert [data[k]["label"] for k in range(6)] == [0, 1, 2, 0, 1, 2]
    assert data[3]["sagittal"].shape == (3, 16, 16)


def test_patients_are_chosen_by_the_remainder_of_their_number(rois):
    assert {SavedRois(rois, patients=(2, [0]))[k]["patient"] for k in range(2)} == {2}
    with pytest.raises(ValueError, match="no ROI"):
        SavedRois(rois, patients=(9, [8]))


def test_draws_are_repeatable_and_of_the_length_asked_for(rois):
    one, other = SavedRois(rois, length=50, seed=1), SavedRois(rois, length=50, seed=1)
    assert len(one) == 50
    assert one.order.tolist() == other.order.tolist() != SavedRois(rois, length=50, seed=2).order.tolist()


def test_the_classifiers_input_has_no_axial_view(rois):
    picture = np.zeros((1, 16, 16), dtype=np.uint8)
    picture[0, 4:9, 4:9] = 200
    path = save_rois(rois.with_name("one.npz"), picture, [1], [2], [3])
    item = StackViewsd(size_px=16)(SavedRois(path)[0])
    assert item["image"].shape == (6, 16, 16)
    assert item["image"][:3].abs().max() == 0
    assert item["image"][3:].max() == 1
    assert item["label"] == 1
