"""The FHIR report against the schema of R4 by HL7, and the classes of fhir.resources (R4B, alike in what we use)."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle
from jsonschema import Draft6Validator
from pydicom.dataset import Dataset

from bundle.report import coding
from bundle.report.document import build
from bundle.report.fhir import PRIVATE_SYSTEM, Origin, origin_of, render_fhir
from bundle.report.review import with_review
from bundle.report.texts import load_texts

EN = load_texts("en")
SCHEMA = json.loads((Path(__file__).parents[1] / "data" / "fhir_r4_schema.json").read_text())
SIGNED = {"status": "final", "reader": "A. Reader", "signed_at": "2026-11-25T10:05:00+08:00"}
ORIGIN = Origin("P-7", "Hospital", "A123", "2026-11-20")


@pytest.fixture
def document(reading):
    return build(*reading.parts)


def checked(document, texts=EN, origin=None):
    """The Bundle, valid, with every reference in it resolved."""
    bundle = json.loads(json.dumps(render_fhir(document, texts, origin), allow_nan=False))
    errors = [f"{list(e.absolute_path)}: {e.message}"[:300] for e in Draft6Validator(SCHEMA).iter_errors(bundle)]
    assert not errors
    Bundle.model_validate(bundle)
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(urls) == len(set(urls))
    references = re.findall(r'"reference": "([^"]+)"', json.dumps(bundle))
    assert references and set(references) <= set(urls)
    return bundle


def all_of(bundle, kind):
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


def codes(concept):
    return {(c["system"], c["code"]) for c in concept["coding"]}


def component(observation, name):
    return [c for c in observation["component"] if name.value in {x["code"] for x in c["code"]["coding"]}]


def test_the_schema_can_refuse(document):
    bundle = render_fhir(document, EN)
    wrong = []
    for change in (
        lambda r: r.update(status="done"),
        lambda r: r.pop("code"),
        lambda r: r.update(patientName="x"),
        lambda r: r.update(issued="yesterday"),
    ):
        bad = copy.deepcopy(bundle)
        change(bad["entry"][0]["resource"])
        wrong.append(Draft6Validator(SCHEMA).is_valid(bad))
    assert wrong == [False] * 4


def test_a_machine_s_reading_is_valid_and_says_that_nobody_has_verified_it(document):
    bundle = checked(document)
    (report,) = all_of(bundle, "DiagnosticReport")
    assert report["status"] == "partial" and report["meta"]["security"][0]["code"] == "AIAST"
    assert "subject" not in report and "issued" not in report and "resultsInterpreter" not in report
    assert report["conclusion"].startswith("Herniation at L4-L5 (80%).\nBulge at L3-L4")
    assert "Not for diagnostic use" in report["conclusion"]
    assert {o["status"] for o in all_of(bundle, "Observation")} == {"preliminary"}


def test_each_disk_has_its_level_finding_probabilities_and_height(document):
    observations = all_of(checked(document), "Observation")
    assert len(observations) == 5
    disk, entry = observations[3], document["disks"][3]
    assert codes(disk["bodySite"]) == {("http://snomed.info/sct", "84020006")} and disk["bodySite"]["text"] == "L4-L5"
    assert codes(disk["code"]) == {("https://radelement.org", "RDE1518")}
    assert codes(disk["valueCodeableConcept"]) == {(PRIVATE_SYSTEM, "herniation")}
    for name, share in entry["probabilities"].items():
        (part,) = component(disk, coding.PROBABILITIES[name])
        assert part["valueQuantity"] == {
            "value": round(100 * share, 2), "unit": "%", "system": "http://unitsofmeasure.org", "code": "%",
        }  # fmt: skip
    heights = [c["valueQuantity"] for c in disk["component"] if c.get("valueQuantity", {}).get("code") == "mm"]
    assert [h["value"] for h in heights] == [entry["height_mm"]]
    assert disk["note"][0]["text"].startswith("L4-L5: herniation (80%); disk height")


def test_an_outline_is_given_with_units_zone_and_side(document):
    focal = {"extent_mm": 4.0, "base_mm": 12.3, "arc_deg": 41.0, "zone": "subarticular", "side": "left"}
    document["disks"][3]["outline"] = {"finding": "herniation", "reach_mm": 4.1, "beyond_rim_deg": 62.0, "focal": focal}
    disks = all_of(checked(document), "Observation")
    parts = {c["code"]["coding"][0]["code"]: c for c in disks[3]["component"]}
    assert parts["outline-reach"]["valueQuantity"]["value"] == 4.1
    assert parts["outline-beyond-rim"]["valueQuantity"]["code"] == "deg"
    assert codes(parts["outline-side"]["valueCodeableConcept"]) == {("http://snomed.info/sct", "7771000")}
    assert codes(parts["outline-zone"]["valueCodeableConcept"]) == {(PRIVATE_SYSTEM, "zone-subarticular")}
    assert not any("outline" in c["code"]["coding"][0]["code"] for c in disks[2]["component"])


def test_the_study_and_the_software_are_named(document):
    document["study"]["study_instance_uid"] = "1.2.826.0.1.7"
    bundle = checked(document)
    (study,), (device,) = all_of(bundle, "ImagingStudy"), all_of(bundle, "Device")
    assert study["identifier"][0] == {"system": "urn:dicom:uid", "value": "urn:oid:1.2.826.0.1.7"}
    assert study["subject"] == {
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
    }
    values = [version["value"] for version in device["version"]]
    assert values == ["0.1.0", "ab" * 32, "0f" * 32]


def test_private_codes_are_explained_in_the_bundle(document):
    bundle = checked(document)
    (system,) = all_of(bundle, "CodeSystem")
    defined = {concept["code"] for concept in system["concept"]}
    used = {
        code for s, code in re.findall(r'"system": "([^"]+)", "code": "([^"]+)"', json.dumps(bundle)) if s == PRIVATE_SYSTEM
    }
    assert system["url"] == PRIVATE_SYSTEM and used == defined


def test_the_patient_is_who_the_images_say_and_nobody_else(document):
    bundle = checked(document, origin=ORIGIN)
    subject = {"type": "Patient", "identifier": {"value": "P-7", "assigner": {"display": "Hospital"}}}
    for kind in ("DiagnosticReport", "Observation", "ImagingStudy"):
        assert all(resource["subject"] == subject for resource in all_of(bundle, kind))
    assert not all_of(bundle, "Patient")
    assert all_of(bundle, "DiagnosticReport")[0]["effectiveDateTime"] == "2026-11-20"
    assert all_of(bundle, "ImagingStudy")[0]["identifier"][1]["value"] == "A123"


def test_the_origin_is_read_from_headers():
    header = Dataset()
    header.PatientID, header.StudyDate, header.AccessionNumber = "P-7", "20261120", ""
    header.PatientName = "Nobody^At^All"
    assert origin_of([header]) == Origin("P-7", "", "", "2026-11-20")
    assert origin_of([Dataset()]) == origin_of([]) == Origin()


def test_a_signed_review_is_final_where_the_person_spoke(document):
    changes = {"comment": "Seen <all>.", "disks": [
        {"level": "L4-L5", "finding": "bulge", "comment": "Broad."}, {"level": "L3-L4", "confirmed": True},
    ]}  # fmt: skip
    bundle = checked(with_review(document, SIGNED | changes))
    (report,) = all_of(bundle, "DiagnosticReport")
    assert report["status"] == "final" and "security" not in report["meta"]
    assert report["issued"] == SIGNED["signed_at"] and report["resultsInterpreter"] == [{"display": "A. Reader"}]
    assert "Seen <all>." in report["conclusion"] and "Seen &lt;all&gt;." in report["text"]["div"]
    observations = all_of(bundle, "Observation")
    assert [o["status"] for o in observations] == ["preliminary", "preliminary", "final", "final", "preliminary"]
    changed = observations[3]
    assert (PRIVATE_SYSTEM, "bulge") in codes(changed["valueCodeableConcept"])
    (machine,) = component(changed, coding.MACHINE_FINDING)
    assert codes(machine["valueCodeableConcept"]) == {(PRIVATE_SYSTEM, "herniation")}
    assert changed["note"][1] == {"text": "Broad.", "authorString": "A. Reader"}


def test_a_draft_is_not_final(document):
    bundle = checked(with_review(document, {"reader": "B", "disks": [{"level": "L4-L5", "finding": "bulge"}]}))
    assert all_of(bundle, "DiagnosticReport")[0]["status"] == "partial"
    assert {o["status"] for o in all_of(bundle, "Observation")} == {"preliminary"}


def test_a_renamed_level_is_coded_by_its_new_name(document):
    up = dict(zip(("L1", "L2", "L3", "L4", "L5", "S1"), ("L2", "L3", "L4", "L5", "L6", "S1"), strict=True))
    renamed = with_review(document, {"vertebrae": [{"level": k, "corrected_level": v} for k, v in up.items()]})
    observations = all_of(checked(renamed), "Observation")
    assert [o["bodySite"]["text"] for o in observations] == ["L2-L3", "L3-L4", "L4-L5", "L5-L6", "L6-S1"]
    assert codes(observations[4]["bodySite"]) == {("http://snomed.info/sct", "122496007")}
    assert component(observations[4], coding.MACHINE_LEVEL)[0]["valueString"] == "L5-S1"


def test_a_disk_that_was_not_judged_has_no_value_and_says_why(document):
    document["disks"][0] |= {"finding": None, "probabilities": None, "views": [], "flags": ["no_view"]}
    lost = all_of(checked(document), "Observation")[0]
    assert "valueCodeableConcept" not in lost
    assert lost["dataAbsentReason"]["coding"][0]["code"] == "not-performed"
    assert lost["dataAbsentReason"]["text"] == "No image shows this disk."
    (flag,) = component(lost, coding.FLAG)
    assert flag["valueCodeableConcept"]["text"] == "No image shows this disk."


def test_a_plain_image_belongs_to_no_dicom_study(plain_reading):
    bundle = checked(build(*plain_reading.parts))
    assert not all_of(bundle, "ImagingStudy")
    assert "imagingStudy" not in all_of(bundle, "DiagnosticReport")[0]


def test_chinese_is_valid_too_and_has_the_same_codes(document):
    english, chinese = checked(document), checked(document, load_texts("zh"))
    assert "椎间盘突出" in all_of(chinese, "DiagnosticReport")[0]["conclusion"]
    pattern = r'"code": "([^"]+)"'
    assert re.findall(pattern, json.dumps(english)) == re.findall(pattern, json.dumps(chinese))


def test_the_same_report_gives_the_same_bundle(document):
    assert render_fhir(document, EN, ORIGIN) == render_fhir(copy.deepcopy(document), load_texts("en"), ORIGIN)
