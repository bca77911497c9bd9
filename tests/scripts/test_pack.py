"""The releases that scripts/pack.py makes, by the rules of the model zoo (ci/verify_bundle.py) and MONAI's own tools."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from monai.bundle import ConfigWorkflow, ckpt_export, load, onnx_export, trt_export, verify_metadata, verify_net_in_out

from bundle import __version__
from bundle.weights import sha256_of
from scripts.pack import main, pack_metadata, reachable
from tests.hosts.volumes import sagittal_nifti

VERTEBRAE, DISKS, WHOLE = "lumbar_vertebra_detection", "lumbar_disk_classification", "lumbar_disk_bundle"
ONE_NETWORK = (VERTEBRAE, DISKS)
#: Input of each pack's network, and the file of its weights in the bundle.
SHAPES = {VERTEBRAE: (2, 1, 96, 64), DISKS: (2, 6, 96, 96)}
WEIGHTS = {VERTEBRAE: "vertebrae.pt", DISKS: "disks.pt"}


@pytest.fixture(scope="module")
def packs(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    main(output_dir=str(folder), bundle_root=str(root))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with one sagittal series."""
    folder = tmp_path_factory.mktemp("data")
    sagittal_nifti(folder / "case.nii.gz")
    return folder


def metadata(folder):
    return json.loads((folder / "configs" / "metadata.json").read_text())


def config(folder, name):
    return str(folder / "configs" / f"{name}.json")


def picture(name):
    return torch.rand(SHAPES[name], generator=torch.Generator().manual_seed(0))


def tensors(output):
    """All maps of a network's output, in order."""
    if isinstance(output, torch.Tensor):
        return [output]
    return [map_ for key in sorted(output) for map_ in output[key]]


def eager(folder):
    """The network of a pack with its weights, by MONAI's own loading."""
    network = load(folder.name, bundle_dir=folder.parent, device="cpu", source="github")
    return network.eval()


@pytest.mark.parametrize("name", ONE_NETWORK)
@pytest.mark.parametrize(
    "file",
    [
        "LICENSE", "docs/README.md", "docs/model_card.md", "models/model.pt", "models/model.ts", "configs/metadata.json",
        "configs/inference.json", "configs/train.json", "configs/evaluate.json", "configs/logging.conf",
        "bundle/__init__.py",
    ],
)  # fmt: skip
def test_a_pack_of_one_network_has_every_file(packs, name, file):
    assert (packs / name / file).is_file()


def test_the_whole_bundle_has_everything_but_tests(packs, root):
    made = packs / WHOLE
    for part in ("LICENSE", "docs/README.md", "configs/inference.yaml", "configs/metadata.json", "bundle/reading.py"):
        assert (made / part).read_bytes() == (root / part).read_bytes()
    assert {f.name for f in (made / "models").iterdir()} == {"vertebrae.pt", "ribs.pt", "disks.pt"}
    assert not (made / "tests").exists()
    assert not [p for p in made.rglob("*") if p.name == "__pycache__"]


@pytest.mark.parametrize("name", [*ONE_NETWORK, WHOLE])
def test_a_zip_holds_the_pack_under_its_name_and_version(packs, name):
    with zipfile.ZipFile(packs / f"{name}_v{__version__}.zip") as archive:
        names = archive.namelist()
    assert {n.split("/")[0] for n in names} == {name}
    assert len(names) == len([p for p in (packs / name).rglob("*") if p.is_file()])


@pytest.mark.parametrize("name", [*ONE_NETWORK, WHOLE])
def test_metadata_follow_the_schema_and_have_their_version_in_the_changelog(packs, name, root):
    verify_metadata(
        meta_file=str(packs / name / "configs" / "metadata.json"),
        filepath=str(root / "tests" / "data" / "meta_schema_20240725.json"),
    )
    found = metadata(packs / name)
    assert found["version"] == __version__ and found["version"] in found["changelog"]
    assert found["name"]


@pytest.mark.parametrize("name", ONE_NETWORK)
@pytest.mark.parametrize(("workflow", "kind"), [("train", "train"), ("inference", "infer")])
def test_a_workflow_has_the_properties_that_monai_asks_for(packs, name, workflow, kind, tmp_path, data):
    made = ConfigWorkflow(
        config_file=config(packs / name, workflow),
        meta_file=str(packs / name / "configs" / "metadata.json"),
        logging_file=False,
        workflow_type=kind,
        bundle_root=str(packs / name),
        output_dir=str(tmp_path),
        dataset_dir=str(data),
    )
    made.initialize()
    assert made.check_properties() == []


def test_the_disk_network_takes_and_gives_what_its_metadata_say(packs):
    # The detector's network gives a dictionary of maps, which verify_net_in_out cannot read; the model zoo leaves its own
    # detection bundle out of this check for that (exclude_verify_shape_list).
    folder = packs / DISKS
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(folder / "configs" / "metadata.json"),
        config_file=config(folder, "inference"),
        device="cpu",
        bundle_root=str(folder),
    )


