import pytest

from bundle.whole_file import whole_file


def test_the_file_appears_when_all_is_written(tmp_path):
    with whole_file(tmp_path / "deep" / "a.json") as part:
        part.write_text("all")
        assert part.suffix == ".json"
        assert not (tmp_path / "deep" / "a.json").exists()
    assert [(p.name, p.read_text()) for p in (tmp_path / "deep").iterdir()] == [("a.json", "all")]


def test_an_error_leaves_the_older_file_and_nothing_else(tmp_path):
    (tmp_path / "a.json").write_text("older")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a.json") as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.json", "older")]
