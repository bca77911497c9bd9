from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bundle.geometry import SlicePlane
from bundle.study import Study, StudyError
from bundle.study.types import Series
from scripts.web.view import INDEX, pixel_file, write_view
from tests.making import study_image

PLANE = SlicePlane([1.0, 2, 3], [0.0, 1, 0], [0.0, 0, -1], (0.5, 0.75), (4, 6), 4.0)


def study(*pixels, axial=None):
    images = tuple(study_image(f"1.2.{k}", p, PLANE) for k, p in enumerate(pixels))
    series = Series("1.2", images, (tuple(range(len(images))),), "sagittal", "T2", "t2")
    return Study("a", "1", (series,), series, axial)


def unreadable(image):
    def fail():
        raise StudyError("cannot be decoded")

    return replace(image, load_pixels=fail)


def stored(folder, entry, series=0, image=0):
    pixels = np.frombuffer(pixel_file(folder, series, image).read_bytes(), "<u2").reshape(entry["rows"], entry["columns"])
    return pixels * entry["slope"] + entry["intercept"]


def index(folder):
    return json.loads((folder / INDEX).read_text())["series"]


@pytest.mark.parametrize("low", [0, -1024, 500])
def test_whole_numbers_stay_exact(tmp_path, low):
    pixels = np.arange(24, dtype=np.float32).reshape(4, 6) * 100 + low
    write_view(study(pixels), tmp_path)
    (series,) = index(tmp_path)
    assert np.array_equal(stored(tmp_path, series["images"][0]), pixels) and series["images"][0]["slope"] == 1


def test_other_numbers_keep_sixteen_bits(tmp_path):
    pixels = np.random.default_rng(0).uniform(-3, 70000, (4, 6)).astype(np.float32)
    write_view(study(pixels), tmp_path)
    assert np.abs(stored(tmp_path, index(tmp_path)[0]["images"][0]) - pixels).max() < 70003 / 65535


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_an_empty_image_is_no_trouble(tmp_path, value):
    write_view(study(np.full((4, 6), value)), tmp_path)
    assert stored(tmp_path, index(tmp_path)[0]["images"][0]).max() == 0


def test_the_place_in_the_patient_goes_along(tmp_path):
    write_view(study(np.zeros((4, 6))), tmp_path)
    assert index(tmp_path)[0]["images"][0]["plane"] == {
        "origin_lps_mm": [1, 2, 3], "row_direction": [0, 1, 0], "column_direction": [0, 0, -1],
        "spacing_mm": [0.5, 0.75], "thickness_mm": 4,
    }  # fmt: skip


def test_an_image_that_cannot_be_decoded_is_left_out_and_indices_close_up(tmp_path):
    whole = study(*(np.full((4, 6), k) for k in range(3)))
    first, second, third = whole.series[0].images
    series = replace(whole.series[0], images=(first, unreadable(second), third))
    write_view(replace(whole, series=(series,), sagittal=series), tmp_path)
    (entry,) = index(tmp_path)
    assert entry["stacks"] == [[0, 1]] and [image["sop_instance_uid"] for image in entry["images"]] == ["1.2.0", "1.2.2"]
    assert stored(tmp_path, entry["images"][1], image=1).max() == 2


def test_a_series_that_was_cut_or_joined_is_among_them(tmp_path):
    cut = Series("1.3", (study_image("1.3#axial-1", np.zeros((4, 6)), PLANE),), ((0,),), "axial", "T2")
    write_view(study(np.zeros((4, 6)), axial=cut), tmp_path)
    assert [series["role"] for series in index(tmp_path)] == ["sagittal", "axial"]


def test_without_any_image_there_is_nothing_to_view(tmp_path):
    whole = study(np.zeros((4, 6)))
    series = replace(whole.series[0], images=(unreadable(whole.series[0].images[0]),))
    with pytest.raises(StudyError, match="none of the images"):
        write_view(replace(whole, series=(series,), sagittal=series), tmp_path)
    assert not (tmp_path / INDEX).exists()
