from __future__ import annotations

import subprocess
from io import BytesIO

import pytest
from pydicom import dcmread

from bundle.report.dicom import DicomExporter, export_dicom
from tests.report.dicoms import complaints, program, references, study_uids

ALONE = DicomExporter(presentation_states=False, secondary_captures=False)


@pytest.fixture(scope="module")
def pdf():
    """A PDF of an odd number of bytes, which DICOM has to fill up."""
    from matplotlib.figure import Figure

    stream = BytesIO()
    Figure().savefig(stream, format="pdf")
    made = stream.getvalue()
    return made if len(made) % 2 else made + b"\n"


@pytest.fixture(scope="module")
def wrapped(read_study, pdf, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pdf")
    return export_dicom(read_study.document, [read_study.source], folder, pdf, ALONE)[0]


def test_dciodvfy_finds_no_error_and_no_unexplained_warning(wrapped):
    assert wrapped.name == "pdf.dcm"
    assert complaints(wrapped) == ([], [])


def test_the_pdf_comes_out_as_it_went_in(wrapped, pdf, tmp_path):
    ds = dcmread(wrapped)
    assert ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength] == pdf
    subprocess.run([program("dcm2pdf"), str(wrapped), str(tmp_path / "out.pdf")], check=True, capture_output=True)
    assert (tmp_path / "out.pdf").read_bytes().rstrip(b"\0") == pdf
    done = subprocess.run([program("pdfinfo"), str(tmp_path / "out.pdf")], capture_output=True, text=True, check=True)
    assert "Pages:" in done.stdout


def test_it_names_the_images_it_was_made_from(wrapped, read_study):
    ds = dcmread(wrapped)
    assert ds.StudyInstanceUID == read_study.document["study"]["study_instance_uid"]
    assert references(ds) and references(ds) <= study_uids(read_study.source)
    assert (ds.MIMETypeOfEncapsulatedDocument, ds.VerificationFlag) == ("application/pdf", "UNVERIFIED")


def test_a_signed_one_is_verified(sample_reading, pdf, tmp_path):
    path = export_dicom(sample_reading.signed(), [sample_reading.source], tmp_path, pdf, ALONE)[0]
    assert dcmread(path).VerificationFlag == "VERIFIED"
    assert complaints(path) == ([], [])
