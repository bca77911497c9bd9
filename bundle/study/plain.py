"""NIfTI and MetaImage volumes, and PNG and JPG pictures, as series."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from bundle.geometry import VolumeGrid
from bundle.study.files import StudyFile
from bundle.study.frames import Frame
from bundle.study.types import Series, StudyError, StudyImage

PICTURE_ENDINGS = frozenset({".png", ".jpg", ".jpeg"})
NIFTI_ENDINGS = (".nii", ".nii.gz")
META_IMAGE_ENDING = ".mha"
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def is_picture(path: Path) -> bool:
    """Whether a file's name is that of a PNG or JPG."""
    return path.suffix.lower() in PICTURE_ENDINGS


def is_nifti(path: Path) -> bool:
    """Whether a file's name is that of a NIfTI volume."""
    return path.name.lower().endswith(NIFTI_ENDINGS)


def is_meta_image(path: Path) -> bool:
    """Whether a file's name is that of a MetaImage volume in one file."""
    return path.suffix.lower() == META_IMAGE_ENDING


def read_picture(file: StudyFile) -> Series:
    """A PNG or JPG as a series of one sagittal slice without a place in the patient.

    Raises:
        StudyError: it cannot be decoded.
    """
    from PIL import Image, UnidentifiedImageError

    def pixels() -> NDArray[np.float32]:
        try:
            with file.open() as stream, Image.open(stream) as picture:
                if picture.mode in ("I", "I;16", "I;16B", "I;16L", "F", "L"):
                    return np.asarray(picture, dtype=np.float32)
                return np.asarray(picture.convert("L"), dtype=np.float32)
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise StudyError(f"{file.path}: the picture cannot be decoded ({type(error).__name__})") from error

    shape = pixels().shape  # decoded at once: a damaged picture is refused here and not in the middle of a reading
    image = StudyImage(file.path.name, None, pixels, file.path, (int(shape[0]), int(shape[1])))
    return Series(file.path.name, (image,), ((0,),), "sagittal", "unknown", file.path.name)


def read_nifti(file: StudyFile, study_uid: str) -> list[Frame]:
    """The slices of a NIfTI volume; see _slices. Of a time series the first volume is taken.

    Raises:
        StudyError: it cannot be read, or is no volume.
    """
    import nibabel

    def volume() -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        with file.open() as stream:
            payload = stream.read()
        if payload[:2] == b"\x1f\x8b":
            import gzip

            payload = gzip.decompress(payload)
        image = nibabel.Nifti1Image.from_bytes(payload)
        data = np.asarray(image.dataobj, dtype=np.float32)
        while data.ndim > 3:
            data = data[..., 0]
        return data, _RAS_TO_LPS @ np.asarray(image.affine, dtype=np.float64)

    return _slices(file, study_uid, volume, "NIfTI")


def read_meta_image(file: StudyFile, study_uid: str) -> list[Frame]:
    """The slices of a MetaImage volume (``.mha``), as ITK's programs and some public data sets have it; see _slices.

    Raises:
        StudyError: it cannot be read, or is no volume.
    """
    import itk

    def volume() -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        with TemporaryDirectory() as folder:  # ITK reads files only, and the volume may lie in an archive
            copy = Path(folder) / "volume.mha"
            with file.open() as stream:
                copy.write_bytes(stream.read())
            image = itk.imread(str(copy))
        data = np.asarray(itk.array_from_image(image), dtype=np.float32)
        affine = np.eye(4)
        affine[:3, :3] = itk.array_from_matrix(image.GetDirection()) @ np.diag(list(image.GetSpacing()))
        affine[:3, 3] = list(image.GetOrigin())
        return data.transpose(2, 1, 0), affine  # ITK's arrays have the last axis first

    return _slices(file, study_uid, volume, "MetaImage")


def _slices(
    file: StudyFile, study_uid: str, load: Callable[[], tuple[NDArray[np.float32], NDArray[np.float64]]], kind: str
) -> list[Frame]:
    """Slices of a volume: across the thickest voxel axis, else across the axis nearest to left-right.

    Args:
        file: of the volume.
        study_uid: of the frames.
        load: the voxels, and the map of their indices to LPS millimetres.
        kind: name of the format, for the message.

    Raises:
        StudyError: it cannot be read, or is no volume.
    """

    @cache
    def volume() -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        try:
            data, affine = load()
        except StudyError:
            raise
        except Exception as error:  # whatever the library raises on a damaged file, the user gets one line
            raise StudyError(f"{file.path}: the {kind} volume cannot be read ({type(error).__name__})") from error
        if data.ndim != 3 or min(data.shape) < 1:
            raise StudyError(f"{file.path}: not a volume of slices")
        return data, affine

    data, to_lps = volume()
    axes_mm = np.linalg.norm(to_lps[:3, :3], axis=0)
    if not np.isfinite(to_lps).all() or axes_mm.min() < 1e-6:
        raise StudyError(f"{file.path}: the {kind} affine is not valid")
    thick = axes_mm.max() > 1.5 * np.median(axes_mm)
    across = int(np.argmax(axes_mm if thick else np.abs(to_lps[0, :3]) / axes_mm))
    column_axis, row_axis = (a for a in range(3) if a != across)  # columns run along the first of the two, rows the second
    order = [across, row_axis, column_axis]

    def pixels(index: int) -> NDArray[np.float32]:
        picture = np.take(volume()[0], index, axis=across)
        return np.ascontiguousarray(np.nan_to_num(picture.T))

    name = file.path.name
    try:
        rows, columns = data.shape[row_axis], data.shape[column_axis]
        grid = VolumeGrid(to_lps[:, [*order, 3]], (data.shape[across], rows, columns))
        planes = [grid.plane(index) for index in range(grid.shape[0])]
    except ValueError as error:
        raise StudyError(f"{file.path}: the {kind} affine is not valid ({error})") from error
    return [
        Frame(study_uid, name, f"{name}#{index + 1}", plane, partial(pixels, index), file.path, name)
        for index, plane in enumerate(planes)
    ]
