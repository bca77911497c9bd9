from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest

from bundle.disks.types import Definition, Focal
from bundle.geometry import DISK_LEVELS
from bundle.report import ReportError
from bundle.report.document import build, schema, validate


@pytest.fixture
def document(reading):
    return build(*reading.parts)


def outlined(reading, definition):
    """The reading with what the definition makes of the outline of L4-L5."""
    disks = [replace(disk, definition=definition if disk.level == "L4-L5" else None) for disk in reading.disks]
    return replace(reading, disks=tuple(disks))


FOCAL = Definition("herniation", (0.0, 0.1, 0.9), 4.14, 62.04, Focal(3.96, 12.34, 41.0, 8.0, "subarticular", "left"))
BROAD = Definition("bulge", (0.0, 1.0, 0.0), 3.2, 141.96)


def test_a_reading_becomes_a_valid_document(document, reading):
    validate(json.loads(json.dumps(document)))
    assert [disk["level"] for disk in document["disks"]] == list(DISK_LEVELS)
    assert document["study"] == {"name": "phantom-7", "study_instance_uid": "1.2.3"}
    assert document["series"]["axial"] == {
        "series_instance_uid": "1.2.3.axial",
        "slices": 5,
        "stacks": 5,
        "description": "t2 axial",
        "reason": "T2-weighted, one stack for each disk",
        "weighting": "T2",
    }
    assert document["disks"][3]["finding"] == "herniation"
    assert document["disks"][3]["probabilities"] == {"normal": 0.05, "bulge": 0.15, "herniation": 0.8}
    assert document["vertebrae"][0]["score"] == 0.9877
    np.testing.assert_allclose(document["disks"][0]["center_lps_mm"], reading.disks[0].disk.center_lps_mm, atol=0.005)


def test_the_schema_is_one():
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema())


def test_disks_are_put_in_order_and_never_missing(reading):
    turned = replace(reading, disks=reading.disks[::-1])
    assert build(*turned.parts) == build(*reading.parts)
    for wrong in (reading.disks[:4], (*reading.disks, reading.disks[0]), (*reading.disks[:4], reading.disks[0]), ()):
        with pytest.raises(ReportError, match="L1-L2"):
            build(*replace(reading, disks=wrong).parts)


def test_flags_of_the_study_come_first_and_once(reading):
    study = replace(reading.study, flags=("files_skipped", "no_axial_series"))
    document = build(*replace(reading, study=study, flags=("levels_unsure", "files_skipped")).parts)
    assert document["flags"] == ["files_skipped", "no_axial_series", "levels_unsure"]


def test_roi_corners_lie_on_the_slice_where_the_roi_was_cut(document, reading):
    for entry, disk in zip(document["disks"], reading.disks, strict=True):
        for view in ("axial", "sagittal"):
            roi, square = getattr(disk, view), entry["rois"][view]
            image = roi.images[1]
            assert square["sop_instance_uid"] == image.sop_instance_uid
            corners = image.plane.to_patient(square["corners_px"])
            np.testing.assert_allclose(corners.mean(0), roi.plane.center_lps_mm, atol=0.03)
            np.testing.assert_allclose(np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1), 60.0, atol=0.1)
            assert square["side_mm"] == 60.0
            np.testing.assert_allclose(square["corners_lps_mm"], corners, atol=0.03)
            # From the top-left to the top-right corner an axial ROI runs to the patient's left, a sagittal one to the back.
            assert (corners[1] - corners[0])[0 if view == "axial" else 1] > 50 * 60 / 72


def test_a_disk_that_was_not_judged_must_say_why(reading):
    silent = replace(reading.disks[1], probabilities=None, finding=None, views=())
    unjudged = replace(silent, disk=None, matches=(), axial=None, sagittal=None, flags=("vertebra_not_found",))
    document = build(*replace(reading, disks=(reading.disks[0], unjudged, *reading.disks[2:])).parts)
    validate(document)
    entry = document["disks"][1]
    assert entry["finding"] is None and entry["probabilities"] is None and entry["center_lps_mm"] is None
    assert entry["normal_lps"] is None and entry["height_mm"] is None and entry["rois"] == {"axial": None, "sagittal": None}
    with pytest.raises(ReportError, match="disks/1/flags"):
        validate(build(*replace(reading, disks=(reading.disks[0], silent, *reading.disks[2:])).parts))


def test_an_outline_is_measured_in_millimetres_and_degrees(reading):
    document = build(*outlined(reading, FOCAL).parts)
    validate(document)
    focal = {"extent_mm": 4.0, "base_mm": 12.3, "arc_deg": 41.0, "zone": "subarticular", "side": "left"}
    expected = {"finding": "herniation", "reach_mm": 4.1, "beyond_rim_deg": 62.0, "focal": focal}
    assert [disk["outline"] for disk in document["disks"]] == [None, None, None, expected, None]


