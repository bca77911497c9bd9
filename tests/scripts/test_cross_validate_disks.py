"""Every patient is judged by weights that never saw him."""

import numpy as np
import pytest
from monai.bundle import ConfigParser

from bundle.datasets.rois import save_rois
from bundle.disks.outputs import CHANNELS
from bundle.weights import save_weights
from scripts import cross_validate_disks
from scripts.cross_validate_disks import CONFIGS, main


@pytest.fixture
def rois(tmp_path):
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(6), 2)
    return save_rois(
        tmp_path / "rois.npz",
        {
            "sagittal": rng.integers(0, 255, (12, 1, 144, 144)).astype(np.uint8), "label": np.arange(12) % 3,
            "level": np.arange(12) % 5, "patient": patient, "contrast": np.full(12, "t2"),
            "flags": np.zeros((12, 2), dtype=np.float32), "pfirrmann": np.full(12, 3),
        },
    )  # fmt: skip


@pytest.fixture
def trainings(monkeypatch, root):
    """What each fold is trained with; a training is hours, so that here it gives the network as it begins."""
    asked = []

    def begin(config_file, weights, **given):
        asked.append(given | {"weights": weights})
        parser = ConfigParser()
        parser.read_config(config_file)
        save_weights(parser.get_parsed_content("network_def"), weights)

    monkeypatch.setattr(cross_validate_disks, "run_bundle", begin)
    monkeypatch.chdir(root)
    return asked


def test_each_fold_is_trained_without_the_patients_that_it_judges(rois, trainings, tmp_path):
    main(str(tmp_path / "folds"), rois=str(rois), folds=3)
    assert [given["patients"] for given in trainings] == [[3, [1, 2]], [3, [0, 2]], [3, [0, 1]]]
    with np.load(tmp_path / "folds" / "judged.npz") as file:
        assert (file["patient"] % 3).tolist() == [0] * 4 + [1] * 4 + [2] * 4  # each ROI once, fold by fold
        assert file["outputs"].shape == (12, CHANNELS) and np.isfinite(file["outputs"]).all()
        assert file["pfirrmann"].tolist() == [3] * 12


def test_a_fold_that_is_there_is_not_trained_again(rois, trainings, tmp_path):
    main(str(tmp_path / "folds"), rois=str(rois), folds=2)
    main(str(tmp_path / "folds"), rois=str(rois), folds=2)
    assert len(trainings) == 2


def test_several_processes_can_share_the_folds(rois, trainings, tmp_path):
    for only in ([0], [1]):
        main(str(tmp_path / "folds"), rois=str(rois), folds=2, only=only)
        assert not (tmp_path / "folds" / "judged.npz").exists()
    main(str(tmp_path / "folds"), rois=str(rois), folds=2)
    assert [given["patients"] for given in trainings] == [[2, [1]], [2, [0]]]
    assert (tmp_path / "folds" / "judged.npz").is_file()


def test_overrides_reach_the_training_and_none_is_nothing(rois, trainings, tmp_path):
    main(str(tmp_path / "folds"), rois=str(rois), folds=2, max_epochs=8, start_weights=None)
    assert trainings[0]["max_epochs"] == 8 and trainings[0]["start_weights"] == ""
    assert trainings[0]["rois"] == str(rois)


def test_the_configs_of_the_command_are_there(root):
    assert all((root / place).is_file() for place in CONFIGS)
