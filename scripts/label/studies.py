"""From an image of the datastore to what is read: the volume itself, or the study that it belongs to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.datastore.utils.dicom import dicom_web_download_series
from monailabel.interfaces.datastore import Datastore
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from requests import RequestException

from bundle.study import Series, StudyError
from bundle.study.plain import series_of_volume

#: In a local folder ``<study>__<series>.nii.gz`` are the series of one study.
SERIES_MARK = "__"


@dataclass(frozen=True, eq=False)
class Volume:
    """An image of the datastore in memory.

    Args:
        voxels: (I, J, K).
        affine_ras: (4, 4).
        series: its slices; see bundle.study.plain.series_of_volume.
    """

    voxels: NDArray[np.float32]
    affine_ras: NDArray[np.float64]
    series: Series


def load_volume(path: str | Path) -> Volume:
    """The NIfTI file of an image.

    Raises:
        StudyError: it cannot be read, or is no volume.
    """
    try:
        image: Any = nibabel.load(str(path))
        voxels, affine = np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine, dtype=np.float64)
    except Exception as error:  # whatever the library raises on a damaged file, the user gets one line
        raise StudyError(f"{Path(path).name}: the volume cannot be read ({type(error).__name__})") from error
    return Volume(voxels, affine, series_of_volume(voxels, affine, image_id_of(path)))


def load_sagittal(path: str | Path) -> Volume:
    """The same, of a sagittal series.

    Raises:
        StudyError: it cannot be read, or is not sagittal.
    """
    volume = load_volume(path)
    if volume.series.orientation != "sagittal":
        raise StudyError(f"{image_id_of(path)}: a sagittal series is wanted, this one is {volume.series.orientation}")
    return volume


def image_id_of(path: str | Path) -> str:
    """The datastore's name of an image, from its file."""
    return Path(path).name.removesuffix(".gz").removesuffix(".nii")


class Studies:
    """Finds what belongs to the study of an image.

    Args:
        datastore: where the images are.
    """

    def __init__(self, datastore: Datastore) -> None:
        self.datastore = datastore

    def check(self, image_id: str) -> None:
        """Nothing, where the datastore has an image of that name.

        Raises:
            StudyError: it has none, or does not answer.
        """
        if isinstance(self.datastore, DICOMWebDatastore):
            self._entry(image_id)
        elif image_id not in self.datastore.list_images():
            raise StudyError(f"{image_id}: the datastore has no such image")

    def patient(self, image_id: str) -> str:
        """What an image shares with the other images of its patient, as far as the datastore tells.

        In a local folder it is what SERIES_MARK ends; of a DICOMweb store the patient's ID, without one the study's UID.
        """
        info = self.datastore.get_image_info(image_id)
        known = [str(info.get(key, "")) for key in ("PatientID", "StudyInstanceUID")]
        return next((value for value in known if value not in ("", "UNK")), image_id.partition(SERIES_MARK)[0])

    def source(self, path: str | Path, image_id: str | None = None) -> Path:
        """A file or folder that bundle.study reads: the whole study that the image is a series of.

        Of a DICOMweb store it is the study with all of its MR series, fetched where they are not here yet. In a local folder
        it is the file itself, or the files that share its name up to SERIES_MARK.

        Args:
            path: of the image's file in the datastore.
            image_id: the datastore's name of it, a series' UID in a DICOMweb store; by default that of the file.

        Raises:
            StudyError: the store does not know the series.
        """
        if isinstance(self.datastore, DICOMWebDatastore):
            return self._fetched(image_id or image_id_of(path))
        return self._local(Path(path))

    def _entry(self, series_uid: str) -> Dataset:
        """What the store's search says of a series."""
        try:
            answer = self._client.search_for_series(search_filters={"SeriesInstanceUID": series_uid})
        except RequestException as error:
            raise StudyError(f"the DICOMweb store does not answer ({type(error).__name__})") from error
        found = [entry for entry in map(Dataset.from_json, answer) if str(entry.SeriesInstanceUID) == series_uid]
        if not found:
            raise StudyError(f"{series_uid}: the DICOMweb store has no such series")
        return found[0]

    @property
    def _client(self) -> Any:
        """The store's own client: MONAI Label has no public way to ask for the other series of a study."""
        return self.datastore._client

    def _fetched(self, series_uid: str) -> Path:
        client = self._client
        study_uid = str(self._entry(series_uid).StudyInstanceUID)
        folder = Path(self.datastore._datastore_path) / "studies" / study_uid
        for entry in client.search_for_series(study_uid, search_filters={"Modality": "MR"}):
            uid = str(Dataset.from_json(entry).SeriesInstanceUID)
            target = folder / uid
            if not target.is_dir() or not any(target.iterdir()):
                dicom_web_download_series(study_uid, uid, str(target), client)
        return folder

    def _local(self, path: Path) -> Path:
        study, mark, _ = path.name.partition(SERIES_MARK)
        if not mark:
            return path
        folder = path.parent / "studies" / study
        folder.mkdir(parents=True, exist_ok=True)
        for series in path.parent.glob(f"{study}{SERIES_MARK}*.nii*"):
            link = folder / series.name
            if not link.exists():
                os.link(series, link)
        return folder
