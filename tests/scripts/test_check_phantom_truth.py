from dataclasses import replace

import numpy as np
import pytest

from bundle.geometry import DISK_LEVELS
from bundle.phantom.anatomy import sample_spine
from scripts.check_phantom_truth import TOLERANCES, check_body, check_disk, check_spine, table
from scripts.phantom_voxels import fragment_is_free, read_disk

ROWS = [row for seed in range(20) for row in check_spine(seed)]


@pytest.mark.parametrize("name", TOLERANCES)
def test_truth_agrees_with_the_voxels_of_twenty_spines(name):
    errors = [error for what, error, _ in ROWS if what == name]
    assert errors
    assert np.percentile(errors, 95) <= TOLERANCES[name]
    assert max(errors) <= 2 * TOLERANCES[name]


def test_findings_read_from_voxels_are_the_truths():
    wrong = [where for what, error, where in ROWS if what == "finding" and error]
    assert not wrong


def test_every_class_is_read_from_voxels():
    for finding in ("normal", "bulge", "herniation"):
        assert read_disk(sample_spine(31, findings={"L3-L4": finding}), "L3-L4").finding == finding


def test_free_pieces_are_free_and_heads_hang_on_their_disk():
    seen = set()
    for seed in range(8):
        spine = sample_spine(seed, findings=dict.fromkeys(DISK_LEVELS, "herniation"))
        for level in DISK_LEVELS:
            for number, fragment in enumerate(spine.disks[level].pathology.fragments):
                assert fragment_is_free(spine, level, number) == fragment.sequestered, (seed, level)
                seen.add(fragment.sequestered)
    assert seen == {True, False}


def test_a_disk_that_is_painted_otherwise_than_the_truth_says_is_found():
    spine = sample_spine(3, findings={"L4-L5": "bulge"})
    shape = spine.disks["L4-L5"]

    class Lying(type(shape.pathology)):
        @property
        def outline_mm(self):
            return super().outline_mm + 0.6 * (self.excess_mm != 0)

    lie = Lying(**{k: v for k, v in shape.pathology.__dict__.items() if k in shape.pathology.__dataclass_fields__})
    disks = {**spine.disks, "L4-L5": replace(shape, pathology=lie)}
    errors = {what: error for what, error, _ in check_disk(replace(spine, disks=disks), "L4-L5", "")}
    assert errors["extent, mm"] == pytest.approx(0.6, abs=0.1)
    assert errors["angle of a bulge, degrees"] > TOLERANCES["angle of a bulge, degrees"]


def test_a_body_whose_truth_is_too_small_is_found(monkeypatch):
    spine = sample_spine(3)
    small = replace(spine.body("L3"), half_depth_mm=tuple(d - 1.0 for d in spine.body("L3").half_depth_mm))
    monkeypatch.setattr(type(spine), "body", lambda self, level: small)
    found = check_body(spine, "L3", "")
    assert max(error for what, error, _ in found if what == "box extents, mm") > 0.7
    assert max(error for what, error, _ in found if what == "corners, mm") > 0.7


def test_table_tells_median_largest_and_where():
    rows = [
        ("corners, mm", 0.1, "1 L1"),
        ("corners, mm", 0.3, "2 L2"),
        ("finding", 1.0, "7 L4-L5"),
        ("finding", 0.0, "8 L1-L2"),
    ]
    text = table(rows)
    assert "| corners, mm | 2 | 0.200 | 0.290 | 0.300 (2 L2) | 0.5 |" in text
    assert "2 outlines named by their voxels, 1 otherwise than by the truth: 7 L4-L5." in text