def test_the_detectors_maps_have_the_channels_that_its_metadata_say(packs):
    data_format = metadata(packs / VERTEBRAE)["network_data_format"]
    with torch.no_grad():
        maps = eager(packs / VERTEBRAE)(picture(VERTEBRAE))
    assert SHAPES[VERTEBRAE][1] == data_format["inputs"]["image"]["num_channels"]
    assert {m.shape[1] for m in maps["classification"]} == {data_format["outputs"]["pred"]["num_channels"]}


@pytest.mark.parametrize("name", ONE_NETWORK)
def test_weights_are_those_of_the_bundle(packs, root, name):
    assert sha256_of(packs / name / "models" / "model.pt") == sha256_of(root / "models" / WEIGHTS[name])
    assert sha256_of(root / "models" / WEIGHTS[name]) in (packs / name / "docs" / "README.md").read_text()


def exported(folder) -> dict[str, str]:
    """What MONAI's exports of a pack's network are all told."""
    return {
        "net_id": "network_def",
        "ckpt_file": str(folder / "models" / "model.pt"),
        "meta_file": str(folder / "configs" / "metadata.json"),
        "config_file": config(folder, "inference"),
        "bundle_root": str(folder),
    }


@pytest.mark.parametrize("name", ONE_NETWORK)
def test_torchscript_computes_what_the_network_computes(packs, name, tmp_path):
    folder = packs / name
    ckpt_export(
        filepath=str(tmp_path / "again.ts"),
        **exported(folder),
    )
    with torch.no_grad():
        expected = tensors(eager(folder)(picture(name)))
        for file in (folder / "models" / "model.ts", tmp_path / "again.ts"):
            found = tensors(torch.jit.load(str(file)).eval()(picture(name)))
            for a, b in zip(expected, found, strict=True):
                torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ONE_NETWORK)
def test_onnx_computes_what_the_network_computes(packs, name, tmp_path):
    folder, file = packs / name, tmp_path / "network.onnx"
    onnx_export(
        filepath=str(file),
        **exported(folder),
        input_shape=SHAPES[name],
        use_trace=True,
    )
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: picture(name).numpy()})
    with torch.no_grad():
        output = eager(folder)(picture(name))
    expected = [output] if isinstance(output, torch.Tensor) else [m for maps in output.values() for m in maps]
    assert len(found) == len(expected)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a.numpy(), b, atol=1e-4, rtol=1e-3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, so TensorRT is asked for")
def test_trt_export_of_the_disk_network_lacks_nothing_but_a_gpu(packs, tmp_path):
    """MONAI parses the configs, builds the network, loads the weights and then asks for a GPU."""
    folder = packs / DISKS
    with pytest.raises(Exception, match="Cannot find any GPU devices"):
        trt_export(
            filepath=str(tmp_path / "trt.ts"),
            **exported(folder),
            precision="fp16",
            dynamic_batchsize=[1, 5, 16],
            use_trace=True,
        )


def test_a_pack_runs_alone_as_its_readme_says(packs, tmp_path, data):
    """Unzipped elsewhere, with nothing of the project on the path."""
    with zipfile.ZipFile(packs / f"{VERTEBRAE}_v{__version__}.zip") as archive:
        archive.extractall(tmp_path)
    run_pack(tmp_path / VERTEBRAE, "--dataset_dir", str(data), "--output_dir", str(tmp_path / "out"))
    names = [roi["name"] for roi in json.loads((tmp_path / "out" / "case.mrk.json").read_text())["markups"]]
    assert [n for n in names if n in ("L1", "L2", "L3", "L4", "L5", "S1")] == ["L1", "L2", "L3", "L4", "L5", "S1"]


def run_pack(folder, *arguments):
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", "configs/inference.json", *arguments]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_nobody_refers_to_is_left_out_of_a_workflow():
    declared = {"run": ["$@a.run()"], "a": {"b": "@c"}, "c": 1, "d": "@c", "imports": []}
    assert list(reachable(declared)) == ["run", "a", "c", "imports"]


def test_a_packs_metadata_keep_its_own_figures_and_its_own_network(root):
    declared = yaml.safe_load((root / "configs" / "packs.yaml").read_text())
    whole = json.loads((root / "configs" / "metadata.json").read_text())
    made = pack_metadata(whole, declared[VERTEBRAE]["metadata"])
    assert made["network_data_format"] == whole["vertebra_data_format"]
    assert "vertebra_data_format" not in made
    assert made["eval_metrics"] and not [name for name in made["eval_metrics"] if "disk" in name]


def test_an_unknown_pack_is_refused_in_one_line(root, tmp_path):
    with pytest.raises(SystemExit, match=r"error: no pack none_such; known are lumbar_disk_bundle, "):
        main(output_dir=str(tmp_path), bundle_root=str(root), only="none_such")
