"""The listener: reads each new lumbar study of a PACS once, and stores the results there.

python -m scripts.pacs run --config my_pacs.yaml
python -m scripts.pacs status
python -m scripts.pacs retry
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fire

from scripts.pacs.feed import feed_of
from scripts.pacs.ledger import Ledger, LedgerError
from scripts.pacs.listener import Listener, load_reading
from scripts.pacs.settings import Settings, load_settings
from scripts.settings import ROOT, SettingsError, quiet_libraries

_CONFIG = str(ROOT / "configs" / "pacs.yaml")


def run(config: str = _CONFIG, once: bool = False, **changes: Any) -> None:
    """Listen until stopped (Ctrl+C, SIGTERM): the study at hand is finished first.

    Args:
        config: YAML file; ``configs/pacs.yaml`` tells what can be set.
        once: end when nothing is left to be done.
        changes: keys of its first level, such as ``--orthanc http://127.0.0.1:8042``.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True)
    quiet_libraries()
    with _opened(config, changes) as (settings, ledger), _alone(settings.state_dir):
        listener = Listener(settings, ledger, feed_of(settings), load_reading(settings.inference_config, ROOT))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: listener.stop.set())
        logging.info("listening to %s", settings.server.name)
        listener.run(once)


def status(config: str = _CONFIG, **changes: Any) -> None:
    """Print each study: number, state, time of its last change (UTC), objects stored, message, StudyInstanceUID.

    Args:
        config: as of ``run``.
        changes: as of ``run``.
    """
    with _opened(config, changes) as (_, ledger):
        for study in ledger.studies():
            changed = datetime.fromtimestamp(study["changed_at"], UTC).isoformat(timespec="seconds")
            number, state, objects, message = (study[key] for key in ("number", "state", "objects", "message"))
            print(number, state, changed, objects, message, study["study_instance_uid"], sep="\t")


def retry(number: int | None = None, config: str = _CONFIG, **changes: Any) -> None:
    """Read studies again that ended in an error; a listener that runs takes them at its next poll.

    Args:
        number: of one study, as ``status`` prints it; default all such.
        config: as of ``run``.
        changes: as of ``run``.
    """
    with _opened(config, changes) as (_, ledger):
        print(f"{ledger.retry(number)} studies are read again")


@contextmanager
def _opened(config: str, changes: dict[str, Any]) -> Iterator[tuple[Settings, Ledger]]:
    os.umask(0o077)  # what it writes is for its user alone
    try:
        settings = load_settings(config, **changes)
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        ledger = Ledger(settings.state_dir / "pacs.sqlite")
    except (SettingsError, LedgerError) as error:
        raise SystemExit(f"error: {error}") from None
    except OSError as error:
        raise SystemExit(f"error: {error.filename}: {error.strerror}") from None
    try:
        yield settings, ledger
    finally:
        ledger.close()


@contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    """Two listeners on one ledger would read each study twice. The lock goes with the process, however it ends."""
    with (state_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit(f"error: another listener uses {state_dir}") from None
        yield


if __name__ == "__main__":
    fire.Fire({"run": run, "status": status, "retry": retry})
