"""What the app answers: vertebrae of a series, disks of a study, a study's whole report."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from fastapi import HTTPException
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from bundle.disks.types import DiskReading
from bundle.geometry import BODY_LEVELS, DISK_LEVELS, FINDINGS
from bundle.study import StudyError
from bundle.vertebrae.markups import LABEL_VALUES, RoiBox, body_boxes, label_map, slicer_markups
from bundle.weights import WeightsError
from scripts.label.reading import LabelReading
from scripts.label.studies import Studies, load_sagittal

#: Width of a disk for each millimetre of its depth (Zhou et al., Eur Spine J 2000;9:242), for the ROIs that show it.
_WIDTH_TO_DEPTH = 1.4

Answer = tuple[str | None, dict[str, Any]]


class LumbarInfer(InferTask):
    """What all of the app's answers share.

    Args:
        reading: the bundle's steps.
        studies: finds an image's study.
        type: of MONAI Label, by which clients choose how to show an answer.
        labels: names that the answer uses.
        description: of the task.
    """

    def __init__(
        self,
        reading: LabelReading,
        studies: Studies,
        type: InferType,
        labels: Sequence[str] | dict[str, int],
        description: str,
    ) -> None:
        super().__init__(type=type, labels=labels, dimension=3, description=description)
        self.reading = reading
        self.studies = studies

    def is_valid(self) -> bool:
        """Whether the weights are there."""
        return self.reading.weights("vertebra_weights").is_file() and self.reading.weights("disk_weights").is_file()

    def __call__(self, request: Mapping[str, Any]) -> Answer:
        """(file or None, result) of the image at the path ``request["image"]``.

        Raises:
            HTTPException: the image or its study cannot be read. MONAI Label's own exception would reach the client as an
                internal error without a word.
        """
        start = time.monotonic()
        try:
            file, result = self.answer(Path(request["image"]), request)
        except (StudyError, WeightsError) as error:
            raise HTTPException(status_code=422, detail=str(error)) from error
        return file, {
            "label_names": self.labels,
            "latencies": {"total": round(time.monotonic() - start, 2)},
            "centroids": {},
            **result,
        }

    def answer(self, path: Path, request: Mapping[str, Any]) -> Answer:
        """(file or None, result) of an image's file."""
        raise NotImplementedError


class VertebraDetection(LumbarInfer):
    """Boxes of the bodies of a sagittal series: ROI markups, and the same as ``vertebrae`` with scores."""

    def __init__(self, reading: LabelReading, studies: Studies) -> None:
        super().__init__(
            reading, studies, InferType.DETECTION, list(BODY_LEVELS), "Vertebral bodies of a sagittal series, as named boxes"
        )

    def answer(self, path: Path, request: Mapping[str, Any]) -> Answer:
        """ROI markups of 3D Slicer as ``.json``."""
        volume = load_sagittal(path)
        column = self.reading.finder.find(volume.series)
        rois = body_boxes(column.vertebrae, volume.series)
        bodies = [
            {
                "level": v.level,
                "score": round(v.score, 4),
                "center_lps_mm": np.round(roi.center_lps_mm, 2).tolist(),
                "size_mm": np.round(roi.size_mm, 2).tolist(),
            }
            for v, roi in zip(column.vertebrae, rois, strict=True)
        ]
        result = {"vertebrae": bodies, "flags": list(column.flags), "naming_margin": _finite(column.margin)}
        return _json_file(slicer_markups(rois)), result


class VertebraSegmentation(LumbarInfer):
    """The bodies of a sagittal series as a label map, for viewers that edit segments."""

    def __init__(self, reading: LabelReading, studies: Studies) -> None:
        super().__init__(
            reading,
            studies,
            InferType.SEGMENTATION,
            dict(LABEL_VALUES),
            "Vertebral bodies of a sagittal series, as a label map: the outline of each by its four corners",
        )

    def answer(self, path: Path, request: Mapping[str, Any]) -> Answer:
        """Label map on the voxels of the series as ``.nii.gz``."""
        volume = load_sagittal(path)
        column = self.reading.finder.find(volume.series)
        labels = label_map(column.vertebrae, volume.series, volume.voxels.shape, volume.affine_ras)
        file = _temporary(".nii.gz")
        nibabel.save(nibabel.Nifti1Image(labels, volume.affine_ras), file)
        return file, {"flags": list(column.flags), "naming_margin": _finite(column.margin)}


