"""The MONAI Deploy application, packed and run in its own environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest
import yaml
from pydicom import dcmread

from bundle.geometry import DISK_LEVELS
from tests.hosts.environments import host_python

pytestmark = pytest.mark.hosts


@pytest.fixture(scope="module")
def context(root, tmp_path_factory):
    """Docker's build context, as the packager leaves it."""
    folder = tmp_path_factory.mktemp("deploy")
    for arguments in (
        ("scripts.deploy.pack", "--output_dir", str(folder / "packed")),
        ("scripts.deploy.check", "--packed", str(folder / "packed"), "--context", str(folder / "context")),
    ):
        done = subprocess.run(
            [host_python("deploy"), "-m", *arguments], cwd=root, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
    assert "are there" in done.stdout
    return folder / "context"


@pytest.fixture(scope="module")
def run(context, root, sample_study, tmp_path_factory):
    """The packed application, without the repository, on good studies and a broken one: (what it did, output folder)."""
    folder = tmp_path_factory.mktemp("run")
    studies = folder / "input"
    shutil.copytree(sample_study, studies / "b")
    hitachi = root.parent / "shared" / "data" / "hitachi-study"
    if hitachi.is_dir():
        shutil.copytree(hitachi, studies / "c")
    (studies / "a").mkdir()
    broken = dcmread(sorted(sample_study.rglob("*.dcm"))[5])
    broken.StudyInstanceUID = "1.2.3"
    del broken.ImagePositionPatient
    broken.save_as(studies / "a" / "x.dcm")
    app = json.loads((context / "map" / "app.json").read_text())
    places = {
        "HOLOSCAN_INPUT_PATH": studies,
        "HOLOSCAN_OUTPUT_PATH": folder / "output",
        "HOLOSCAN_MODEL_PATH": context / "models",
    }
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {k: str(v) for k, v in places.items()}
    assert set(places) <= set(app["environment"])
    done = subprocess.run(
        [host_python("deploy"), context / "app"], cwd=folder, capture_output=True, text=True, check=False,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return done, folder / "output"


def test_everything_that_the_package_lists_is_there(context, root):
    package = json.loads((context / "map" / "pkg.json").read_text())
    assert sorted(package["models"]) == ["disks", "ribs", "vertebrae"]
    assert package["resources"]["memory"] == "2Gi"
    for name in package["models"]:
        packed = context / "models" / name / f"{name}.pt"
        assert packed.read_bytes() == (root / "models" / f"{name}.pt").read_bytes()


def test_a_weights_file_that_is_missing_is_told_before_docker(context, root, tmp_path):
    packed = context.parent / "packed"
    shutil.copytree(packed, tmp_path / "packed")
    shutil.rmtree(tmp_path / "packed" / "models" / "disks")
    (tmp_path / "packed" / "models" / "disks").mkdir()
    places = ("--packed", tmp_path / "packed", "--context", tmp_path / "context")
    done = subprocess.run(
        [host_python("deploy"), "-m", "scripts.deploy.check", *places], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "models/disks is listed and not there" in done.stderr


def test_the_package_needs_what_the_environment_has(context, root):
    needed = (context / "pip" / "requirements.txt").read_text()
    for line in (root / "requirements.txt").read_text().split():
        assert line in needed
    assert "monai-deploy-app-sdk==4.0.0" in needed
    metadata = json.loads((root / "configs" / "metadata.json").read_text())
    assert yaml.safe_load((context / "app.config").read_text())["application"]["version"] == metadata["version"]


def test_each_good_study_has_its_objects_and_the_broken_one_its_error(run):
    done, output = run
    results = json.loads((output / "results.json").read_text())
    assert done.returncode == 1, done.stderr[-2000:]
    assert [("error" in result) for result in results] == [True, *[False] * (len(results) - 1)]
    assert "no ImagePositionPatient" in results[0]["error"] and "/" not in results[0]["error"]
    for result in results[1:]:
        assert set(result["findings"]) == set(DISK_LEVELS)
        kinds = {re.split(r"[-.]", path.split("/")[-1])[0] for path in result["dicom"]}
        assert kinds == {"sr", "ps", "sc", "pdf"}
        modalities = {str(dcmread(output / path, stop_before_pixels=True).Modality) for path in result["dicom"]}
        assert modalities == {"SR", "PR", "OT", "DOC"}
    assert not (output / results[0]["study"]).exists()


def test_the_objects_are_in_the_study_that_was_read(run, sample_study):
    output = run[1]
    uid = dcmread(next(iter(sample_study.rglob("*.dcm")))).StudyInstanceUID
    found = {dcmread(path, stop_before_pixels=True).StudyInstanceUID for path in (output / "study-2").rglob("*.dcm")}
    assert found == {uid}


def test_no_traceback_and_no_patient_in_the_log(run):
    said = run[0].stdout + run[0].stderr
    assert "Traceback" not in said and "study-2: read in" in said
