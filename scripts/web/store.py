"""The work list, reports and change log in one SQLite file."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS studies (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('queued', 'reading', 'read', 'failed', 'signed')),
    step TEXT NOT NULL DEFAULT '',
    progress REAL NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    queue_number INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    study_instance_uid TEXT NOT NULL,
    facts TEXT NOT NULL,
    search_text TEXT NOT NULL,
    findings TEXT NOT NULL DEFAULT '{}',
    flags TEXT NOT NULL DEFAULT '[]'
);
CREATE INDEX IF NOT EXISTS studies_by_uid ON studies (study_instance_uid);
CREATE INDEX IF NOT EXISTS studies_by_state ON studies (state, queue_number);
CREATE TABLE IF NOT EXISTS reports (
    study TEXT NOT NULL,
    version INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    signed INTEGER NOT NULL DEFAULT 0,
    document TEXT NOT NULL,
    PRIMARY KEY (study, version)
);
CREATE TRIGGER IF NOT EXISTS reports_signed BEFORE UPDATE ON reports WHEN OLD.signed = 1
BEGIN SELECT RAISE(ABORT, 'a signed report is never changed'); END;
CREATE TABLE IF NOT EXISTS log (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    study TEXT NOT NULL,
    at TEXT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    "before" TEXT,
    "after" TEXT
);
CREATE INDEX IF NOT EXISTS log_by_study ON log (study, number);
CREATE TRIGGER IF NOT EXISTS log_no_update BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log is only added to'); END;
CREATE TRIGGER IF NOT EXISTS log_no_delete BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log is only added to'); END;
"""


class StoreError(Exception):
    """The work list cannot be opened; the message is one line for the user."""


