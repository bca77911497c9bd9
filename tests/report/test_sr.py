from __future__ import annotations

import re
import subprocess

import highdicom.sr as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.sr.codedict import codes

from bundle.geometry import DISK_LEVELS
from bundle.report import coding
from bundle.report.dicom import DicomExporter, export_dicom
from bundle.report.review import with_review
from tests.report.dicoms import (
    REVIEW,
    SIGNED,
    complaints,
    copy_study,
    handmade,
    images,
    program,
    references,
    study_uids,
)
from tests.study.dicoms import SAGITTAL, T2, dataset, enhanced, planes, write

BARE = DicomExporter(presentation_states=False, secondary_captures=False)


def report_of(document, source, folder):
    """The structured report as highdicom opens it."""
    paths = export_dicom(document, [source], folder, exporter=BARE)
    assert [path.name for path in paths] == ["sr.dcm"]
    return hd.srread(paths[0])


@pytest.fixture(scope="module")
def report(read_study, tmp_path_factory):
    """(path, SR) of a study that nobody has reviewed."""
    folder = tmp_path_factory.mktemp("sr")
    return folder / "dicom" / "sr.dcm", report_of(read_study.document, read_study.source, folder)


@pytest.fixture(scope="module")
def reviewed(sample_reading, tmp_path_factory):
    return report_of(sample_reading.signed(), sample_reading.source, tmp_path_factory.mktemp("reviewed"))


def group_of(sr, identifier):
    """The measurement group of a disk or vertebra, with or without a region."""
    content = sr.content
    groups = [*content.get_planar_roi_measurement_groups(), *content.get_image_measurement_groups()]
    (found,) = [group for group in groups if group.tracking_identifier == identifier]
    return found


def numbers(group):
    return {item.name.value: (item.value, item.unit.value) for item in group.get_measurements()}


def evaluations(group):
    return {item.name.value: item.value.value for item in group.get_qualitative_evaluations()}


def comments(group):
    return [
        item.TextValue
        for item in group[0].ContentSequence
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeValue == "121106"
    ]


def test_dciodvfy_finds_no_error_and_no_unexplained_warning(report):
    assert complaints(report[0]) == ([], [])


def test_dciodvfy_finds_no_error_in_a_signed_report(read_study, tmp_path):
    export_dicom(read_study.signed(), [read_study.source], tmp_path, exporter=BARE)
    assert complaints(tmp_path / "dicom" / "sr.dcm") == ([], [])


def test_every_disk_has_its_level_finding_and_probabilities(report, read_study):
    for disk in read_study.document["disks"]:
        group = group_of(report[1], f"disk {disk['level']}")
        level = getattr(codes.cid7604, disk["level"].replace("-", "") + "Disc")
        assert [site.value for site in group.finding_sites] == [level]
        assert group.finding_type == hd.CodedConcept(*coding.FINDINGS[disk["finding"]])
        found = numbers(group)
        for name, share in disk["probabilities"].items():
            assert found[f"p-{name}"] == (pytest.approx(100 * share), "%")
        assert found["height"] == (pytest.approx(disk["height_mm"]), "mm")
        assert evaluations(group)["RDE1518"] == coding.MORPHOLOGY[disk["finding"]].value


def test_every_disk_has_its_outline_and_grade_as_codes(report, read_study):
    for disk in read_study.document["disks"]:
        group = group_of(report[1], f"disk {disk['level']}")
        found, said, outline = numbers(group), evaluations(group), disk["outline"]
        assert found["outline-reach"] == (pytest.approx(outline["reach_mm"]), "mm")
        assert found["outline-beyond-rim"] == (pytest.approx(outline["beyond_rim_deg"]), "deg")
        assert said["outline-finding"] == coding.FINDINGS[outline["finding"]].value
        assert said["pfirrmann"] == f"pfirrmann-{disk['pfirrmann']}"
        assert ("outline-base" in found) == ("outline-side" in said) == (outline["focal"] is not None)


def test_dsrdump_prints_every_disk_level_and_probability(report, read_study):
    done = subprocess.run([program("dsrdump"), "+Pc", "+Pl", str(report[0])], capture_output=True, text=True, check=True)
    assert not [line for line in done.stderr.splitlines() if line.startswith(("E:", "F:"))]
    blocks = done.stdout.split('"Measurement Group"')
    for disk in read_study.document["disks"]:
        (block,) = [b for b in blocks if f'"disk {disk["level"]}"' in b]
        assert coding.DISKS[disk["level"]].meaning in block
        for name, share in disk["probabilities"].items():
            (value,) = re.findall(rf'\(p-{name},99LUMBARDISK,"[^"]*"\)="([^"]*)"', block)
            assert float(value) == pytest.approx(100 * share)


