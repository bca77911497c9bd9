"""Step 1 for hosts that hand over a volume: a MetaTensor in, named boxes in patient space out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from torch import Tensor, nn

from bundle.geometry import BODY_LEVELS
from bundle.study.plain import series_of_volume
from bundle.vertebrae.finder import VertebraFinder
from bundle.vertebrae.markups import RoiBox, body_boxes, slicer_markups
from bundle.whole_file import whole_file


class VolumeDetector:
    """The finder behind the interface of MONAI's detectors, for hosts that know nothing of studies.

    A host sets ``network``, calls ``eval()`` and then the detector with a batch of volumes.

    Args:
        finder: finds and names the bodies of a sagittal series. Its weights are those of ``network``.
    """

    def __init__(self, finder: VertebraFinder) -> None:
        self.finder = finder

    @property
    def network(self) -> nn.Module:
        """The network that looks at slices."""
        network: nn.Module = self.finder.detector.network
        return network

    @network.setter
    def network(self, network: nn.Module) -> None:
        self.finder.detector.network = network
        self.finder.device = next(network.parameters()).device

    def train(self, mode: bool = True) -> VolumeDetector:
        """As in torch: a volume is only ever looked at in evaluation mode."""
        if mode:
            raise ValueError("a volume cannot be trained on; train with slices (configs/train_vertebrae.yaml)")
        return self

    def eval(self) -> VolumeDetector:
        """As in torch."""
        return self.train(False)

    def __call__(
        self, volumes: Sequence[Tensor] | Tensor, targets: Any = None, use_inferer: bool = True
    ) -> list[dict[str, Any]]:
        """For each volume ``box`` (N, 6), ``label`` (N,), ``label_scores`` (N,) and ``rois`` (RoiBox of each).

        Boxes are centre and sides along x, y and z in LPS millimetres (MONAI's ``cccwhd``), from the head down; labels
        are indices into BODY_LEVELS.

        Args:
            volumes: (1, I, J, K) MetaTensors of sagittal series, affine RAS, or a batch of one of them.
            targets: none: there is no training on volumes.
            use_inferer: of MONAI's interface; unused.

        Raises:
            StudyError: a tensor is no volume.
        """
        return [self._bodies(volume) for volume in volumes]

    def _bodies(self, volume: Tensor) -> dict[str, Any]:
        if not isinstance(volume, MetaTensor):
            raise ValueError("a volume without an affine has no place in the patient; load it as a MetaTensor")
        affine = np.asarray(volume.affine, dtype=np.float64).reshape(-1, 4, 4)[0]
        series = series_of_volume(volume.as_tensor()[0].cpu().numpy(), affine, "volume")
        column = self.finder.find(series)
        rois = body_boxes(column.vertebrae, series)
        boxes = np.array([roi.aligned_cccwhd() for roi in rois], dtype=np.float32).reshape(-1, 6)
        return {
            "box": torch.from_numpy(boxes),
            "label": torch.tensor([BODY_LEVELS.index(v.level) for v in column.vertebrae], dtype=torch.int64),
            "label_scores": torch.tensor([v.score for v in column.vertebrae], dtype=torch.float32),
            "rois": rois,
        }


def prepare_volumes(
    batch: Sequence[Mapping[str, Any]], device: str | torch.device | None = None, non_blocking: bool = False, **kwargs: Any
) -> tuple[list[Tensor], None]:
    """(volumes, None) of a list of items (``no_collation``) with ``image``, as the engines take them."""
    return [item["image"].to(device, non_blocking=non_blocking) for item in batch], None


class MarkupsSaver:
    """Ignite handler that writes the boxes of each volume as 3D Slicer's ROI markups, ``<name>.mrk.json``.

    Args:
        output_dir: is made if it is not there.
    """

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(output_dir)

    def attach(self, engine: Engine) -> None:
        """Write after each batch."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the boxes of the batch."""
        output: Any = engine.state.output
        for volume, found in zip(output["image"], output["pred"], strict=True):
            rois: list[RoiBox] = found["rois"]
            name = Path(volume.meta["filename_or_obj"]).name.split(".nii")[0]
            with whole_file(self.output_dir / f"{name}.mrk.json") as part:
                part.write_text(json.dumps(slicer_markups(rois), indent=1) + "\n")
