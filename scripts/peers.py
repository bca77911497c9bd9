"""Other DICOM servers: DICOMweb to search, fetch and store, DICOM nodes to store. Only configured ones are called."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom import dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from requests.adapters import HTTPAdapter

from scripts.settings import MB, Server

#: To connect, and of silence.
TIMEOUT_SECONDS = (5, 60)
_STORED = (0x0000, 0xB000, 0xB006, 0xB007)  # success, and success with a warning


class PeerError(Exception):
    """The other side cannot be reached or refuses; the message is one line for the user."""


def fetch(server: Server, study_instance_uid: str, folder: Path, max_mb: int, max_files: int) -> list[tuple[str, Path]]:
    """A study from a DICOMweb server (WADO-RS), written to ``folder`` image by image.

    Args:
        server: with ``dicomweb``.
        study_instance_uid: of the study.
        folder: empty.
        max_mb: the study may not be larger.
        max_files: nor have more images.

    Returns:
        (name, file), as of an upload.

    Raises:
        PeerError: it cannot be reached, refuses, has no such study, or the study is larger than it may be.
    """
    files: list[tuple[str, Path]] = []
    size = 0
    with told(server):
        for dataset in client(server).iter_study(study_instance_uid, media_types=(("application/dicom", "*"),)):
            name = f"{len(files):06d}"
            dataset.save_as(folder / name, enforce_file_format=True)
            size += (folder / name).stat().st_size
            files.append((name, folder / name))
            if size > max_mb * MB or len(files) > max_files:
                raise PeerError(f"The study is larger than {max_mb} MB or {max_files} files.")
    if not files:
        raise PeerError(f"{server.name} has no such study.")
    return files


def send(server: Server, files: Sequence[Path], ae_title: str) -> int:
    """Store DICOM files on a DICOMweb server (STOW-RS) or a DICOM node (C-STORE).

    Args:
        server: where to.
        files: DICOM files.
        ae_title: how this server calls itself.

    Returns:
        How many were stored: all of them.

    Raises:
        PeerError: it cannot be reached, or did not take every one.
    """
    if server.dicomweb is not None:
        _stow(server, files)
    else:
        _c_store(server, files, ae_title)
    return len(files)


def _stow(server: Server, files: Sequence[Path]) -> None:
    datasets = [dcmread(path) for path in files]
    with told(server):
        answer = client(server).store_instances(datasets)
    failed = len(answer.get("FailedSOPSequence") or [])
    stored = len(answer.get("ReferencedSOPSequence") or [])
    if failed or stored < len(files):
        raise PeerError(f"{server.name} took {stored} of {len(files)} objects.")


def _c_store(server: Server, files: Sequence[Path], ae_title: str) -> None:
    from pynetdicom import AE

    datasets = [dcmread(path) for path in files]
    entity = AE(ae_title=ae_title)
    entity.connection_timeout, entity.acse_timeout, entity.dimse_timeout = 5, 15, 60
    for sop_class, syntax in {(d.SOPClassUID, d.file_meta.TransferSyntaxUID) for d in datasets}:
        entity.add_requested_context(sop_class, syntax)
    association = entity.associate(server.host, server.port, ae_title=str(server.ae_title))
    if not association.is_established:
        why = (
            "refuses this server's AE title"
            if association.is_rejected
            else f"took 0 of {len(files)} objects"
            if association.rejected_contexts
            else "does not answer"
        )
        raise PeerError(f"{server.name} {why}.")
    try:
        stored = 0
        for dataset in datasets:
            try:
                status = association.send_c_store(dataset)
            except ValueError:  # it accepted no context for this kind of object
                continue
            stored += status.get("Status", -1) in _STORED
    finally:
        association.release()
    if stored < len(files):
        raise PeerError(f"{server.name} took {stored} of {len(files)} objects.")


class _PlainStars(HTTPAdapter):
    """Leaves a star in a query as it is, which the standard of URLs allows: Orthanc 1.10 does not take ``%2A`` for one."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send it so."""
        request.url = (request.url or "").replace("%2A", "*")
        return super().send(request, *args, **kwargs)


def client(server: Server) -> DICOMwebClient:
    """A client of a DICOMweb server."""
    made = DICOMwebClient(str(server.dicomweb), session=session_of(server), timeout=TIMEOUT_SECONDS)
    made.set_http_retry_params(retry=False)
    return made


def session_of(server: Server) -> requests.Session:
    """A session with the server's user and password that follows no redirection and no proxy of the environment."""
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _PlainStars())
    session.trust_env = False  # no proxy, no passwords of other programs
    session.max_redirects = 0  # an answer must not lead to an address that is not configured
    if server.user:
        session.auth = (server.user, os.environ.get(server.password_variable, ""))
    return session


@contextmanager
def told(server: Server) -> Iterator[None]:
    """What goes wrong on the way becomes a PeerError of one line, without an address or a UID in it."""
    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        why = {401: "wants another user or password", 403: "does not allow it", 404: "has no such study"}.get(status)
        raise PeerError(f"{server.name} {why or f'refuses (HTTP {status})'}.") from None
    except requests.TooManyRedirects:
        raise PeerError(f"{server.name} leads to another address, which is not followed.") from None
    except requests.exceptions.InvalidJSONError:
        raise PeerError(f"{server.name} gives an answer that cannot be read.") from None
    except (requests.RequestException, OSError):
        raise PeerError(f"{server.name} does not answer.") from None
    except (ValueError, KeyError, TypeError, AttributeError, InvalidDicomError, BytesLengthException):
        raise PeerError(f"{server.name} gives an answer that cannot be read.") from None
