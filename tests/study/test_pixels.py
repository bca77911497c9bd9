"""T2 told from T1 where the headers say nothing."""

from csv import DictReader

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from bundle.geometry import SlicePlane
from bundle.study import StudyReader
from tests.study.dicoms import SAGITTAL, T1, dataset, planes, with_pixels, write_volume

#: Brightness of marrow, fluid, fat, muscle and disk.
LIKE_T2 = (700, 1600, 1300, 250, 500)
LIKE_T1 = (900, 350, 1800, 500, 600)
LIKE_STIR = (200, 1600, 200, 250, 400)
WHERE = {"count": 7, "start": (12.0, -120.0, 120.0), "shape": (240, 220), "spacing": (1.0, 1.0)}


def spine(brightness, gain=1.0):
    """A crude spine seen from the side: bodies and disks, a curved canal behind them, muscle, fat under the skin."""
    marrow, fluid, fat, muscle, disk = brightness

    def value(points):
        back, up = points[..., 1] - 12 * np.cos(points[..., 2] / 60), points[..., 2]
        image = np.full(back.shape, float(muscle))
        image[back > 50] = fat
        image[np.abs(back) < 17] = np.where(up % 36 < 27, marrow, disk)[np.abs(back) < 17]
        image[(back > 20) & (back < 34) & (np.abs(points[..., 0]) < 11)] = fluid
        image[(points[..., 1] > 85) | (points[..., 1] < -110)] = 0
        return gain * image * np.exp((points[..., 1] - 40) / 300)  # a coil behind the back

    return value


def read(path):
    return StudyReader()(path)


def write_pair(folder, first, second, **other):
    for number, value in enumerate((first, second)):
        on = planes(SAGITTAL, **{**WHERE, **(other if number else {})})
        write_volume(folder, on, value, first=100 * number + 1, series=f"s{number}")


def chosen_number(study):
    """The series that was read, by the number of its first file."""
    return min(int(image.source.name.split("-")[-1]) for image in study.sagittal.images) // 100


@pytest.mark.parametrize("t2_first", [True, False])
def test_the_series_whose_canal_is_bright_is_t2(tmp_path, t2_first):
    pair = (spine(LIKE_T2), spine(LIKE_T1))
    write_pair(tmp_path, *(pair if t2_first else pair[::-1]))
    study = read(tmp_path)
    assert study.sagittal.weighting == "T2"
    assert chosen_number(study) == (0 if t2_first else 1)


def test_a_contrast_told_by_pixels_is_flagged_and_the_reason_says_so(tmp_path):
    write_pair(tmp_path, spine(LIKE_T1), spine(LIKE_T2))
    study = read(tmp_path)
    assert set(study.flags) == {"sagittal_weighting_by_pixels", "no_axial_series"}
    assert "T2 by its pixels; preferred to 1 other sagittal series (unknown)" in study.reasons["sagittal"]


@pytest.mark.parametrize("contrast", [LIKE_T1, LIKE_T2])
def test_the_same_contrast_twice_is_left_unknown(tmp_path, contrast):
    write_pair(tmp_path, spine(contrast), spine(contrast, gain=0.6))
    study = read(tmp_path)
    assert study.sagittal.weighting == "unknown"
    assert "sagittal_weighting_unknown" in study.flags


def test_a_fat_suppressed_series_is_not_taken_for_t2(tmp_path):
    write_pair(tmp_path, spine(LIKE_STIR), spine(LIKE_T1))
    assert {s.weighting for s in read(tmp_path).series} == {"unknown"}


def test_series_of_different_places_are_not_compared(tmp_path):
    write_pair(tmp_path, spine(LIKE_T2), spine(LIKE_T1), start=(12.0, -120.0, 420.0))
    assert {s.weighting for s in read(tmp_path).series} == {"unknown"}


def test_a_contrast_that_the_headers_tell_is_not_asked_of_the_pixels(tmp_path):
    on = planes(SAGITTAL, **WHERE)
    write_volume(tmp_path, on, spine(LIKE_T2), series="named", **T1)
    write_volume(tmp_path, on, spine(LIKE_T1), first=101, series="bare")
    assert [s.weighting for s in read(tmp_path).series] == ["unknown", "T1"]


def test_the_finer_of_two_matrices_does_not_matter(tmp_path):
    write_pair(tmp_path, spine(LIKE_T1), spine(LIKE_T2), shape=(480, 440), spacing=(0.5, 0.5))
    assert chosen_number(read(tmp_path)) == 1


def test_a_series_that_cannot_be_decoded_leaves_the_contrast_unknown(tmp_path):
    write_pair(tmp_path, spine(LIKE_T1), spine(LIKE_T2))
    for path in tmp_path.glob("s1-*"):
        ds = dcmread(path)
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 15, 12, 11  # no decoder knows such pixels
        ds.save_as(path)
    assert "sagittal_weighting_unknown" in read(tmp_path).flags


def test_the_real_study_without_its_headers_is_told_right(tmp_path, shared_data):
    for path in (shared_data / "hitachi-study").glob("*SAG/*.dcm"):
        ds = dcmread(path)
        for tag in ("EchoTime", "RepetitionTime", "InversionTime", "SeriesDescription", "ProtocolName", "ScanningSequence"):
            if tag in ds:
                delattr(ds, tag)
        folder = tmp_path / path.parent.name
        folder.mkdir(exist_ok=True)
        ds.save_as(folder / path.name)
    study = read(tmp_path)
    assert study.sagittal.images[0].source.parent.name == "006_T2_SAG"
    assert "sagittal_weighting_by_pixels" in study.flags


def spider_pairs(folder, every):
    """Names of pairs that show the same field of view, with the spacing of each picture; one in ``every``."""
    with (folder / "overview.csv").open() as stream:
        spacing = {row["new_file_name"]: row["PixelSpacing"].strip("[]").split(",") for row in DictReader(stream)}
    mm = {name: tuple(float(v) for v in values) for name, values in spacing.items() if len(values) == 2}
    same = []
    for name in (f"{n}_t1" for n in range(1, 300)):
        pair = [name, name.replace("t1", "t2")]
        pictures = [folder / "images" / f"{one}.png" for one in pair]
        if all(one in mm for one in pair) and all(path.is_file() for path in pictures):
            sides = [np.multiply(Image.open(path).size, mm[one][::-1]) for one, path in zip(pair, pictures, strict=True)]
            if np.allclose(*sides, rtol=0.03):
                same.append([(path, mm[one]) for one, path in zip(pair, pictures, strict=True)])
    return same[5::every]


def test_nine_of_ten_real_pairs_are_told_right_and_none_wrong(tmp_path, shared_data):
    """A sample; all pairs were measured when the bounds were set (see the comment beside them)."""
    pairs = spider_pairs(shared_data / "spider", every=16)
    told = []
    for index, pair in enumerate(pairs):
        folder = tmp_path / str(index)
        folder.mkdir()
        for first, (path, mm) in zip((1, 101), pair, strict=True):
            pixels = np.asarray(Image.open(path).convert("L"))
            half = [n * s / 2 for n, s in zip(pixels.shape, mm, strict=True)]
            for k in range(3):
                plane = SlicePlane((4.0 * k, -half[1], half[0]), *SAGITTAL, mm, pixels.shape)
                ds = with_pixels(dataset(plane, first + k, series=f"s{first}"), pixels)
                ds.save_as(folder / f"s-{first + k}", enforce_file_format=True)
        study = read(folder)
        told.append(chosen_number(study) if study.sagittal.weighting == "T2" else None)
    assert 0 not in told
    assert told.count(1) >= 0.9 * len(pairs) > 7
