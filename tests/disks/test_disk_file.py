"""A disk as a file: what is written is what is read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bundle.disks.disk_file import DiskFiles, LoadDiskd, SaveDisksd, load_disk, save_disk
from bundle.disks.types import DiskReading, DiskRoi
from bundle.study import StudyError
from tests.making import axial_plane, upright_sagittal

SIZE = 24


def roi(seed, plane):
    pixels = np.random.default_rng(seed).uniform(1, 900, (3, SIZE, SIZE)).astype(np.float32)
    return DiskRoi(pixels, plane, ())


@pytest.fixture
def reading():
    sagittal = upright_sagittal(0.0, SIZE, SIZE, 0.5)
    return DiskReading("L4-L5", axial=roi(1, axial_plane(0.0, size=SIZE)), sagittal=roi(2, sagittal))


def test_both_views_come_back_as_they_were(reading, tmp_path):
    views = load_disk(save_disk(tmp_path / "disk.nii.gz", reading))
    np.testing.assert_array_equal(views["axial"], reading.axial.pixels)
    np.testing.assert_array_equal(views["sagittal"], reading.sagittal.pixels)


def test_a_view_that_is_missing_stays_missing(reading, tmp_path):
    views = load_disk(save_disk(tmp_path / "disk.nii.gz", DiskReading("L4-L5", sagittal=reading.sagittal)))
    assert views["axial"] is None
    np.testing.assert_array_equal(views["sagittal"], reading.sagittal.pixels)


def test_a_disk_without_a_view_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="L4-L5: no view"):
        save_disk(tmp_path / "disk.nii.gz", DiskReading("L4-L5"))
    assert not list(tmp_path.iterdir())


def test_another_volume_is_refused_in_one_line(tmp_path):
    import nibabel

    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 5), dtype=np.float32), np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(StudyError, match=r"a\.nii\.gz: not a disk's 6 slices"):
        load_disk(tmp_path / "a.nii.gz")
    (tmp_path / "b.nii.gz").write_bytes(b"no image")
    with pytest.raises(StudyError, match=r"b\.nii\.gz: the NIfTI file cannot be read"):
        load_disk(tmp_path / "b.nii.gz")


def test_a_study_s_disks_are_saved_by_study_and_level(reading, tmp_path):
    study = type("Named", (), {"name": "case"})
    SaveDisksd(tmp_path)({"study": study, "readings": [reading, DiskReading("L1-L2")]})
    assert [path.name for path in tmp_path.iterdir()] == ["case_L4-L5.nii.gz"]


def test_an_item_gets_its_views_and_keeps_the_path(reading, tmp_path):
    path = str(save_disk(tmp_path / "disk.nii.gz", DiskReading("L4-L5", sagittal=reading.sagittal)))
    item = LoadDiskd()({"image": path})
    assert item["source"] == path and "axial" not in item
    np.testing.assert_array_equal(item["sagittal"], reading.sagittal.pixels)


def test_labelled_disks_are_split_by_patient(reading, tmp_path):
    file = str(save_disk(tmp_path / "disk.nii.gz", reading))
    items = [{"image": file, "label": k % 3, "level": k % 5, "patient": k} for k in range(6)]
    (tmp_path / "list.json").write_text(json.dumps({"training": items}))
    assert [item["patient"] for item in DiskFiles(tmp_path / "list.json", patients=(2, [0]))] == [0, 2, 4]
    assert len(DiskFiles(tmp_path / "list.json", length=50)) == 50
    with pytest.raises(ValueError, match="no disk of the patients"):
        DiskFiles(tmp_path / "list.json", patients=(7, [6]))
