import numpy as np
import pytest

from bundle.datasets.rois import SavedRois, as_grey, save_rois
from bundle.disks.views import StackViewsd


def arrays(count=6, **more):
    pixels = np.stack([np.full((1, 16, 16), 10 * k, dtype=np.uint8) for k in range(count)])
    return {
        "sagittal": pixels,
        "label": np.arange(count) % 3,
        "level": np.arange(count) % 5,
        "patient": 1 + np.arange(count) // 2,
        "contrast": np.array(["t1", "t2"])[np.arange(count) % 2],
        **more,
    }


@pytest.fixture
def rois(tmp_path):
    """Six ROIs of three patients; the brightness of each is its number."""
    return save_rois(tmp_path / "rois.npz", arrays())


def test_each_roi_is_given_once_in_order(rois):
    data = SavedRois(rois)
    assert [float(data[k]["sagittal"][0, 0, 0]) for k in range(len(data))] == [0, 10, 20, 30, 40, 50]
    assert [data[k]["label"] for k in range(6)] == [0, 1, 2, 0, 1, 2]
    assert data[3]["sagittal"].shape == (1, 16, 16)


def test_patients_and_contrasts_are_chosen(rois):
    assert {SavedRois(rois, patients=(2, [0]))[k]["patient"] for k in range(2)} == {2}
    assert SavedRois(rois, contrasts=["t2"]).arrays["sagittal"][:, 0, 0, 0].tolist() == [10, 30, 50]
    with pytest.raises(ValueError, match="no ROI"):
        SavedRois(rois, patients=(9, [8]))


def test_draws_are_repeatable_and_of_the_length_asked_for(rois):
    one, other = SavedRois(rois, length=50, seed=1), SavedRois(rois, length=50, seed=1)
    assert len(one) == 50
    assert one.order.tolist() == other.order.tolist() != SavedRois(rois, length=50, seed=2).order.tolist()


def test_classes_are_drawn_in_the_shares_asked_for(tmp_path):
    path = save_rois(tmp_path / "rare.npz", arrays(20, label=np.array([0] * 14 + [1] * 5 + [2])))
    data = SavedRois(path, length=3000, shares=[0.5, 0.3, 0.2])
    drawn = np.bincount(data.arrays["label"][data.order]) / 3000
    assert drawn == pytest.approx([0.5, 0.3, 0.2], abs=0.04)


def test_several_files_are_one_set_of_what_all_of_them_have(rois, tmp_path):
    other = save_rois(tmp_path / "other.npz", arrays(4, pfirrmann=np.full(4, 3)))
    data = SavedRois([rois, other])
    assert len(data) == 10
    assert "pfirrmann" not in data[9]


def test_other_targets_come_with_the_item(tmp_path):
    path = save_rois(tmp_path / "more.npz", arrays(2, pfirrmann=np.array([3, 4]), rim=np.ones((2, 24))))
    item = SavedRois(path)[1]
    assert item["pfirrmann"] == 4 and item["contrast"] == "t2"
    assert item["rim"].shape == (24,)


def test_the_classifiers_input_has_no_axial_view(tmp_path):
    picture = np.zeros((1, 1, 16, 16), dtype=np.uint8)
    picture[..., 4:9, 4:9] = 200
    path = save_rois(tmp_path / "one.npz", {"sagittal": picture, "label": [1], "level": [2], "patient": [3]})
    item = StackViewsd(size_px=16)(SavedRois(path)[0])
    assert item["image"].shape == (6, 16, 16)
    assert item["image"][:3].abs().max() == 0
    assert item["image"][3:].max() == 1
    assert item["label"] == 1


def test_what_is_no_set_of_rois_is_refused(tmp_path):
    with pytest.raises(ValueError, match="need a view"):
        save_rois(tmp_path / "a.npz", {"label": [1], "level": [2], "patient": [3]})
    with pytest.raises(ValueError, match="different length"):
        save_rois(tmp_path / "a.npz", arrays(label=np.zeros(2)))
    assert not (tmp_path / "a.npz").exists()


def test_grey_levels_span_the_view_whatever_its_brightness():
    pixels = np.linspace(300, 4000, 3 * 100 * 100).reshape(3, 100, 100)
    grey = as_grey(pixels)
    assert (grey.min(), grey.max(), grey.dtype) == (0, 255, np.uint8)
    assert abs(int(grey.flat[15000]) - 127) < 3
