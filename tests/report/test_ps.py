from __future__ import annotations

import subprocess

import numpy as np
import pytest
from pydicom import dcmread

from bundle.report.dicom import DicomExporter, export_dicom
from tests.report.dicoms import complaints, copy_study, handmade, images, program, references, study_uids
from tests.study.dicoms import SAGITTAL, T2, dataset, enhanced, planes, write

ALONE = DicomExporter(secondary_captures=False)


@pytest.fixture(scope="module")
def states(read_study, tmp_path_factory):
    paths = export_dicom(read_study.document, [read_study.source], tmp_path_factory.mktemp("ps"), exporter=ALONE)
    return [path for path in paths if path.name.startswith("ps-")]


def graphics(path, uid):
    """(outlines, words) that a state draws on an image."""
    outlines, words = [], []
    for annotation in dcmread(path).GraphicAnnotationSequence:
        if uid in [item.ReferencedSOPInstanceUID for item in annotation.ReferencedImageSequence]:
            outlines += [np.reshape(g.GraphicData, (-1, 2)) for g in annotation.get("GraphicObjectSequence", [])]
            words += [text.UnformattedTextValue for text in annotation.get("TextObjectSequence", [])]
    return outlines, words


def test_dciodvfy_finds_no_error_and_no_unexplained_warning(states):
    assert len(states) == 2  # sagittal and axial images
    assert [complaints(path) for path in states] == [([], [])] * 2


def test_dcmtk_renders_each_image_through_its_state(states, read_study, tmp_path):
    files = {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in images(read_study.source)}
    for state in states:
        for uid in references(dcmread(state)):
            command = [program("dcmp2pgm"), "-p", str(state), str(files[uid]), str(tmp_path / "out.pgm")]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0 and not done.stderr, done.stderr
            assert (tmp_path / "out.pgm").read_bytes().startswith(b"P5")


def test_boxes_and_names_of_vertebrae_lie_on_every_slice_that_has_them(states, read_study):
    sagittal = states[0]
    for vertebra in read_study.document["vertebrae"]:
        for box in vertebra["boxes"]:
            outlines, words = graphics(sagittal, box["sop_instance_uid"])
            assert vertebra["level"] in words
            corners = [np.array([o.min(axis=0), o.max(axis=0)]).ravel() - 0.5 for o in outlines]
            assert any(np.allclose(c, box["xyxy"], atol=0.02) for c in corners)


def test_disks_carry_level_and_finding_on_the_slice_that_was_judged(states, read_study):
    for disk in read_study.document["disks"]:
        outlines, words = graphics(states[1], disk["rois"]["axial"]["sop_instance_uid"])
        assert len(outlines) == 1 and len(words) == 1
        assert words[0].startswith(f"{disk['level']} {disk['finding'].capitalize()} ")


def test_other_slices_of_a_disk_carry_its_level(sample_reading, tmp_path):
    document = sample_reading.document
    axial = export_dicom(document, [sample_reading.source], tmp_path, exporter=ALONE)[1]
    judged = {disk["rois"]["axial"]["sop_instance_uid"] for disk in document["disks"]}
    others = [s for s in document["axial_slices"] if s["level"] and s["sop_instance_uid"] not in judged]
    assert others
    for match in others:
        assert graphics(axial, match["sop_instance_uid"]) == ([], [match["level"]])


def test_names_are_the_persons_where_a_person_changed_them(sample_reading, tmp_path):
    paths = export_dicom(sample_reading.signed(), [sample_reading.source], tmp_path, exporter=ALONE)
    roi = sample_reading.document["disks"][3]["rois"]["axial"]["sop_instance_uid"]
    assert graphics(paths[1], roi)[1] == ["L4-L5 Normal (by the reader)"]


def test_they_refer_to_no_image_that_is_not_in_the_study(states, read_study):
    assert {uid for path in states for uid in references(dcmread(path))} <= study_uids(read_study.source)


def test_pixels_that_are_not_square_are_shown_in_their_shape(tmp_path):
    on = planes(SAGITTAL, 1, spacing=(2.0, 1.0))
    write(tmp_path / "in", on, **T2)
    ds = dataset(on[0], 1)
    box = (str(ds.SOPInstanceUID), (2.0, 3.0, 9.0, 8.0))
    document = handmade(str(ds.StudyInstanceUID), {"series_instance_uid": str(ds.SeriesInstanceUID), "slices": 1}, [box])
    state = dcmread(export_dicom(document, [tmp_path / "in"], tmp_path / "out", exporter=ALONE)[0])
    assert list(state.DisplayedAreaSelectionSequence[0].PresentationPixelSpacing) == [2.0, 1.0]


def test_a_frame_of_a_multi_frame_image_is_named_by_its_number(tmp_path):
    (tmp_path / "in").mkdir()
    ds = enhanced(planes(SAGITTAL, 4))
    ds.save_as(tmp_path / "in" / "enhanced", enforce_file_format=True)
    document = handmade(
        str(ds.StudyInstanceUID), {"series_instance_uid": str(ds.SeriesInstanceUID), "slices": 4},
        [(f"{ds.SOPInstanceUID}#3", (2.0, 3.0, 9.0, 8.0))],
    )  # fmt: skip
    state = dcmread(export_dicom(document, [tmp_path / "in"], tmp_path / "out", exporter=ALONE)[0])
    assert [a.ReferencedImageSequence[0].ReferencedFrameNumber for a in state.GraphicAnnotationSequence] == [3]


def test_images_with_different_rescaling_have_different_states(sample_reading, tmp_path):
    def rescale(ds):
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1 + int(ds.InstanceNumber) % 2, 0, "US"

    source = copy_study(sample_reading.source, tmp_path / "in", rescale)
    paths = export_dicom(sample_reading.document, [source], tmp_path / "out", exporter=ALONE)
    slopes = [float(dcmread(path).RescaleSlope) for path in paths if path.name.startswith("ps-")]
    assert sorted(slopes) == [1.0, 1.0, 2.0, 2.0]
