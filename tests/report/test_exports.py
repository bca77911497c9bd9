from __future__ import annotations

import json

import pytest

from bundle.report import ReportError, ReportWriter
from bundle.report.exports import DOCUMENT, read_origin, read_pictures, regenerate
from bundle.report.review import with_review
from bundle.study import StudyError

SIGNED = {"status": "final", "reader": "A. Reader", "signed_at": "2026-11-25T10:05:00+08:00"}


@pytest.fixture
def folder(reading, tmp_path):
    return ReportWriter(dpi=60, name_patient=False)(tmp_path / "out", *reading.parts).parent


def document_of(folder):
    return json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_pictures_are_read_back_by_their_names(folder):
    pictures = read_pictures(folder)
    assert set(pictures) == {"sagittal", "axial_slices", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"}
    assert pictures["L4-L5"] == (folder / "disk_L4-L5.png").read_bytes()
    (folder / "disk_L4-L5.png").unlink()
    assert "L4-L5" not in read_pictures(folder)


def test_nothing_changes_where_nothing_was_changed(folder):
    before = contents(folder)
    regenerate(folder, document_of(folder))
    assert contents(folder) == before


def test_a_review_gets_into_every_output(folder):
    reviewed = with_review(document_of(folder), SIGNED | {"disks": [{"level": "L4-L5", "finding": "normal"}]})
    before = contents(folder)
    written = regenerate(folder, reviewed, language="zh")
    assert {path.name for path in written} == {DOCUMENT, "report.html", "report.pdf", "report.fhir.json"}
    after = contents(folder)
    assert {name for name in after if after[name] != before[name]} == {path.name for path in written}
    assert document_of(folder) == reviewed
    assert "医师意见" in after["report.html"].decode() and "A. Reader" in after["report.fhir.json"].decode()


def test_what_is_wrong_changes_nothing(folder):
    document, before = document_of(folder), contents(folder)
    with pytest.raises(ReportError, match="schema"):
        regenerate(folder, document | {"disks": []})
    with pytest.raises(ReportError, match="language"):
        regenerate(folder, document, language="xx")
    with pytest.raises(ReportError, match="no output"):
        regenerate(folder, document, outputs=["html", "fax"])
    with pytest.raises(StudyError):
        regenerate(folder, document, sources=[folder / "nowhere"])
    assert contents(folder) == before


def test_fhir_names_the_patient_of_the_images(sample_reading, sample_study, tmp_path):
    document = sample_reading.document
    origin = read_origin(document, [sample_study])
    assert origin.patient_id.startswith("PHANTOM-")
    fhir = json.loads((sample_reading.folder / "report.fhir.json").read_text(encoding="utf-8"))
    report = fhir["entry"][0]["resource"]
    assert report["subject"]["identifier"]["value"] == origin.patient_id
    for name in (DOCUMENT, "report.html"):
        assert origin.patient_id not in (sample_reading.folder / name).read_text(encoding="utf-8")


def test_without_dicom_nobody_is_named(reading, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    from bundle.report.document import build

    assert read_origin(build(*reading.parts), [tmp_path]).patient_id == ""