def test_a_viewer_shows_every_number_with_its_name(report, tmp_path):
    subprocess.run([program("dsr2html"), str(report[0]), str(tmp_path / "sr.html")], check=True, capture_output=True)
    text = re.sub(r"<[^>]+>|\s+", " ", (tmp_path / "sr.html").read_text(encoding="utf-8"))
    assert len(re.findall(r"Probability of a bulge: +\d+(\.\d+)? %", text)) == len(DISK_LEVELS)
    assert text.count("Finding:") >= len(DISK_LEVELS)


def test_regions_are_the_rois_on_the_images_they_came_from(report, read_study):
    for disk in read_study.document["disks"]:
        region = group_of(report[1], f"disk {disk['level']}").roi
        roi = disk["rois"]["axial"]
        source = region.ContentSequence[0].ReferencedSOPSequence[0]
        assert source.ReferencedSOPInstanceUID == roi["sop_instance_uid"]
        assert region.graphic_type == hd.GraphicTypeValues.POLYLINE
        # DICOM counts from the outer corner of the first pixel, the document from its centre.
        np.testing.assert_allclose(region.value[:4] - 0.5, roi["corners_px"], atol=0.02)
        np.testing.assert_allclose(region.value[4], region.value[0])


def test_every_vertebra_has_its_level_and_a_box_on_the_slice_through_its_middle(report, read_study):
    planes_of = {
        str(ds.SOPInstanceUID): ds for ds in (dcmread(path, stop_before_pixels=True) for path in images(read_study.source))
    }
    for vertebra in read_study.document["vertebrae"]:
        group = group_of(report[1], f"vertebra {vertebra['level']}")
        site = group.finding_sites[0].value
        expected = (
            codes.SCT.Sacrum if vertebra["level"].startswith("S") else getattr(codes.cid7603, f"{vertebra['level']}Vertebra")
        )
        assert site == expected
        assert evaluations(group) == {"level": vertebra["level"]}
        assert numbers(group)["score"] == (pytest.approx(vertebra["score"]), "1")
        ds = planes_of[group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID]
        orientation = np.asarray(ds.ImageOrientationPatient, dtype=float)
        normal = np.cross(orientation[:3], orientation[3:])
        offset = np.asarray(vertebra["center_lps_mm"]) - np.asarray(ds.ImagePositionPatient, dtype=float)
        assert abs(offset @ normal) < 5


def test_the_algorithm_is_named_with_version_and_hash_of_its_weights(report, read_study):
    model = read_study.document["model"]
    items = group_of(report[1], "disk L4-L5")[0].ContentSequence
    texts = {}
    for item in items:
        if item.ValueType == "TEXT":
            texts.setdefault(item.ConceptNameCodeSequence[0].CodeMeaning, []).append(item.TextValue)
    assert texts["Algorithm Name"] == ["Lumbar disk bundle"] and texts["Algorithm Version"] == [model["version"]]
    for name, value in model["weights_sha256"].items():
        assert f"weights of {name}: SHA-256 {value}" in texts["Algorithm Parameters"]


def test_the_report_belongs_to_the_study_and_patient_in_a_series_of_its_own(report, read_study):
    source = dcmread(next(images(read_study.source)), stop_before_pixels=True)
    sr = dcmread(report[0])
    for name in ("StudyInstanceUID", "PatientID", "PatientName", "PatientSex", "StudyDate"):
        assert sr.get(name) == source.get(name)
    series = {str(dcmread(path, stop_before_pixels=True).SeriesInstanceUID) for path in images(read_study.source)}
    assert sr.SeriesInstanceUID not in series and sr.Modality == "SR"
    assert (sr.VerificationFlag, sr.PreliminaryFlag, sr.CompletionFlag) == ("UNVERIFIED", "PRELIMINARY", "COMPLETE")


def test_it_refers_to_no_image_that_is_not_in_the_study(report, read_study):
    assert references(dcmread(report[0])) <= study_uids(read_study.source)


def test_a_disk_is_found_again_in_the_next_report_of_the_study(sample_reading, report, tmp_path):
    again = report_of(sample_reading.document, sample_reading.source, tmp_path)
    first = report_of(sample_reading.document, sample_reading.source, tmp_path / "first")
    assert again.SOPInstanceUID != first.SOPInstanceUID and again.SeriesInstanceUID != first.SeriesInstanceUID
    assert group_of(again, "disk L4-L5").tracking_uid == group_of(first, "disk L4-L5").tracking_uid
    assert group_of(again, "disk L4-L5").tracking_uid != group_of(again, "disk L3-L4").tracking_uid


