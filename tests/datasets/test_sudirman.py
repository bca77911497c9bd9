import pytest
from openpyxl import Workbook

from bundle.datasets.sudirman import findings_in, read_notes, read_sudirman
from bundle.study import StudyError

NOTHING = "LSS MRI FEATURES OF MUSCLE SPASM. NO EVIDENCE OF SIGNIFICANT DISC BULGE OR HERNIATION."


def said(notes):
    return {level: finding for level, finding in findings_in(notes).items() if finding != "normal"}


@pytest.mark.parametrize(
    ("notes", "findings"),
    [
        (NOTHING, {}),
        ("L4-5 & L5-S1 DIFFUSE DISC BULGE COMPRESSING THECAL SAC.", {"L4-L5": "bulge", "L5-S1": "bulge"}),
        ("Right paracentral disc protrusion at L5/S1", {"L5-S1": "herniation"}),
        ("Disc bulge at L3-4, L4-5 and protrusion at L5/S1", {"L3-L4": "bulge", "L4-L5": "bulge", "L5-S1": "herniation"}),
        ("L2-3 to L5-S1 disc bulges", dict.fromkeys(("L2-L3", "L3-L4", "L4-L5", "L5-S1"), "bulge")),
        ("L3-L5 bulging discs", {"L3-L4": "bulge", "L4-L5": "bulge"}),
        ("L4-5 disc bulge.\nL4-5 left extruded disc.", {"L4-L5": "herniation"}),
        ("L5S1 extruded disc; no bulge elsewhere", {"L5-S1": "herniation"}),
        ("bulge of the L4-L5 level with no herniation but L5-S1 prolapse", {"L4-L5": "bulge", "L5-S1": "herniation"}),
        ("L4-5 disc bulge, L5-S1 disc protrusion compressing the S1 root", {"L4-L5": "bulge", "L5-S1": "herniation"}),
        ("Protruded L1-2 disc without extrusion", {"L1-L2": "herniation"}),
        ("Bulging disc", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_notes_are_read_by_the_rules(notes, findings):
    assert said(notes) == findings


@pytest.fixture
def workbook(tmp_path):
    book = Workbook()
    book.active.append(["Patient ID", "Clinician's Notes"])
    book.active.append([1, NOTHING])
    book.active.append([2, "L4-5 disc bulge."])
    book.active.append([3, None])
    book.active.append([4, "L5-S1 protrusion."])
    path = tmp_path / "Radiologists Report.xlsx"
    book.save(path)
    return path


def test_patients_with_notes_and_images_are_given(workbook):
    for patient in ("0001", "0002", "0003"):
        (workbook.parent / patient).mkdir()
    found = list(read_sudirman(workbook.parent))
    assert [s.patient for s in found] == ["0001", "0002"]
    assert [d.finding for d in found[1].disks] == ["normal", "normal", "normal", "bulge", "normal"]
    assert found[1].source == workbook.parent / "0002"


def test_a_workbook_that_is_none_is_told(workbook, tmp_path):
    assert set(read_notes(workbook)) == {"0001", "0002", "0004"}
    (tmp_path / "text.xlsx").write_text("hello")
    with pytest.raises(StudyError, match=r"text\.xlsx: is no workbook"):
        read_notes(tmp_path / "text.xlsx")
    with pytest.raises(StudyError, match=r"none\.xlsx: cannot be read"):
        read_notes(tmp_path / "none.xlsx")
    book = Workbook()
    book.active.append(["a", "b"])
    book.save(tmp_path / "other.xlsx")
    with pytest.raises(StudyError, match="lacks the columns"):
        read_notes(tmp_path / "other.xlsx")
