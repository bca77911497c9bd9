"""Overlays as Grayscale Softcopy Presentation States, by highdicom: boxes and names over the original images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import highdicom.pr as hd
from highdicom.color import CIELabColor
from pydicom.dataset import Dataset

from bundle.report.instances import BODY_PART, SOFTWARE, NewSeries
from bundle.report.overlay import Layer, Mark, MarkedImage, placed_px

_COLORS: dict[Layer, str] = {"VERTEBRAE": "deepskyblue", "DISKS": "gold"}
_LETTER_WIDTH = 0.62  # of a letter, as a share of the line's height
_LETTER_SHARE = 0.03  # height of a line of letters, as a share of the image's longer side


def presentation_states(
    document: Mapping[str, Any], images: Iterable[MarkedImage], series: NewSeries
) -> dict[str, hd.GrayscaleSoftcopyPresentationState]:
    """Presentation states of the marked images, by a name for the file: ``1``, ``2`` ...

    A presentation state has one displayed area and one rescaling for all of its images, so images are shared out by series,
    size and rescaling; of multi-frame images each has its own.

    Args:
        document: ``report.json``, for the software's version.
        images: what is drawn on which image.
        series: the new series, of all of them.
    """
    groups: dict[Any, list[MarkedImage]] = {}
    for image in images:
        groups.setdefault(_kind(image.place.header), []).append(image)
    return {
        str(number): _presentation_state(document, group, series, number) for number, group in enumerate(groups.values(), 1)
    }


def _kind(header: Dataset) -> tuple[Any, ...]:
    names = ("SeriesInstanceUID", "Rows", "Columns", "RescaleSlope", "RescaleIntercept", "RescaleType")
    instance = header.SOPInstanceUID if "PerFrameFunctionalGroupsSequence" in header else ""
    return (*(str(header.get(name, "")) for name in names), str(instance), str(header.get("PixelSpacing", "")))


def _presentation_state(
    document: Mapping[str, Any], images: Sequence[MarkedImage], series: NewSeries, number: int
) -> hd.GrayscaleSoftcopyPresentationState:
    layers = {
        name: hd.GraphicLayer(name, order, display_color=CIELabColor.from_string(color))
        for order, (name, color) in enumerate(_COLORS.items(), 1)
    }
    headers = list({image.place.header.SOPInstanceUID: image.place.header for image in images}.values())
    state = hd.GrayscaleSoftcopyPresentationState(
        referenced_images=headers,
        device_serial_number=str(document["model"]["version"]),
        content_label="LUMBAR DISKS",
        content_description="Vertebrae and disks as read by the software",
        graphic_layers=list(layers.values()),
        graphic_annotations=[a for image in images for a in _annotations(image, layers)],
        content_creator_name=f"{SOFTWARE}^",
        **series.attributes(document, number),
    )
    state.BodyPartExamined = BODY_PART
    _show_square_millimetres(state, headers[0])
    return state


def _show_square_millimetres(state: Dataset, header: Dataset) -> None:
    """The pixels' shape of the image, where highdicom takes them to be square."""
    area = state.DisplayedAreaSelectionSequence[0]
    del area.PixelOriginInterpretation  # is for tiled images
    if header.get("PixelSpacing"):
        area.PresentationPixelSpacing = header.PixelSpacing
        del area.PresentationPixelAspectRatio


def _annotations(image: MarkedImage, layers: Mapping[Layer, hd.GraphicLayer]) -> Iterable[hd.GraphicAnnotation]:
    for name, layer in layers.items():
        marks = [mark for mark in image.marks if mark.layer == name]
        graphics = [
            hd.GraphicObject(hd.GraphicTypeValues.POLYLINE, mark.outline, hd.AnnotationUnitsValues.PIXEL)
            for mark in marks
            if mark.outline is not None
        ]
        words = [_words(mark, image.place.shape) for mark in marks if mark.words]
        if graphics or words:
            yield hd.GraphicAnnotation(
                [image.place.header],
                layer,
                referenced_frame_number=image.place.frame,
                graphic_objects=graphics,
                text_objects=words,
            )


def _words(mark: Mark, shape: tuple[int, int]) -> hd.TextObject:
    """Words in a box that is about as large as a viewer's letters."""
    line = max(shape) * _LETTER_SHARE
    box = placed_px(mark, (line * _LETTER_WIDTH * len(mark.words), line), shape)
    return hd.TextObject(
        mark.words,
        hd.AnnotationUnitsValues.PIXEL,
        bounding_box=box,
        text_justification=hd.TextJustificationValues(mark.align.upper()),
    )
