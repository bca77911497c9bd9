import pytest

from bundle.datasets.rsna import axial_rows, disk_level_of, read_points, read_rsna
from bundle.study import StudyError


@pytest.fixture
def folder(tmp_path):
    """Two studies as published: one with points on its sagittal and axial T2, one without any."""
    (tmp_path / "train_series_descriptions.csv").write_text(
        "study_id,series_id,series_description\n"
        "4003253,702807833,Sagittal T2/STIR\n4003253,1054713880,Sagittal T1\n"
        "4003253,2448190387,Axial T2\n4646740,3,Axial T2\n"
    )
    (tmp_path / "train_label_coordinates.csv").write_text(
        "study_id,series_id,instance_number,condition,level,x,y\n"
        "4003253,702807833,8,Spinal Canal Stenosis,L1/L2,322.831858407,227.964601769\n"
        "4003253,702807833,8,Spinal Canal Stenosis,L5/S1,335.2,458.9\n"
        "4003253,1054713880,4,Right Neural Foraminal Narrowing,L4/L5,187.9,251.8\n"
        "4003253,2448190387,3,Left Subarticular Stenosis,L1/L2,179.1,161.2\n"
        "4003253,2448190387,3,Right Subarticular Stenosis,L1/L2,145.2,158.6\n"
        "4003253,2448190387,11,Left Subarticular Stenosis,L2/L3,180.9,168.4\n"
    )
    (tmp_path / "train.csv").write_text(
        "study_id,spinal_canal_stenosis_l1_l2,spinal_canal_stenosis_l5_s1,left_neural_foraminal_narrowing_l5_s1\n"
        "4003253,Normal/Mild,Severe,Moderate\n4646740,Normal/Mild,,Normal/Mild\n"
    )
    return tmp_path


def test_levels_are_read_as_the_set_writes_them():
    assert [disk_level_of(t) for t in ("L1/L2", "spinal_canal_stenosis_l5_s1", "T12/L1", "middle")] == [
        "L1-L2",
        "L5-S1",
        None,
        None,
    ]


def test_points_name_their_image_and_series(folder):
    points = read_points(folder)
    assert len(points) == 6
    assert points[0].series == "sagittal T2" and points[0].point_px == (322.831858407, 227.964601769)
    assert points[0].image == folder / "train_images" / "4003253" / "702807833" / "8.dcm"


def test_axial_rows_say_each_slices_level_once(folder):
    place = folder / "train_images" / "4003253" / "2448190387"
    assert list(axial_rows(folder)) == [(place / "11.dcm", "L2-L3"), (place / "3.dcm", "L1-L2")]


def test_a_study_has_five_disks_with_severities_and_points_but_no_class(folder):
    first, second = read_rsna(folder)
    assert first.source == folder / "train_images" / "4003253" and first.patient == "4003253"
    assert [d.level for d in first.disks] == ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
    assert {d.finding for d in first.disks} == {None}
    lowest = first.disks[-1]
    assert lowest.labels == {"spinal_canal_stenosis": "Severe", "left_neural_foraminal_narrowing": "Moderate"}
    assert lowest.point_px == (335.2, 458.9) and lowest.image.endswith("8.dcm")
    assert first.disks[1].point_px is None
    assert second.disks[-1].labels == {"left_neural_foraminal_narrowing": "Normal/Mild"}  # an empty grade is left out


def test_what_is_not_as_published_is_told(folder):
    table = folder / "train_label_coordinates.csv"
    table.write_text(table.read_text() + "4003253,2448190387,11,Left Subarticular Stenosis,L2/L3,,\n")
    with pytest.raises(StudyError, match="line 8 has no numbers"):
        read_points(folder)
    table.unlink()
    with pytest.raises(StudyError, match=r"train_label_coordinates\.csv: cannot be read"):
        read_points(folder)
