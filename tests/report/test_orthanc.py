"""The objects in a real PACS: stored, found and fetched over DICOMweb."""

from __future__ import annotations

from io import BytesIO

import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread

from bundle.report.dicom import export_dicom
from tests.report.dicoms import images
from tests.report.orthanc import orthanc


@pytest.fixture(scope="module")
def pacs(tmp_path_factory):
    with orthanc(tmp_path_factory.mktemp("orthanc")) as url:
        yield DICOMwebClient(url)


@pytest.fixture(scope="module")
def stored(pacs, read_study, tmp_path_factory):
    """Paths of the objects of a study, after they and the study's images were stored."""
    paths = export_dicom(
        read_study.signed(), [read_study.source], tmp_path_factory.mktemp("objects"), pdf=b"%PDF-1.4\n%%EOF\n"
    )
    pacs.store_instances([dcmread(path) for path in (*images(read_study.source), *paths)])
    return paths


def test_every_object_comes_back_unchanged(pacs, stored):
    assert {path.name.split("-")[0] for path in stored} == {"sr.dcm", "ps", "sc", "pdf.dcm"}
    for path in stored:
        sent = dcmread(path)
        got = pacs.retrieve_instance(sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID)
        assert got == sent, path.name
        assert got.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
        assert bytes_of(got) == bytes_of(sent)


def test_they_are_found_in_the_study_of_the_images_one_series_a_kind(pacs, stored, read_study):
    study = read_study.document["study"]["study_instance_uid"]
    found = [entry["0020000E"]["Value"][0] for entry in pacs.search_for_series(study)]
    kinds = {}
    for path in stored:
        ds = dcmread(path, stop_before_pixels=True)
        assert ds.StudyInstanceUID == study
        kinds.setdefault(str(ds.Modality), set()).add(str(ds.SeriesInstanceUID))
    assert {kind: len(series) for kind, series in kinds.items()} == {"SR": 1, "PR": 1, "OT": 1, "DOC": 1}
    assert {uid for series in kinds.values() for uid in series} <= set(found)


def test_the_study_is_still_one_study_of_one_patient(pacs, stored, read_study):
    study = read_study.document["study"]["study_instance_uid"]
    assert len([s for s in pacs.search_for_studies() if s["0020000D"]["Value"][0] == study]) == 1


def bytes_of(ds):
    stream = BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
