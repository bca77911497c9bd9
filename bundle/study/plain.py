"""NIfTI and MetaImage volumes, and PNG and JPG pictures, as series."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bundle.geometry import VolumeGrid
from bundle.study.files import StudyFile
from bundle.study.frames import Frame
from bundle.study.series import arrange
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


def nifti_files(folder: str | Path) -> list[str]:
    """The NIfTI volumes of a folder, for configs that take them one by one.

    Their headers are read, so that a file that is none ends the run before it begins.

    Raises:
        SystemExit: with one line for the user, naming the folder or file: there is no volume, or one cannot be read.
            Within a config MONAI shows any other exception as a traceback.
    """
    import nibabel

    found = [path for path in sorted(Path(folder).expanduser().glob("*.nii*")) if is_nifti(path)]
    if not found:
        raise SystemExit(f"error: {folder}: no NIfTI file ({', '.join(NIFTI_ENDINGS)}) in this folder")
    for path in found:
        try:
            nibabel.load(path)
        except (nibabel.filebasedimages.ImageFileError, OSError, EOFError, ValueError) as error:
            raise SystemExit(f"error: {path}: the NIfTI file cannot be read ({type(error).__name__})") from None
    return [str(path) for path in found]


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

    to_lps = volume()[1]
    try:
        return _frames_of(lambda: volume()[0], to_lps, file.path.name, study_uid, file.path)
    except ValueError as error:
        raise StudyError(f"{file.path}: the {kind} affine is not valid ({error})") from error


def series_of_volume(volume: ArrayLike, affine_ras: ArrayLike, name: str) -> Series:
    """A volume in memory as one series, its images named ``<name>#<slice>``, slices counted from 1 as they are stored.

    Args:
        volume: (I, J, K) voxels.
        affine_ras: (4, 4) map of (i, j, k, 1) to RAS millimetres, as NIfTI and MONAI have it.
        name: of the series.

    Raises:
        StudyError: it is no volume, or the affine cannot be inverted.
    """
    voxels = np.asarray(volume, dtype=np.float32)
    if voxels.ndim != 3 or min(voxels.shape) < 1:
        raise StudyError(f"{name}: not a volume of slices")
    try:
        to_lps = _RAS_TO_LPS @ np.asarray(affine_ras, dtype=np.float64)
        frames = _frames_of(lambda: voxels, to_lps, name, name, Path(name))
    except ValueError as error:
        raise StudyError(f"{name}: the affine is not valid ({error})") from error
    return arrange(frames)[0].series


def slice_axes(affine: ArrayLike) -> tuple[int, int, int]:
    """Which of a volume's axes runs across its slices, down their rows and along their columns.

    Slices lie across the axis with the largest step; where no step stands out, across the patient's left and right.

    Args:
        affine: (4, 4) map of voxel indices to millimetres, RAS or LPS.
    """
    affine = np.asarray(affine, dtype=np.float64)
    axes_mm = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or axes_mm.min() < 1e-6:
        raise ValueError("an axis without length")
    thick = axes_mm.max() > 1.5 * np.median(axes_mm)
    across = int(np.argmax(axes_mm if thick else np.abs(affine[0, :3]) / axes_mm))
    column_axis, row_axis = (a for a in range(3) if a != across)  # columns run along the first of the two, rows the second
    return across, row_axis, column_axis


def _frames_of(
    volume: Callable[[], NDArray[np.float32]], to_lps: NDArray[np.float64], name: str, study_uid: str, path: Path
) -> list[Frame]:
    order = slice_axes(to_lps)

    def pixels(index: int) -> NDArray[np.float32]:
        picture = np.take(volume(), index, axis=order[0])
        return np.ascontiguousarray(np.nan_to_num(picture.T))

    slices, rows, columns = (volume().shape[axis] for axis in order)
    grid = VolumeGrid(to_lps[:, [*order, 3]], (slices, rows, columns))
    return [
        Frame(study_uid, name, f"{name}#{index + 1}", grid.plane(index), partial(pixels, index), path, name)
        for index in range(slices)
    ]
