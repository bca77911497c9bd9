import json
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from bundle.geometry import SlicePlane
from bundle.phantom import dicom
from bundle.phantom.acquisition import Acquisition
from bundle.phantom.anatomy import sample_spine
from bundle.phantom.dicom import FolderError, write_series, write_study
from bundle.phantom.headers import TRANSFER_SYNTAXES, uid
from bundle.phantom.paint import SpinePatient
from bundle.phantom.sequences import Sequence
from bundle.phantom.study import Examination, SeriesPlan, axial_stack, sagittal_planes, series_images
from bundle.phantom.truth import disk_at
from tests.phantom.studies import VENDORS, slim, write

SPINE = sample_spine(9)
SEED = 3


def plans() -> list[SeriesPlan]:
    disk = SPINE.disks["L4-L5"].disk
    acquisition = Acquisition(noise=0.01)
    sagittal = sagittal_planes(SPINE.body("L3").center_lps_mm, 2, 4.0, 280.0, 40, oblique_deg=7.0)
    axial = [*axial_stack(disk.center_lps_mm, disk.normal_lps * [0, 1, 1], 1, 4.0, 180.0, 48)]
    axial += axial_stack(SPINE.body("L3").center_lps_mm, np.array([0.0, 0, 1]), 1, 4.0, 180.0, 48)
    return [
        SeriesPlan("t2_tse_sag", Sequence("T2", 3500.0, 100.0), sagittal, acquisition, "sagittal_t2"),
        SeriesPlan(
            "stir_tra", Sequence("STIR", 4000.0, 60.0, ti_ms=160.0), tuple(axial), acquisition, "axial_stir",
            (0, 1), ("L4-L5", None),
        ),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom") / "study"
    truth = write_study(folder, SPINE, SEED, Examination(tuple(plans())))
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
    write_study(tmp_path / "again", SPINE, SEED, Examination(tuple(plans())))
    files = sorted(path.relative_to(study[0]) for path in study[0].rglob("*") if path.is_file())
    assert len(files) == 5
    for path in files:
        assert (tmp_path / "again" / path).read_bytes() == (study[0] / path).read_bytes()


def test_another_patient_has_other_uids(study, tmp_path):
    write_study(tmp_path / "other", replace(SPINE, seed=SPINE.seed + 1), SEED, Examination(tuple(plans()[1:])))
    assert not {ds.SOPInstanceUID for ds in headers(tmp_path / "other")} & {ds.SOPInstanceUID for ds in headers(study[0])}


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


def test_truth_names_every_series_and_its_stacks_in_patient_order(study):
    folder, truth = study
    assert (truth["vendor"], truth["transfer_syntax"], truth["enhanced"], truth["deidentified"]) == (
        "plain", "explicit", False, False,
    )  # fmt: skip
    found = headers(folder)
    assert truth["study_instance_uid"] == found[0].StudyInstanceUID
    sagittal, axial = truth["series"]
    assert (sagittal["role"], sagittal["orientation"], sagittal["folder"]) == ("sagittal_t2", "sagittal", "01_t2_tse_sag")
    assert (axial["role"], axial["orientation"], axial["series_number"]) == ("axial_stir", "axial", 2)
    assert axial["series_instance_uid"] == found[2].SeriesInstanceUID == truth["axial_slices"][0]["series_instance_uid"]
    assert sagittal["stacks"] == [{"level": None, "sop_instance_uids": [ds.SOPInstanceUID for ds in found[:2]]}]
    assert axial["stacks"] == [
        {"level": "L4-L5", "sop_instance_uids": [found[2].SOPInstanceUID]},
        {"level": None, "sop_instance_uids": [found[3].SOPInstanceUID]},
    ]


def test_truth_knows_no_infinity(study):
    # The second axial slice passes through L3, far from every disk.
    def strict(constant):
        raise AssertionError(constant)

    json.loads((study[0] / "truth.json").read_text(), parse_constant=strict)


# ---- vendors' ways --------------------------------------------------------------------------------------------------------


def written(tmp_path, name, chance=1.0, **options):
    truth = write(tmp_path / name, slim(VENDORS[name], chance), **options)
    return truth, [pydicom.dcmread(path) for path in sorted((tmp_path / name).rglob("*.dcm"))]


def test_philips_pixels_are_rescaled_and_its_series_counted_in_hundreds(tmp_path):
    truth, found = written(tmp_path, "philips")
    assert [float(ds.RescaleSlope) for ds in found] == pytest.approx([VENDORS["philips"].pixels.slope] * len(found))
    assert [series["series_number"] for series in truth["series"]][:3] == [101, 201, 301]
    assert {ds.SeriesNumber for ds in found} == {series["series_number"] for series in truth["series"]}


def test_ge_pixels_are_signed_16_bit(tmp_path):
    _, found = written(tmp_path, "ge", chance=0.0)
    assert {(ds.BitsStored, ds.HighBit, ds.PixelRepresentation) for ds in found} == {(16, 15, 1)}


def test_siemens_headers_have_their_private_blocks_and_sequence_names(tmp_path):
    truth, found = written(tmp_path, "siemens")
    assert all(ds.private_block(0x0051, "SIEMENS MR HEADER")[0x0F].value == "SP1-4" for ds in found)
    by_role = {series["role"]: series for series in truth["series"]}
    t2 = next(ds for ds in found if ds.SeriesInstanceUID == by_role["sagittal_t2"]["series_instance_uid"])
    assert t2.SequenceName.startswith("*tse2d")
    assert list(t2.SequenceVariant) == ["SK", "SP", "OSP"]


def test_the_distance_of_slices_is_that_of_their_planes(tmp_path):
    truth, found = written(tmp_path, "hitachi")
    sagittal = next(series for series in truth["series"] if series["role"] == "sagittal_t2")
    by_uid = {ds.SOPInstanceUID: ds for ds in found}
    a, b = (by_uid[uid] for uid in sagittal["stacks"][0]["sop_instance_uids"][:2])
    step = np.linalg.norm(np.array(a.ImagePositionPatient, float) - np.array(b.ImagePositionPatient, float))
    assert float(a.SpacingBetweenSlices) == pytest.approx(step, abs=1e-3)
    assert float(a.SpacingBetweenSlices) > float(a.SliceThickness)


def test_a_deidentified_study_does_not_say_how_it_was_taken(tmp_path):
    truth, found = written(tmp_path, "canon", deidentified=True)
    for ds in found:
        assert "Modality" not in ds
        assert ds.Manufacturer == ds.SeriesDescription == ""
        assert ds.EchoTime is None and ds.RepetitionTime is None
        assert "InversionTime" not in ds and "ManufacturerModelName" not in ds
        assert not any(element.tag.is_private for element in ds)
    frames = {ds.SeriesInstanceUID: ds.FrameOfReferenceUID for ds in found}
    assert len(set(frames.values())) == len(frames) == len(truth["series"])
    assert [series["folder"] for series in truth["series"]][:2] == ["01", "02"]


def test_multi_frame_objects_hold_a_stack_each_and_the_truth_names_their_frames(tmp_path):
    truth, found = written(tmp_path, "philips", enhanced=True)
    assert {ds.SOPClassUID.name for ds in found} == {"Enhanced MR Image Storage"}
    assert len(found) == sum(len(series["stacks"]) for series in truth["series"])
    frames = {f"{ds.SOPInstanceUID}#{k + 1}" for ds in found for k in range(ds.NumberOfFrames)}
    assert frames == {uid for series in truth["series"] for s in series["stacks"] for uid in s["sop_instance_uids"]}


def test_compression_loses_nothing_and_leaves_the_uids(tmp_path):
    _, plain = written(tmp_path, "ge", chance=0.0, transfer_syntax="explicit")
    for syntax in ("rle", "jpegls", "jpeg2000"):
        _, packed = written(tmp_path / syntax, "ge", chance=0.0, transfer_syntax=syntax)
        assert [ds.SOPInstanceUID for ds in packed] == [ds.SOPInstanceUID for ds in plain]
        assert all(ds.file_meta.TransferSyntaxUID == TRANSFER_SYNTAXES[syntax] for ds in packed)
        assert (packed[0].pixel_array == plain[0].pixel_array).all()


# ---- whole, or not at all -------------------------------------------------------------------------------------------------


def test_an_older_study_is_replaced_and_the_files_beside_it_are_kept(tmp_path):
    folder = tmp_path / "study"
    write(folder, slim(VENDORS["siemens"]))
    (folder / "README.md").write_text("kept")
    write(folder, slim(VENDORS["canon"], chance=0.0))
    assert (folder / "README.md").read_text() == "kept"
    truth = json.loads((folder / "truth.json").read_text())
    assert {p.name for p in folder.iterdir()} == {"README.md", "truth.json", *(s["folder"] for s in truth["series"])}


@pytest.mark.parametrize("name", ["notes.txt", "folder/notes.txt"])
def test_a_folder_of_something_else_is_not_touched(tmp_path, name):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("precious")
    with pytest.raises(FolderError, match="no phantom study"):
        write(tmp_path, slim(VENDORS["canon"], chance=0.0))
    assert file.read_text() == "precious"


def test_an_error_half_way_leaves_the_older_study_and_nothing_else(tmp_path, monkeypatch):
    folder = tmp_path / "study"
    before = write(folder, slim(VENDORS["canon"], chance=0.0))

    def failing(*arguments):
        write_series(*arguments)
        raise OSError("disk full")

    monkeypatch.setattr(dicom, "write_series", failing)
    with pytest.raises(OSError, match="disk full"):
        write(folder, slim(VENDORS["ge"], chance=0.0))
    assert json.loads((folder / "truth.json").read_text()) == before
    assert [p.name for p in tmp_path.iterdir()] == ["study"]
