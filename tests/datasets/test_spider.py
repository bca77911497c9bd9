import pytest

from bundle.datasets.spider import read_gradings, read_spider
from bundle.study import StudyError

HEADER = (
    "Patient,IVD label,Modic,UP endplate,LOW endplate,"
    "Spondylolisthesis,Disc herniation,Disc narrowing,Disc bulging,Pfirrman grade"
)


def gradings(folder, *rows):
    path = folder / "radiological_gradings.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def test_disks_are_counted_from_l5_s1_upward(tmp_path):
    found = read_gradings(gradings(tmp_path, "7,1,0,0,0,0,0,0,0,2", "7,5,0,0,0,0,0,0,1,3", "7,6,0,0,0,0,1,0,0,3"))
    assert found == {7: {"L5-S1": "normal", "L1-L2": "bulge"}}


@pytest.mark.parametrize(
    ("herniation", "bulging", "finding"), [(0, 0, "normal"), (0, 1, "bulge"), (1, 0, "herniation"), (1, 1, "herniation")]
)
def test_a_herniation_counts_before_a_bulge(tmp_path, herniation, bulging, finding):
    found = read_gradings(gradings(tmp_path, f"1,2,0,0,0,0,{herniation},0,{bulging},3"))
    assert found[1]["L4-L5"] == finding


def test_pictures_are_joined_to_their_patients_gradings(tmp_path):
    gradings(tmp_path, "7,1,0,0,0,0,1,0,0,2")
    (tmp_path / "images").mkdir()
    for name in ("7_t2.png", "7_t2_SPACE.png", "8_t1.png", "notes.png"):
        (tmp_path / "images" / name).touch()
    found = list(read_spider(tmp_path))
    assert [(p.patient, p.contrast, p.findings) for p in found] == [
        (7, "t2", {"L5-S1": "herniation"}),
        (7, "t2_SPACE", {"L5-S1": "herniation"}),
    ]


def test_another_file_is_refused_by_name(tmp_path):
    (tmp_path / "radiological_gradings.csv").write_text("a,b\n1,2\n")
    with pytest.raises(StudyError, match="Disc herniation"):
        read_gradings(tmp_path / "radiological_gradings.csv")
    with pytest.raises(StudyError, match="cannot be read"):
        read_gradings(tmp_path / "none.csv")


def test_the_real_gradings_are_those_that_the_data_set_reports(shared_data):
    found = read_gradings(shared_data / "spider" / "radiological_gradings.csv")
    classes = [finding for disks in found.values() for finding in disks.values()]
    assert len(found) == 218
    assert 60 <= classes.count("herniation") <= 72  # 72 of all 1,520 disks, of which those above L1-L2 are left out
