from __future__ import annotations

from importlib.resources import files
from string import Formatter

import pytest
import yaml

from bundle.report import ReportError, ReportWriter, texts
from bundle.report.texts import Texts, load_texts

STUDY_FLAGS = [
    "no_axial_series",
    "sagittal_fat_suppressed",
    "sagittal_t1",
    "sagittal_pd",
    "sagittal_weighting_unknown",
    "axial_not_t2",
    "axial_weighting_unknown",
    "no_patient_space",
    "single_slice",
    "no_spine_found",
    "levels_unsure",
    "transitional_anatomy",
    "ribs_do_not_fit",
    "picture_upside_down",
    "sacrum_not_seen",
    "levels_missing",
    "files_skipped",
    "several_studies",
    "frame_of_reference_differs",
    "duplicate_slices_dropped",
    "axial_reformatted",
    "sagittal_reformatted",
    "axial_series_joined",
    "slices_missing",
    "sagittal_weighting_by_pixels",
]
DISK_FLAGS = [
    "vertebra_not_found",
    "no_axial_slice",
    "axial_slice_tilted",
    "not_sure",
    "outline_disagrees",
    "roi_outside_image",
    "no_view",
    "no_patient_space",
]


@pytest.mark.parametrize(
    ("scope", "code"), [*(("study", code) for code in STUDY_FLAGS), *(("disk", code) for code in DISK_FLAGS)]
)
def test_every_flag_in_use_has_a_sentence(scope, code):
    sentence = load_texts("en").flag(code, scope)
    assert sentence.endswith(".") and " " in sentence


def test_a_flag_of_the_other_scope_is_found_and_an_unknown_one_is_shown():
    words = load_texts("en")
    assert words.flag("single_slice", "disk") == words.flag("single_slice", "study")
    assert words.flag("brand_new", "disk") == "brand_new"


def test_a_missing_word_is_an_error_of_one_line():
    with pytest.raises(ReportError, match=r"disk\.heading"):
        load_texts("en").say("disk.heading", wrong="L1-L2")
    with pytest.raises(ReportError, match=r"no\.such"):
        load_texts("en").say("no.such")


@pytest.mark.parametrize("language", ["xx", "", "../en", "EN"])
def test_a_language_that_is_not_there(language):
    with pytest.raises(ReportError, match="language"):
        ReportWriter(language=language)


def test_a_translation_must_be_complete(monkeypatch):
    monkeypatch.setattr(
        texts, "_read", lambda language: {"page": {"title": "Titel"}} if language == "de" else REAL(language)
    )
    with pytest.raises(ReportError, match="'de' lack"):
        load_texts("de")


REAL = texts._read


def test_no_key_of_a_catalogue_is_written_twice():
    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader, node, deep=False):
        keys = [loader.construct_object(key, deep=deep) for key, _ in node.value]
        assert len(keys) == len(set(keys)), sorted(key for key in keys if keys.count(key) > 1)
        return yaml.SafeLoader.construct_mapping(loader, node, deep)

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    for place in files("bundle.report").joinpath("texts").iterdir():
        yaml.load(place.read_text(encoding="utf-8"), Strict)


def test_braces_in_words_that_are_filled_in_do_no_harm():
    assert Texts("en", {"a": {"b": "<{x}>"}}).say("a.b", x="{y}") == "<{y}>"


def catalogues():
    return sorted(place.name[:-5] for place in files("bundle.report").joinpath("texts").iterdir())


def placeholders(text):
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def test_there_are_english_and_chinese():
    assert catalogues() == ["en", "zh"]


@pytest.mark.parametrize("language", catalogues())
def test_every_catalogue_has_the_same_keys_and_the_same_words_to_fill_in(language):
    english, other = load_texts("en").entries, load_texts(language).entries
    assert other.keys() == english.keys()
    assert {key: placeholders(text) for key, text in other.items()} == {
        key: placeholders(text) for key, text in english.items()
    }


def test_no_chinese_text_is_left_in_english():
    english, chinese = load_texts("en").entries, load_texts("zh").entries
    alike = {key for key in english if english[key] == chinese[key]}
    assert alike <= {
        "page.percent", "page.percent_low", "page.percent_high", "disk.millimetres", "impression.item_plain",
        "level.finding_none",
    }  # fmt: skip
