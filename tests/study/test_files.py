import zipfile

import pytest

from bundle.study import StudyError, find_studies
from bundle.study.files import files_of


def test_a_folder_is_one_study_named_after_it(tmp_path):
    (tmp_path / "a-study").mkdir()
    assert find_studies(tmp_path / "a-study") == {"a-study": tmp_path / "a-study"}


def test_a_glob_gives_a_study_for_each_match_in_order(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / name).mkdir()
    assert list(find_studies(str(tmp_path / "*"))) == ["a", "b", "c"]


def test_endings_are_no_part_of_a_name(tmp_path):
    for name in ("one.nii.gz", "two.zip", "three.png"):
        (tmp_path / name).touch()
    assert set(find_studies(str(tmp_path / "*"))) == {"one", "two", "three"}


def test_studies_of_the_same_name_get_different_folders(tmp_path):
    for name in ("x.png", "x.jpg"):
        (tmp_path / name).touch()
    assert list(find_studies(str(tmp_path / "*"))) == ["x", "x-2"]


def test_nothing_found_names_the_pattern(tmp_path):
    with pytest.raises(StudyError, match="nowhere"):
        find_studies(str(tmp_path / "nowhere*"))


def test_files_of_subfolders_and_archives_are_found_and_hidden_ones_are_not(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "IM1").write_bytes(b"1")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("inside/IM2", b"2")
        archive.writestr("__MACOSX/._IM2", b"x")
    found = list(files_of(tmp_path))
    contents = []
    for file in found:
        with file.open() as stream:
            contents.append(stream.read())
    assert sorted(contents) == [b"1", b"2"]


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(StudyError, match=r"broken\.zip: damaged"):
        list(files_of(tmp_path / "broken.zip"))
