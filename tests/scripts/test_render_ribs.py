import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from bundle.datasets.rois import SavedRois
from bundle.weights import load_weights
from scripts.render_ribs import main
from tests.command import run_bundle


@pytest.fixture
def stacks(tmp_path, root, monkeypatch) -> list[str]:
    """Files of two patients each, the first of whom is set aside to validate."""
    monkeypatch.chdir(root)
    files = [tmp_path / f"{seed}.npz" for seed in (5, 6)]
    for seed, file in zip((5, 6), files, strict=True):
        main(str(file), patients=2, seed=seed)
    return [str(file) for file in files]


def test_rendered_stacks_have_a_margin_and_say_who_carries_ribs(stacks):
    saved = SavedRois(stacks[0])
    assert len(saved) == 8
    assert saved[0]["image"].shape == (17, 60, 84)  # 48 x 72 and six pixels more to each side
    assert saved[0]["offset_mm"].shape == (17,)
    assert set(saved.arrays["label"]) == {0.0, 1.0}
    assert saved.arrays["image"].dtype == np.uint8


def test_the_rib_reader_is_trained_by_its_config(root, stacks, tmp_path):
    weights = tmp_path / "ribs.pt"
    done = run_bundle(
        root,
        *("--output_dir", str(tmp_path), "--weights", str(weights), "--stacks", str(stacks), "--max_epochs", "3"),
        *("--iterations_per_epoch", "2", "--batch_size", "2", "--validation_stacks", "8", "--num_workers", "0"),
        config="configs/train_ribs.yaml",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "roc_auc" in done.stdout + done.stderr
    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "train_ribs.yaml"))
    network = load_weights(parser.get_parsed_content("network_def"), weights).eval()
    assert torch.isfinite(network(torch.rand(2, 2, 5, 48, 72))).all()
    assert (tmp_path / "train_ribs.yaml").is_file()
