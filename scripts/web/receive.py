"""An upload as it comes over the wire, written to disk part by part: memory stays flat however large it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from scripts.settings import MB
from scripts.web.settings import Limits
from scripts.web.unpack import Refused


async def receive_files(request: Request, limits: Limits, folder: Path) -> list[tuple[str, Path]]:
    """The files of a multipart request.

    Args:
        request: its body has not been read.
        limits: of one upload.
        folder: empty; files get numbers for names there.

    Returns:
        (name as the browser gave it, file) in the order of the request. Names may hold anything: they are no paths.

    Raises:
        Refused: it is no upload of files, it was cut off, or it is too large.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise Refused("An upload is multipart/form-data with parts named 'files'.", 415)
    if int(request.headers.get("content-length") or 0) > limits.max_upload_mb * MB:
        await _drain(request, limits)
        raise _too_large(limits)
    parts = _Parts(boundary, folder, limits)
    received = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received > limits.max_upload_mb * MB:
                raise _too_large(limits)
            await run_in_threadpool(parts.write, chunk)
        parts.finish()
    except ClientDisconnect:
        raise Refused("The upload was cut off.") from None
    except OSError as error:
        raise Refused(f"The upload cannot be written ({error.strerror}).", 507) from None
    except FormParserError:
        raise Refused("The upload is damaged or cut off.") from None
    except Refused:
        await _drain(request, limits)
        raise
    finally:
        parts.close()
    if not parts.files:
        raise Refused("There is no file in the upload.")
    return parts.files


def _too_large(limits: Limits) -> Refused:
    return Refused(f"The upload is larger than {limits.max_upload_mb} MB.", 413)


async def _drain(request: Request, limits: Limits) -> None:
    """Let a browser finish what it sends, within reason: one that is cut off shows its own error instead of ours."""
    left = 4 * limits.max_upload_mb * MB
    try:
        async for chunk in request.stream():
            left -= len(chunk)
            if left < 0:
                return
    except (ClientDisconnect, RuntimeError):
        return


class _Parts:
    """Writes each part of a multipart body that has a file's name to a file of its own."""

    def __init__(self, boundary: bytes, folder: Path, limits: Limits) -> None:
        self.files: list[tuple[str, Path]] = []
        self.folder = folder
        self.limits = limits
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._disposition = b""
        self._file: BinaryIO | None = None
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._collect(0),
                "on_header_value": self._collect(1),
                "on_header_end": self._header_end,
                "on_headers_finished": self._open,
                "on_part_data": self._data,
                "on_part_end": self.close,
                "on_end": self._end,
            },
            max_header_size=16 * 1024,
        )

    def write(self, chunk: bytes) -> None:
        """The next bytes of the body."""
        self._parser.write(chunk)

    def finish(self) -> None:
        """No byte follows.

        Raises:
            Refused: the body is not complete.
        """
        if not self._ended:
            raise Refused("The upload was cut off.")

    def close(self) -> None:
        """The current part is complete."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._disposition = b""

    def _collect(self, which: int) -> Callable[[bytes, int, int], None]:
        return lambda data, start, end: self._header[which].extend(data[start:end])

    def _header_end(self) -> None:
        if bytes(self._header[0]).lower() == b"content-disposition":
            self._disposition = bytes(self._header[1])
        self._header[0].clear()
        self._header[1].clear()

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"filename")
        if name is None:
            raise Refused("An upload holds files and nothing else.")
        if len(self.files) >= self.limits.max_files:
            raise Refused(f"More than {self.limits.max_files} files in one upload.", 413)
        path = self.folder / f"{len(self.files):06d}"
        self._file = path.open("xb")
        self.files.append((name.decode("utf-8", "replace"), path))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])

    def _end(self) -> None:
        self._ended = True
