"""Training of both networks from the labels in the datastore, by the bundle's own training configs."""

from __future__ import annotations

import json
import logging
import shutil
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigWorkflow
from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from monailabel.interfaces.tasks.train import TrainTask
from PIL import Image
from pydicom import dcmread

from bundle.datasets.slices import write_datalist
from bundle.disks.disk_file import ENDING, save_disk
from bundle.geometry import BODY_LEVELS, DISK_LEVELS, FINDINGS
from bundle.geometry.resample import resample_plane
from bundle.study import StudyError
from bundle.vertebrae.view import sagittal_view
from bundle.whole_file import whole_file
from scripts.label.labels import Box, Label, middle_images, read_label
from scripts.label.reading import WEIGHTS, LabelReading
from scripts.label.studies import Studies, Volume, image_id_of, load_sagittal

_log = logging.getLogger(__name__)

#: Longer side of the pictures that the detector is trained on, as large as it may be magnified.
_PICTURE_PX = 384
_SLICES = 5  # of a series, around the middle


class LumbarTrain(TrainTask):
    """What both trainings share.

    A request may change what ``config`` lists; ``max_epochs`` and the like are those of the training config.

    Args:
        reading: the bundle's steps, whose weights the training begins with and replaces.
        studies: finds an image's study.
        name: of the task.
        key: of its weights in configs/inference.yaml.
        configs: laid over one another.
        description: of the task.
    """

    #: What a request may change.
    SETTINGS: Mapping[str, Any] = {
        "max_epochs": 3, "iterations_per_epoch": 60, "batch_size": 8, "learning_rate": 0.0003, "real_share": 0.5,
        "num_workers": 0,
    }  # fmt: skip

    def __init__(
        self, reading: LabelReading, studies: Studies, name: str, key: str, configs: tuple[str, ...], description: str
    ) -> None:
        super().__init__(description)
        self.reading = reading
        self.studies = studies
        self.name = name
        self.key = key
        self.configs = configs

    def config(self) -> dict[str, Any]:
        """What a client may change."""
        return dict(self.SETTINGS)

    @property
    def stats_file(self) -> Path:
        """Where the last training's figures are: training runs in a process of its own."""
        return self.reading.model_dir / f"{self.name}.json"

    def stats(self) -> dict[str, Any]:
        """Figures of the last training: see __call__."""
        if not self.stats_file.is_file():
            return {}
        figures: dict[str, Any] = json.loads(self.stats_file.read_text(encoding="utf-8"))
        return figures

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train, and put the weights in use.

        Returns:
            ``labels`` and ``items`` that were used, ``held_out`` whether others than those trained on were validated, and
            the validation's figures ``before`` and ``after``.

        Raises:
            MONAILabelException: there is no label to train on.
        """
        folder = self.reading.model_dir / f"{self.name}_data"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        labelled = list(self._labelled(datastore))
        numbers: dict[str, int] = {}  # a patient's series are held out together
        items = []
        for number, (path, volume, label) in enumerate(labelled):
            patient = numbers.setdefault(self.studies.patient(image_id_of(path)), len(numbers))
            items += [{**item, "patient": patient} for item in self.items(folder, number, path, volume, label)]
        if not items:
            raise MONAILabelException(MONAILabelError.APP_TRAIN_FAILED, f"{self.name}: no label to train on")
        datalist = write_datalist(folder / "datalist.json", items)
        patients = {item["patient"] for item in items}
        # Every fifth patient is held out; with fewer than two the figures are those of what was trained on, and say so.
        held_out = len({p % 5 for p in patients}) > 1 and any(p % 5 == 0 for p in patients)
        overrides = {k: request[k] for k in self.SETTINGS if k in request}
        if not held_out:
            overrides |= {"patients": None, "held_out": None}
        trained = folder / "weights.pt"
        before, after = self._run({**overrides, "datalist": str(datalist), "weights": str(trained)})
        self._publish(trained)
        figures = {
            "labels": len(labelled), "items": len(items), "held_out": held_out, "before": before, "after": after
        }  # fmt: skip
        with whole_file(self.stats_file) as part:
            part.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        _log.info("%s: %s", self.name, figures)
        return figures

    def _run(self, overrides: dict[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
        root = self.reading.bundle_root
        workflow = ConfigWorkflow(
            config_file=[str(root / "configs" / name) for name in self.configs],
            meta_file=str(root / "configs" / "metadata.json"),
            logging_file=False,
            workflow_type="train",
            bundle_root=str(root),
            start_weights=str(self.reading.weights(self.key)),
            output_dir=str(self.reading.model_dir / f"{self.name}_run"),
            **overrides,
        )
        workflow.initialize()
        evaluator = workflow.parser.get_parsed_content("validate#evaluator")
        evaluator.run()
        before = _figures(evaluator.state.metrics)
        workflow.run()
        workflow.finalize()
        evaluator.run()
        return before, _figures(evaluator.state.metrics)

    def _publish(self, trained: Path) -> None:
        target = self.reading.model_dir / WEIGHTS[self.key]
        if target.is_file():
            shutil.copyfile(target, target.with_name(f"{target.stem}.previous{target.suffix}"))
        with whole_file(target) as part:
            shutil.copyfile(trained, part)

    def _labelled(self, datastore: Datastore) -> Iterator[tuple[Path, Volume, Label]]:
        """Path, volume and label of each sagittal series that a person has labelled; one that cannot be read is left out."""
        for entry in datastore.datalist():
            path, label = Path(entry["image"]), Path(entry["label"])
            info = datastore.get_label_info(image_id_of(path), DefaultLabelTag.FINAL)
            try:
                volume = load_sagittal(path)
                yield path, volume, read_label(label, volume, info, _segments(label, info))
            except StudyError as error:
                _log.warning("label left out: %s", error)

    @abstractmethod
    def items(self, folder: Path, number: int, path: Path, volume: Volume, label: Label) -> Iterator[dict[str, Any]]:
        """Entries of the datalist for one labelled series but for the patient, their files written into ``folder``."""


def _segments(label: Path, info: Mapping[str, Any]) -> dict[int, str] | None:
    """Value -> body of a label map that MONAI Label made of a DICOM SEG, which numbers its segments from 1 in any order.

    Such a map is a ``.nrrd``; one that was saved through MONAI Label stays as it was sent.
    """
    if label.suffix != ".nrrd":
        return None
    for file in sorted((label.parent / str(info.get("SeriesInstanceUID", ""))).glob("*")):
        if file.is_file() and file.parent != label.parent:
            segments = dcmread(file, stop_before_pixels=True).get("SegmentSequence") or []
            return {int(s.SegmentNumber): str(s.SegmentLabel) for s in segments}
    return None


def _figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers among an engine's metrics, which also has them gathered under one name."""
    return {name: round(value, 4) for name, value in metrics.items() if isinstance(value, float) and np.isfinite(value)}


