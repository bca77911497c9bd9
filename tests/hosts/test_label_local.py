"""MONAI Label on a local folder, driven over HTTP: read, correct, train, pick the next, read again."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest

from bundle.geometry import DISK_LEVELS, LUMBAR_LEVELS
from bundle.report.document import validate
from bundle.vertebrae.markups import LABEL_VALUES
from tests.hosts.environments import ROOT
from tests.hosts.label_server import label_server
from tests.hosts.volumes import sagittal_nifti

pytestmark = pytest.mark.hosts

SHORT = {"max_epochs": 1, "iterations_per_epoch": 2, "batch_size": 2, "num_workers": 0}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("label")
    studies = folder / "studies"
    studies.mkdir()
    sagittal_nifti(studies / "whole.nii.gz")
    sagittal_nifti(studies / "second.nii.gz")
    sagittal_nifti(studies / "unsure.nii.gz", feet_cut_mm=110)
    with label_server(folder, str(studies), ROOT / "scripts" / "label", {"model_dir": str(folder / "model")}) as label:
        yield label


@pytest.fixture(scope="module")
def truth(root):
    return json.loads((root / "docs" / "sample-study" / "truth.json").read_text())


@pytest.fixture(scope="module")
def markups(server):
    return json.loads(server.file("vertebra_detection", "whole"))


@pytest.fixture(scope="module")
def scored(server):
    """After every image was scored; their infos."""
    server.task("scoring", "lumbar_uncertainty")
    objects = server.get("datastore/", output="all")["objects"]
    return {name: entry["image"]["info"] for name, entry in objects.items()}


@pytest.fixture(scope="module")
def trained(server, markups, scored, tmp_path_factory):
    """After a person's labels were saved and both networks were trained on them; answers before."""
    before = {model: server.result(model, "whole") for model in ("vertebra_detection", "disk_classification")}
    label = tmp_path_factory.mktemp("corrected") / "whole.json"
    disks = json.loads(server.file("disk_classification", "whole"))
    for roi in disks["markups"]:
        roi["name"] = roi["name"].split()[0] + " herniation"
    label.write_text(json.dumps({**markups, "markups": markups["markups"] + disks["markups"]}))
    server.save_label("whole", label)
    segments = label.with_name("second.nii.gz")
    segments.write_bytes(server.file("vertebra_segmentation", "second"))
    server.save_label("second", segments, findings={"L4-L5": "bulge", "L5-S1": "normal"})
    for model in before:
        server.task("train", model, **SHORT)
    return before


def test_the_app_offers_its_models_trainings_strategies_and_scores(server):
    info = server.info()
    assert set(info["models"]) == {"vertebra_detection", "vertebra_segmentation", "disk_classification", "lumbar_study"}
    assert set(info["trainers"]) == {"vertebra_detection", "disk_classification"}
    assert set(info["strategies"]) == {"uncertain", "random", "first"}
    assert set(info["scoring"]) == {"lumbar_uncertainty"}
    assert info["models"]["vertebra_segmentation"]["labels"] == LABEL_VALUES
    assert set(server.get("datastore/", output="all")["objects"]) == {"whole", "second", "unsure"}


def test_bodies_come_as_named_boxes_that_slicer_opens(server, markups, truth):
    rois = {roi["name"]: roi for roi in markups["markups"]}
    assert set(LUMBAR_LEVELS) <= set(rois)
    assert {roi["type"] for roi in rois.values()} == {"ROI"}
    for body in truth["vertebrae"]:
        if body["level"] in LUMBAR_LEVELS:
            off = np.asarray(rois[body["level"]]["center"]) - np.asarray(body["center_lps_mm"])
            assert np.linalg.norm(off) < 12.0, body["level"]
            assert min(rois[body["level"]]["size"]) > 20.0 and max(rois[body["level"]]["size"]) < 75.0
    listed = server.result("vertebra_detection", "whole")["vertebrae"]
    assert [v["level"] for v in listed] == list(rois)
    assert all(0.4 < v["score"] <= 1.0 for v in listed)


