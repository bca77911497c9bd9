import numpy as np
import pytest
import torch

from bundle.geometry.resample import square_plane
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.paint import SpinePainter, SpinePatient
from bundle.phantom.tissues import TISSUES

EYE = torch.eye(len(TISSUES))
PATIENTS = [SpinePatient(sample_spine(seed)) for seed in (1, 6)]
SAGITTAL = (np.array([0.0, 1, 0]), np.array([0.0, 0, -1]))
AXIAL = (np.array([1.0, 0, 0]), np.array([0.0, 1, 0]))


def planes(size=40, side_mm=180.0):
    return [
        square_plane(p.spine.body("L4").center_lps_mm, *axes, side_mm, size)
        for p, axes in zip(PATIENTS, (SAGITTAL, AXIAL), strict=True)
    ]


def test_anatomy_is_the_same_function_of_a_point_whether_it_lies_on_a_plane_or_alone():
    for patient, plane in zip(PATIENTS, planes(), strict=True):
        painter = SpinePainter([patient])
        image = painter.paint([plane], EYE[None])[0]
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 40, (300, 2))  # column, row
        alone = painter.paint_points(plane.to_patient(pixels), EYE)
        assert torch.allclose(alone, image[:, pixels[:, 1], pixels[:, 0]].T, atol=2e-3)


def test_batch_of_patients_is_painted_as_each_alone():
    together = SpinePainter(PATIENTS).paint(planes(), EYE.expand(2, -1, -1))
    for k, (patient, plane) in enumerate(zip(PATIENTS, planes(), strict=True)):
        assert torch.allclose(together[k], SpinePainter([patient]).paint([plane], EYE[None])[0], atol=1e-4)


def test_points_far_from_the_patient_are_air():
    found = SpinePainter(PATIENTS[:1]).paint_points(np.array([[0.0, 900.0, 0.0], [2000.0, 0, 0]]), EYE)
    assert found[:, TISSUES.index("air")].tolist() == pytest.approx([1.0, 1.0])


def test_points_of_several_patients_are_refused():
    with pytest.raises(ValueError, match="one patient"):
        SpinePainter(PATIENTS).paint_points(np.zeros((1, 3)), EYE)


def test_planes_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        SpinePainter(PATIENTS).paint([planes(40)[0], planes(48)[1]], EYE.expand(2, -1, -1))


def test_contrasts_of_other_tissues_are_refused():
    with pytest.raises(ValueError, match="contrasts are"):
        SpinePainter(PATIENTS[:1]).paint(planes()[:1], torch.ones(1, 1, 3))


def test_without_soft_tissue_there_is_no_muscle_beside_the_spine():
    patient = SpinePatient(PATIENTS[1].spine, soft_tissue=False)
    plane = planes()[1]
    bare = SpinePainter([patient]).paint([plane], EYE[None])[0]
    whole = SpinePainter(PATIENTS[1:]).paint([plane], EYE[None])[0]
    muscle = TISSUES.index("muscle")
    assert whole[muscle].sum() > 5 * bare[muscle].sum()
    body = TISSUES.index("marrow")
    assert bare[body].sum() == pytest.approx(float(whole[body].sum()), rel=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_paints_what_the_cpu_paints():
    one, other = (SpinePainter(PATIENTS, device).paint(planes(), EYE.expand(2, -1, -1)).cpu() for device in ("cpu", "cuda"))
    assert torch.allclose(one, other, atol=1e-3)
