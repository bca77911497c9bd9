"""Overlays burned into copies of the images: Secondary Capture, by highdicom; see bundle.report.overlay for why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bundle.report.evidence import Place
from bundle.report.instances import BODY_PART, NOTICE, NewSeries
from bundle.report.overlay import Layer, Mark, MarkedImage, placed_px
from bundle.report.upright import letters
from bundle.study.dicom import read_frames
from bundle.study.types import StudyError

_COLORS: dict[Layer, str] = {"VERTEBRAE": "#5cc8ff", "DISKS": "#ffd54a"}
_LEAST_SIDE_PX = 500  # smaller images are enlarged by a whole number, so that letters can be read
_LETTER_SHARE = 0.028  # height of letters, as a share of the picture's longer side


def secondary_captures(
    document: Mapping[str, Any], images: Mapping[str, MarkedImage], series: NewSeries
) -> dict[str, SCImage]:
    """One colour picture for each image, under the same names.

    Args:
        document: ``report.json``, for the software's version.
        images: from bundle.report.overlay.shown_images.
        series: the new series, of all of them.

    Raises:
        StudyError: an image cannot be decoded.
    """
    return {name: _capture(document, name, image, series, number) for number, (name, image) in enumerate(images.items(), 1)}


def _capture(document: Mapping[str, Any], name: str, image: MarkedImage, series: NewSeries, number: int) -> SCImage:
    place = image.place
    picture, factor = draw(image)
    plane = place.plane
    capture = SCImage.from_ref_dataset(
        place.header,
        pixel_array=picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),  # highdicom knows no oblique ones; set below
        pixel_spacing=None if plane is None else _finer(plane.pixel_spacing_mm, factor),
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        **series.attributes(document, number),
    )
    capture.PatientOrientation = [] if plane is None else [letters(plane.row_direction), letters(plane.column_direction)]
    capture.BodyPartExamined = BODY_PART
    capture.BurnedInAnnotation = "NO"  # of the patient's identity: the words are those of the reading
    capture.ImageComments = f"{name}. {NOTICE}"
    return capture


def _finer(spacing_mm: tuple[float, float], factor: int) -> Any:
    return spacing_mm[0] / factor, spacing_mm[1] / factor  # highdicom's hint says int


def draw(image: MarkedImage) -> tuple[NDArray[np.uint8], int]:
    """The image with its marks, (rows, columns, 3), and by how much it was enlarged."""
    grey = _grey(image.place)
    factor = max(-(-_LEAST_SIDE_PX // max(grey.shape)), 1)
    picture = Image.fromarray(grey).convert("RGB")
    picture = picture.resize((grey.shape[1] * factor, grey.shape[0] * factor), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    font = _font(max(picture.size) * _LETTER_SHARE)
    for mark in image.marks:
        if mark.outline is not None:
            pen.line([tuple(p) for p in (mark.outline * factor).tolist()], fill=_COLORS[mark.layer], width=max(factor, 2))
    for mark in image.marks:
        if mark.words:
            _write(pen, mark, factor, font)
    pen.text((6, picture.height - 6), NOTICE, fill="#ffffff", font=font, anchor="lb", stroke_width=2, stroke_fill="#000000")
    return np.asarray(picture), factor


def _write(pen: ImageDraw.ImageDraw, mark: Mark, factor: int, font: ImageFont.FreeTypeFont) -> None:
    larger = replace(mark, at=(mark.at[0] * factor, mark.at[1] * factor))
    columns, rows = pen.im.size
    left, top, _, bottom = placed_px(larger, (pen.textlength(mark.words, font=font), font.size), (rows, columns), 4.0)
    at = (left, (top + bottom) / 2)
    pen.text(at, mark.words, fill=_COLORS[mark.layer], font=font, anchor="lm", stroke_width=2, stroke_fill="#000000")


def _font(size_px: float) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib."""
    from matplotlib.font_manager import findfont

    return ImageFont.truetype(findfont("DejaVu Sans"), round(size_px))


def _grey(place: Place) -> NDArray[np.uint8]:
    """Pixels between the window of the header, or between their 1st and 99th percentile, as 0 to 255."""
    frames, _ = read_frames(place.image.file)
    frame = next((frame for frame in frames if frame.sop_uid == place.uid), None)
    if frame is None:
        raise StudyError(f"{place.image.file.path}: the image cannot be read any more")
    pixels = frame.load_pixels()
    low, high = _window(place) or (float(v) for v in np.percentile(pixels, [1, 99]))
    return np.asarray(np.clip((pixels - low) / max(high - low, 1e-6), 0, 1) * 255, dtype=np.uint8)


def _window(place: Place) -> tuple[float, float] | None:
    """Lowest and highest value that the header's first window shows; None where there is none for these pixels."""
    if str(place.header.get("PhotometricInterpretation", "")) == "MONOCHROME1":
        return None  # read inverted: the window is of other values
    try:
        middle, extent = (float(np.atleast_1d(place.header.get(name))[0]) for name in ("WindowCenter", "WindowWidth"))
    except (TypeError, ValueError, IndexError):
        return None
    return (middle - extent / 2, middle + extent / 2) if extent > 1 else None
