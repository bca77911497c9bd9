"""The main job, by the command that a user types, on the study that ships with the bundle."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bundle.report.document import validate
from tests.command import run_bundle

LEVELS = ["L1", "L2", "L3", "L4", "L5", "S1"]


@pytest.fixture(scope="module")
def reading(root, sample_study, tmp_path_factory):
    """(report, truth, folder of the report, what the command printed)."""
    output = tmp_path_factory.mktemp("out")
    done = run_bundle(root, "--studies", str(sample_study), "--output_dir", str(output))
    assert done.returncode == 0, done.stderr
    folder = output / "sample-study"
    report = json.loads((folder / "report.json").read_text())
    return report, json.loads((sample_study / "truth.json").read_text()), folder, done.stdout + done.stderr


def test_the_report_is_valid_and_complete(reading):
    report, _, folder, printed = reading
    validate(report)
    assert {p.name for p in folder.iterdir()} >= {"report.json", "report.html", "sagittal.png", "disk_L4-L5.png"}
    assert str(folder / "report.html") in printed


def test_all_six_vertebrae_are_within_5_mm_of_the_truth(reading):
    report, truth, _, _ = reading
    found = {v["level"]: np.asarray(v["center_lps_mm"]) for v in report["vertebrae"]}
    errors = {v["level"]: float(np.linalg.norm(found[v["level"]] - v["center_lps_mm"])) for v in truth["vertebrae"]}
    assert list(errors) == LEVELS
    assert max(errors.values()) < 5, errors


def test_every_axial_slice_goes_to_its_disk(reading):
    report, truth, _, _ = reading
    found = {s["sop_instance_uid"]: s["level"] for s in report["axial_slices"]}
    assert len(found) == len(truth["axial_slices"])
    for known in truth["axial_slices"]:
        # A slice that passes nearer than a millimetre to a disk's border may lie on either side of it, but in no other disk.
        allowed = {known["level"]} if known["margin_mm"] >= 1 else {known["level"], None}
        assert found[known["sop_instance_uid"]] in allowed
    assert {"L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1", None} == set(found.values())


def test_five_disks_are_judged_from_both_views(reading):
    report, _, _, _ = reading
    assert [d["level"] for d in report["disks"]] == ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
    for disk in report["disks"]:
        assert disk["finding"] == max(disk["probabilities"], key=disk["probabilities"].get)
        assert sum(disk["probabilities"].values()) == pytest.approx(1, abs=2e-3)
        assert sorted(disk["views"]) == ["axial", "sagittal"]


def test_the_series_that_were_read_are_named(reading):
    report, _, _, _ = reading
    assert report["series"]["sagittal"]["slices"] == 15
    assert (report["series"]["axial"]["slices"], report["series"]["axial"]["stacks"]) == (18, 5)


def test_nothing_of_the_patient_is_printed_or_reported(reading):
    _, _, folder, printed = reading
    everything = printed + (folder / "report.json").read_text() + (folder / "report.html").read_text()
    for secret in ("Phantom^Spine", "PHANTOM-", "20000101"):
        assert secret not in everything


def test_importing_study_and_geometry_loads_no_torch(root):
    code = "import sys, bundle.study, bundle.geometry; sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
