"""The sample study's sagittal series as NIfTI, whole and with its sacrum cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from monai.transforms import LoadImage

from tests.hosts.environments import ROOT

SAGITTAL = ROOT / "docs" / "sample-study" / "02_t2_tse_sag"


def sagittal_nifti(path: Path, feet_cut_mm: float = 0.0) -> Path:
    """The series as one file.

    Args:
        path: of the file.
        feet_cut_mm: what is cut off below: without its sacrum a column's names are unsure.
    """
    image: Any = LoadImage(image_only=True)(SAGITTAL)
    voxels, affine = np.asarray(image), np.asarray(image.affine)
    if feet_cut_mm:
        rows = int(feet_cut_mm / np.linalg.norm(affine[:3, 1]))
        voxels = voxels[:, : voxels.shape[1] - rows] if affine[2, 1] < 0 else voxels[:, rows:]
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path
