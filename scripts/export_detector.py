"""Exports the vertebra detector's network as TorchScript and ONNX, and checks both against the network itself.

python -m scripts.export_detector
"""

from __future__ import annotations

from pathlib import Path

import fire
import torch
from monai.bundle import ConfigParser

from bundle.vertebrae.exported import OUTPUTS, ExportedNetwork, export_onnx, export_torchscript
from bundle.weights import load_weights


def main(
    output_dir: str = "models",
    config: str = "configs/inference.yaml",
    weights: str = "models/vertebrae.pt",
    tolerance: float = 1e-4,
) -> None:
    """Write ``vertebrae.ts`` and ``vertebrae.onnx``.

    Args:
        output_dir: folder of the files.
        config: with ``vertebra_network_def``.
        weights: of the network.
        tolerance: largest difference of a map's value that is accepted.
    """
    parser = ConfigParser()
    parser.read_config(config)
    network = load_weights(parser.get_parsed_content("vertebra_network_def"), weights).eval()
    folder = Path(output_dir)
    for path in (export_torchscript(network, folder / "vertebrae.ts"), export_onnx(network, folder / "vertebrae.onnx")):
        difference = largest_difference(network, path)
        print(f"{path}: differs from the network by {difference:.1e} at most")
        if difference > tolerance:
            path.unlink()
            raise SystemExit(f"error: {path} differs by more than {tolerance} and was removed")


def largest_difference(
    network: torch.nn.Module, path: Path, sizes: tuple[tuple[int, int], ...] = ((256, 192), (224, 320))
) -> float:
    """Of all maps, on random images of several sizes."""
    exported = ExportedNetwork().load_file(path)
    worst = 0.0
    with torch.inference_mode():
        for seed, size in enumerate(sizes):
            images = torch.rand((2, 1, *size), generator=torch.Generator().manual_seed(seed))
            expected, found = network(images), exported(images)
            for key in OUTPUTS:
                for a, b in zip(expected[key], found[key], strict=True):
                    worst = max(worst, float((a - b).abs().max()))
    return worst


if __name__ == "__main__":
    fire.Fire(main)
