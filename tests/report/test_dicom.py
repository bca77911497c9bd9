from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest

from bundle.report import ReportError, dicom
from bundle.report.dicom import DicomExporter, export_dicom
from tests.report.dicoms import copy_study, images

BARE = DicomExporter(presentation_states=False, secondary_captures=False)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_everything_is_made_by_default(sample_reading, tmp_path):
    paths = export_dicom(sample_reading.document, [sample_reading.source], tmp_path, pdf=b"%PDF-1.4\n%%EOF\n")
    levels = ["sc-L1-L2.dcm", "sc-L2-L3.dcm", "sc-L3-L4.dcm", "sc-L4-L5.dcm", "sc-L5-S1.dcm"]
    assert [path.name for path in paths] == ["pdf.dcm", "ps-1.dcm", "ps-2.dcm", *levels, "sc-sagittal.dcm", "sr.dcm"]
    assert all(path.parent == tmp_path / "dicom" and path.is_file() for path in paths)


def test_the_pdf_of_the_folder_is_taken(sample_reading, tmp_path):
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.4\n%%EOF\n")
    paths = export_dicom(sample_reading.document, [sample_reading.source], tmp_path, exporter=BARE)
    assert [path.name for path in paths] == ["pdf.dcm", "sr.dcm"]


def test_a_zip_of_the_study_serves_too(sample_reading, tmp_path):
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for number, path in enumerate(images(sample_reading.source)):
            archive.write(path, f"in/{number}")
    for sources in ([tmp_path / "study.zip"], [tmp_path / "study.zip" / "in" / "1", tmp_path / "study.zip" / "in" / "2"]):
        paths = export_dicom(sample_reading.document, sources, tmp_path / "out")
        assert len(paths) == 9


def test_a_study_that_is_not_dicom_has_no_objects(sample_reading, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "spine.png").write_bytes(b"\x89PNG")
    assert export_dicom(sample_reading.document, [tmp_path / "in"], tmp_path / "out") == ()
    assert not (tmp_path / "out").exists()


def test_images_of_another_study_are_not_taken(sample_reading, tmp_path):
    def move(ds):
        ds.StudyInstanceUID = "1.2.3"

    source = copy_study(sample_reading.source, tmp_path / "in", move)
    assert export_dicom(sample_reading.document, [source], tmp_path / "out") == ()


def test_older_objects_are_replaced_as_a_whole(sample_reading, tmp_path):
    export_dicom(sample_reading.document, [sample_reading.source], tmp_path)
    (tmp_path / "dicom" / "sc-L9-L9.dcm").write_bytes(b"old")
    export_dicom(sample_reading.document, [sample_reading.source], tmp_path, exporter=BARE)
    assert names(tmp_path / "dicom") == ["sr.dcm"] and names(tmp_path) == ["dicom"]


@pytest.mark.parametrize("failing", ["write_bytes", "rename"])
def test_a_full_disk_leaves_the_older_objects_as_they_were(sample_reading, tmp_path, monkeypatch, failing):
    export_dicom(sample_reading.document, [sample_reading.source], tmp_path, exporter=BARE)
    before = (tmp_path / "dicom" / "sr.dcm").read_bytes()
    real = getattr(dicom.Path, failing)

    def full(self, target):
        if self.name == "sr.dcm" or self.name.endswith(".part"):
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(dicom.Path, failing, full)
    with pytest.raises(ReportError, match="No space left"):
        export_dicom(sample_reading.document, [sample_reading.source], tmp_path, exporter=BARE)
    assert (tmp_path / "dicom" / "sr.dcm").read_bytes() == before and names(tmp_path) == ["dicom"]


def test_a_document_that_does_not_fit_is_refused(sample_reading, tmp_path):
    document = {**sample_reading.document, "disks": []}
    with pytest.raises(ReportError, match="disks"):
        export_dicom(document, [sample_reading.source], tmp_path)
    assert names(tmp_path) == []


def test_nothing_of_the_patient_reaches_the_log(sample_reading, tmp_path, caplog, capfd):
    def rename(ds):
        ds.PatientName = "Secretname"  # highdicom warns of names without ^, and quotes them
        ds.PatientID = "SECRET-ID"
        del ds.PixelData

    with caplog.at_level("DEBUG"):
        source = copy_study(sample_reading.source, tmp_path / "in", rename)
        caplog.clear()
        export_dicom(sample_reading.document, [source], tmp_path / "out")
    printed = caplog.text + "".join(capfd.readouterr())
    assert "secret" not in printed.lower()


def test_without_highdicom_a_reading_goes_on_and_an_export_is_refused(sample_reading, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(dicom, "find_spec", lambda name: None)
    assert DicomExporter()(sample_reading.document, [sample_reading.source]) == {}
    assert "highdicom" in caplog.text
    with pytest.raises(ReportError, match="need highdicom"):
        export_dicom(sample_reading.document, [sample_reading.source], tmp_path)


def test_images_of_an_unknown_kind_do_not_stop_a_reading(sample_reading, tmp_path, caplog):
    def change(ds):
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.3.4"

    source = copy_study(sample_reading.source, tmp_path / "in", change)
    assert DicomExporter()(sample_reading.document, [source]) == {}
    assert "no structured report" in caplog.text
    with pytest.raises(ReportError, match="no structured report"):
        export_dicom(sample_reading.document, [source], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_importing_the_report_loads_no_highdicom(root):
    code = "import sys, bundle.report, bundle.report.dicom, bundle.reading; sys.exit('highdicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_a_reading_writes_the_objects_into_its_report(sample_reading):
    made = names(sample_reading.folder / "dicom")
    assert made[0] == "pdf.dcm" and made[-1] == "sr.dcm" and len(made) == 10
