from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from PIL import Image

from bundle.report import ReportError, ReportWriter, writer
from bundle.report.document import validate
from bundle.study.types import StudyError

FILES = {
    "report.json",
    "report.html",
    "report.pdf",
    "report.fhir.json",
    "sagittal.png",
    "axial_slices.png",
    *(f"disk_L{k}-L{k + 1}.png" for k in range(1, 5)),
    "disk_L5-S1.png",
}


@pytest.fixture(scope="module")
def write():
    return ReportWriter(dpi=60, name_patient=False)  # the images of the readings here are in no file


def names(folder):
    return {path.name for path in folder.iterdir()}


def broken(reading):
    """The reading with a sagittal series of which no slice can be decoded."""

    def fail():
        raise StudyError("1.2.3.dcm cannot be decoded")

    images = tuple(replace(image, load_pixels=fail) for image in reading.study.sagittal.images)
    return replace(reading, study=replace(reading.study, sagittal=replace(reading.study.sagittal, images=images)))


def test_a_report_is_written(write, reading, tmp_path):
    page = write(tmp_path / "a" / "phantom", *reading.parts)
    assert page == tmp_path / "a" / "phantom" / "report.html" and page.is_file()
    assert names(page.parent) == FILES and names(tmp_path / "a") == {"phantom"}
    validate(json.loads((page.parent / "report.json").read_text(encoding="utf-8")))
    for name in FILES:
        if name.endswith(".png"):
            with Image.open(page.parent / name) as image:
                image.verify()


def test_a_full_report_is_small_enough_to_send(reading, tmp_path):
    page = ReportWriter(name_patient=False)(tmp_path / "out", *reading.parts)
    assert page.stat().st_size < 3e6 and (page.parent / "report.pdf").stat().st_size < 4e6


def test_a_plain_image_is_reported(write, plain_reading, tmp_path):
    page = write(tmp_path / "out", *plain_reading.parts)
    assert names(page.parent) == FILES - {"axial_slices.png"}


def test_a_report_tells_nothing_about_the_patient(write, reading, tmp_path):
    page = write(tmp_path / "out", *reading.parts)
    for name in ("report.json", "report.html", "report.fhir.json"):
        text = re.sub(r"data:[^\"]*", "", (page.parent / name).read_text(encoding="utf-8"))
        assert str(tmp_path) not in text
        assert not re.search(r"(19|20)\d\d-?[01]\d-?[0-3]\d", text)
        assert not re.search(r"patient.?(name|id|birth)|birth", text, re.IGNORECASE)
    for picture in page.parent.glob("*.png"):
        with Image.open(picture) as image:
            assert not image.info.keys() - {"dpi"}


def test_an_older_report_is_replaced_as_a_whole(write, reading, tmp_path):
    folder = tmp_path / "out"
    write(folder, *reading.parts)
    (folder / "disk_L9-L9.png").write_bytes(b"old")
    write(folder, *replace(reading, flags=("levels_unsure",)).parts)
    assert names(folder) == FILES and names(tmp_path) == {"out"}
    assert json.loads((folder / "report.json").read_text())["flags"] == ["levels_unsure"]


def test_an_exception_leaves_no_folder_and_the_older_report_as_it_was(write, reading, tmp_path):
    with pytest.raises(StudyError):
        write(tmp_path / "new", *broken(reading).parts)
    assert names(tmp_path) == set()
    folder = tmp_path / "out"
    write(folder, *reading.parts)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(StudyError):
        write(folder, *broken(reading).parts)
    with pytest.raises(ReportError):
        write(folder, *replace(reading, disks=reading.disks[:4]).parts)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before and names(tmp_path) == {"out"}


@pytest.mark.parametrize("failing", ["write_bytes", "rename"])
def test_a_full_disk_leaves_the_older_report_as_it_was(write, reading, tmp_path, monkeypatch, failing):
    folder = tmp_path / "out"
    write(folder, *reading.parts)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    real = getattr(writer.Path, failing)

    def full(self, target):
        if self.name == "sagittal.png" or self.name.endswith(".part"):
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(writer.Path, failing, full)
    with pytest.raises(ReportError, match="No space left"):
        write(folder, *reading.parts)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before and names(tmp_path) == {"out"}


def test_a_folder_of_something_else_is_never_replaced(write, reading, tmp_path):
    study = tmp_path / "study"
    study.mkdir()
    (study / "0001.dcm").write_bytes(b"images")
    with pytest.raises(ReportError, match="holds no report"):
        write(study, *reading.parts)
    with pytest.raises(ReportError, match="is a file"):
        write(study / "0001.dcm", *reading.parts)
    assert names(study) == {"0001.dcm"}
    (tmp_path / "empty").mkdir()
    assert write(tmp_path / "empty", *reading.parts).is_file()


def test_a_study_in_which_nothing_was_found_is_reported(write, reading, tmp_path):
    lost = tuple(
        replace(
            disk, disk=None, matches=(), axial=None, sagittal=None, probabilities=None, finding=None, views=(),
            flags=("vertebra_not_found",),
        )
        for disk in reading.disks
    )  # fmt: skip
    page = write(tmp_path / "out", reading.study, (), (), lost, ("no_spine_found",), reading.parts[-1])
    assert names(page.parent) == {"report.json", "report.html", "report.pdf", "report.fhir.json", "sagittal.png"}
    assert "No lumbar spine was found" in page.read_text(encoding="utf-8")


def test_only_the_outputs_that_are_wanted_are_written(reading, tmp_path):
    done = ReportWriter(dpi=60, outputs=["fhir"], name_patient=False)(tmp_path / "out", *reading.parts)
    assert done == tmp_path / "out" / "report.json"
    assert names(done.parent) == FILES - {"report.html", "report.pdf"}
    assert ReportWriter(dpi=60, outputs=[])(tmp_path / "none", *reading.parts).name == "report.json"


def test_an_unknown_output_is_an_error_at_once():
    with pytest.raises(ReportError, match="no output 'docx'; there are html, pdf, fhir"):
        ReportWriter(outputs=["html", "docx"])


def test_dicom_objects_are_made_of_the_finished_report(reading, tmp_path):
    seen = {}

    def exporter(document, sources, files):
        seen.update(files, sources=sources)
        return {"dicom/sr.dcm": b"DICM"}

    page = ReportWriter(dpi=60, dicom=exporter, name_patient=False)(tmp_path / "out", *reading.parts)
    assert (page.parent / "dicom" / "sr.dcm").read_bytes() == b"DICM"
    assert seen["report.pdf"] == (page.parent / "report.pdf").read_bytes()
    assert len(seen["sources"]) == len(set(seen["sources"])) == 8
