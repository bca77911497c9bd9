"""What the listener remembers over a restart, in one SQLite file: the studies, their states, how far the feed was read."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS studies (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    study_instance_uid TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('arriving', 'waiting', 'reading', 'storing', 'done', 'skipped', 'error')),
    images INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    objects INTEGER NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '',
    changed_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""
_LONGEST_WAIT_SECONDS = 3600.0


class LedgerError(Exception):
    """The ledger cannot be opened; the message is one line for the user."""


class Ledger:
    """Studies by their StudyInstanceUID, each in one state.

    ``arriving`` (images may follow), ``waiting`` (to be read), ``reading``, ``storing`` (read: the results are on disk and
    are being stored), ``done``, ``skipped`` (the message says why) and ``error`` (so too).

    Args:
        path: of the SQLite file; it is made if it is not there.

    Raises:
        LedgerError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=10)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise LedgerError(f"{path}: cannot be opened ({error})") from None

    def close(self) -> None:
        """Write everything into the one file."""
        self._db.close()

    def mark(self, name: str) -> int | None:
        """A number that was set, such as how far the feed was read."""
        row = self._db.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row["value"])

    def add(
        self, uids: Iterable[str], state: str = "waiting", message: str = "", marks: Mapping[str, int] | None = None
    ) -> int:
        """Add studies that are not here yet, and set marks; all of it or nothing.

        Returns:
            How many were new.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            before = self._db.total_changes
            self._db.executemany(
                "INSERT INTO studies (study_instance_uid, state, message, changed_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (study_instance_uid) DO NOTHING",
                [(uid, state, message, time.time()) for uid in uids],
            )
            added = self._db.total_changes - before
            self._db.executemany("INSERT OR REPLACE INTO marks VALUES (?, ?)", list((marks or {}).items()))
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        return added

    def seen(self, uid: str, images: int, stable_seconds: float) -> None:
        """A poll found a study with so many images; it waits to be read once their number has stayed for so long."""
        self.add([uid], "arriving")
        row = self._db.execute("SELECT * FROM studies WHERE study_instance_uid = ?", (uid,)).fetchone()
        if row["state"] != "arriving":
            return
        if row["images"] != images:
            self.set(row["number"], "arriving", images=images)
        elif time.time() - row["changed_at"] >= stable_seconds:
            self.set(row["number"], "waiting")

    def next_due(self) -> dict[str, Any] | None:
        """The study whose turn it is: results on disk first, then the longest known."""
        row = self._db.execute(
            "SELECT * FROM studies WHERE state IN ('waiting', 'storing') AND not_before <= ? ORDER BY state, number LIMIT 1",
            (time.time(),),
        ).fetchone()
        return None if row is None else dict(row)

    def pending(self) -> int:
        """How many are not at an end."""
        return int(
            self._db.execute("SELECT count(*) FROM studies WHERE state NOT IN ('done', 'skipped', 'error')").fetchone()[0]
        )

    def set(self, number: int, state: str, **values: Any) -> None:
        """A study's new state, and other columns with it."""
        changes = {"state": state, "changed_at": time.time(), **values}
        columns = ", ".join(f"{name} = ?" for name in changes)
        self._db.execute(f"UPDATE studies SET {columns} WHERE number = ?", (*changes.values(), number))

    def put_off(self, study: dict[str, Any], message: str, first_seconds: float, max_attempts: int) -> bool:
        """Try again later, each time twice as much later; after ``max_attempts`` it is an error.

        Returns:
            Whether it is tried again.
        """
        attempts = study["attempts"] + 1
        if attempts >= max_attempts:
            self.set(study["number"], "error", message=message, attempts=attempts)
            return False
        wait = min(first_seconds * 2 ** (attempts - 1), _LONGEST_WAIT_SECONDS)
        self.set(study["number"], study["state"], message=message, attempts=attempts, not_before=time.time() + wait)
        return True

    def resume(self, max_attempts: int) -> None:
        """After a restart: what was being read when the listener was ended is read again, but not without end."""
        for row in self._db.execute("SELECT * FROM studies WHERE state = 'reading'").fetchall():
            if row["attempts"] + 1 >= max_attempts:
                message = f"Reading it ended the listener {row['attempts'] + 1} times."
                self.set(row["number"], "error", attempts=row["attempts"] + 1, message=message)
            else:
                self.set(row["number"], "waiting", attempts=row["attempts"] + 1)

    def retry(self, number: int | None = None) -> int:
        """Read one study that is an error, or all such, again.

        Returns:
            How many.
        """
        where, values = ("", ()) if number is None else (" AND number = ?", (number,))
        query = "UPDATE studies SET state = 'waiting', attempts = 0, not_before = 0, message = '' WHERE state = 'error'"
        return self._db.execute(query + where, values).rowcount

    def studies(self) -> list[dict[str, Any]]:
        """All of them, in the order in which they were found."""
        return [dict(row) for row in self._db.execute("SELECT * FROM studies ORDER BY number")]