def test_bodies_come_as_a_label_map_on_the_series_own_voxels(server, markups, tmp_path):
    (tmp_path / "labels.nii.gz").write_bytes(server.file("vertebra_segmentation", "whole"))
    labels = nibabel.load(tmp_path / "labels.nii.gz")
    image = nibabel.load(sagittal_nifti(tmp_path / "whole.nii.gz"))
    assert labels.shape == image.shape
    np.testing.assert_allclose(labels.affine, image.affine, atol=1e-4)
    voxels = np.asarray(labels.dataobj)
    for roi in markups["markups"]:
        center = nibabel.affines.apply_affine(np.linalg.inv(labels.affine), np.asarray(roi["center"]) * [-1, -1, 1])
        assert voxels[tuple(np.rint(center).astype(int))] == LABEL_VALUES[roi["name"]]


def test_one_disk_comes_as_a_classification(server):
    result = server.result("disk_classification", "whole", level="L4-L5")
    assert [p["label"] for p in result["prediction"]] == ["normal", "bulge", "herniation"]
    assert sum(p["score"] for p in result["prediction"]) == pytest.approx(1.0, abs=0.001)
    assert [d["level"] for d in result["disks"]] == ["L4-L5"]


def test_without_a_level_all_disks_come_with_a_box_each(server):
    assert [d["level"] for d in server.result("disk_classification", "whole")["disks"]] == list(DISK_LEVELS)
    names = [roi["name"] for roi in json.loads(server.file("disk_classification", "whole"))["markups"]]
    assert [name.split()[0] for name in names] == list(DISK_LEVELS)


def test_a_study_comes_as_a_report_of_our_schema(server):
    document = server.result("lumbar_study", "whole")["report"]
    validate(document)
    assert document["study"]["name"] == "whole"
    assert [d["level"] for d in document["disks"]] == list(DISK_LEVELS)


def test_a_disk_that_does_not_exist_is_refused_in_one_line(server):
    answer = server.infer("disk_classification", "whole", level="L9")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("level L9: no such disk")


def test_an_image_that_is_not_there_is_named_in_one_line(server):
    answer = server.infer("vertebra_detection", "nowhere")
    assert answer.status_code == 404 and answer.json()["detail"] == "nowhere: the datastore has no such image"


def test_training_without_a_label_says_so(server):
    with pytest.raises(AssertionError, match="disk_classification: no label to train on"):
        server.task("train", "disk_classification", **SHORT)


def test_the_series_whose_names_are_unsure_is_scored_highest_and_picked(scored, server):
    assert scored["unsure"]["naming_margin"] < scored["whole"]["naming_margin"]
    assert scored["unsure"]["lumbar_uncertainty"] > scored["whole"]["lumbar_uncertainty"]
    assert server.next_sample("uncertain")["id"] == "unsure"


def test_what_was_just_handed_out_is_not_picked_again(scored, server):
    server.next_sample("uncertain")
    assert server.next_sample("uncertain")["id"] != server.next_sample("uncertain")["id"]


@pytest.mark.parametrize("strategy", ["random", "first"])
def test_other_strategies_pick_too(server, strategy):
    assert server.next_sample(strategy)["id"] in {"whole", "second", "unsure"}


def test_training_on_corrected_labels_reports_its_validation(server, trained):
    stats = server.info()["train_stats"]
    bodies, disks = stats["vertebra_detection"], stats["disk_classification"]
    assert (bodies["labels"], disks["labels"]) == (2, 2)
    assert disks["items"] == len(DISK_LEVELS) + 2
    assert bodies["held_out"] and disks["held_out"]
    for figures, score in ((bodies, "named"), (disks, "accuracy")):
        assert 0.0 <= figures["before"][score] <= 1.0 and 0.0 <= figures["after"][score] <= 1.0


def test_new_weights_are_used_for_the_next_answer(server, trained):
    new = {model: server.result(model, "whole") for model in trained}
    assert [v["score"] for v in new["vertebra_detection"]["vertebrae"]] != [
        v["score"] for v in trained["vertebra_detection"]["vertebrae"]
    ]
    assert new["disk_classification"]["disks"] != trained["disk_classification"]["disks"]


def test_labelled_series_are_not_handed_out_again(server, trained):
    for strategy in ("uncertain", "random", "first"):
        assert server.next_sample(strategy)["id"] == "unsure"
    status = server.info()["datastore"]
    assert status["completed"] == 2
