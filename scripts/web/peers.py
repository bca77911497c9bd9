"""The servers of the configuration: DICOMweb to search, fetch and store, DICOM nodes to store. Nobody else is called."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from requests.adapters import HTTPAdapter

from scripts.web.intake import facts_of
from scripts.web.settings import MB, Limits, Server

_TIMEOUT_SECONDS = (5, 60)
_MAX_FOUND = 200
_STORED = (0x0000, 0xB000, 0xB006, 0xB007)  # success, and success with a warning
_FIELDS = ("StudyDescription", "NumberOfStudyRelatedInstances", "PatientBirthDate", "PatientSex")


class PeerError(Exception):
    """The other side cannot be reached or refuses; the message is one line for the user."""


def search(server: Server, filters: dict[str, str]) -> list[dict[str, Any]]:
    """Studies on a DICOMweb server (QIDO-RS), at most 200.

    Args:
        server: with ``dicomweb``.
        filters: DICOM keyword -> value; empty ones count as any.

    Raises:
        PeerError: it cannot be reached or refuses.
    """
    wanted = {"ModalitiesInStudy": "MR", **{key: value for key, value in filters.items() if value}}
    with _errors(server):
        found = _client(server).search_for_studies(search_filters=wanted, fields=list(_FIELDS), limit=_MAX_FOUND)
        studies = [Dataset.from_json(entry) for entry in found]
    return [
        {
            **facts_of(study),
            "study_instance_uid": str(study.get("StudyInstanceUID") or ""),
            "images": int(study.NumberOfStudyRelatedInstances) if study.get("NumberOfStudyRelatedInstances") else None,
        }
        for study in studies
    ]


def fetch(server: Server, study_instance_uid: str, folder: Path, limits: Limits) -> list[tuple[str, Path]]:
    """A study from a DICOMweb server (WADO-RS), written to ``folder`` image by image.

    Returns:
        (name, file), as of an upload.

    Raises:
        PeerError: it cannot be reached, refuses, has no such study, or the study is larger than an upload may be.
    """
    files: list[tuple[str, Path]] = []
    size = 0
    with _errors(server):
        for dataset in _client(server).iter_study(study_instance_uid, media_types=(("application/dicom", "*"),)):
            name = f"{len(files):06d}"
            dataset.save_as(folder / name, enforce_file_format=True)
            size += (folder / name).stat().st_size
            files.append((name, folder / name))
            if size > limits.max_upload_mb * MB or len(files) > limits.max_files:
                raise PeerError(f"The study is larger than {limits.max_upload_mb} MB or {limits.max_files} files.")
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
    with _errors(server):
        answer = _client(server).store_instances(datasets)
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


def _client(server: Server) -> DICOMwebClient:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _PlainStars())
    session.trust_env = False  # no proxy, no passwords of other programs
    session.max_redirects = 0  # an answer must not lead to an address that is not configured
    if server.user:
        session.auth = (server.user, os.environ.get(server.password_variable, ""))
    client = DICOMwebClient(str(server.dicomweb), session=session, timeout=_TIMEOUT_SECONDS)
    client.set_http_retry_params(retry=False)
    return client


@contextmanager
def _errors(server: Server) -> Iterator[None]:
    """What goes wrong on the way, in one line without an address or a UID in it."""
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
