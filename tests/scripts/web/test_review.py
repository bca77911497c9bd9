from __future__ import annotations

import pytest

from scripts.web.review import findings_of
from tests.scripts.web.serving import SECRET, document


@pytest.fixture
def study(web, add):
    """A study that was read."""
    made = add()
    web.store.start_report(made, document(), findings_of(document()))
    return made


def put(client, study, revision=0, expected=200, **changes):
    answer = client.put(f"/api/studies/{study}/review", json={"reader": "Dr A", "revision": revision, **changes})
    assert answer.status_code == expected, answer.text
    return answer.json()


def sign(client, study, revision, expected=200):
    answer = client.post(f"/api/studies/{study}/sign", json={"reader": "Dr A", "revision": revision})
    assert answer.status_code == expected, answer.text
    return answer.json()


def log(client, study):
    return [
        (e["who"], e["what"], e["before"], e["after"]) for e in client.get(f"/api/studies/{study}/log").json()["entries"]
    ]


def test_a_report_that_nobody_has_touched_has_an_empty_review(client, study):
    report = client.get(f"/api/studies/{study}/report").json()
    assert (report["version"], report["versions"], report["revision"]) == (1, [], 0)
    assert report["document"]["review"]["status"] == "draft" and report["document"]["review"]["reader"] == ""
    assert "no_view" in report["texts"]


def test_the_machine_s_reading_stays_beside_the_person_s(client, web, study):
    report = put(client, study, disks=[{"level": "L4-L5", "finding": "herniation", "confirmed": True, "comment": "left"}])
    assert report["revision"] == 1
    assert report["document"]["disks"] == document()["disks"]
    assert report["document"]["review"]["disks"][3] == {
        "level": "L4-L5", "finding": "herniation", "confirmed": True, "comment": "left"
    }  # fmt: skip
    assert client.get(f"/api/studies/{study}").json()["findings"]["L4-L5"] == "herniation"
    assert web.store.report(study)["document"]["disks"] == document()["disks"]


def test_every_change_is_one_line_of_the_log(client, study):
    put(client, study, comment="First.", vertebrae=[{"level": "L1", "corrected_level": "T12"}])
    put(client, study, 1, comment="Second.", disks=[{"level": "L5-S1", "finding": "bulge", "confirmed": True}])
    put(client, study, 2, disks=[{"level": "L5-S1", "finding": None, "confirmed": True}])
    put(client, study, 3)
    assert log(client, study) == [
        ("Dr A", "comment", "", "First."),
        ("Dr A", "vertebra L1 corrected_level", None, "T12"),
        ("Dr A", "comment", "First.", "Second."),
        ("Dr A", "disk L5-S1 finding", None, "bulge"),
        ("Dr A", "disk L5-S1 confirmed", "no", "yes"),
        ("Dr A", "disk L5-S1 finding", "bulge", None),
    ]


def test_what_was_changed_elsewhere_is_not_overwritten(client, study):
    put(client, study, comment="mine")
    assert "changed elsewhere" in put(client, study, 0, 409, comment="theirs")["detail"]
    assert client.get(f"/api/studies/{study}/report").json()["document"]["review"]["comment"] == "mine"


def test_signing_freezes_the_report(client, study):
    put(client, study, comment="word")
    signed = sign(client, study, 1)
    review = signed["document"]["review"]
    assert (review["status"], review["reader"], signed["versions"]) == ("final", "Dr A", [1]) and review["signed_at"]
    entry = client.get(f"/api/studies/{study}").json()
    assert (entry["state"], entry["signed_versions"]) == ("signed", 1)
    assert "amend it" in put(client, study, 2, 409, comment="later")["detail"]
    assert "amend it" in sign(client, study, 2, 409)["detail"]
    assert log(client, study)[-1][1] == "signed"


def test_an_old_draft_cannot_be_signed(client, study):
    put(client, study, comment="changed by somebody after I looked")
    sign(client, study, 0, 409)
    assert client.get(f"/api/studies/{study}").json()["state"] == "read"


