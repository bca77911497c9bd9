import pytest

from bundle.whole_folder import whole_folder


def test_a_folder_appears_when_all_is_written(tmp_path):
    with whole_folder(tmp_path / "deep" / "one") as part:
        (part / "a").write_text("1")
        assert not (tmp_path / "deep" / "one").exists()
    assert (tmp_path / "deep" / "one" / "a").read_text() == "1"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["one"]


def test_an_older_folder_is_replaced_as_a_whole(tmp_path):
    for name in "ab":
        with whole_folder(tmp_path / "one") as part:
            (part / name).touch()
    assert [p.name for p in (tmp_path / "one").iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["one"]


def test_on_an_error_the_older_folder_stays_and_nothing_is_left(tmp_path):
    with whole_folder(tmp_path / "one") as part:
        (part / "a").touch()
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "one") as part:
        (part / "b").touch()
        raise RuntimeError
    assert [p.name for p in (tmp_path / "one").iterdir()] == ["a"]
    assert [p.name for p in tmp_path.iterdir()] == ["one"]