def test_a_signed_report_is_verified_by_its_reader_at_the_time_of_signing(reviewed):
    assert (reviewed.VerificationFlag, reviewed.PreliminaryFlag) == ("VERIFIED", "FINAL")
    observer = reviewed.VerifyingObserverSequence[0]
    assert str(observer.VerifyingObserverName) == SIGNED["reader"]
    assert str(observer.VerificationDateTime) == "20261124183000+0100"
    names = [c.observer_identifying_attributes.name for c in reviewed.content.get_observer_contexts(codes.cid270.Person)]
    assert [str(name) for name in names] == [SIGNED["reader"]]


def test_a_draft_is_not_verified_although_a_reader_has_changed_it(sample_reading, tmp_path):
    sr = report_of(with_review(sample_reading.document, REVIEW), sample_reading.source, tmp_path)
    assert (sr.VerificationFlag, sr.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert "VerifyingObserverSequence" not in sr


def test_a_reviewed_report_keeps_the_machines_and_the_persons_word(reviewed, sample_reading):
    machine = {disk["level"]: disk["finding"] for disk in sample_reading.document["disks"]}
    changed = group_of(reviewed, "disk L4-L5")
    assert machine["L4-L5"] != "normal"
    assert changed.finding_type.value == "normal"
    found = evaluations(changed)
    assert (found["machine-finding"], found["reader-finding"]) == (machine["L4-L5"], "normal")
    assert found["RDE1518"] == "morph-normal"
    assert "李 明: Annulus intact." in comments(changed)
    confirmed = evaluations(group_of(reviewed, "disk L5-S1"))
    assert confirmed["confirmed"] == coding.YES.value and "reader-finding" not in confirmed
    assert evaluations(group_of(reviewed, "disk L1-L2"))["confirmed"] == coding.NO.value
    assert "李 明: Compare with 2019." in [e.value for e in reviewed.iterall() if e.keyword == "TextValue"]


def test_a_renamed_vertebra_moves_the_disk_and_keeps_the_machines_name(sample_reading, tmp_path):
    document = sample_reading.document
    names = ["T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2"]
    shift = [
        {"level": v["level"], "corrected_level": names[names.index(v["level"]) - 1]}
        for v in document["vertebrae"]
        if v["level"] != "T11"
    ]
    sr = report_of(with_review(document, {"vertebrae": shift}), sample_reading.source, tmp_path)
    group = group_of(sr, "disk L4-L5")
    assert group.finding_sites[0].value == codes.cid7604.L3L4Disc
    found = evaluations(group)
    assert (found["level"], found["machine-level"]) == ("L3-L4", "L4-L5")
    assert group_of(sr, "vertebra L5").finding_sites[0].value == codes.cid7603.L4Vertebra


def test_a_disk_without_a_finding_is_there_with_its_flags(tmp_path):
    on = planes(SAGITTAL, 3)
    write(tmp_path / "in", on, **T2)
    ds = dataset(on[1], 2)
    box = (str(ds.SOPInstanceUID), (2.0, 3.0, 9.0, 8.0))
    document = handmade(str(ds.StudyInstanceUID), {"series_instance_uid": str(ds.SeriesInstanceUID), "slices": 3}, [box])
    sr = report_of(document, tmp_path / "in", tmp_path / "out")
    group = group_of(sr, "disk L1-L2")
    assert group.finding_type.value == "not-judged" and numbers(group) == {}
    assert evaluations(group)["flag"] == "vertebra_not_found" and "RDE1518" not in evaluations(group)
    assert comments(group) == ["A vertebra next to this disk was not found."]
    assert {f"disk {level}" for level in DISK_LEVELS} <= {
        g.tracking_identifier for g in sr.content.get_image_measurement_groups()
    }
    assert complaints(tmp_path / "out" / "dicom" / "sr.dcm")[0] == []


def test_a_region_on_a_slice_cut_from_a_volume_is_given_in_patient_space(tmp_path):
    on = planes(SAGITTAL, 3)
    write(tmp_path / "in", on, **T2)
    ds = dataset(on[0], 1)
    series = str(ds.SeriesInstanceUID)
    corners = [[-30.0, -30.0, 5.0], [30.0, -30.0, 5.0], [30.0, 30.0, 5.0], [-30.0, 30.0, 5.0]]
    roi = {
        "sop_instance_uid": f"{series}#axial-3", "corners_px": [[1, 1], [9, 1], [9, 9], [1, 9]],
        "corners_lps_mm": corners, "side_mm": 60.0,
    }  # fmt: skip
    boxes = [(f"{series}#sagittal-2", (1.0, 1.0, 5.0, 5.0))]
    document = handmade(str(ds.StudyInstanceUID), {"series_instance_uid": series, "slices": 3}, boxes, roi, (1.0, 2.0, 3.0))
    sr = report_of(document, tmp_path / "in", tmp_path / "out")
    group = group_of(sr, "disk L4-L5")
    assert group.roi.frame_of_reference_uid == ds.FrameOfReferenceUID
    np.testing.assert_allclose(group.roi.value, [*corners, corners[0]])
    assert any("in no file" in comment for comment in comments(group))
    vertebra = group_of(sr, "vertebra L4")
    assert vertebra.roi.graphic_type == hd.GraphicTypeValues3D.POINT
    np.testing.assert_allclose(vertebra.roi.value, [[1.0, 2.0, 3.0]])
    saved = dcmread(tmp_path / "out" / "dicom" / "sr.dcm")
    assert references(saved) <= study_uids(tmp_path / "in") and "#" not in str(saved)
    assert complaints(tmp_path / "out" / "dicom" / "sr.dcm")[0] == []


def test_without_a_frame_of_reference_such_a_region_is_left_out_and_says_why(tmp_path):
    on = planes(SAGITTAL, 3)
    write(tmp_path / "in", on, FrameOfReferenceUID=None, **T2)
    ds = dataset(on[0], 1)
    series = str(ds.SeriesInstanceUID)
    roi = {
        "sop_instance_uid": f"{series}#axial-3", "corners_px": [[1, 1], [9, 1], [9, 9], [1, 9]],
        "corners_lps_mm": [[0.0, 0.0, 0.0]] * 4, "side_mm": 60.0,
    }  # fmt: skip
    document = handmade(str(ds.StudyInstanceUID), {"series_instance_uid": series, "slices": 3}, roi=roi)
    sr = report_of(document, tmp_path / "in", tmp_path / "out")
    group = group_of(sr, "disk L4-L5")
    assert not sr.content.get_planar_roi_measurement_groups()
    assert numbers(group)["p-bulge"] == (70.0, "%")
    assert any("cannot be referred to" in comment for comment in comments(group))


def test_a_frame_of_a_multi_frame_image_is_named_by_its_number(tmp_path):
    (tmp_path / "in").mkdir()
    ds = enhanced(planes(SAGITTAL, 4))
    ds.save_as(tmp_path / "in" / "enhanced", enforce_file_format=True)
    document = handmade(
        str(ds.StudyInstanceUID), {"series_instance_uid": str(ds.SeriesInstanceUID), "slices": 4},
        [(f"{ds.SOPInstanceUID}#3", (2.0, 3.0, 9.0, 8.0))],
    )  # fmt: skip
    sr = report_of(document, tmp_path / "in", tmp_path / "out")
    source = group_of(sr, "vertebra L4").roi.ContentSequence[0].ReferencedSOPSequence[0]
    assert (source.ReferencedSOPInstanceUID, source.ReferencedFrameNumber) == (ds.SOPInstanceUID, 3)


def test_a_region_is_cut_off_at_the_edge_of_its_image(tmp_path):
    on = planes(SAGITTAL, 1)
    write(tmp_path / "in", on, **T2)
    ds = dataset(on[0], 1)
    box = (str(ds.SOPInstanceUID), (-4.0, 5.0, 3.0, 30.0))
    document = handmade(str(ds.StudyInstanceUID), {"series_instance_uid": str(ds.SeriesInstanceUID), "slices": 1}, [box])
    region = group_of(report_of(document, tmp_path / "in", tmp_path / "out"), "vertebra L4").roi.value
    assert (region.min(axis=0) == [0, 5.5]).all() and (region.max(axis=0) == [3.5, ds.Rows]).all()


def test_headers_that_were_stripped_or_damaged_do_not_stop_it(sample_reading, tmp_path):
    def strip(ds):
        for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime"):
            delattr(ds, name)
        for name in ("AccessionNumber", "ReferringPhysicianName", "Manufacturer", "SliceThickness", "SpecificCharacterSet"):
            delattr(ds, name)
        ds.add_new("PatientSex", "CS", "X")

    source = copy_study(sample_reading.source, tmp_path / "in", strip)
    sr = report_of(sample_reading.document, source, tmp_path / "out")
    assert [str(sr.get(name) or "") for name in ("PatientName", "PatientID", "PatientSex", "StudyDate")] == [""] * 4
    errors, _ = complaints(tmp_path / "out" / "dicom" / "sr.dcm")
    assert errors == []


def test_names_in_any_character_set_are_kept(sample_reading, tmp_path):
    def rename(ds):
        ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        ds.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"

    source = copy_study(sample_reading.source, tmp_path / "in", rename)
    report_of(sample_reading.document, source, tmp_path / "out")
    sr = dcmread(tmp_path / "out" / "dicom" / "sr.dcm")
    assert str(sr.PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert sr.SpecificCharacterSet == "ISO_IR 192"
    assert complaints(tmp_path / "out" / "dicom" / "sr.dcm")[0] == []
