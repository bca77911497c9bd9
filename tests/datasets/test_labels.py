import json

import pytest

from bundle.datasets.labels import LabelledDisk, LabelledStudy, graver, read_table, write_disk_list
from bundle.study import StudyError


def test_the_gravest_finding_counts():
    assert graver(["normal", "bulge"]) == "bulge"
    assert graver([]) is None


def test_a_datalist_has_an_item_for_each_disk(tmp_path):
    disks = (
        LabelledDisk("L4-L5", "bulge", "1.2.3", (10.0, 20.0), {"pfirrmann": 3}),
        LabelledDisk("L5-S1", None),
    )
    written = write_disk_list(tmp_path / "list.json", [LabelledStudy(tmp_path / "a", "7", disks, "t2")])
    items = json.loads((tmp_path / "list.json").read_text())["training"]
    assert written == len(items) == 2
    assert items[0] == {
        "image": str(tmp_path / "a"), "patient": "7", "contrast": "t2", "level": "L4-L5", "finding": "bulge", "label": 1,
        "point_image": "1.2.3", "point": [10.0, 20.0], "labels": {"pfirrmann": 3},
    }  # fmt: skip
    assert (items[1]["finding"], items[1]["label"], items[1]["point"]) == (None, None, None)


def test_a_table_without_its_columns_is_refused_by_name(tmp_path):
    (tmp_path / "a.csv").write_text("x, y \n1,2\n")
    assert read_table(tmp_path / "a.csv", ["x", "y"]) == [{"x": "1", "y": "2"}]
    with pytest.raises(StudyError, match=r"a\.csv: lacks the columns a, b"):
        read_table(tmp_path / "a.csv", ["a", "b", "x"])
    with pytest.raises(StudyError, match="cannot be read"):
        read_table(tmp_path / "none.csv", [])
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00x")
    with pytest.raises(StudyError, match=r"b\.csv: is no table"):
        read_table(tmp_path / "b.csv", [])
