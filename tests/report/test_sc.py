from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread

from bundle.report.dicom import DicomExporter, export_dicom
from bundle.report.evidence import find_evidence
from bundle.report.overlay import shown_images
from tests.report.dicoms import complaints, copy_study, images

ALONE = DicomExporter(presentation_states=False)


@pytest.fixture(scope="module")
def captures(read_study, tmp_path_factory):
    paths = export_dicom(read_study.document, [read_study.source], tmp_path_factory.mktemp("sc"), exporter=ALONE)
    return {path.stem.removeprefix("sc-"): path for path in paths if path.name.startswith("sc-")}


def test_there_is_a_picture_of_the_middle_and_one_of_each_disk(captures):
    assert sorted(captures) == ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1", "sagittal"]


def test_dciodvfy_finds_no_error_and_no_unexplained_warning(captures):
    assert {name: complaints(path) for name, path in captures.items()} == {name: ([], []) for name in captures}


def test_the_picture_is_the_image_with_its_outline_in_yellow(captures, read_study):
    document = read_study.document
    shown = shown_images(document, find_evidence(document, [read_study.source]))
    for disk in document["disks"]:
        capture = dcmread(captures[disk["level"]])
        source = dcmread(shown[disk["level"]].place.image.file.path)
        assert source.SOPInstanceUID == disk["rois"]["axial"]["sop_instance_uid"]
        factor = capture.Rows // source.Rows
        pixels = capture.pixel_array.astype(int)
        corners = np.round((np.asarray(disk["rois"]["axial"]["corners_px"]) + 0.5) * factor).astype(int)
        for column, row in corners:
            around = pixels[row - 3 : row + 4, column - 3 : column + 4].reshape(-1, 3)
            assert (around == [255, 213, 74]).all(axis=1).any()
        # Away from lines and words a copy is grey and follows the image.
        grey = pixels[factor * 5 : -factor * 60 : factor, ::factor]
        colourless = np.ptp(grey, axis=2) == 0
        copied, original = grey[..., 0][colourless], source.pixel_array[5 : 5 + len(grey)][colourless]
        assert np.corrcoef(copied, np.clip(original, 0, np.percentile(original, 99)))[0, 1] > 0.95


def test_sides_and_scale_are_those_of_the_image(captures, read_study):
    capture = dcmread(captures["L1-L2"])
    roi = read_study.document["disks"][0]["rois"]["axial"]
    headers = (dcmread(path, stop_before_pixels=True) for path in images(read_study.source))
    source = next(ds for ds in headers if ds.SOPInstanceUID == roi["sop_instance_uid"])
    factor = capture.Rows // source.Rows
    assert [s * factor for s in capture.PixelSpacing] == pytest.approx(list(source.PixelSpacing))
    assert capture.PatientOrientation[0][0] == "L" and capture.PatientOrientation[1][0] == "P"


def test_nothing_of_the_patient_is_burned_in(captures):
    for path in captures.values():
        assert dcmread(path, stop_before_pixels=True).BurnedInAnnotation == "NO"


def test_an_inverted_image_is_shown_light_on_dark(sample_reading, tmp_path):
    def invert(ds):
        ds.PhotometricInterpretation = "MONOCHROME1"
        ds.PixelData = (4095 - ds.pixel_array).astype("<u2").tobytes()

    plain = export_dicom(sample_reading.document, [sample_reading.source], tmp_path / "plain", exporter=ALONE)
    source = copy_study(sample_reading.source, tmp_path / "in", invert)
    inverted = export_dicom(sample_reading.document, [source], tmp_path / "out", exporter=ALONE)
    for one, other in zip(plain, inverted, strict=True):
        if one.name.startswith("sc-"):
            a, b = (dcmread(path).pixel_array.astype(float).ravel() for path in (one, other))
            assert np.corrcoef(a, b)[0, 1] > 0.9


def test_images_that_cannot_be_decoded_leave_the_pictures_out_and_nothing_else(sample_reading, tmp_path, caplog):
    def truncate(ds):
        ds.PixelData = ds.PixelData[:100]

    source = copy_study(sample_reading.source, tmp_path / "in", truncate)
    paths = export_dicom(sample_reading.document, [source], tmp_path / "out")
    assert {path.name.split("-")[0] for path in paths} == {"sr.dcm", "ps"}
    assert "Lumbar disks: pictures" in caplog.text
