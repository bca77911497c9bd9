from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.report.evidence import Evidence, find_evidence, inside
from tests.report.dicoms import copy_study, handmade
from tests.study.dicoms import SAGITTAL, T2, dataset, enhanced, planes, write


@pytest.fixture
def study(tmp_path):
    """(document, folder) of three sagittal images, with one of another series beside them."""
    on = planes(SAGITTAL, 3)
    write(tmp_path, on, **T2)
    write(tmp_path, on[:1], series="other", **T2)
    ds = dataset(on[0], 1)
    return handmade(str(ds.StudyInstanceUID), {"series_instance_uid": str(ds.SeriesInstanceUID), "slices": 3}), tmp_path


def test_the_series_that_were_read_are_found_in_the_order_of_their_numbers(study):
    document, folder = study
    evidence = find_evidence(document, [folder])
    expected = [str(dataset(None, number).SOPInstanceUID) for number in (1, 2, 3)]
    assert list(evidence.images) == expected


def test_an_image_that_is_named_is_found_though_its_series_was_not_read(study):
    document, folder = study
    uid = str(dataset(None, 1, series="other").SOPInstanceUID)
    document["vertebrae"][0]["boxes"] = [{"sop_instance_uid": uid, "xyxy": [1, 1, 2, 2]}]
    assert uid in find_evidence(document, [folder]).images


def test_places_are_images_frames_or_nothing(study, tmp_path_factory):
    document, folder = study
    evidence = find_evidence(document, [folder])
    uid = next(iter(evidence.images))
    assert evidence.place(uid).uid == uid and evidence.place(uid).frame is None
    for absent in ("1.2.3", f"{document['series']['sagittal']['series_instance_uid']}#axial-1", f"{uid}#2", f"{uid}#x"):
        assert evidence.place(absent) is None
    other = tmp_path_factory.mktemp("enhanced")
    ds = enhanced(planes(SAGITTAL, 4))
    ds.save_as(other / "a", enforce_file_format=True)
    frames = find_evidence(
        handmade(str(ds.StudyInstanceUID), {"series_instance_uid": str(ds.SeriesInstanceUID), "slices": 4}), [other]
    )
    place = frames.place(f"{ds.SOPInstanceUID}#4")
    assert place.frame == 4 and place.uid == f"{ds.SOPInstanceUID}#4"
    np.testing.assert_allclose(place.plane.origin_lps_mm, planes(SAGITTAL, 4)[3].origin_lps_mm)
    assert frames.place(f"{ds.SOPInstanceUID}#5") is None


def test_an_image_without_a_place_in_the_patient_has_none(study, tmp_path):
    document, folder = study

    def lose(ds):
        del ds.ImagePositionPatient

    evidence = find_evidence(document, [copy_study(folder, tmp_path / "lost", lose)])
    place = evidence.place(next(iter(evidence.images)))
    assert place.plane is None and place.distance_mm([0, 0, 0]) == np.inf


def test_all_headers_have_one_patient_also_where_some_images_say_less(study, tmp_path):
    document, folder = study

    def strip(ds):
        if ds.InstanceNumber == 1:
            del ds.PatientID
        ds.PatientName = "Name^Full" if ds.InstanceNumber == 2 else ""

    evidence = find_evidence(document, [copy_study(folder, tmp_path / "in", strip)])
    assert {(h.PatientID, str(h.PatientName)) for h in evidence.headers} == {("SECRET-ID", "Name^Full")}


def test_only_what_belongs_into_a_new_object_is_copied(study, tmp_path):
    document, folder = study

    def add(ds):
        ds.PatientAddress = "Elm Street"
        ds.add_new(0x00091001, "LO", "private")

    header = find_evidence(document, [copy_study(folder, tmp_path / "in", add)]).headers[0]
    assert "PatientAddress" not in header and 0x00091001 not in header and "PixelData" not in header


def test_without_files_there_is_nothing():
    assert Evidence().place("1.2.3") is None and Evidence().headers == []


def test_a_polygon_is_closed_and_counted_from_the_outer_corner():
    np.testing.assert_allclose(
        inside([[0, 0], [4, 0], [4, 3], [0, 3]], (10, 10)), [[0.5, 0.5], [4.5, 0.5], [4.5, 3.5], [0.5, 3.5], [0.5, 0.5]]
    )


@given(st.lists(st.floats(-30, 60), min_size=4, max_size=4), st.floats(0, 6.28))
def test_a_polygon_never_leaves_the_image(box, angle):
    (a, b), (c, d) = sorted(box[:2]), sorted(box[2:])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.array([[a, c], [b, c], [b, d], [a, d]]) @ turn
    outline = inside(points, (20, 30))
    if outline is None:
        return
    assert (outline >= 0).all() and (outline <= [30, 20]).all()
    assert (outline[0] == outline[-1]).all() and len(outline) >= 4


def test_a_polygon_outside_the_image_is_nothing():
    assert inside([[-9, -9], [-5, -9], [-5, -5], [-9, -5]], (20, 30)) is None
