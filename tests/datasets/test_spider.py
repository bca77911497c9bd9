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
    assert {level: disk.finding for level, disk in found[7].items()} == {"L5-S1": "normal", "L1-L2": "bulge"}


@pytest.mark.parametrize(
    ("herniation", "bulging", "finding"), [(0, 0, "normal"), (0, 1, "bulge"), (1, 0, "herniation"), (1, 1, "herniation")]
)
def test_a_herniation_counts_before_a_bulge_and_both_flags_are_kept(tmp_path, herniation, bulging, finding):
    disk = read_gradings(gradings(tmp_path, f"1,2,0,0,0,0,{herniation},1,{bulging},3"))[1]["L4-L5"]
    assert disk.finding == finding
    assert disk.labels == {"bulging": bulging, "herniation": herniation, "narrowing": 1, "pfirrmann": 3}


def test_pictures_and_volumes_are_joined_to_their_patients_gradings(tmp_path):
    gradings(tmp_path, "7,1,0,0,0,0,1,0,0,2", "7,2,0,0,0,0,0,0,0,2")
    (tmp_path / "images").mkdir()
    for name in ("7_t2.mha", "7_t2_SPACE.png", "8_t1.png", "notes.png", "7_t1.txt"):
        (tmp_path / "images" / name).touch()
    found = list(read_spider(tmp_path))
    assert [(s.source.name, s.patient, s.contrast) for s in found] == [
        ("7_t2.mha", "7", "t2"),
        ("7_t2_SPACE.png", "7", "t2_SPACE"),
    ]
    assert [(d.level, d.finding) for d in found[0].disks] == [("L4-L5", "normal"), ("L5-S1", "herniation")]


def test_another_file_is_refused_by_name(tmp_path):
    (tmp_path / "radiological_gradings.csv").write_text("a,b\n1,2\n")
    with pytest.raises(StudyError, match="Disc herniation"):
        read_gradings(tmp_path / "radiological_gradings.csv")
    with pytest.raises(StudyError, match="cannot be read"):
        read_gradings(tmp_path / "none.csv")
    with pytest.raises(StudyError, match="line 2"):
        read_gradings(gradings(tmp_path, "7,1,0,0,0,0,?,0,0,2"))


def test_the_real_gradings_are_those_that_the_data_set_reports(shared_data):
    found = read_gradings(shared_data / "spider" / "radiological_gradings.csv")
    classes = [disk.finding for disks in found.values() for disk in disks.values()]
    assert len(found) == 218
    assert 60 <= classes.count("herniation") <= 72  # 72 of all 1,520 disks, of which those above L1-L2 are left out
