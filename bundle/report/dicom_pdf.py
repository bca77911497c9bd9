"""The report's PDF as a DICOM Encapsulated PDF (PS3.3 A.45.1), filed in the study that was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from highdicom.base import SOPClass
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from bundle.report.evidence import Evidence
from bundle.report.instances import NewSeries
from bundle.report.review import final_reading

TITLE = "Lumbar disks: automated reading"


def encapsulated_pdf(document: Mapping[str, Any], evidence: Evidence, pdf: bytes, series: NewSeries) -> Dataset:
    """The PDF as a DICOM object.

    Args:
        document: ``report.json``, from which ``pdf`` was made.
        evidence: images of the study, at least one; named as the sources.
        pdf: the file.
        series: the new series.
    """
    header = evidence.headers[0]
    reading = final_reading(document)
    wrapped = SOPClass(
        study_instance_uid=header.StudyInstanceUID,
        sop_class_uid=EncapsulatedPDFStorage,
        modality="DOC",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        patient_id=header.PatientID,
        patient_name=header.PatientName,
        patient_birth_date=header.PatientBirthDate,
        patient_sex=header.PatientSex,
        accession_number=header.AccessionNumber,
        study_id=header.StudyID,
        study_date=header.StudyDate or None,
        study_time=header.StudyTime or None,
        referring_physician_name=header.ReferringPhysicianName,
        **series.attributes(document),
    )
    wrapped.copy_patient_and_study_information(header)
    wrapped.ConversionType = "WSD"
    wrapped.BurnedInAnnotation = "NO"  # a report holds no name, ID or date of the patient
    wrapped.AcquisitionDateTime = None
    wrapped.DocumentTitle = TITLE
    wrapped.ConceptNameCodeSequence = [_coded(codes.LN.MRISpineReport)]
    wrapped.VerificationFlag = "VERIFIED" if reading.signed else "UNVERIFIED"
    wrapped.SourceInstanceSequence = [_reference(image) for image in evidence.headers]
    wrapped.MIMETypeOfEncapsulatedDocument = "application/pdf"
    wrapped.EncapsulatedDocumentLength = len(pdf)
    wrapped.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return wrapped


def _coded(code: Any) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def _reference(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return item
