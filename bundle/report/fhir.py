"""``report.fhir.json``: the report as FHIR R4 (4.0.1), a Bundle of a DiagnosticReport and what it refers to.

Codes are those of ``coding``; what they lack stands in the bundle's own CodeSystem, which is part of the Bundle. LOINC has
codes for single MR examinations of the lumbar spine, but public sources contradict each other on which is which, so the
report has the general one. The Bundle holds no time of its own and its identifiers follow from its content's: the same
report gives the same file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_OID, uuid5
from xml.sax.saxutils import escape

from bundle.report import coding
from bundle.report.coding import Coded
from bundle.report.review import FinalDisk, FinalReading, final_reading
from bundle.report.texts import Texts
from bundle.report.wording import DiskWords, Wording, person_name, wording

PRIVATE_SYSTEM = "urn:lumbar-disk-bundle:codes"
_SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "RADELEMENT": "https://radelement.org",
    coding.PRIVATE_SCHEME: PRIVATE_SYSTEM,
}
_HL7 = "http://terminology.hl7.org/CodeSystem"
_UCUM = "http://unitsofmeasure.org"
_UID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_SOFTWARE = "Lumbar disk bundle"
#: A security label of HL7: https://hl7.org/fhir/uv/ai-transparency.
_BY_MACHINE = {
    "system": f"{_HL7}/v3-ObservationValue", "code": "AIAST", "display": "Artificial Intelligence asserted",
}  # fmt: skip
_FOR_RESEARCH = {"system": f"{_HL7}/v3-ActReason", "code": "HRESCH", "display": "healthcare research"}


@dataclass(frozen=True)
class Origin:
    """What the images' headers say of the order and the patient; empty where they do not.

    Nothing else of the patient gets into the Bundle, and nothing is made up.
    """

    patient_id: str = ""
    patient_id_issuer: str = ""
    accession_number: str = ""
    study_date: str = ""


def origin_of(headers: Any) -> Origin:
    """The origin by the headers (pydicom) of the images that were read; see bundle.report.evidence."""
    for header in headers:
        date = str(header.get("StudyDate") or "")
        return Origin(
            str(header.get("PatientID") or ""),
            str(header.get("IssuerOfPatientID") or ""),
            str(header.get("AccessionNumber") or ""),
            f"{date[:4]}-{date[4:6]}-{date[6:]}" if re.fullmatch(r"\d{8}", date) else "",
        )
    return Origin()


def render_fhir(document: Mapping[str, Any], texts: Texts, origin: Origin | None = None) -> dict[str, Any]:
    """The Bundle, of type ``collection``.

    Args:
        document: ``report.json``, valid, with or without a review.
        texts: the language of what is for people; codes are the same in all.
        origin: patient and order, by the images' headers.

    Raises:
        ReportError: the texts lack an entry.
    """
    return _Writer(document, texts, origin or Origin()).bundle()


class _Writer:
    def __init__(self, document: Mapping[str, Any], texts: Texts, origin: Origin) -> None:
        self.document, self.texts, self.origin = document, texts, origin
        self.words: Wording = wording(document, texts)
        self.final: FinalReading = final_reading(document)
        self.private: dict[str, str] = {}
        self.has_study = _is_uid(document["study"]["study_instance_uid"])

    def bundle(self) -> dict[str, Any]:
        observations = [self._observation(k) for k in range(len(self.final.disks))]
        resources = [self._report(observations), *observations]
        resources += [self._imaging_study()] if self.has_study else []
        resources += [self._device(), self._code_system()]
        return {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource} for resource in resources],
        }

    def _id(self, name: str) -> str:
        """An identity that follows from the study, so that a changed report is a new version of the same resource."""
        return str(uuid5(NAMESPACE_OID, f"{self.document['study']['study_instance_uid']}/{name}"))

    def _reference(self, kind: str, name: str) -> dict[str, Any]:
        return {"reference": f"urn:uuid:{self._id(name)}", "type": kind}

    def _subject(self) -> dict[str, Any]:
        """The patient by the ID in the images, as a logical reference; nothing where they have none."""
        if not self.origin.patient_id:
            return {}
        identifier: dict[str, Any] = {"value": self.origin.patient_id}
        if self.origin.patient_id_issuer:
            identifier["assigner"] = {"display": self.origin.patient_id_issuer}
        return {"subject": {"type": "Patient", "identifier": identifier}}

    def _report(self, observations: list[dict[str, Any]]) -> dict[str, Any]:
        remarks = [f"{self.words.notice}. {self.words.notice_detail}", *self.words.remarks]
        comment = [self.words.comment] if self.words.comment else []
        report: dict[str, Any] = {
            "resourceType": "DiagnosticReport",
            "id": self._id("report"),
            "meta": {"security": [] if self.final.signed else [_BY_MACHINE], "tag": [_FOR_RESEARCH]},
            "language": self.texts.language,
            "text": {"status": "generated", "div": self._narrative()},
            # "partial" is R4's word for what nobody has verified; "preliminary" would say that somebody has.
            "status": "final" if self.final.signed else "partial",
            "category": [{"coding": [{"system": f"{_HL7}/v2-0074", "code": "RAD", "display": "Radiology"}]}],
            "code": {
                "coding": [{"system": "http://loinc.org", "code": "18748-4", "display": "Diagnostic imaging study"}],
                "text": self.words.title,
            },
            **self._subject(),
            "result": [{"reference": f"urn:uuid:{o['id']}", "type": "Observation"} for o in observations],
            "conclusion": "\n".join((*self.words.impression, *comment, *remarks)),
        }
        if not report["meta"]["security"]:
            del report["meta"]["security"]
        if self.origin.study_date:
            report["effectiveDateTime"] = self.origin.study_date
        if self.final.signed:
            report["issued"] = self.final.signed_at
            report["resultsInterpreter"] = [{"display": person_name(self.final.reader)}]
        if self.has_study:
            report["imagingStudy"] = [self._reference("ImagingStudy", "imaging-study")]
        return report

    def _narrative(self) -> str:
        said = [*self.words.remarks, *self.words.impression, *(disk.sentence for disk in self.words.disks)]
        said += [self.words.comment] if self.words.comment else []
        notice = f"<p><b>{escape(self.words.notice)}</b> {escape(self.words.notice_detail)}</p>"
        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in said)
        return f'<div xmlns="http://www.w3.org/1999/xhtml">{notice}<ul>{items}</ul></div>'

    def _observation(self, k: int) -> dict[str, Any]:
        entry, disk, words = self.document["disks"][k], self.final.disks[k], self.words.disks[k]
        own = disk.confirmed or disk.by_person
        observation: dict[str, Any] = {
            "resourceType": "Observation",
            "id": self._id(disk.machine_level),
            **({} if own else {"meta": {"security": [_BY_MACHINE]}}),
            "language": self.texts.language,
            "status": "final" if self.final.signed and own else "preliminary",
            "category": [{"coding": [{"system": f"{_HL7}/observation-category", "code": "imaging", "display": "Imaging"}]}],
            "code": self._concept(coding.DISC_MORPHOLOGY),
            **self._subject(),
            **self._value(disk, words),
            "bodySite": self._concept(coding.level_of_disk(disk.level), text=disk.level),
            "device": self._reference("Device", "device"),
        }
        if self.has_study:
            observation["derivedFrom"] = [self._reference("ImagingStudy", "imaging-study")]
        notes = [{"text": words.sentence}]
        if disk.comment:
            author = {"authorString": person_name(self.final.reader)} if self.final.reader else {}
            notes.append({"text": disk.comment, **author})
        return observation | {"note": notes, "component": self._components(entry, disk)}

    def _value(self, disk: FinalDisk, words: DiskWords) -> dict[str, Any]:
        if disk.finding is None:
            absent = {"system": f"{_HL7}/data-absent-reason", "code": "not-performed", "display": "Not Performed"}
            return {"dataAbsentReason": {"coding": [absent], "text": " ".join(words.remarks) or words.finding}}
        finding = coding.FINDINGS[disk.finding]
        return {"valueCodeableConcept": self._concept(finding, text=words.finding)}

    def _components(self, entry: Mapping[str, Any], disk: FinalDisk) -> list[dict[str, Any]]:
        components = []
        for name, share in (entry["probabilities"] or {}).items():
            value = _quantity(round(100 * share, 2), coding.UNITS["_percent"])
            components.append(self._component(coding.PROBABILITIES[name], valueQuantity=value))
        for quantity in coding.quantities(entry):
            components.append(self._component(quantity.name, valueQuantity=_quantity(quantity.value, quantity.unit)))
        for name_code, said_code in coding.evaluations(entry):
            components.append(self._component(name_code, valueCodeableConcept=self._concept(said_code)))
        if self.final.status != "machine":
            finding = coding.FINDINGS[disk.machine_finding]
            components += [
                self._component(coding.MACHINE_FINDING, valueCodeableConcept=self._concept(finding)),
                self._component(coding.MACHINE_LEVEL, valueString=disk.machine_level),
                self._component(coding.CONFIRMED, valueBoolean=disk.confirmed),
            ]
        for flag in entry["flags"]:
            code = coding.flag_code(flag)
            said = self._concept(code, text=self.texts.flag(flag, "disk"))
            components.append(self._component(coding.FLAG, valueCodeableConcept=said))
        return components

    def _component(self, name: Coded, **value: Any) -> dict[str, Any]:
        return {"code": self._concept(name), **value}

    def _concept(self, code: Coded, text: str = "") -> dict[str, Any]:
        return {"coding": [self._coding(code)], "text": text or code.meaning}

    def _coding(self, code: Coded) -> dict[str, Any]:
        if code.scheme == coding.PRIVATE_SCHEME:
            self.private[code.value] = code.meaning
        return {"system": _SYSTEMS[code.scheme], "code": code.value, "display": code.meaning}

    def _imaging_study(self) -> dict[str, Any]:
        study = self.document["study"]["study_instance_uid"]
        identifiers: list[dict[str, Any]] = [{"system": "urn:dicom:uid", "value": f"urn:oid:{study}"}]
        if self.origin.accession_number:
            kind = {"coding": [{"system": f"{_HL7}/v2-0203", "code": "ACSN", "display": "Accession ID"}]}
            identifiers.append({"type": kind, "value": self.origin.accession_number})
        modality = {"system": _SYSTEMS["DCM"], "code": "MR", "display": "Magnetic Resonance"}
        resource: dict[str, Any] = {
            "resourceType": "ImagingStudy",
            "id": self._id("imaging-study"),
            "identifier": identifiers,
            "status": "available",
            "modality": [modality],
            # R4 wants a subject; where the images name nobody, it is said that nobody is known.
            **(self._subject() or {"subject": {"extension": [_absent("unknown")]}}),
        }
        if self.origin.study_date:
            resource["started"] = self.origin.study_date
        series = []
        for entry in self.document["series"].values():
            if entry is not None and _is_uid(entry["series_instance_uid"]):
                series.append({"uid": entry["series_instance_uid"], "modality": modality})
                if entry["description"].strip():
                    series[-1]["description"] = entry["description"].strip()
        return resource | ({"series": series} if series else {})

    def _device(self) -> dict[str, Any]:
        model = self.document["model"]
        hashes = model["weights_sha256"].items()
        return {
            "resourceType": "Device",
            "id": self._id("device"),
            "status": "active",
            "deviceName": [{"name": _SOFTWARE, "type": "model-name"}],
            "type": {"text": "Software, research use only"},
            "version": [
                {"type": {"text": "software"}, "value": model["version"]},
                *({"type": {"text": f"SHA-256 of the weights '{name}'"}, "value": value} for name, value in hashes),
            ],
        }

    def _code_system(self) -> dict[str, Any]:
        """The private codes that the other resources use; made last."""
        return {
            "resourceType": "CodeSystem",
            "id": self._id("codes"),
            "url": PRIVATE_SYSTEM,
            "version": self.document["model"]["version"],
            "name": "LumbarDiskBundle",
            "title": coding.PRIVATE_SCHEME_NAME,
            "status": "active",
            "caseSensitive": True,
            "content": "fragment",
            "concept": [{"code": code, "display": words} for code, words in sorted(self.private.items())],
        }


def _quantity(value: float, unit: Coded) -> dict[str, Any]:
    return {"value": value, "unit": unit.value, "system": _UCUM, "code": unit.value}


def _absent(reason: str) -> dict[str, str]:
    return {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": reason}


def _is_uid(text: str) -> bool:
    return len(text) <= 64 and _UID.fullmatch(text) is not None
