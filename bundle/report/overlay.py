"""What is drawn over the images: boxes and names, the same for presentation states and secondary captures.

Why both: a presentation state lies over the original images, can be switched off, follows zoom and window, and costs no
pixels; but many web viewers ignore it, and where it is shown, letters and colours are the viewer's own. Secondary captures
are plain pictures that every viewer and film printer shows as they are. So the presentation states mark every image on which
something was found, and the secondary captures are a short series to leaf through: the middle sagittal image, and one axial
image for each disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bundle.report.evidence import Evidence, Place, box_corners, inside
from bundle.report.review import FinalDisk, FinalVertebra, final_reading
from bundle.report.texts import load_texts
from bundle.report.wording import percent

Layer = Literal["VERTEBRAE", "DISKS"]
Align = Literal["left", "center", "right"]
#: Behind a disk's middle, in millimetres: where its finding is written on a sagittal image, behind the canal.
_BEHIND_MM = 42.0


@dataclass(frozen=True, eq=False)
class Mark:
    """An outline with words, or one of them.

    Args:
        layer: what it is of.
        words: English; may be empty.
        at: column and row where the words are, in DICOM's pixel coordinates ((0, 0) is the image's outer corner).
        align: what of the words is there: their ``left`` end, their ``center`` or their ``right`` end.
        outline: (N, 2) column and row, closed, in the same coordinates.
    """

    layer: Layer
    words: str
    at: tuple[float, float]
    align: Align = "center"
    outline: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class MarkedImage:
    """An image and all that is drawn on it."""

    place: Place
    marks: tuple[Mark, ...]


def marked_images(document: Mapping[str, Any], evidence: Evidence) -> list[MarkedImage]:
    """Every image with something on it, in the order of ``evidence``.

    Args:
        document: ``report.json``; a person's names and findings go before the machine's.
        evidence: images of the study. What lies on a slice that is in no file is left out.
    """
    places: dict[str, Place] = {}
    marks: dict[str, list[Mark]] = {}
    for uid, mark in [*_vertebra_marks(document, evidence), *_disk_marks(document, evidence)]:
        place = evidence.place(uid)
        if place is not None:
            places[uid] = place
            marks.setdefault(uid, []).append(mark)
    order = {uid: number for number, uid in enumerate(evidence.images)}
    found = sorted(places.values(), key=lambda place: (order[str(place.header.SOPInstanceUID)], place.frame or 0))
    return [MarkedImage(place, tuple(marks[place.uid])) for place in found]


def shown_images(document: Mapping[str, Any], evidence: Evidence) -> dict[str, MarkedImage]:
    """The few images that tell the reading, by name: ``sagittal`` (the middle one), then the disks' levels."""
    marked = {image.place.uid: image for image in marked_images(document, evidence)}
    boxes = {box["sop_instance_uid"] for vertebra in document["vertebrae"] for box in vertebra["boxes"]}
    middle = _middle([image for uid, image in marked.items() if uid in boxes], document["vertebrae"])
    shown = {} if middle is None else {"sagittal": middle}
    for disk in document["disks"]:
        roi = disk["rois"]["axial"]
        if roi is not None and roi["sop_instance_uid"] in marked:
            shown[disk["level"]] = marked[roi["sop_instance_uid"]]
    return shown


def _middle(images: Sequence[MarkedImage], vertebrae: Iterable[Mapping[str, Any]]) -> MarkedImage | None:
    """The image nearest to the bodies' centres; of images without a place the one with most on it."""
    centers = [v["center_lps_mm"] for v in vertebrae if v["center_lps_mm"] is not None]

    def farness(image: MarkedImage) -> tuple[float, int]:
        distances = [image.place.distance_mm(center) for center in centers]
        return float(np.median(distances)) if distances else np.inf, -len(image.marks)

    return min(images, key=farness, default=None)


