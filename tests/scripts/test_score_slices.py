"""Step 2 against the axial points of RSNA 2024."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from bundle.study import StudyError
from scripts.score_slices import Row, figures, judged, main

SERIES = {"02_t2_tse_sag": ("702807833", "Sagittal T2/STIR"), "03_t2_tse_tra": ("2448190387", "Axial T2")}


def table(path: Path, head: str, rows) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head.split(","), *rows])


@pytest.fixture(scope="module")
def published(tmp_path_factory, root):
    """The sample study as RSNA lays out its own, with the true levels of its axial slices as the readers' points."""
    from pydicom import dcmread

    folder = tmp_path_factory.mktemp("rsna")
    truth = json.loads((root / "docs/sample-study/truth.json").read_text())
    level_of = {s["sop_instance_uid"]: s["level"] for s in truth["axial_slices"] if (s["margin_mm"] or 0) > 1.5}
    points = []
    for name, (series, _) in SERIES.items():
        place = folder / "train_images" / "4003253" / series
        place.mkdir(parents=True)
        for file in sorted((root / "docs/sample-study" / name).glob("*.dcm")):
            ds = dcmread(file, stop_before_pixels=True)
            shutil.copy(file, place / f"{ds.InstanceNumber}.dcm")
            level = level_of.get(str(ds.SOPInstanceUID))
            if level is not None:
                for side in ("Left", "Right"):
                    condition = f"{side} Subarticular Stenosis"
                    points.append(["4003253", series, ds.InstanceNumber, condition, level.replace("-", "/"), 120.5, 130.5])
    descriptions = [["4003253", series, description] for series, description in SERIES.values()]
    table(folder / "train_series_descriptions.csv", "study_id,series_id,series_description", descriptions)
    table(folder / "train_label_coordinates.csv", "study_id,series_id,instance_number,condition,level,x,y", points)
    return folder


def test_slices_of_a_study_as_published_are_given_their_true_levels(published, tmp_path, capsys):
    main(str(published), str(tmp_path / "slices.json"))
    found = json.loads((tmp_path / "slices.json").read_text())
    counts = found["figures"]["counts"]
    assert counts["right"] >= 5 and not found["not_right"]
    assert found["figures"]["right"]["of all"] == [1.0, 1.0, 1.0]
    said = capsys.readouterr().out
    assert "annotated slices of 1 studies" in said and "| of all | 100.0 [100.0, 100.0] |" in said


def test_each_slice_is_held_against_the_level_that_it_is_given():
    wanted = [(Path("/s/1/9") / f"{k}.dcm", level) for k, level in ((1, "L3-L4"), (2, "L4-L5"), (3, "L5-S1"), (4, "L5-S1"))]
    given = {Path("/s/1/9/1.dcm"): "L3-L4", Path("/s/1/9/2.dcm"): "L3-L4", Path("/s/1/9/3.dcm"): None}
    assert [row.outcome for row in judged(wanted, lambda source: given)] == ["right", "other", "none", "not read"]


def test_a_study_that_cannot_be_read_counts_against_the_share_of_all():
    def levels_of(source):
        raise StudyError("no")

    rows = [*judged([(Path("/s/1/9/1.dcm"), "L3-L4")], levels_of), Row("2", "L3-L4", "right")]
    found = figures(rows)
    assert found["counts"]["no study"] == 1
    assert found["right"]["of all"][0] == 0.5 and found["right"]["of those read"][0] == 1.0
    assert found["right"]["L5-S1"] is None


def test_the_interval_draws_whole_studies():
    alike = [Row("1", "L3-L4", "right")] * 50 + [Row("2", "L3-L4", "other")] * 50
    assert figures(alike)["right"]["of all"] == (0.5, 0.0, 1.0)


def test_a_folder_that_is_not_as_published_is_told(tmp_path):
    with pytest.raises(SystemExit, match=r"error: .*train_series_descriptions\.csv: cannot be read"):
        main(str(tmp_path))
