from __future__ import annotations

import sqlite3

import pytest

from scripts.pacs.ledger import Ledger, LedgerError


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "pacs.sqlite")
    yield made
    made.close()


def states(ledger):
    return {study["study_instance_uid"]: study["state"] for study in ledger.studies()}


def test_a_study_is_added_once(ledger):
    assert ledger.add(["1.2", "1.3"], marks={"change": 7}) == 2
    assert ledger.add(["1.3", "1.4"], marks={"change": 9}) == 1
    assert [study["study_instance_uid"] for study in ledger.studies()] == ["1.2", "1.3", "1.4"]
    assert (ledger.mark("change"), ledger.mark("other")) == (9, None)


def test_a_study_that_is_done_is_not_due_when_the_feed_tells_of_it_again(ledger):
    ledger.add(["1.2"])
    ledger.set(ledger.next_due()["number"], "done")
    ledger.add(["1.2"])
    ledger.seen("1.2", 40, 0)
    assert ledger.next_due() is None and states(ledger) == {"1.2": "done"}


def test_marks_and_studies_are_written_together_or_not_at_all(ledger):
    with pytest.raises(sqlite3.IntegrityError):
        ledger.add(["1.2"], None, marks={"change": 1})
    assert ledger.mark("change") is None and ledger.studies() == []


def test_results_on_disk_come_before_studies_to_be_read(ledger):
    ledger.add(["1.2", "1.3"])
    ledger.set(2, "storing")
    assert ledger.next_due()["study_instance_uid"] == "1.3"


def test_a_study_waits_to_be_read_once_its_number_of_images_has_stayed(ledger):
    ledger.seen("1.2", 10, 0)
    ledger.seen("1.2", 20, 0)
    assert states(ledger) == {"1.2": "arriving"}
    ledger.seen("1.2", 20, 3600)
    assert states(ledger) == {"1.2": "arriving"}
    ledger.seen("1.2", 20, 0)
    assert states(ledger) == {"1.2": "waiting"}


def test_what_fails_again_and_again_is_given_up_with_the_reason(ledger):
    ledger.add(["1.2"])
    assert ledger.put_off(ledger.next_due(), "archive does not answer.", 0, 3)
    assert ledger.put_off(ledger.next_due(), "archive does not answer.", 0, 3)
    assert not ledger.put_off(ledger.next_due(), "archive refuses (HTTP 500).", 0, 3)
    assert states(ledger) == {"1.2": "error"}
    assert ledger.studies()[0]["message"] == "archive refuses (HTTP 500)."


def test_what_is_put_off_is_not_due_until_its_time(ledger):
    ledger.add(["1.2"])
    ledger.put_off(ledger.next_due(), "archive does not answer.", 60, 3)
    assert ledger.next_due() is None and ledger.pending() == 1


def test_a_study_that_ends_the_listener_is_given_up(ledger):
    ledger.add(["1.2"])
    for _ in range(2):
        ledger.set(1, "reading")
        assert ledger.next_due() is None
        ledger.resume(3)
        assert states(ledger) == {"1.2": "waiting"}
    ledger.set(1, "reading")
    ledger.resume(3)
    assert states(ledger) == {"1.2": "error"}
    assert ledger.studies()[0]["message"] == "Reading it ended the listener 3 times."


def test_errors_are_read_again_on_demand(ledger):
    ledger.add(["1.2", "1.3", "1.4"])
    for number in (1, 2):
        ledger.set(number, "error", attempts=3, message="no sagittal series")
    ledger.set(3, "done")
    assert ledger.retry(2) == 1 and ledger.retry() == 1 and ledger.retry() == 0
    assert states(ledger) == {"1.2": "waiting", "1.3": "waiting", "1.4": "done"}


def test_a_ledger_that_is_no_database_is_told(tmp_path):
    (tmp_path / "pacs.sqlite").write_text("no database, but long enough to look at" * 50)
    with pytest.raises(LedgerError, match=r"pacs\.sqlite: cannot be opened"):
        Ledger(tmp_path / "pacs.sqlite")