def _vertebra_marks(document: Mapping[str, Any], evidence: Evidence) -> Iterator[tuple[str, Mark]]:
    names: Sequence[FinalVertebra] = final_reading(document).vertebrae
    for vertebra, name in zip(document["vertebrae"], names, strict=True):
        for box in vertebra["boxes"]:
            place = evidence.place(box["sop_instance_uid"])
            outline = None if place is None else inside(box_corners(box["xyxy"]), place.shape)
            if outline is not None:
                yield box["sop_instance_uid"], Mark("VERTEBRAE", name.level, _center(outline), outline=outline)


def _disk_marks(document: Mapping[str, Any], evidence: Evidence) -> Iterator[tuple[str, Mark]]:
    sagittal = {box["sop_instance_uid"] for vertebra in document["vertebrae"] for box in vertebra["boxes"]}
    levels: dict[str, str] = {}
    for disk, final in zip(document["disks"], final_reading(document).disks, strict=True):
        levels[disk["level"]] = final.level
        words = finding_words(disk, final)
        roi = disk["rois"]["axial"]  # the sagittal squares overlap one another: they would hide what they frame
        place = None if roi is None else evidence.place(roi["sop_instance_uid"])
        outline = None if place is None else inside(roi["corners_px"], place.shape)
        if outline is not None:
            at = (_center(outline)[0], float(outline[:, 1].min()) * 0.94)
            yield roi["sop_instance_uid"], Mark("DISKS", words, at, outline=outline)
        if disk["center_lps_mm"] is not None:
            yield from _beside(words, np.asarray(disk["center_lps_mm"]), sagittal, evidence)
    judged = {disk["rois"]["axial"]["sop_instance_uid"] for disk in document["disks"] if disk["rois"]["axial"]}
    for match in document["axial_slices"]:
        place = evidence.place(match["sop_instance_uid"])
        if place is not None and match["level"] is not None and match["sop_instance_uid"] not in judged:
            at = (place.shape[1] / 2, place.shape[0] * 0.05)
            yield match["sop_instance_uid"], Mark("DISKS", levels[match["level"]], at)


def _beside(words: str, center: NDArray[np.float64], uids: Iterable[str], evidence: Evidence) -> Iterator[tuple[str, Mark]]:
    """A disk's words behind it on the sagittal images."""
    for uid in sorted(uids):
        place = evidence.place(uid)
        plane = None if place is None else place.plane
        if place is None or plane is None:
            continue
        start, behind = plane.to_pixel([center, center + np.array([0.0, _BEHIND_MM, 0.0])]) + 0.5
        if 0 <= behind[1] <= place.shape[0]:
            at = (float(np.clip(behind[0], 0, place.shape[1])), float(behind[1]))
            yield uid, Mark("DISKS", words, at, "left" if behind[0] >= start[0] else "right")


def finding_words(disk: Mapping[str, Any], final: FinalDisk) -> str:
    """A disk's level and finding in a few English words: ``L4-L5 Bulge 71%``."""
    texts = load_texts("en")
    found = texts.say(f"findings.{final.finding or 'none'}")
    if final.by_person:
        return f"{final.level} {found} (by the reader)"
    share = (disk["probabilities"] or {}).get(final.finding)
    return f"{final.level} {found}" + ("" if share is None else f" {percent(share, texts)}")


def _center(outline: NDArray[np.float64]) -> tuple[float, float]:
    low, high = outline.min(axis=0), outline.max(axis=0)
    column, row = (low + high) / 2
    return float(column), float(row)


def placed_px(
    mark: Mark, size_px: tuple[float, float], shape: tuple[float, float], margin_px: float = 0.0
) -> tuple[float, float, float, float]:
    """Where the words of a mark are: left, top, right and bottom, pushed inside the image.

    Args:
        mark: with words.
        size_px: their width and height.
        shape: rows and columns of the image.
        margin_px: between words and the image's edges.
    """
    width, height = size_px
    left = mark.at[0] - {"left": 0.0, "center": width / 2, "right": width}[mark.align]
    left = max(min(left, shape[1] - margin_px - width), margin_px)
    top = max(min(mark.at[1] - height / 2, shape[0] - margin_px - height), margin_px)
    return round(left, 2), round(top, 2), min(round(left + width, 2), shape[1]), min(round(top + height, 2), shape[0])
