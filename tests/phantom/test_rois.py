import numpy as np
import pytest
import torch

from bundle.disks.roi import RoiCropper
from bundle.geometry import DISK_LEVELS, FINDINGS
from bundle.phantom.rois import DiskRois

ROI = RoiCropper(size_px=32)


@pytest.fixture(scope="module")
def rois() -> list[dict]:
    return [DiskRois(2, ROI, seed=4)[k] for k in range(10)]


def same(a: dict, b: dict) -> bool:
    views = all(torch.equal(a[k], b[k]) for k in ("axial", "sagittal"))
    return views and all(a[k] == b[k] for k in ("label", "level", "patient"))


def test_classes_are_those_of_the_reading_in_the_same_order():
    assert FINDINGS == ("normal", "bulge", "herniation")  # the order on which weights and data sets rely


def test_five_disks_of_a_patient_follow_one_another(rois):
    assert len(DiskRois(2, ROI)) == 10
    assert [item["level"] for item in rois] == [*range(len(DISK_LEVELS))] * 2
    assert [item["patient"] for item in rois] == [0] * 5 + [1] * 5


def test_views_have_three_slices_of_the_placers_size(rois):
    for item in rois:
        for view in ("axial", "sagittal"):
            assert item[view].shape == (3, 32, 32)
            assert item[view].dtype == torch.float32
            assert torch.isfinite(item[view]).all() and item[view].std() > 0


def test_same_index_is_the_same_roi_whatever_was_asked_before(rois):
    dataset = DiskRois(2, ROI, seed=4)
    for index in (7, 2, 7):
        assert same(dataset[index], rois[index])


def test_another_seed_is_another_patient(rois):
    assert not torch.equal(DiskRois(2, ROI, seed=5)[0]["axial"], rois[0]["axial"])


def test_neighbouring_slices_differ(rois):
    for item in rois:
        assert not torch.allclose(item["axial"][0], item["axial"][2])


@pytest.mark.parametrize("finding", range(3))
def test_label_is_the_disks_class(finding):
    shares = tuple(float(k == finding) for k in range(3))
    dataset = DiskRois(1, ROI, prevalence=dict.fromkeys(DISK_LEVELS, shares))
    assert {dataset[k]["label"] for k in (0, 3)} == {finding}


class Watching(RoiCropper):
    """Keeps the disks that it was asked for."""

    def axial_square(self, disk, plane):
        self.disk, self.plane = disk, plane
        return super().axial_square(disk, plane)


def placed(**errors):
    watching = Watching(size_px=8)
    dataset = DiskRois(1, watching, seed=4, **errors)
    dataset[3]
    return watching, dataset._last[0].spine.disks["L4-L5"].disk


def test_without_placement_error_the_true_disk_is_cut():
    watching, true = placed(placement_mm=0.0, placement_deg=0.0)
    assert watching.disk.center_lps_mm == pytest.approx(true.center_lps_mm)
    assert watching.disk.back_lps_mm == pytest.approx(true.back_lps_mm)
    assert watching.disk.normal_lps == pytest.approx(true.normal_lps)


def test_placement_error_moves_the_disk_a_little():
    watching, true = placed(placement_mm=1.2, placement_deg=2.5)
    assert 0.05 < np.linalg.norm(watching.disk.center_lps_mm - true.center_lps_mm) < 6
    assert watching.disk.normal_lps @ watching.disk.posterior_lps == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("index", [-1, 5])
def test_index_beyond_the_end_is_refused(index):
    with pytest.raises(IndexError):
        DiskRois(1, ROI)[index]
