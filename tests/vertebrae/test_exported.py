import pytest
import torch

from bundle.vertebrae.exported import OUTPUTS, ExportedNetwork, export_onnx, export_torchscript
from bundle.vertebrae.network import LandmarkRetinaNet, ResNetFPN
from bundle.weights import WeightsError, load_weights


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return LandmarkRetinaNet(9, 1, ResNetFPN((1, 1, 1, 1), (8, 8, 16, 16), 8)).eval()


@pytest.fixture(scope="module", params=["torchscript", "onnx"])
def exported(request, network, tmp_path_factory):
    if request.param == "onnx":
        pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
        return export_onnx(network, tmp_path_factory.mktemp("export") / "network.onnx")
    return export_torchscript(network, tmp_path_factory.mktemp("export") / "network.ts")


@pytest.mark.parametrize("shape", [(1, 1, 96, 64), (3, 1, 64, 128)])
def test_exported_network_gives_the_same_maps_for_images_of_any_size_and_number(network, exported, shape):
    images = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = network(images), load_weights(ExportedNetwork(), exported)(images)
    assert list(found) == list(OUTPUTS)
    for key in OUTPUTS:
        for a, b in zip(expected[key], found[key], strict=True):
            assert torch.allclose(a, b, atol=1e-4)


def test_exporting_leaves_the_network_as_it_was(network, exported):
    assert not network.training


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [("a.ts", None, "missing"), ("a.ts", b"x", "not an exported"), ("a.onnx", b"x", "not an exp")],
)
def test_file_that_is_no_network_is_told(tmp_path, name, content, text):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=text):
        ExportedNetwork().load_file(tmp_path / name)
