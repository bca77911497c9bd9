"""Studies on the configured DICOMweb servers, for the page to choose from."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset

from scripts.peers import client, told
from scripts.settings import Server
from scripts.web.intake import facts_of

_MAX_FOUND = 200
_FIELDS = ("StudyDescription", "NumberOfStudyRelatedInstances", "PatientBirthDate", "PatientSex")


def search(server: Server, filters: dict[str, str]) -> list[dict[str, Any]]:
    """Studies on a DICOMweb server (QIDO-RS), at most 200.

    Args:
        server: with ``dicomweb``.
        filters: DICOM keyword -> value; empty ones count as any.

    Raises:
        PeerError: it cannot be reached or refuses.
    """
    wanted = {"ModalitiesInStudy": "MR", **{key: value for key, value in filters.items() if value}}
    with told(server):
        found = client(server).search_for_studies(search_filters=wanted, fields=list(_FIELDS), limit=_MAX_FOUND)
        studies = [Dataset.from_json(entry) for entry in found]
    return [
        {
            **facts_of(study),
            "study_instance_uid": str(study.get("StudyInstanceUID") or ""),
            "images": int(study.NumberOfStudyRelatedInstances) if study.get("NumberOfStudyRelatedInstances") else None,
        }
        for study in studies
    ]
