import json

import pytest

from bundle.datasets.tianchi import finding_of, read_tianchi
from bundle.study import StudyError
from tests.study.dicoms import SAGITTAL, planes, write


def point(identification, x, y, **tag):
    return {"coord": [x, y], "tag": {"identification": identification, **tag}, "zIndex": 5}


@pytest.fixture
def published(tmp_path):
    """One study on disk, and the annotations of two."""
    paths = write(tmp_path / "train" / "study201", planes(SAGITTAL, 2))
    from pydicom import dcmread

    uid = str(dcmread(paths[0]).StudyInstanceUID)
    points = [
        point("L5", 250, 300, vertebra="v2"),
        point("T12-L1", 240, 100, disc="v1"),
        point("L1-L2", 241, 140, disc="v1,v5"),
        point("L4-L5", 252, 270, disc="v2,v3"),
        point("L5-S1", 262, 320, disc="v4"),
        point("L3-L4", 250, 230, disc=""),
        point("L2-L3", 245, 180, disc="v5"),
    ]
    data = [{"seriesUid": "1.2", "instanceUid": "1.2.3", "annotation": [{"annotator": 72, "data": {"point": points}}]}]
    entries = [{"studyUid": uid, "version": "v0.1", "data": data}, {"studyUid": "9.9", "version": "v0.1", "data": data}]
    (tmp_path / "annotation.json").write_text(json.dumps(entries))
    return tmp_path, uid


@pytest.mark.parametrize(
    ("disc", "finding"),
    [("v1", "normal"), ("v2", "bulge"), ("v3", "herniation"), ("v4", "herniation"), ("v5", None), ("", None),
     ("v1,v5", "normal"), ("v2,v3", "herniation"), (" v2 , v1", "bulge"), ("v2，v5", "bulge")],
)  # fmt: skip
def test_codes_become_the_gravest_class(disc, finding):
    assert finding_of(disc) == finding


def test_studies_are_found_by_their_uid_whatever_their_folder_is_called(published):
    folder, uid = published
    (study,) = read_tianchi(folder / "train", folder / "annotation.json")
    assert study.source == folder / "train" / "study201" and study.patient == uid
    assert [(d.level, d.finding) for d in study.disks] == [
        ("L1-L2", "normal"), ("L2-L3", None), ("L3-L4", None), ("L4-L5", "herniation"), ("L5-S1", "herniation"),
    ]  # fmt: skip
    assert study.disks[3].point_px == (252.0, 270.0) and study.disks[3].image == "1.2.3"
    assert study.disks[0].labels == {"disc": "v1,v5", "schmorl": 1}


def test_what_is_not_as_published_is_told(published):
    folder, uid = published
    for text, message in (("[", "is no JSON"), (json.dumps([{"studyUid": uid}]), "not as published")):
        (folder / "annotation.json").write_text(text)
        with pytest.raises(StudyError, match=message):
            list(read_tianchi(folder / "train", folder / "annotation.json"))
    with pytest.raises(StudyError, match="cannot be read"):
        list(read_tianchi(folder, folder / "none.json"))
    (folder / "annotation.json").write_text("[]")
    with pytest.raises(StudyError, match="is no folder"):
        list(read_tianchi(folder / "none", folder / "annotation.json"))
