import json
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from bundle.geometry import SlicePlane
from bundle.phantom.acquisition import Acquisition
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.dicom import uid, write_study
from bundle.phantom.paint import SpinePatient
from bundle.phantom.sequences import Sequence
from bundle.phantom.study import SeriesPlan, axial_stack, sagittal_planes, series_images
from bundle.phantom.truth import disk_at

SPINE = sample_spine(9)
SEED = 3


def plans() -> list[SeriesPlan]:
    disk = SPINE.disks["L4-L5"].disk
    acquisition = Acquisition(noise=0.01)
    sagittal = sagittal_planes(SPINE.body("L3").center_lps_mm, 2, 4.0, 280.0, 40, oblique_deg=7.0)
    axial = [*axial_stack(disk.center_lps_mm, disk.normal_lps * [0, 1, 1], 1, 4.0, 180.0, 48)]
    axial += axial_stack(SPINE.body("L3").center_lps_mm, np.array([0.0, 0, 1]), 1, 4.0, 180.0, 48)
    return [
        SeriesPlan("t2_tse_sag", Sequence("T2", 3500.0, 100.0), sagittal, acquisition),
        SeriesPlan("stir_tra", Sequence("STIR", 4000.0, 60.0, ti_ms=160.0), tuple(axial), acquisition),
    ]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom") / "study"
    truth = write_study(folder, SPINE, SEED, plans())
    return folder, truth


def headers(folder) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.rglob("*.dcm"))]


def planes() -> list[SlicePlane]:
    return [plane for plan in plans() for plane in plan.planes]


def test_every_slice_is_a_file_in_its_series_folder(study):
    found = [str(p.relative_to(study[0])) for p in sorted(study[0].rglob("*.dcm"))]
    assert found == [f"{series}/{k:04d}.dcm" for series in ("01_t2_tse_sag", "02_stir_tra") for k in (1, 2)]


def test_headers_put_every_pixel_where_its_plane_has_it(study):
    for ds, plane in zip(headers(study[0]), planes(), strict=True):
        orientation = np.array(ds.ImageOrientationPatient, dtype=float)
        written = SlicePlane(
            np.array(ds.ImagePositionPatient, dtype=float), orientation[:3], orientation[3:],
            tuple(map(float, ds.PixelSpacing)), (ds.Rows, ds.Columns),
        )  # fmt: skip
        corners = [[0, 0], [plane.shape[1] - 1, 0], [0, plane.shape[0] - 1]]
        assert written.shape == plane.shape
        assert written.to_patient(corners) == pytest.approx(plane.to_patient(corners), abs=1e-4)


def test_pixels_are_the_rendered_image_in_thousandths(study):
    ds = headers(study[0])[2]
    image = next(series_images(SpinePatient(SPINE), plans()[1], SEED + 1000 * 2))
    assert ds.pixel_array == pytest.approx(np.clip(np.rint(image * 1000), 0, 4095))
    assert ds.pixel_array.max() > 200


def test_every_file_has_its_own_uid_and_the_study_one(study):
    found = headers(study[0])
    assert len({ds.SOPInstanceUID for ds in found}) == 4
    assert len({ds.SeriesInstanceUID for ds in found}) == 2
    assert len({ds.StudyInstanceUID for ds in found}) == 1
    assert len({ds.FrameOfReferenceUID for ds in found}) == 1
    for ds in found:
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        assert pydicom.uid.UID(ds.SOPInstanceUID).is_valid


def test_writing_again_gives_the_same_files(study, tmp_path):
    write_study(tmp_path, SPINE, SEED, plans())
    for path in sorted(study[0].rglob("*.dcm")):
        assert (tmp_path / path.relative_to(study[0])).read_bytes() == path.read_bytes()


def test_another_patient_has_other_uids(study, tmp_path):
    write_study(tmp_path, replace(SPINE, seed=SPINE.seed + 1), SEED, plans()[1:])
    assert not {ds.SOPInstanceUID for ds in headers(tmp_path)} & {ds.SOPInstanceUID for ds in headers(study[0])}


def test_uids_of_names_that_run_together_differ():
    assert uid("a", 1, 11) == uid("a", 1, 11)
    assert uid("a", 1, 11) != uid("a", 11, 1)
    assert uid("a1", 1) != uid("a", 11)


def test_no_person_and_no_real_date_is_named(study):
    for ds in headers(study[0]):
        assert str(ds.PatientName) == "Phantom^Spine"
        assert ds.PatientID.startswith("PHANTOM-")
        assert ds.PatientBirthDate == ""
        assert str(ds.ReferringPhysicianName) == ""
        dates = {str(e.value) for e in ds.iterall() if e.VR in ("DA", "DT")}
        assert dates == {"20000101", ""}


def test_headers_tell_the_protocol(study):
    t2, _, stir, _ = headers(study[0])
    assert (t2.Modality, t2.ScanningSequence, t2.RepetitionTime, t2.EchoTime) == ("MR", "SE", 3500, 100)
    assert "InversionTime" not in t2
    assert (stir.ScanningSequence, stir.InversionTime) == ("IR", 160)
    assert (t2.SeriesDescription, stir.SeriesDescription) == ("t2_tse_sag", "stir_tra")


def test_truth_beside_the_files_is_what_was_returned(study):
    folder, truth = study
    assert json.loads((folder / "truth.json").read_text()) == truth


def test_truth_tells_the_disk_of_every_axial_image(study):
    folder, truth = study
    axial = {ds.SOPInstanceUID: plane for ds, plane in zip(headers(folder)[2:], planes()[2:], strict=True)}
    assert [entry["sop_instance_uid"] for entry in truth["axial_slices"]] == list(axial)
    assert [entry["level"] for entry in truth["axial_slices"]] == ["L4-L5", None]
    for entry in truth["axial_slices"]:
        assert entry["level"] == disk_at(SPINE, axial[entry["sop_instance_uid"]])[0]