class DiskClassification(LumbarInfer):
    """The disks of the study that a series belongs to; with ``level`` in the request that disk alone."""

    def __init__(self, reading: LabelReading, studies: Studies) -> None:
        super().__init__(
            reading,
            studies,
            InferType.CLASSIFICATION,
            list(FINDINGS),
            "Normal, bulge or herniation of the five disks, or of the one that the parameter level names (L4-L5)",
        )

    def answer(self, path: Path, request: Mapping[str, Any]) -> Answer:
        """ROI markups of the disks, each named by disk and finding, and their probabilities under ``disks``.

        With ``level`` the probabilities of that disk are also under ``prediction``, as MONAI Label's clients expect them of
        a classification.
        """
        level = request.get("level")
        if level is not None and level not in DISK_LEVELS:
            raise StudyError(f"level {level}: no such disk, known are {', '.join(DISK_LEVELS)}")
        found = self.reading.study(self.studies.source(path, request.get("image_id")))
        disks = [d for d in found.disks if level in (None, d.level)]
        result: dict[str, Any] = {"disks": [_disk_result(d) for d in disks], "flags": list(found.column.flags)}
        if level is not None:
            shares = disks[0].probabilities or {}
            result["prediction"] = [
                {"idx": k, "label": name, "score": round(shares[name], 4)}
                for k, name in enumerate(FINDINGS)
                if name in shares
            ]
        rois = [disk_roi(d) for d in disks if d.disk is not None and d.finding is not None]
        return _json_file(slicer_markups(rois)), result


class LumbarStudy(LumbarInfer):
    """The whole reading of the study that a series belongs to."""

    def __init__(self, reading: LabelReading, studies: Studies) -> None:
        super().__init__(
            reading, studies, InferType.OTHERS, list(FINDINGS), "report.json of the study that the series belongs to"
        )

    def answer(self, path: Path, request: Mapping[str, Any]) -> Answer:
        """``report.json`` as file and under ``report``."""
        document = self.reading.document(self.studies.source(path, request.get("image_id")))
        return _json_file(document), {"report": document}


def disk_roi(reading: DiskReading) -> RoiBox:
    """The box around a disk that was found, named by disk and finding."""
    disk = reading.disk
    assert disk is not None
    front = disk.front_lps_mm - disk.back_lps_mm
    depth = float(np.linalg.norm(front))
    head = disk.normal_lps
    right = np.cross(front / depth, head)
    axes = np.stack([right, np.cross(head, right), head])
    shares = reading.probabilities or {}
    words = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
    size = np.array([_WIDTH_TO_DEPTH * depth, depth, disk.height_mm])
    return RoiBox(f"{reading.level} {reading.finding}", disk.center_lps_mm, size, axes, words)


def _disk_result(reading: DiskReading) -> dict[str, Any]:
    shares = reading.probabilities
    return {
        "level": reading.level,
        "finding": reading.finding,
        "probabilities": None if shares is None else {name: round(share, 4) for name, share in shares.items()},
        "views": list(reading.views),
        "flags": list(reading.flags),
    }


def _finite(value: float) -> float | None:
    """JSON knows no infinity; a margin is infinite where no other names are possible."""
    return round(value, 3) if math.isfinite(value) else None


def _json_file(content: Mapping[str, Any]) -> str:
    file = _temporary(".json")
    Path(file).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return file


def _temporary(ending: str) -> str:
    """A file that MONAI Label deletes once it has been sent or stored."""
    with tempfile.NamedTemporaryFile(suffix=ending, delete=False) as file:
        return file.name


Infers = Callable[[LabelReading, Studies], LumbarInfer]

#: The app's models by name.
INFERS: dict[str, Infers] = {
    "vertebra_detection": VertebraDetection,
    "vertebra_segmentation": VertebraSegmentation,
    "disk_classification": DiskClassification,
    "lumbar_study": LumbarStudy,
}
