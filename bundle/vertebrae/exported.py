"""The detector's network from an exported file, TorchScript or ONNX, in place of the one in Python."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bundle.weights import WeightsError
from bundle.whole_file import whole_file

#: Of the network's output, in the order in which an exported file gives its maps; see LandmarkRetinaNet.
OUTPUTS = ("classification", "box_regression", "landmark_regression", "transition")


class ExportedNetwork(nn.Module):
    """Gives the maps of a LandmarkRetinaNet that was exported by export_torchscript (``.ts``) or export_onnx (``.onnx``).

    Serves where the Python network does: in a BodyDetector, whose weights are then the exported file itself.

    Args:
        num_classes: names of bodies.
        num_anchors: anchors at each place.
        size_divisible: images' sides must be multiples of it.
        threads: of ONNX Runtime; 0 for as many as there are cores.
    """

    spatial_dims = 2

    def __init__(self, num_classes: int = 9, num_anchors: int = 1, size_divisible: int = 32, threads: int = 0) -> None:
        super().__init__()
        self.num_classes, self.num_anchors, self.size_divisible = int(num_classes), int(num_anchors), int(size_divisible)
        self.cls_key, self.box_reg_key, self.landmark_key, self.transition_key = OUTPUTS
        self.threads = int(threads)
        self._run: Any = None

    def load_file(self, path: str | Path) -> ExportedNetwork:
        """Take the maps from this file from now on.

        Raises:
            WeightsError: the file is missing or is no exported network.
        """
        path = Path(path)
        if not path.is_file():
            raise WeightsError(f"exported network {path} is missing: make it with python -m scripts.export_detector")
        try:
            self._run = _onnx(path, self.threads) if path.suffix == ".onnx" else torch.jit.load(str(path)).eval()
        except Exception as error:  # each runtime has errors of its own
            raise WeightsError(f"{path}: not an exported network ({type(error).__name__})") from error
        return self

    def forward(self, images: Tensor) -> dict[str, list[Tensor]]:
        """Maps of images (B, 1, H, W), as LandmarkRetinaNet gives them."""
        maps: dict[str, list[Tensor]] = self._run(images)
        return maps


def _onnx(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=onnxruntime.get_available_providers())
    name = session.get_inputs()[0].name
    levels = len(session.get_outputs()) // len(OUTPUTS)

    def run(images: Tensor) -> dict[str, list[Tensor]]:
        maps = [torch.from_numpy(m) for m in session.run(None, {name: np.ascontiguousarray(images.cpu().numpy())})]
        return {key: maps[k * levels : (k + 1) * levels] for k, key in enumerate(OUTPUTS)}

    return run


class _Flat(nn.Module):
    """The maps as one tuple: ONNX knows no dictionary."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        maps = self.network(images)
        return tuple(m for key in OUTPUTS for m in maps[key])


def export_torchscript(network: nn.Module, path: str | Path) -> Path:
    """Write a LandmarkRetinaNet as TorchScript; the file is whole or not there."""
    with whole_file(path) as part:
        torch.jit.save(torch.jit.script(network.eval()), str(part))
    return Path(path)


def export_onnx(network: nn.Module, path: str | Path, size_px: int = 256) -> Path:
    """Write a LandmarkRetinaNet as ONNX, for any number of images of any size; the file is whole or not there.

    Args:
        network: in evaluation mode afterwards.
        path: of the file.
        size_px: side of the image that it is traced with.
    """
    levels = len(network(torch.zeros(1, 1, 64, 64))[OUTPUTS[0]])
    names = [f"{key}_{level}" for key in OUTPUTS for level in range(levels)]
    axes = {0: "batch", 2: "rows", 3: "columns"}
    with whole_file(path) as part, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own deprecation, and of shapes that it takes for constants
        torch.onnx.export(
            _Flat(network).eval(),  # the exporter puts back the mode that it found
            (torch.zeros(2, 1, size_px, size_px),),
            str(part),
            input_names=["images"],
            output_names=names,
            dynamic_axes={"images": axes, **{name: {0: "batch", 2: f"rows_{name}", 3: f"columns_{name}"} for name in names}},
            dynamo=False,
        )
    return Path(path)
