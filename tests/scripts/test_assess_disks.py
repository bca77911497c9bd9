"""Calibration and figures of out-of-fold judgements whose truth is known."""

import json
from functools import partial

import numpy as np
import pytest

from bundle.datasets.rois import save_rois
from bundle.disks.assess import assess
from bundle.disks.outputs import CHANNELS
from scripts import assess_disks
from scripts.assess_disks import main


def judgements(path, sharpness=3.0, patients=40, contrasts=("t2", "t1")):
    """Disks of ``patients``, the five levels in each contrast; logits that point to the label, right in most cases."""
    rng = np.random.default_rng(0)
    count = patients * 5 * len(contrasts)
    patient, level, contrast = (a.ravel() for a in np.meshgrid(np.arange(patients), np.arange(5), np.arange(len(contrasts))))
    label = (patient + level) % 3
    outputs = np.zeros((count, CHANNELS), dtype=np.float32)
    outputs[np.arange(count), label] = 1
    outputs[:, :3] = sharpness * (outputs[:, :3] + rng.normal(0, 0.7, (count, 3)))
    outputs[:, 3:5] = np.stack([label == 1, label == 2], axis=1) * 6 - 3
    outputs[np.arange(count), 5 + label] = 5
    flags = np.stack([label == 1, label == 2], axis=1).astype(np.float32)
    arrays = {
        "sagittal": np.zeros((count, 1, 1, 1), dtype=np.uint8), "outputs": outputs, "label": label, "level": level,
        "patient": patient, "contrast": np.array(contrasts)[contrast], "flags": flags, "pfirrmann": label + 1,
    }  # fmt: skip
    return str(save_rois(path, arrays))


@pytest.fixture(scope="module", autouse=True)
def few_repeats():
    """Intervals from a few samples: a thousand of every figure take half a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assess_disks, "assess", partial(assess, repeats=20))
        yield


@pytest.fixture(scope="module")
def assessed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("assessed")
    main(judgements(folder / "judged.npz"), str(folder))
    return folder, json.loads((folder / "figures.json").read_text())


def test_one_picture_and_two_together_are_measured(assessed):
    _, found = assessed
    assert set(found["figures"]) == {"t2", "t1 and t2"}
    alone, both = found["figures"]["t2"]["accuracy"][0], found["figures"]["t1 and t2"]["accuracy"][0]
    assert 0.6 < alone < both < 1.0  # their errors are independent, so the mean errs less


def test_every_figure_has_an_interval(assessed):
    _, found = assessed
    for figures in found["figures"].values():
        assert all(low <= high and value >= 0 for value, low, high in figures.values())
    assert {"kappa", "ece", "coverage", "set_size", "pfirrmann_kappa"} <= set(found["figures"]["t2"])
    assert found["figures"]["t2"]["pfirrmann_kappa"][0] == pytest.approx(1.0)


def test_coverage_is_near_the_one_that_was_asked_for(assessed):
    assert assessed[1]["figures"]["t2"]["coverage"][0] == pytest.approx(0.9, abs=0.06)


def test_overconfident_logits_are_cooled(tmp_path):
    temperature = {}
    for sharpness in (3.0, 9.0):
        main(judgements(tmp_path / "judged.npz", sharpness), str(tmp_path))
        temperature[sharpness] = json.loads((tmp_path / "figures.json").read_text())["release"]["temperature"]
    assert temperature[9.0] == pytest.approx(3 * temperature[3.0], rel=0.05)


def test_a_released_temperature_can_be_given_and_the_sets_threshold_goes_with_it(tmp_path, assessed):
    main(judgements(tmp_path / "judged.npz"), str(tmp_path), temperature=2.0)
    fitted, given = (json.loads((folder / "figures.json").read_text())["release"] for folder in (assessed[0], tmp_path))
    assert given["temperature"] == 2.0 and given["fitted_temperature"] == fitted["temperature"]
    assert given["set_threshold"] != fitted["set_threshold"] and given["ece"] > fitted["ece"]


def test_table_and_pictures_are_written(assessed):
    folder, found = assessed
    table = (folder / "figures.md").read_text()
    assert "| cases | 200 disks of 40 patients | 200 disks of 40 patients |" in table
    counts = [[int(n) for n in line.split("|")[2:5]] for line in table.split("t2: reader")[1].splitlines()[2:5]]
    assert np.sum(counts) == 200 and np.trace(counts) == pytest.approx(200 * found["figures"]["t2"]["accuracy"][0])
    assert {p.name for p in folder.glob("*.png")} == {"t2.png", "t1-and-t2.png"}


def test_a_set_of_one_contrast_has_no_figures_of_two(tmp_path):
    main(judgements(tmp_path / "judged.npz", patients=12, contrasts=("t2",)), str(tmp_path))
    assert set(json.loads((tmp_path / "figures.json").read_text())["figures"]) == {"t2"}
