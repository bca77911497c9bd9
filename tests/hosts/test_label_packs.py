"""The stock `monaibundle` app of MONAI Label serves both packs of one network, as it comes."""

from __future__ import annotations

import json
import shutil

import pytest

from scripts.pack import main
from tests.command import run_bundle
from tests.hosts.environments import ROOT, host_python
from tests.hosts.label_server import label_server
from tests.hosts.volumes import sagittal_nifti

pytestmark = pytest.mark.hosts

VERTEBRAE, DISKS = "lumbar_vertebra_detection", "lumbar_disk_classification"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packs")
    sample_apps = host_python("label").parents[1] / "monailabel" / "sample-apps"
    app = folder / "monaibundle"
    shutil.copytree(sample_apps / "monaibundle", app)
    for name in (VERTEBRAE, DISKS):
        main(output_dir=str(app / "model"), only=name, bundle_root=str(ROOT))
    studies = folder / "studies"
    studies.mkdir()
    sagittal_nifti(studies / "sagittal.nii.gz")
    overlay = "['configs/inference.yaml', 'configs/save_disks.yaml']"
    done = run_bundle(ROOT, "--output_dir", str(folder / "out"), "--disk_dir", str(studies), config=overlay)
    assert done.returncode == 0, done.stderr[-2000:]
    # Without zoo_source the app asks for the model zoo's list over the network, and without sam2 for weights.
    conf = {"models": f"{VERTEBRAE},{DISKS}", "zoo_source": "local", "sam2": "false", "skip_trainers": "true"}
    with label_server(folder, str(studies), app, conf) as label:
        yield label, json.loads((folder / "out" / "sample-study" / "report.json").read_text())


def test_the_app_offers_both_networks_with_their_labels(server):
    models = server[0].info()["models"]
    assert set(models) == {VERTEBRAE, DISKS}
    assert models[VERTEBRAE]["type"] == "detection" and models[DISKS]["type"] == "classification"
    assert models[DISKS]["labels"] == {"normal": 0, "bulge": 1, "herniation": 2}
    assert models[VERTEBRAE]["labels"]["l5"] == 2


def test_bodies_of_a_sagittal_series_come_as_boxes(server):
    label, document = server
    result = label.result(VERTEBRAE, "sagittal")
    assert len(result["box"]) == len(result["label"]) == len(document["vertebrae"])
    markups = json.loads(label.file(VERTEBRAE, "sagittal"))["markups"]
    assert [roi["center"] for roi in markups] == [box[:3] for box in result["box"]]
    assert sorted(int(roi["label"]["value"]) for roi in markups) == sorted(result["label"])
    for vertebra, box in zip(document["vertebrae"], result["box"], strict=True):
        assert vertebra["center_lps_mm"] == pytest.approx(box[:3], abs=8.0)


def test_a_disk_comes_as_probabilities_the_report_s_own(server):
    label, document = server
    for disk in document["disks"]:
        prediction = label.result(DISKS, f"sample-study_{disk['level']}")["prediction"]
        found = {entry["label"]: entry["score"] for entry in prediction}
        assert found == pytest.approx(disk["probabilities"], abs=0.002)
