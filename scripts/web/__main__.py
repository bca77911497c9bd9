"""The page: a local web application on which a radiologist uploads, reads and signs studies.

python -m scripts.web
python -m scripts.web --port 8080 --data_dir /srv/lumbar --language zh
"""

from __future__ import annotations

import logging
import os
from typing import Any

import fire
import uvicorn

from bundle.report import ReportError
from scripts.settings import ROOT, SettingsError, quiet_libraries
from scripts.web.app import create_app
from scripts.web.settings import Settings, load_settings
from scripts.web.store import StoreError

_GRACE_SECONDS = 5


class _Server(uvicorn.Server):
    """Lets pages that listen for events go when it ends; it would wait for them otherwise."""

    async def shutdown(self, sockets: Any = None) -> None:
        self.config.app.state.web.events.close()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def main(config: str = str(ROOT / "configs" / "web.yaml"), **changes: Any) -> None:
    """Serve the page until it is stopped (Ctrl+C).

    Args:
        config: YAML file; ``configs/web.yaml`` tells what can be set.
        changes: keys of its first level, such as ``--port`` or ``--data_dir``.
    """
    os.umask(0o077)  # what it writes is for its user alone
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    quiet_libraries()
    try:
        settings = load_settings(config, **changes)
        app = create_app(settings)
    except (SettingsError, StoreError, ReportError) as error:
        raise SystemExit(f"error: {error}") from None
    except OSError as error:
        raise SystemExit(f"error: {error.filename or 'the data folder'}: {error.strerror}") from None
    _serve(app, settings)


def _serve(app: Any, settings: Settings) -> None:
    files = {"ssl_certfile": settings.certificate, "ssl_keyfile": settings.certificate_key} if settings.certificate else {}
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            **files,  # type: ignore[arg-type]
        )
    )
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    print(f"The page: {'https' if files else 'http'}://{host}:{settings.port}/ (data in {settings.data_dir})", flush=True)
    server.run()
    if not server.started:
        raise SystemExit(1)


if __name__ == "__main__":
    fire.Fire(main)