def test_an_amendment_is_a_new_version_beside_the_old_one(client, study):
    put(client, study, comment="first")
    sign(client, study, 1)
    answer = client.post(f"/api/studies/{study}/amend", json={"reader": "Dr B", "reason": "wrong side"})
    assert (answer.json()["version"], answer.json()["versions"], answer.json()["revision"]) == (2, [1], 0)
    assert answer.json()["document"]["review"]["status"] == "draft"
    assert client.get(f"/api/studies/{study}").json()["state"] == "read"
    put(client, study, 0, comment="second")
    sign(client, study, 1)
    comments = [
        client.get(f"/api/studies/{study}/report", params={"version": version}).json()["document"]["review"]["comment"]
        for version in (1, 2)
    ]
    assert comments == ["first", "second"]
    assert ("Dr B", "version 2 opened", None, "wrong side") in log(client, study)
    assert client.get(f"/api/studies/{study}/report", params={"version": 3}).status_code == 404


def test_a_draft_cannot_be_amended(client, study):
    answer = client.post(f"/api/studies/{study}/amend", json={"reader": "Dr B", "reason": "why not"})
    assert answer.status_code == 409


@pytest.mark.parametrize(
    "change",
    [
        {"disks": [{"level": "L6-S1", "finding": "bulge"}]},
        {"disks": [{"level": "L4-L5", "finding": "torn"}]},
        {"vertebrae": [{"level": "T12", "corrected_level": "L1"}]},  # not in this reading
        {"vertebrae": [{"level": "L1", "corrected_level": "C1"}]},
        {"comment": "a" * 4001},
        {"comment": "bell \x07"},
        {"status": "final"},
        {"reader": "two\nlines"},
        {"reader": "x" * 65},
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(client, study, change):
    assert put(client, study, 0, 422, **change)["detail"]
    assert client.get(f"/api/studies/{study}/report").json()["revision"] == 0 and log(client, study) == []


def test_a_report_with_two_vertebrae_of_one_name_cannot_be_signed(client, study):
    put(client, study, vertebrae=[{"level": "L1", "corrected_level": "L2"}])
    assert sign(client, study, 1, 422)["detail"] == "Two vertebrae cannot both be L2"


def test_a_study_that_was_not_read_has_no_report(client, add):
    study = add("d2", "1.2.4")
    assert client.get(f"/api/studies/{study}/report").status_code == 409
    put(client, study, 0, 409, comment="too early")


@pytest.mark.parametrize(
    "request_", ["GET {}", "DELETE {}", "GET {}/report", "GET {}/series", "GET {}/log", "POST {}/retry", "GET {}/export/pdf"]
)
def test_a_study_that_is_not_there_is_not_found(client, request_):
    method, path = request_.split()
    assert client.request(method, path.format("/api/studies/0123456789abcdef0123")).status_code == 404


def test_a_signed_study_is_deleted_only_when_that_is_confirmed(client, web, study):
    sign(client, study, 0)
    (web.places.images(study)).mkdir(parents=True)
    assert client.delete(f"/api/studies/{study}").status_code == 409
    assert client.delete(f"/api/studies/{study}", params={"signed": True}).status_code == 204
    assert client.get(f"/api/studies/{study}").status_code == 404 and list(web.places.studies.iterdir()) == []


def test_signed_reports_are_training_labels(client, study):
    machine = ("L1", "L2", "L3", "L4", "L5", "S1")
    put(
        client, study, comment=SECRET,
        vertebrae=[{"level": a, "corrected_level": b} for a, b in zip(machine, ("T12", *machine[:5]), strict=True)],
        disks=[{"level": "L4-L5", "finding": "herniation"}, {"level": "L1-L2", "confirmed": True}],
    )  # fmt: skip
    assert client.get("/api/export/labels").json()["training"] == []
    sign(client, study, 1)
    answer = client.get("/api/export/labels")
    (item,) = answer.json()["training"]
    assert [(box["label"], box["machine_label"]) for box in item["boxes"]] == list(
        zip(("T12", *machine[:5]), machine, strict=True)
    )
    assert {box["source"] for box in item["boxes"]} == {"changed"}
    found = {disk["level"]: (disk["machine_level"], disk["finding"], disk["machine_finding"]) for disk in item["disks"]}
    assert found["L3-L4"] == ("L4-L5", "herniation", "normal") and found["T12-L1"] == ("L1-L2", "normal", "normal")
    assert SECRET not in answer.text and "Dr A" not in answer.text


def test_labels_say_what_only_the_machine_says(client, study):
    put(client, study, disks=[{"level": "L1-L2", "confirmed": True}, {"level": "L2-L3", "finding": "normal"}])
    sign(client, study, 1)
    (item,) = client.get("/api/export/labels").json()["training"]
    assert [disk["source"] for disk in item["disks"]] == ["confirmed", "changed", "machine", "machine", "machine"]
    assert {box["source"] for box in item["boxes"]} == {"machine"}