class VertebraTrain(LumbarTrain):
    """Trains the detector on the sagittal slices of labelled series."""

    def __init__(self, reading: LabelReading, studies: Studies) -> None:
        configs = ("train_vertebrae.yaml", "train_vertebrae_labels.yaml")
        super().__init__(
            reading, studies, "vertebra_detection", "vertebra_weights", configs, "Vertebra detector, from labelled bodies"
        )

    def items(self, folder: Path, number: int, path: Path, volume: Volume, label: Label) -> Iterator[dict[str, Any]]:
        """A picture for each of the middle slices, with its boxes; corners are not known."""
        for image in middle_images(label, volume, _SLICES):
            plane = image.plane
            assert plane is not None
            view = sagittal_view(plane, _PICTURE_PX)
            pixels = resample_plane(image.load_pixels(), plane, view)
            low, high = np.percentile(pixels, [0.5, 99.5])
            grey = np.clip((pixels - low) / max(float(high - low), 1e-6) * 255, 0, 255).astype(np.uint8)
            file = folder / f"{number:04d}-{image.sop_instance_uid.rpartition('#')[2]}.png"
            Image.fromarray(grey).save(file)
            boxes = {level: box for level, box in label.boxes[image.sop_instance_uid].items() if level in BODY_LEVELS}
            yield {
                "image": str(file),
                "boxes": [_moved(box, plane, view) for box in boxes.values()],
                "labels": list(boxes),
                "corners": [None] * len(boxes),
            }


def _moved(box: Box, plane: Any, view: Any) -> list[float]:
    ends = view.to_pixel(plane.to_patient(np.reshape(box, (2, 2))))
    return np.round(np.concatenate([ends.min(0), ends.max(0)]), 2).tolist()


class DiskTrain(LumbarTrain):
    """Trains the classifier on the disks of labelled studies, located by the bundle's own steps."""

    SETTINGS: Mapping[str, Any] = {**LumbarTrain.SETTINGS, "batch_size": 10, "learning_rate": 0.0002}

    def __init__(self, reading: LabelReading, studies: Studies) -> None:
        configs = ("train_disks.yaml", "train_disks_labels.yaml")
        super().__init__(
            reading, studies, "disk_classification", "disk_weights", configs, "Disk classifier, from disks with findings"
        )

    def items(self, folder: Path, number: int, path: Path, volume: Volume, label: Label) -> Iterator[dict[str, Any]]:
        """A file for each disk that has a finding and a view."""
        if not label.findings:
            return
        for disk in self.reading.study(self.studies.source(path)).located:
            if disk.level in label.findings and (disk.axial is not None or disk.sagittal is not None):
                yield {
                    "image": str(save_disk(folder / f"{number:04d}-{disk.level}{ENDING}", disk)),
                    "label": FINDINGS.index(label.findings[disk.level]),
                    "level": DISK_LEVELS.index(disk.level),
                }


#: The app's trainings, by the model that they train.
TRAINERS: dict[str, Callable[[LabelReading, Studies], LumbarTrain]] = {
    "vertebra_detection": VertebraTrain,
    "disk_classification": DiskTrain,
}
