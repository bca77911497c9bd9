import numpy as np

from bundle.datasets.rois import SavedRois
from scripts.render_rois import main


def test_rendered_rois_are_those_of_the_phantom_with_a_margin(tmp_path, root, monkeypatch, capsys):
    monkeypatch.chdir(root)
    main(str(tmp_path / "phantom.npz"), patients=1, seed=5)
    saved = SavedRois(tmp_path / "phantom.npz")
    assert len(saved) == 5
    assert saved[0]["axial"].shape == saved[0]["sagittal"].shape == (3, 120, 120)  # 96 pixels and a quarter more
    assert {"readers", "rim", "excess", "center", "measures", "flags", "pfirrmann"} <= saved[0].keys()
    assert [saved[k]["level"] for k in range(5)] == [0, 1, 2, 3, 4]
    assert "5 disks of 1 patients" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_rois(tmp_path, root, monkeypatch):
    monkeypatch.chdir(root)
    for name in ("a", "b"):
        main(str(tmp_path / f"{name}.npz"), patients=1, seed=6)
    one, other = SavedRois(tmp_path / "a.npz"), SavedRois(tmp_path / "b.npz")
    assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)
