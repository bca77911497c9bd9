"""What goes wrong at the command line, and what can be changed there."""

import json

import numpy as np
import pytest
from PIL import Image

from bundle.phantom.acquisition import Acquisition
from bundle.phantom.dicom import write_series
from bundle.phantom.negatives import HeadPatient
from bundle.phantom.sequences import Sequence
from bundle.phantom.study import SeriesPlan, sagittal_planes
from tests.command import run_bundle
from tests.study.dicoms import AXIAL, CORONAL, SAGITTAL, T2, planes, write


@pytest.fixture(scope="module")
def studies(tmp_path_factory, sample_study):
    """One folder with good and bad studies side by side."""
    folder = tmp_path_factory.mktemp("studies")
    (folder / "empty").mkdir()
    (folder / "text").mkdir()
    (folder / "text" / "notes.txt").write_text("no image")
    for first, way in ((1, SAGITTAL), (20, CORONAL), (40, AXIAL)):
        write(folder / "localizer", planes(way, 3), first=first, series="scout")
    write(folder / "axial-only", planes(AXIAL, 6), **T2)
    truncated = write(folder / "truncated", planes(SAGITTAL, 1), **T2)[0]
    truncated.write_bytes(truncated.read_bytes()[:-100])
    brain = SeriesPlan(
        "t2_sag", Sequence("T2", 4000.0, 100.0), sagittal_planes(np.zeros(3), 5, 5.0, 240.0, 160), Acquisition()
    )
    write_series(folder / "brain", HeadPatient(3), [brain], "brain")
    (folder / "good").symlink_to(sample_study)
    return folder


@pytest.fixture(scope="module")
def mixed(root, studies, tmp_path_factory):
    """(what the command did, its output folder) on all of them."""
    output = tmp_path_factory.mktemp("out")
    return run_bundle(root, "--studies", str(studies / "*"), "--output_dir", str(output)), output


def test_one_bad_study_makes_the_exit_status_tell(mixed):
    assert mixed[0].returncode == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty", "empty, no file in it"),
        ("text", "no DICOM, NIfTI, PNG or JPG image in it (1 other file)"),
        ("localizer", "no sagittal series to read (found: 3 localizer)"),
        ("axial-only", "no sagittal series to read (found: 1 axial)"),
        ("truncated", "truncated: its pixels end too early"),
    ],
)
def test_each_failed_study_is_named_once_with_its_reason(mixed, studies, name, reason):
    lines = [line for line in mixed[0].stderr.splitlines() if line.startswith("error:") and f"/{name}" in line]
    assert len(lines) == 1
    assert reason in lines[0]


def test_there_is_no_traceback(mixed):
    assert "Traceback" not in mixed[0].stderr + mixed[0].stdout


def test_failed_studies_leave_nothing_behind_and_the_others_are_finished(mixed):
    assert sorted(p.name for p in mixed[1].iterdir()) == ["brain", "good"]
    assert "5 of 7 studies have no report" in mixed[0].stderr


def test_a_study_without_a_spine_is_reported_and_not_judged(mixed):
    report = json.loads((mixed[1] / "brain" / "report.json").read_text())
    assert "no_spine_found" in report["flags"]
    assert report["vertebrae"] == []
    assert [d["finding"] for d in report["disks"]] == [None] * 5
    assert all(d["flags"] for d in report["disks"])


def test_nothing_matching_is_an_error_of_one_line(root, tmp_path):
    done = run_bundle(root, "--studies", str(tmp_path / "nowhere"), "--output_dir", str(tmp_path / "out"))
    assert done.returncode == 1
    assert "nowhere: no file or folder matches" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_weights_are_an_error_of_one_line(root, sample_study, tmp_path):
    output, weights = tmp_path / "out", tmp_path / "no.pt"
    done = run_bundle(root, "--studies", str(sample_study), "--output_dir", str(output), "--disk_weights", str(weights))
    assert done.returncode == 1
    assert "no.pt is missing" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(output.iterdir()) == []


def test_a_threshold_is_changed_on_the_command_line(root, sample_study, tmp_path):
    done = run_bundle(root, "--studies", str(sample_study), "--output_dir", str(tmp_path), "--detector#score_thresh", "1.1")
    assert done.returncode == 0
    assert "no_spine_found" in json.loads((tmp_path / "sample-study" / "report.json").read_text())["flags"]


def test_a_component_is_replaced_by_an_overlay(root, sample_study, tmp_path):
    overlay = tmp_path / "strict.yaml"
    overlay.write_text("slice_matcher:\n  _target_: bundle.disks.match.SliceMatcher\n  max_angle_deg: 0.0\n")
    done = run_bundle(
        root,
        "--studies",
        str(sample_study),
        "--output_dir",
        str(tmp_path / "out"),
        config=f"['configs/inference.yaml', '{overlay}']",
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "sample-study" / "report.json").read_text())
    assert {s["level"] for s in report["axial_slices"]} == {None}
    assert [d["views"] for d in report["disks"]] == [["sagittal"]] * 5
    assert all("no_axial_slice" in d["flags"] for d in report["disks"])


def test_a_picture_gets_a_report_without_a_patient_space(root, sample_study, tmp_path):
    from bundle.study import StudyReader

    image = StudyReader()(sample_study).sagittal.images[7].load_pixels()
    Image.fromarray(np.clip(image / np.percentile(image, 99.5) * 255, 0, 255).astype(np.uint8)).save(tmp_path / "slice.png")
    done = run_bundle(root, "--studies", str(tmp_path / "slice.png"), "--output_dir", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "slice" / "report.json").read_text())
    assert {"no_patient_space", "no_axial_series"} <= set(report["flags"])
    assert {v["level"] for v in report["vertebrae"]} >= {"L1", "L2", "L3", "L4", "L5", "S1"}
    assert all(v["center_lps_mm"] is None and v["boxes"][0]["sop_instance_uid"] == "slice.png" for v in report["vertebrae"])
    assert [d["views"] for d in report["disks"]] == [["sagittal"]] * 5
