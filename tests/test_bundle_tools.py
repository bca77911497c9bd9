"""MONAI's own bundle tools, offline, and what the configs promise each other."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from monai.bundle import ConfigParser, ckpt_export, verify_metadata, verify_net_in_out

from bundle import __version__
from bundle.geometry import BODY_LEVELS


def schema(root):
    return str(root / "tests" / "data" / "meta_schema_20240725.json")


def metadata_file(root):
    return str(root / "configs" / "metadata.json")


def config(root, name):
    return yaml.safe_load((root / "configs" / name).read_text())


def test_metadata_follows_the_schema(root):
    verify_metadata(meta_file=metadata_file(root), filepath=schema(root))


def test_metadata_that_lacks_a_field_is_refused(root, tmp_path):
    metadata = json.loads(Path(metadata_file(root)).read_text())
    del metadata["task"]
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="task"):
        verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=schema(root))


def test_metadata_has_the_package_version(root):
    metadata = json.loads(Path(metadata_file(root)).read_text())
    assert metadata["version"] == __version__
    assert __version__ in metadata["changelog"]
    assert f"## {__version__}" in (root / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(("net_id", "name"), [("disk_network_def", "inference.yaml"), ("network_def", "train_disks.yaml")])
def test_the_disk_network_takes_and_gives_what_the_metadata_say(root, net_id, name):
    verify_net_in_out(net_id=net_id, meta_file=metadata_file(root), config_file=str(root / "configs" / name), device="cpu")


def test_the_vertebra_network_takes_and_gives_what_the_metadata_say(root):
    data_format = json.loads(Path(metadata_file(root)).read_text())["vertebra_data_format"]
    channels = data_format["outputs"]["pred"]["channel_def"]
    assert tuple(channels[str(k)].split(" ")[0] for k in range(len(channels))) == BODY_LEVELS
    parser = ConfigParser(config(root, "inference.yaml"))
    network = parser.get_parsed_content("vertebra_network_def").eval()
    with torch.no_grad():
        maps = network(torch.zeros(1, data_format["inputs"]["image"]["num_channels"], 64, 96))
    assert [tuple(m.shape) for m in maps["classification"]] == [(1, 9, 8, 12), (1, 9, 4, 6), (1, 9, 2, 3)]
    assert len(maps["classification"][0][0]) == data_format["outputs"]["pred"]["num_channels"]


@pytest.mark.parametrize(
    ("net_id", "weights", "shape"),
    [("disk_network_def", "disks.pt", (2, 6, 96, 96)), ("vertebra_network_def", "vertebrae.pt", (2, 1, 96, 64))],
)
def test_exported_networks_compute_the_same(root, tmp_path, net_id, weights, shape):
    ckpt_export(
        net_id=net_id,
        filepath=str(tmp_path / "net.ts"),
        ckpt_file=str(root / "models" / weights),
        meta_file=metadata_file(root),
        config_file=str(root / "configs" / "inference.yaml"),
    )
    exported = torch.jit.load(str(tmp_path / "net.ts")).eval()
    eager = ConfigParser(config(root, "inference.yaml")).get_parsed_content(net_id)
    eager.load_state_dict(torch.load(root / "models" / weights, weights_only=True))
    picture = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = eager.eval()(picture), exported(picture)
    if isinstance(expected, dict):
        assert set(found) == set(expected)
        pairs = [(a, b) for key in expected for a, b in zip(expected[key], found[key], strict=True)]
    else:
        pairs = [(expected, found)]
    for a, b in pairs:
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_training_and_inference_declare_the_same_networks(root):
    inference = config(root, "inference.yaml")
    vertebrae, disks = config(root, "train_vertebrae.yaml"), config(root, "train_disks.yaml")
    assert inference["vertebra_network_def"] == vertebrae["network_def"]
    assert inference["anchor_generator"] == vertebrae["anchor_generator"]
    assert inference["disk_network_def"] == disks["network_def"]
    ribs = config(root, "train_ribs.yaml")
    assert inference["rib_network_def"] == ribs["network_def"]
    assert inference["rib_reader"]["window"] == ribs["window"]
    assert (inference["roi"]["side_mm"], inference["roi"]["size_px"]) == (disks["side_mm"], disks["size_px"])


def test_the_released_weights_are_small_and_in_half_precision(root):
    files = sorted((root / "models").glob("*.pt"))
    assert {f.name for f in files} == {"disks.pt", "ribs.pt", "vertebrae.pt"}
    assert sum(f.stat().st_size for f in files) < 40e6
    for file in files:
        state = torch.load(file, weights_only=True)
        assert {v.dtype for v in state.values() if v.is_floating_point()} == {torch.float16}


def test_the_model_card_names_the_released_weights(root):
    from bundle.weights import sha256_of

    card = (root / "docs" / "README.md").read_text()
    for name in ("disks.pt", "ribs.pt", "vertebrae.pt"):
        assert sha256_of(root / "models" / name) in card
