from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from bundle.disks.classify import DiskClassifier
from bundle.disks.heat import OcclusionMaps
from bundle.disks.types import DiskReading, DiskRoi
from bundle.geometry import SlicePlane

SIZE = 64


class Spot(torch.nn.Module):
    """Calls a disk a herniation by the brightness of one spot of the axial view."""

    def forward(self, pictures):
        spot = 8 * pictures[:, 0:3, 40:48, 10:18].mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(spot), torch.zeros_like(spot), spot], dim=1)


def roi():
    rng = np.random.default_rng(0)
    plane = SlicePlane(np.zeros(3), [1.0, 0, 0], [0.0, 1, 0], (1.0, 1.0), (SIZE, SIZE))
    pixels = rng.uniform(0, 0.2, (3, SIZE, SIZE)).astype(np.float32)
    pixels[:, 40:48, 10:18] = 1
    return DiskRoi(pixels, plane, ())


@pytest.fixture
def classifier(tmp_path):
    made = DiskClassifier(Spot(), tmp_path / "none.pt", size_px=SIZE)
    made._loaded = True
    return made


def test_the_map_glows_where_the_finding_comes_from_and_nowhere_else(classifier):
    (reading,) = classifier([DiskReading("L4-L5", axial=roi(), sagittal=roi())])
    maps = OcclusionMaps(grid=9, hidden=0.25, batch=10)(classifier, [reading])
    assert reading.finding == "herniation" and set(maps) == {("L4-L5", "axial"), ("L4-L5", "sagittal")}
    axial = maps["L4-L5", "axial"]
    row, column = np.unravel_index(axial.argmax(), axial.shape)
    assert abs(row - 43.5) < 6 and abs(column - 13.5) < 6
    assert axial.shape == (SIZE, SIZE) and 0.3 < axial.max() <= 1 and axial[:16].max() < 0.02 and axial[:, 40:].max() < 0.02
    assert maps["L4-L5", "sagittal"].max() == 0


def test_only_what_was_judged_has_a_map(classifier):
    judged = classifier([DiskReading("L1-L2", sagittal=roi()), DiskReading("L2-L3")])
    assert set(OcclusionMaps(grid=2)(classifier, judged)) == {("L1-L2", "sagittal")}


def test_the_map_follows_the_weights(root):
    """Sanity check (Adebayo et al., NeurIPS 2018): a map that stays as it is under other weights shows the picture only."""
    network = ConfigParser.load_config_file(str(root / "configs" / "inference.yaml"))["disk_network_def"]
    made = [
        DiskClassifier(ConfigParser({"n": network}).get_parsed_content("n"), weights, size_px=SIZE)
        for weights in (root / "models" / "disks.pt", root / "none.pt")
    ]
    made[1].network.eval()
    made[1]._loaded = True  # as it was initialised, at random
    (reading,) = made[0]([DiskReading("L4-L5", sagittal=roi())])
    released, random = (OcclusionMaps(grid=5)(judge, [reading])["L4-L5", "sagittal"] for judge in made)
    assert released.max() > 5 * random.max()


@pytest.mark.parametrize("arguments", [{"grid": 1}, {"hidden": 0}, {"hidden": 1}, {"batch": 0}])
def test_what_makes_no_map_is_refused(arguments):
    with pytest.raises(ValueError, match="a map needs"):
        OcclusionMaps(**arguments)
