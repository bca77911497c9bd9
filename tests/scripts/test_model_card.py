import pytest

from scripts.model_card import write_section


def test_text_between_the_marks_is_replaced_and_the_rest_stays(tmp_path):
    card = tmp_path / "card.md"
    card.write_text("before\n<!-- begin a -->\nold\n<!-- end a -->\nafter\n")
    for text in ("| new |", "| newer |"):
        write_section(card, "a", text)
        assert card.read_text() == f"before\n<!-- begin a -->\n{text}\n<!-- end a -->\nafter\n"


def test_missing_section_is_told_and_the_file_is_left_alone(tmp_path):
    card = tmp_path / "card.md"
    card.write_text("nothing\n")
    with pytest.raises(ValueError, match="no section a"):
        write_section(card, "a", "new")
    assert card.read_text() == "nothing\n"