def test_only_a_herniation_has_a_focal_part(reading):
    document = build(*outlined(reading, BROAD).parts)
    validate(document)
    entry = document["disks"][3]
    assert entry["outline"] == {"finding": "bulge", "reach_mm": 3.2, "beyond_rim_deg": 142.0, "focal": None}
    entry["outline"]["finding"] = "herniation"
    with pytest.raises(ReportError, match="disks/3"):
        validate(document)


def test_an_outline_needs_an_axial_view(reading):
    document = build(*outlined(reading, BROAD).parts)
    document["disks"][3]["views"] = ["sagittal"]
    with pytest.raises(ReportError, match="disks/3"):
        validate(document)


def test_a_file_of_the_version_before_outlines_is_valid(document):
    for disk in document["disks"]:
        del disk["outline"]
    validate({**document, "schema_version": "1.2"})


def test_a_plain_image_has_no_outline_in_millimetres(plain_reading):
    document = build(*outlined(plain_reading, BROAD).parts)
    assert [disk["outline"] for disk in document["disks"]] == [None] * 5


def test_a_plain_image_has_no_millimetres(plain_reading):
    document = build(*plain_reading.parts)
    validate(document)
    assert document["series"]["axial"] is None
    assert document["flags"] == ["no_patient_space", "levels_unsure"]
    for disk in document["disks"]:
        assert disk["center_lps_mm"] is None and disk["normal_lps"] is None and disk["height_mm"] is None
        assert disk["rois"]["sagittal"]["side_mm"] is None
        assert disk["rois"]["sagittal"]["corners_lps_mm"] is None
        assert disk["rois"]["sagittal"]["sop_instance_uid"] == "spine.png"
    for vertebra in document["vertebrae"]:
        assert vertebra["center_lps_mm"] is None
        assert {box["sop_instance_uid"] for box in vertebra["boxes"]} == {"spine.png"}


def _set(path, value):
    def change(document):
        *steps, last = path
        for step in steps:
            document = document[step]
        document[last] = value

    return change


def _drop(path):
    def change(document):
        *steps, last = path
        for step in steps:
            document = document[step]
        del document[last]

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set(["patient_name"], "somebody"),
        _set(["schema_version"], "2.0"),
        _drop(["model"]),
        _drop(["series", "axial"]),
        _set(["study", "date"], "today"),
        _set(["series", "sagittal", "stacks"], 1),
        _drop(["series", "sagittal", "reason"]),
        _set(["series", "axial", "weighting"], "T3"),
        _set(["series", "axial", "slices"], 0),
        _set(["vertebrae", 0, "level"], "L7"),
        _set(["vertebrae", 0, "score"], 1.2),
        _set(["vertebrae", 0, "center_lps_mm"], [1.0, 2.0]),
        _set(["vertebrae", 0, "boxes", 0, "xyxy"], [1.0, 2.0, 3.0]),
        _set(["axial_slices", 0, "level"], "L6-S1"),
        _set(["axial_slices", 0, "angle_deg"], -1),
        _drop(["axial_slices", 0, "margin_mm"]),
        _drop(["disks", 4]),
        _set(["disks", 0, "level"], "L2-L3"),
        _set(["disks", 0, "finding"], "protrusion"),
        _set(["disks", 0, "finding"], None),
        _set(["disks", 0, "probabilities"], None),
        _set(["disks", 0, "probabilities", "extrusion"], 0.0),
        _drop(["disks", 0, "probabilities", "bulge"]),
        _set(["disks", 0, "probabilities", "bulge"], float("nan")),
        _set(["disks", 0, "views"], ["coronal"]),
        _set(["disks", 0, "views"], []),
        _set(["disks", 0, "rois", "axial", "corners_px"], [[0, 0]]),
        _set(["disks", 0, "rois", "axial", "corners_lps_mm"], [[0, 0]] * 4),
        _drop(["disks", 0, "rois", "sagittal"]),
        _set(["disks", 0, "note"], ""),
        _set(["disks", 0, "outline"], {"finding": "bulge"}),
        _set(["flags"], ["a", "a"]),
        _set(["flags"], [1]),
        _set(["model", "weights_sha256", "disks"], "no hash"),
        _set(["model", "weights_sha256", "disks"], object()),
    ],
)
def test_the_schema_refuses_what_does_not_fit(document, change):
    wrong = copy.deepcopy(document)
    change(wrong)
    with pytest.raises(ReportError) as error:
        validate(wrong)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_sixth_disk_is_refused(document):
    with pytest.raises(ReportError):
        validate({**document, "disks": [*document["disks"], document["disks"][0]]})


def test_a_number_that_is_none_is_refused(reading):
    lost = replace(reading.vertebrae[0], center_lps_mm=np.array([np.nan, 0, 0]))
    with pytest.raises(ReportError, match="finite"):
        build(*replace(reading, vertebrae=(lost,)).parts)
