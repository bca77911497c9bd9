from __future__ import annotations

import pytest
from pydicom.sr.codedict import codes

from bundle.geometry import BODY_LEVELS, DISK_LEVELS, FINDINGS
from bundle.report import coding


@pytest.mark.parametrize("level", coding.DISKS)
def test_disks_are_coded_as_dicom_lists_them(level):
    code = getattr(codes.cid7604, f"{level.replace('-', '')}Disc")
    assert coding.DISKS[level] == (code.value, code.scheme_designator, code.meaning)


@pytest.mark.parametrize("level", [level for level in coding.VERTEBRAE if not level.startswith("S")])
def test_vertebrae_are_coded_as_dicom_lists_them(level):
    code = getattr(codes.cid7603, f"{level}Vertebra")
    assert coding.VERTEBRAE[level] == (code.value, code.scheme_designator, code.meaning)


def test_sacral_vertebrae_are_the_sacrum_and_unknown_levels_the_lumbar_spine():
    assert coding.level_of_vertebra("S1")[0] == codes.SCT.Sacrum.value
    assert coding.level_of_vertebra("L6")[0] == coding.level_of_disk("L5-L6")[0] == codes.SCT.LumbarSpine.value


def test_every_level_and_finding_of_a_reading_has_codes():
    assert set(DISK_LEVELS) <= set(coding.DISKS)
    assert set(BODY_LEVELS) - {"T11 and above"} <= set(coding.VERTEBRAE) | {"above"}
    assert set(coding.FINDINGS) == {*FINDINGS, None}
    assert set(coding.PROBABILITIES) == set(coding.MORPHOLOGY) == set(FINDINGS)


def test_words_fit_into_a_dicom_code_meaning():
    tables = (
        coding.DISKS, coding.VERTEBRAE, coding.FINDINGS, coding.PROBABILITIES, coding.MORPHOLOGY, coding.UNITS, coding.ZONES,
        coding.SIDES, coding._MEASUREMENTS,
    )  # fmt: skip
    named = [c for table in tables for c in table.values()]
    named += [value for value in vars(coding).values() if isinstance(value, coding.Coded)]
    assert all(0 < len(code.meaning) <= 64 and "\\" not in code.meaning for code in named)


def test_a_private_code_means_one_thing():
    tables = (coding.FINDINGS, coding.PROBABILITIES, coding.MORPHOLOGY, coding.ZONES, coding._MEASUREMENTS)
    named = [c for table in tables for c in table.values()]
    named += [value for value in vars(coding).values() if isinstance(value, coding.Coded)]
    private = [code for code in named if code.scheme == coding.PRIVATE_SCHEME]
    assert len({code.value for code in private}) == len(set(private))


def test_measurements_are_numbers_whose_name_ends_in_a_unit():
    disk = {
        "level": "L4-L5", "height_mm": 9.1, "normal_lps": [0, 0, 1], "confirmed": True, "score": 0.5,
        "measurements": {"wedge_angle_deg": 7.0, "canal_area_mm2": 180, "height_ratio": 0.4, "lost_mm": None},
    }  # fmt: skip
    found = [(q.name.value, q.name.meaning, q.value, q.unit.value) for q in coding.quantities(disk)]
    assert found == [
        ("height", "Height of the disk", 9.1, "mm"),
        ("wedge-angle", "Wedge angle", 7.0, "deg"),
        ("canal-area", "Canal area", 180.0, "mm2"),
        ("height", "Height", 0.4, "{ratio}"),
    ]


def test_an_outline_is_coded_with_units_zone_and_side():
    focal = {"extent_mm": 4.0, "base_mm": 12.3, "arc_deg": 41.0, "zone": "subarticular", "side": "left"}
    outline = {"finding": "herniation", "reach_mm": 4.1, "beyond_rim_deg": 62.0, "focal": focal}
    disk = {"level": "L4-L5", "outline": outline, "pfirrmann": 4}
    assert [(q.name.value, q.value, q.unit.value) for q in coding.quantities(disk)] == [
        ("outline-reach", 4.1, "mm"), ("outline-beyond-rim", 62.0, "deg"), ("outline-extent", 4.0, "mm"),
        ("outline-base", 12.3, "mm"), ("outline-arc", 41.0, "deg"),
    ]  # fmt: skip
    assert [(name.value, value.value) for name, value in coding.evaluations(disk)] == [
        ("pfirrmann", "pfirrmann-4"), ("outline-finding", "herniation"), ("outline-zone", "zone-subarticular"),
        ("outline-side", "7771000"),
    ]  # fmt: skip


def test_sides_are_coded_as_snomed_does():
    known = {"left": codes.SCT.Left, "right": codes.SCT.Right, "middle": codes.SCT.Midline}
    assert {side: (c.value, c.scheme_designator, c.meaning) for side, c in known.items()} == coding.SIDES


def test_shares_and_indices_have_codes_of_their_own():
    measurements = {"slip_mm": 4.0, "slip_share": 0.12, "height_index": 0.3}
    found = [(q.name.value, q.unit.value) for q in coding.quantities({"height_mm": 9.0, "measurements": measurements})]
    assert found == [("height", "mm"), ("slip", "mm"), ("slip-share", "{ratio}"), ("height-index", "{ratio}")]
