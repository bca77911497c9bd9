"""Signed reports as training labels: what the person says, in MONAI's form of a datalist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bundle.report.review import final_reading

#: Who the label comes from: a person who changed it, a person who confirmed it, or the machine alone.
_CHANGED, _CONFIRMED, _MACHINE = "changed", "confirmed", "machine"


def labels_of(study: str, images: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """One item of the datalist.

    Args:
        study: its id.
        images: folder of its files, relative to the data folder.
        document: ``report.json`` with its review.

    Returns:
        ``image`` (the folder), ``study_instance_uid``, ``status`` of the review; ``boxes``: one for each vertebra on each
        sagittal image, ``xyxy`` in pixels (column, row) with the final ``label`` and the machine's; ``disks``: final level
        and finding, ROIs, axial images. Each has ``source``: ``changed`` or ``confirmed`` by the person, or ``machine``. No
        name of patient or reader.
    """
    final = final_reading(document)
    return {
        "image": images,
        "study": study,
        "study_instance_uid": document["study"]["study_instance_uid"],
        "status": final.status,
        "model": document["model"],
        "boxes": [
            {
                "sop_instance_uid": box["sop_instance_uid"],
                "xyxy": box["xyxy"],
                "label": vertebra.level,
                "machine_label": vertebra.machine_level,
                "source": _source(vertebra.changed, vertebra.confirmed),
            }
            for vertebra, found in zip(final.vertebrae, document["vertebrae"], strict=True)
            for box in found["boxes"]
        ],
        "disks": [
            {
                "level": disk.level,
                "machine_level": disk.machine_level,
                "finding": disk.finding,
                "machine_finding": disk.machine_finding,
                "source": _source(disk.by_person or disk.renamed, disk.confirmed),
                "rois": found["rois"],
                "axial_sop_instance_uids": found["axial_sop_instance_uids"],
            }
            for disk, found in zip(final.disks, document["disks"], strict=True)
        ],
    }


def datalist(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Items as MONAI's datalist."""
    return {
        "name": "lumbar disks, as read by people",
        "description": "From signed reports of the page; boxes in pixels of the images named by sop_instance_uid.",
        "modality": {"0": "MR"},
        "training": items,
    }


def _source(changed: bool, confirmed: bool) -> str:
    return _CHANGED if changed else _CONFIRMED if confirmed else _MACHINE