class Conflict(Exception):
    """Somebody else was quicker, or what is signed would be changed; the message is one line for the user."""


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Store:
    """Everything that has to survive a restart but the files.

    It may be used from any thread. Rows are dictionaries; ``facts``, ``findings`` and ``flags`` come decoded.

    Args:
        path: of the SQLite file; it is made if it is not there.

    Raises:
        StoreError: it cannot be opened, or belongs to another program.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self.changed: Callable[[str], None] = lambda study: None
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # what was signed survives a power cut
            self._db.execute("PRAGMA secure_delete = ON")  # a deleted patient's name is not left in the file
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: the work list cannot be opened ({error})") from None

    def close(self) -> None:
        """Write everything into the one file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """All of it is written, or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        with self._lock:
            return [_decoded(row) for row in self._db.execute(query, values).fetchall()]

    # Studies

    def add(
        self, digest: str, study_instance_uid: str, facts: Mapping[str, Any], put: Callable[[str], None]
    ) -> dict[str, Any]:
        """A new study at the queue's end, or the one that holds the same files already.

        Args:
            digest: of its files.
            study_instance_uid: empty where there is none.
            facts: what the work list shows.
            put: is called with the new id, to lay the files in their place; if it fails, there is no study.
        """
        with self._change() as db:
            known = self._rows("SELECT * FROM studies WHERE digest = ?", (digest,))
            if known:
                return {**known[0], "duplicate": True}
            study, at = secrets.token_hex(10), now()
            place = "(SELECT COALESCE(MAX(queue_number), 0) + 1 FROM studies)"
            db.execute(
                "INSERT INTO studies (id, state, queue_number, created_at, updated_at, digest, study_instance_uid, facts,"
                f" search_text) VALUES (?, 'queued', {place}, ?, ?, ?, ?, ?, ?)",
                (study, at, at, digest, study_instance_uid, json.dumps(facts), _search_text(facts, study_instance_uid)),
            )
            put(study)
        self.changed(study)
        return {**self._rows("SELECT * FROM studies WHERE id = ?", (study,))[0], "duplicate": False}

    def study(self, study: str) -> dict[str, Any] | None:
        """One study, or None."""
        return next(iter(self._rows("SELECT * FROM studies WHERE id = ?", (study,))), None)

    def has(self, study: str) -> bool:
        """Whether there is a study of this id."""
        return self.study(study) is not None

    def studies(self, query: str = "", states: Sequence[str] = (), offset: int = 0, limit: int = 100) -> dict[str, Any]:
        """How many studies match (``total``) and a page of them, newest first (``studies``)."""
        conditions = ["search_text LIKE ? ESCAPE '\\'" for _ in query.split()]
        values: list[Any] = [f"%{_escaped(word.casefold())}%" for word in query.split()]
        if states:
            conditions.append(f"state IN ({', '.join('?' * len(states))})")
            values += states
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        with self._lock:
            total = self._db.execute(f"SELECT COUNT(*) FROM studies{where}", values).fetchone()[0]
            page = self._rows(
                f"SELECT * FROM studies{where} ORDER BY number DESC LIMIT ? OFFSET ?", [*values, limit, offset]
            )
        return {"total": total, "studies": page}

    def related(self, study: str, study_instance_uid: str) -> list[str]:
        """Other entries of the same DICOM study."""
        if not study_instance_uid:
            return []
        query = "SELECT id FROM studies WHERE study_instance_uid = ? AND id <> ? ORDER BY number"
        return [row["id"] for row in self._rows(query, (study_instance_uid, study))]

    def ahead(self, queue_number: int) -> int:
        """How many studies are read before the one with this number."""
        query = "SELECT COUNT(*) AS n FROM studies WHERE state = 'reading' OR (state = 'queued' AND queue_number < ?)"
        return int(self._rows(query, (queue_number,))[0]["n"])

    def set_study(self, study: str, **columns: Any) -> None:
        """Change columns of a study; nothing happens if it was deleted."""
        values = {k: json.dumps(v) if k in ("facts", "findings", "flags") else v for k, v in columns.items()}
        names = ", ".join(f"{name} = ?" for name in values)
        with self._change() as db:
            db.execute(f"UPDATE studies SET {names}, updated_at = ? WHERE id = ?", (*values.values(), now(), study))
        self.changed(study)

    def next_queued(self) -> dict[str, Any] | None:
        """The study to read next."""
        query = "SELECT * FROM studies WHERE state = 'queued' ORDER BY queue_number LIMIT 1"
        return next(iter(self._rows(query)), None)

    def queue_again(self, study: str) -> bool:
        """A failed study goes to the queue's end; False if it had not failed."""
        place = "(SELECT MAX(queue_number) + 1 FROM studies)"
        with self._change() as db:
            done = db.execute(
                f"UPDATE studies SET state = 'queued', step = '', progress = 0, message = '', attempts = 0, updated_at = ?,"
                f" queue_number = {place} WHERE id = ? AND state = 'failed'",
                (now(), study),
            )
        self.changed(study)
        return done.rowcount == 1

    def queue_interrupted(self) -> None:
        """Studies that were being read when the server ended are read again, in their turn."""
        with self._change() as db:
            db.execute("UPDATE studies SET state = 'queued', step = '', progress = 0 WHERE state = 'reading'")

    def delete(self, study: str, who: str = "") -> None:
        """Take a study and its reports away; its log stays."""
        with self._change() as db:
            db.execute("DELETE FROM reports WHERE study = ?", (study,))
            db.execute("DELETE FROM studies WHERE id = ?", (study,))
            _log(db, study, who, [("deleted", None, None)])
        self.changed(study)

    # Reports

    def start_report(self, study: str, document: Mapping[str, Any], findings: Mapping[str, Any]) -> None:
        """The machine's reading of a study: version 1, a draft. The study's state is ``read``."""
        with self._change() as db:
            if not db.execute("SELECT 1 FROM studies WHERE id = ?", (study,)).fetchone():
                return
            db.execute("INSERT OR REPLACE INTO reports VALUES (?, 1, 0, 0, ?)", (study, json.dumps(document)))
            db.execute(
                "UPDATE studies SET state = 'read', step = '', progress = 1, message = '', findings = ?, flags = ?,"
                " updated_at = ? WHERE id = ?",
                (json.dumps(findings), json.dumps(document["flags"]), now(), study),
            )
        self.changed(study)

    def report(self, study: str, version: int | None = None) -> dict[str, Any] | None:
        """The last version of a report, or the one asked for: ``version``, ``revision``, ``signed``, ``document``."""
        condition, values = ("AND version = ?", [study, version]) if version is not None else ("", [study])
        query = f"SELECT * FROM reports WHERE study = ? {condition} ORDER BY version DESC LIMIT 1"
        return next(iter(self._rows(query, values)), None)

    def signed_versions(self, study: str) -> list[int]:
        """Numbers of the versions that are signed."""
        query = "SELECT version FROM reports WHERE study = ? AND signed = 1 ORDER BY version"
        return [row["version"] for row in self._rows(query, (study,))]

    def signed_studies(self) -> list[str]:
        """Studies with a signed report, the oldest first."""
        query = "SELECT id FROM studies WHERE id IN (SELECT study FROM reports WHERE signed = 1) ORDER BY number"
        return [row["id"] for row in self._rows(query)]

    def change_report(
        self,
        study: str,
        revision: int,
        document: Mapping[str, Any],
        findings: Mapping[str, Any],
        who: str,
        changes: Sequence[tuple[str, str | None, str | None]],
        signed: bool = False,
    ) -> None:
        """Keep a changed draft, with what was changed in the log; or sign it.

        Args:
            study: its id.
            revision: of the draft that was changed.
            document: the new one.
            findings: for the work list.
            who: the person.
            changes: (what, before, after).
            signed: freeze it.

        Raises:
            Conflict: the draft has another revision by now, or is signed.
        """
        with self._change() as db:
            last = db.execute(
                "SELECT version, revision, signed FROM reports WHERE study = ? ORDER BY version DESC LIMIT 1", (study,)
            ).fetchone()
            if last is None or last["signed"] or last["revision"] != revision:
                signed_already = last is not None and last["signed"]
                raise Conflict(
                    "The report is signed: amend it to change it."
                    if signed_already
                    else "The report was changed elsewhere in the meantime: load it again."
                )
            db.execute(
                "UPDATE reports SET revision = revision + 1, document = ?, signed = ? WHERE study = ? AND version = ?",
                (json.dumps(document), int(signed), study, last["version"]),
            )
            db.execute(
                "UPDATE studies SET state = ?, findings = ?, updated_at = ? WHERE id = ?",
                ("signed" if signed else "read", json.dumps(findings), now(), study),
            )
            _log(db, study, who, changes)
        self.changed(study)

    def amend_report(self, study: str, document: Mapping[str, Any], who: str, reason: str) -> None:
        """Open the version after the last one, which has to be signed.

        Raises:
            Conflict: it is not.
        """
        with self._change() as db:
            last = db.execute(
                "SELECT version, signed FROM reports WHERE study = ? ORDER BY version DESC LIMIT 1", (study,)
            ).fetchone()
            if last is None or not last["signed"]:
                raise Conflict("The report is not signed: change the draft.")
            db.execute("INSERT INTO reports VALUES (?, ?, 0, 0, ?)", (study, last["version"] + 1, json.dumps(document)))
            db.execute("UPDATE studies SET state = 'read', updated_at = ? WHERE id = ?", (now(), study))
            _log(db, study, who, [(f"version {last['version'] + 1} opened", None, reason)])
        self.changed(study)

    # Log

    def log(self, study: str, who: str, changes: Sequence[tuple[str, str | None, str | None]]) -> None:
        """Add lines (what, before, after) to a study's log."""
        with self._change() as db:
            _log(db, study, who, changes)

    def log_of(self, study: str) -> list[dict[str, Any]]:
        """A study's log, the oldest line first."""
        query = 'SELECT number, at, who, what, "before", "after" FROM log WHERE study = ? ORDER BY number'
        return self._rows(query, (study,))


def _log(db: sqlite3.Connection, study: str, who: str, changes: Sequence[tuple[str, str | None, str | None]]) -> None:
    at = now()
    db.executemany(
        'INSERT INTO log (study, at, who, what, "before", "after") VALUES (?, ?, ?, ?, ?, ?)',
        [(study, at, who, *change) for change in changes],
    )


def _decoded(row: sqlite3.Row) -> dict[str, Any]:
    values = dict(row)
    for name in ("facts", "findings", "flags", "document"):
        if name in values:
            values[name] = json.loads(values[name])
    return values


def _search_text(facts: Mapping[str, Any], study_instance_uid: str) -> str:
    patient = facts["patient"]
    words = (patient["name"], patient["id"], facts["description"], facts["accession_number"], facts["study_date"])
    return "\n".join((*words, study_instance_uid)).casefold()


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
