"""Plain volumes that a config takes one by one."""

import nibabel
import numpy as np
import pytest

from bundle.study.plain import nifti_files


def test_the_nifti_files_of_a_folder_and_nothing_else(tmp_path):
    for name in ("b.nii.gz", "a.nii"):
        nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4)), tmp_path / name)
    (tmp_path / "notes.txt").write_text("no volume")
    assert nifti_files(tmp_path) == [str(tmp_path / "a.nii"), str(tmp_path / "b.nii.gz")]


def test_a_folder_without_volumes_is_named(tmp_path):
    with pytest.raises(SystemExit, match=f"error: {tmp_path}: no NIfTI file"):
        nifti_files(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"), [("x.nii.gz", b"no volume"), ("x.nii", b""), ("x.nii.gz", b"\x1f\x8b\x08\x00broken")]
)
def test_a_file_that_is_no_volume_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SystemExit, match=f"error: {tmp_path / name}: the NIfTI file cannot be read"):
        nifti_files(tmp_path)
