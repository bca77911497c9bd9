import numpy as np
import pytest
from PIL import Image

from bundle.datasets.lumbar_t1 import body_corners, read_lumbar_t1
from bundle.study import StudyError


def write(folder, name, numbers):
    """A picture, and square outlines from the top down with the given numbers."""
    for part in ("images", "labels"):
        (folder / part).mkdir(exist_ok=True)
    Image.fromarray(np.zeros((20, 10), dtype=np.uint8)).save(folder / "images" / f"{name}.png")
    lines = []
    for place, number in enumerate(numbers):
        y = 0.1 + 0.12 * place
        lines.append(f"{number} 0.4 {y} 0.6 {y} 0.6 {y + 0.08} 0.4 {y + 0.08}")
    (folder / "labels" / f"{name}.txt").write_text("\n".join(lines[::-1]) + "\n")  # the order of lines does not count


def test_outlines_are_named_and_the_patient_is_told(tmp_path):
    write(tmp_path, "T1_0026_S8_x", [0, 1, 2, 3, 4, 5])
    (image,) = read_lumbar_t1(tmp_path)
    assert (image.patient, image.note) == (26, "")
    assert set(image.outlines) == {"L1", "L2", "L3", "L4", "L5", "S1"}
    np.testing.assert_allclose(image.outlines["L2"][0], [0.4, 0.22])


def test_six_bodies_with_a_name_twice_are_renamed_from_the_top_down(tmp_path):
    write(tmp_path, "T1_0099_S8_x", [0, 1, 1, 3, 4, 5])
    (image,) = read_lumbar_t1(tmp_path)
    assert image.note
    np.testing.assert_allclose(image.outlines["L3"][0], [0.4, 0.34])


def test_five_bodies_in_a_row_keep_their_names(tmp_path):
    write(tmp_path, "T1_0230_S5_x", [1, 2, 3, 4, 5])
    (image,) = read_lumbar_t1(tmp_path)
    assert set(image.outlines) == {"L2", "L3", "L4", "L5", "S1"}


@pytest.mark.parametrize("numbers", [[0], [0, 1, 1, 3, 4], [0, 1, 3, 4, 5], [3, 4, 5, 6]])
def test_names_that_make_no_column_are_left_out(tmp_path, numbers):
    write(tmp_path, "T1_0532_S8_x", numbers)
    assert list(read_lumbar_t1(tmp_path)) == []


def test_a_line_that_is_no_polygon_is_refused_by_name(tmp_path):
    write(tmp_path, "T1_0001_S8_x", [0, 1, 2, 3])
    (tmp_path / "labels" / "T1_0001_S8_x.txt").write_text("0 0.1 oops\n")
    with pytest.raises(StudyError, match=r"T1_0001_S8_x\.txt"):
        list(read_lumbar_t1(tmp_path))


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(StudyError, match="images"):
        list(read_lumbar_t1(tmp_path))


def test_the_real_set_is_read(shared_data):
    images = list(read_lumbar_t1(shared_data / "lumbar-t1"))
    assert len(images) == 153  # of 156 one has a single outline, and two skip L5
    assert sum(bool(image.note) for image in images) == 3
    assert len({image.patient for image in images}) == 153


@pytest.mark.parametrize("turn_deg", [0.0, 20.0, -35.0])
def test_corners_of_an_outline_follow_the_column(turn_deg):
    turn = np.radians(turn_deg)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    square = np.array([[-17.0, -13], [0, -12], [17, -13], [16, 0], [17, 13], [0, 12], [-17, 13]])
    outlines = {level: (square + np.array([0, 36 * k])) @ rotation.T + 200 for k, level in enumerate(("L3", "L4", "L5"))}
    corners = body_corners(outlines)
    for k, level in enumerate(outlines):
        expected = (square[[0, 2, 4, 6]] + [0, 36 * k]) @ rotation.T + 200
        assert corners[level] == pytest.approx(expected)
