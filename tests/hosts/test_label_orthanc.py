"""MONAI Label on a real PACS over DICOMweb: one series leads to its study, labels go back as DICOM SEG."""

from __future__ import annotations

import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread

from bundle.report.document import validate
from bundle.vertebrae.markups import LABEL_VALUES
from tests.hosts.environments import ROOT
from tests.hosts.label_server import label_server
from tests.hosts.test_label_local import SHORT
from tests.report.orthanc import orthanc

pytestmark = pytest.mark.hosts

SEGMENTS = [{"name": name, "model_name": "vertebra_segmentation"} for name in ("L5", "L4", "L3")]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with the sample study, and the study's files."""
    files = sorted((ROOT / "docs" / "sample-study").rglob("*.dcm"))
    with orthanc(tmp_path_factory.mktemp("orthanc")) as url:
        client = DICOMwebClient(url)
        client.store_instances([dcmread(file) for file in files])
        yield client


@pytest.fixture(scope="module")
def server(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("label")
    environment = {
        "MONAI_LABEL_DICOMWEB_SEARCH_FILTER": '{"Modality": "MR"}',  # MONAI Label looks for CT where nothing is said
        "MONAI_LABEL_DICOMWEB_CACHE_EXPIRY": "1",  # seconds after which it looks for new labels
    }
    conf = {"model_dir": str(folder / "model")}
    with label_server(folder, store.base_url, ROOT / "scripts" / "label", conf, environment) as label:
        yield label


@pytest.fixture(scope="module")
def sagittal():
    """UID of the sagittal series."""
    file = next((ROOT / "docs" / "sample-study" / "02_t2_tse_sag").glob("*.dcm"))
    return str(dcmread(file, stop_before_pixels=True).SeriesInstanceUID)


@pytest.fixture(scope="module")
def labelled(server, store, sagittal, tmp_path_factory):
    """After the label map of the series was saved as final, of three bodies alone."""
    import nibabel
    import numpy as np

    path = tmp_path_factory.mktemp("corrected") / "labels.nii.gz"
    path.write_bytes(server.file("vertebra_segmentation", sagittal))
    image = nibabel.load(path)
    voxels = np.asarray(image.dataobj)
    kept = np.where(np.isin(voxels, [LABEL_VALUES[s["name"]] for s in SEGMENTS]), voxels, 0).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(kept, image.affine), path)
    # MONAI Label names segments by their order, so they are given by growing value: L5, L4, L3.
    server.save_label(sagittal, path, label_info=SEGMENTS, findings={"L4-L5": "bulge"})
    return store.search_for_series(search_filters={"Modality": "SEG"})


def test_the_mr_series_of_the_store_are_there_to_be_labelled(server):
    files = (ROOT / "docs" / "sample-study").rglob("*.dcm")
    series = {str(dcmread(file, stop_before_pixels=True).SeriesInstanceUID) for file in files}
    assert server.info()["datastore"]["total"] == len(series) == 3
    assert server.next_sample("first")["id"] in series


def test_one_series_of_a_study_leads_to_the_report_of_all(server, sagittal):
    document = server.result("lumbar_study", sagittal)["report"]
    validate(document)
    assert document["series"]["sagittal"]["series_instance_uid"] == sagittal
    assert document["series"]["axial"]["slices"] == 18
    assert {tuple(d["views"]) for d in document["disks"]} == {("axial", "sagittal")}


def test_disks_are_judged_from_both_views_of_the_study(server, sagittal):
    disk = server.result("disk_classification", sagittal, level="L4-L5")["disks"][0]
    assert disk["views"] == ["axial", "sagittal"]


def test_bodies_come_as_boxes_and_as_a_dicom_segmentation(server, sagittal, tmp_path):
    names = [v["level"] for v in server.result("vertebra_detection", sagittal)["vertebrae"]]
    order = sorted(names, key=lambda name: LABEL_VALUES[name])
    (tmp_path / "seg.dcm").write_bytes(
        server.file(
            "vertebra_segmentation", sagittal, "dicom_seg", label_info=[{"name": n, "model_name": "lumbar"} for n in order]
        )
    )
    segmentation = dcmread(tmp_path / "seg.dcm")
    assert segmentation.Modality == "SEG"
    assert [str(s.SegmentLabel) for s in segmentation.SegmentSequence] == order
    assert str(segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID) == sagittal


