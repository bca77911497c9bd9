"""MONAI Label's DICOMweb store, in which the segments of a label map have names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dicomweb_client import DICOMwebClient
from dicomweb_client.ext.gcp.session_utils import create_session_from_gcp_credentials
from dicomweb_client.session_utils import create_session_from_user_pass
from fastapi import HTTPException
from monailabel.config import settings
from monailabel.datastore.dicom import DICOMwebClientX, DICOMWebDatastore
from monailabel.interfaces.datastore import DefaultLabelTag

from bundle.study import StudyError
from scripts.label.labels import segment_names


class NamedSegmentsStore(DICOMWebDatastore):
    """As MONAI Label's, but a label map that is saved without ``label_info`` has its segments named by their values.

    MONAI Label calls them all "unknown" (nifti_to_dicom_seg in
    https://github.com/Project-MONAI/MONAILabel/blob/0.8.5/monailabel/datastore/utils/convert.py).
    """

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any], label_id: str = ""
    ) -> str:
        """As MONAI Label's.

        Raises:
            HTTPException: the file is no label map.
        """
        if label_tag == DefaultLabelTag.FINAL and not label_info.get("label_info"):
            try:
                label_info = {**label_info, "label_info": segment_names(Path(label_filename))}
            except StudyError as error:
                raise HTTPException(status_code=422, detail=str(error)) from error
        saved: str = super().save_label(image_id, label_filename, label_tag, label_info, label_id)
        return saved


def open_store(url: str) -> NamedSegmentsStore:
    """The store at ``url``, by MONAI Label's settings.

    MONAI Label makes store and client in one piece, for its own class alone (_init_dicomweb_datastore in
    https://github.com/Project-MONAI/MONAILabel/blob/0.8.5/monailabel/interfaces/app.py).
    """
    if "googleapis.com" in url:
        client = DICOMwebClient(url=url, session=create_session_from_gcp_credentials())
    else:
        user, password = settings.MONAI_LABEL_DICOMWEB_USERNAME, settings.MONAI_LABEL_DICOMWEB_PASSWORD
        client = DICOMwebClientX(
            url=url,
            session=create_session_from_user_pass(user, password) if user and password else None,
            qido_url_prefix=settings.MONAI_LABEL_QIDO_PREFIX,
            wado_url_prefix=settings.MONAI_LABEL_WADO_PREFIX,
            stow_url_prefix=settings.MONAI_LABEL_STOW_PREFIX,
        )
    return NamedSegmentsStore(
        client=client,
        search_filter=settings.MONAI_LABEL_DICOMWEB_SEARCH_FILTER,
        cache_path=(settings.MONAI_LABEL_DICOMWEB_CACHE_PATH or "").strip() or None,
        fetch_by_frame=settings.MONAI_LABEL_DICOMWEB_FETCH_BY_FRAME,
        convert_to_nifti=settings.MONAI_LABEL_DICOMWEB_CONVERT_TO_NIFTI,
    )
