"""Changes of the work list, told to every page that listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

_KEPT = 1000  # events that a page may be behind; one that is further behind asks for the list again


class Events:
    """Tells listeners which study changed; ``tell`` may be called from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[asyncio.Queue[str | None]] = set()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop in which pages are served."""
        self._loop = loop

    def tell(self, study: str) -> None:
        """A study changed."""
        self._call(study)

    def close(self) -> None:
        """No more events: let listeners go, or the server would wait for them."""
        self._call(None)

    def _call(self, study: str | None) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._pass_on, study)

    def _pass_on(self, study: str | None) -> None:
        for listener in tuple(self._listeners):
            try:
                listener.put_nowait(study)
            except asyncio.QueueFull:
                self._listeners.discard(listener)
                listener.get_nowait()
                listener.put_nowait(None)

    async def listen(self, pause_seconds: float = 15.0) -> AsyncIterator[str]:
        """Ids of studies as they change; an empty string in every pause, so that a lost connection is noticed."""
        listener: asyncio.Queue[str | None] = asyncio.Queue(_KEPT)
        self._listeners.add(listener)
        try:
            while True:
                try:
                    study = await asyncio.wait_for(listener.get(), pause_seconds)
                except TimeoutError:
                    yield ""
                    continue
                if study is None:
                    return
                yield study
        finally:
            self._listeners.discard(listener)