def test_an_axial_series_is_refused_where_a_sagittal_one_is_wanted(server):
    file = next((ROOT / "docs" / "sample-study" / "03_t2_tse_tra").glob("*.dcm"))
    answer = server.infer("vertebra_detection", str(dcmread(file, stop_before_pixels=True).SeriesInstanceUID))
    assert answer.status_code == 422
    assert "a sagittal series is wanted, this one is axial" in answer.json()["detail"]


def test_a_series_that_the_store_does_not_have_is_named_in_one_line(server):
    answer = server.infer("lumbar_study", "1.2.3")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "1.2.3: the DICOMweb store has no such series"


def test_of_each_study_the_series_that_is_read_of_it_is_scored_and_picked(server, sagittal):
    server.task("scoring", "lumbar_uncertainty")
    objects = server.get("datastore/", output="all")["objects"]
    scores = {name: entry["image"]["info"]["lumbar_uncertainty"] for name, entry in objects.items()}
    assert len(scores) == 3 and [name for name, score in scores.items() if score is not None] == [sagittal]
    assert [server.next_sample("uncertain")["id"] for _ in range(2)] == [sagittal, sagittal]


def test_markups_are_refused_in_one_line_by_a_store_that_takes_none(server, sagittal, tmp_path):
    (tmp_path / "rois.json").write_bytes(server.file("vertebra_detection", sagittal))
    with (tmp_path / "rois.json").open("rb") as stream:
        answer = requests.put(
            f"{server.url}/datastore/label",
            params={"image": sagittal, "tag": "final"},
            files={"label": ("rois.json", stream), "params": (None, "{}")},
            timeout=60,
        )
    assert answer.status_code == 422 and "markups cannot be stored in a PACS" in answer.json()["detail"]


def test_a_saved_label_goes_to_the_store_as_a_segmentation_of_its_series(labelled, store, sagittal):
    assert len(labelled) == 1
    study, series = labelled[0]["0020000D"]["Value"][0], labelled[0]["0020000E"]["Value"][0]
    segmentation = store.retrieve_series(study, series)[0]
    assert [str(s.SegmentLabel) for s in segmentation.SegmentSequence] == [s["name"] for s in SEGMENTS]
    assert str(segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID) == sagittal


def test_training_from_the_store_uses_the_label_and_the_whole_study(server, labelled, sagittal):
    before = server.result("disk_classification", sagittal)["disks"]
    server.task("train", "vertebra_detection", **SHORT)
    server.task("train", "disk_classification", **SHORT)
    stats = server.info()["train_stats"]
    assert stats["vertebra_detection"]["labels"] == 1 and stats["vertebra_detection"]["items"] > 0
    assert stats["disk_classification"]["items"] == 1
    assert not stats["disk_classification"]["held_out"]
    assert server.result("disk_classification", sagittal)["disks"] != before


def test_a_label_map_without_names_has_its_segments_named_by_their_values(server, store, labelled, sagittal, tmp_path):
    (tmp_path / "labels.nii.gz").write_bytes(server.file("vertebra_segmentation", sagittal))
    server.save_label(sagittal, tmp_path / "labels.nii.gz")
    before = labelled[0]["0020000E"]["Value"][0]
    found = store.search_for_series(search_filters={"Modality": "SEG"})
    (new,) = [entry for entry in found if entry["0020000E"]["Value"][0] != before]
    segmentation = store.retrieve_series(new["0020000D"]["Value"][0], new["0020000E"]["Value"][0])[0]
    names = [str(s.SegmentLabel) for s in segmentation.SegmentSequence]
    assert {"S1", "L5", "L1"} < set(names) and names == sorted(names, key=lambda name: LABEL_VALUES[name])
