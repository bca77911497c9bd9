"""Real images, which are not part of the project: skipped where ../shared/data is not there."""

import json
import shutil

import pytest

from bundle.report.document import validate
from bundle.study import StudyReader
from tests.command import run_bundle


@pytest.fixture(scope="module")
def hitachi(root, shared_data, tmp_path_factory):
    """Report of a real 0.5 T study."""
    output = tmp_path_factory.mktemp("out")
    done = run_bundle(root, "--studies", str(shared_data / "hitachi-study"), "--output_dir", str(output))
    assert done.returncode == 0, done.stderr
    # The picture by which the slices are checked by eye, regenerated at each run.
    kept = root / "out" / "tests" / "hitachi-axial-slices.png"
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(output / "hitachi-study" / "axial_slices.png", kept)
    return json.loads((output / "hitachi-study" / "report.json").read_text())


def test_series_and_stacks_of_the_hitachi_study(shared_data):
    study = StudyReader()(shared_data / "hitachi-study")
    assert (study.sagittal.weighting, study.sagittal.images[0].source.parent.name) == ("T2", "006_T2_SAG")
    assert (study.axial.weighting, study.axial.images[0].source.parent.name) == ("T2", "008_T2_AX")
    assert [len(stack) for stack in study.axial.stacks] == [3, 3, 3, 4, 4]


def test_the_report_of_the_hitachi_study_is_complete(hitachi):
    validate(hitachi)
    assert (hitachi["series"]["axial"]["slices"], hitachi["series"]["axial"]["stacks"]) == (17, 5)
    assert len(hitachi["axial_slices"]) == 17
    assert len(hitachi["vertebrae"]) >= 6
    for disk in hitachi["disks"]:
        assert (disk["finding"] is None) == (disk["probabilities"] is None)
        assert disk["finding"] is not None or disk["flags"]


def test_every_slice_of_the_hitachi_study_goes_to_the_disk_of_its_stack_or_to_none(hitachi):
    # By eye on out/tests/hitachi-axial-slices.png: one stack a disk, L1-L2 to L5-S1, and the slice that passes through the
    # disk's middle is number 2, 5, 8, 12 and 15. Slices at the edge of a disk may be given to it or not.
    levels = [s["level"] for s in hitachi["axial_slices"]]
    assert [levels[k] for k in (1, 4, 7, 11, 14)] == ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
    stacks = ((0, 3, "L1-L2"), (3, 6, "L2-L3"), (6, 9, "L3-L4"), (9, 13, "L4-L5"), (13, 17, "L5-S1"))
    for first, end, level in stacks:
        assert set(levels[first:end]) <= {level, None}
    for far in (9, 16):  # in the middle of a body
        assert levels[far] is None
    assert all(s["distance_mm"] is not None and s["margin_mm"] is not None for s in hitachi["axial_slices"])


def test_a_single_spider_picture_is_read(root, shared_data, tmp_path):
    picture = shared_data / "spider" / "images" / "100_t2.png"
    done = run_bundle(root, "--studies", str(picture), "--output_dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "100_t2" / "report.json").read_text())
    validate(report)
    assert "no_patient_space" in report["flags"]
    assert len(report["vertebrae"]) >= 6
