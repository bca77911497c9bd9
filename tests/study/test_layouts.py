"""What real archives hold, each layout as a real DICOM file."""

import itk
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    JPEG2000,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from bundle.geometry import SlicePlane
from bundle.study import StudyReader
from tests.study.dicoms import AXIAL, SAGITTAL, STIR, T1, T2, dataset, enhanced, planes, with_pixels, write


def read(path):
    return StudyReader()(path)


def values(series):
    """The one value of each image, in the series' order."""
    return [int(image.load_pixels()[0, 0]) for image in series.images]


def save(folder, *datasets):
    folder.mkdir(parents=True, exist_ok=True)
    for ds in datasets:
        ds.save_as(folder / ds.SOPInstanceUID, enforce_file_format=True)


def lefts(series):
    """Millimetres toward the patient's left of each image's centre."""
    return [float(image.plane.center_lps_mm[0]) for image in series.images]


# Orders, stacks and copies


def test_sagittal_and_axial_slices_filed_as_one_series_are_two_views(tmp_path):
    write(tmp_path, planes(SAGITTAL, 9), series="both", **T2)
    write(tmp_path, planes(AXIAL, 9), first=20, series="both", **T2)
    study = read(tmp_path)
    assert sorted(values(study.sagittal)) == list(range(1, 10))
    assert sorted(values(study.axial)) == list(range(20, 29))


@pytest.mark.parametrize("order", [(0, 2, 4, 6, 1, 3, 5), (6, 5, 4, 3, 2, 1, 0)], ids=["interleaved", "reversed"])
def test_instance_numbers_in_another_order_do_not_count(tmp_path, order):
    on = planes(SAGITTAL, 7)
    write(tmp_path, [on[k] for k in order], **T2)
    series = read(tmp_path).sagittal
    expected = sorted(range(1, 8), key=lambda number: on[order[number - 1]].center_lps_mm[0])
    assert values(series) == expected


def test_a_slice_sent_again_under_a_new_uid_counts_once(tmp_path):
    write(tmp_path, planes(SAGITTAL, 7), **T2)
    write(tmp_path, planes(SAGITTAL, 7)[2:4], first=30, **T2)
    study = read(tmp_path)
    assert sorted(values(study.sagittal)) == list(range(1, 8))
    assert "duplicate_slices_dropped" in study.flags


def test_a_gap_where_a_slice_was_lost_is_noted(tmp_path):
    on = planes(SAGITTAL, 9)
    write(tmp_path, [*on[:4], *on[5:]], **T2)
    study = read(tmp_path)
    assert len(study.sagittal.images) == 8
    assert len(study.sagittal.stacks) == 1
    assert "slices_missing" in study.flags


def test_the_space_between_two_stacks_is_no_gap(tmp_path):
    write(tmp_path, planes(SAGITTAL, 7), series="sag", **T2)
    for first, height in ((50, 0.0), (60, 32.0)):
        write(tmp_path, planes(AXIAL, 4, start=(0, 0, height)), first=first, series="ax", **T2)
    study = read(tmp_path)
    assert [len(stack) for stack in study.axial.stacks] == [4, 4]
    assert "slices_missing" not in study.flags


def test_slices_that_are_spaced_unevenly_are_kept_and_nothing_is_said_to_be_missing(tmp_path):
    places = (0.0, 4.0, 8.0, 13.5, 17.5, 21.0, 25.0)
    write(tmp_path, [planes(SAGITTAL, 1, start=(x, 0, 0))[0] for x in places], **T2)
    study = read(tmp_path)
    assert sorted(lefts(study.sagittal)) == list(places)
    assert "slices_missing" not in study.flags


def test_two_acquisitions_in_one_series_are_told_apart(tmp_path):
    write(tmp_path, planes(SAGITTAL, 7), AcquisitionNumber=1, **T2)
    write(tmp_path, planes(SAGITTAL, 9), first=20, AcquisitionNumber=2, **T2)
    study = read(tmp_path)
    assert sorted(values(study.sagittal)) == list(range(20, 29))
    assert "duplicate_slices_dropped" not in study.flags


@pytest.mark.parametrize(
    "other", [{"shape": (24, 32), "spacing": (10.0, 7.5)}, {"spacing": (18.0, 14.0)}], ids=["matrix", "spacing"]
)
def test_images_of_another_size_in_one_series_keep_their_own_places(tmp_path, other):
    write(tmp_path, planes(SAGITTAL, 7), series="sag", **T2)
    low, high = planes(AXIAL, 3), planes(AXIAL, 3, start=(0, 0, 60), **other)
    write(tmp_path, [*low, *high], first=50, series="ax", **T2)
    axial = read(tmp_path).axial
    for image, number in zip(axial.images, values(axial), strict=True):
        expected = [*low, *high][number - 50]
        assert image.shape == image.load_pixels().shape == expected.shape
        np.testing.assert_allclose(image.plane.to_patient([7, 5]), expected.to_patient([7, 5]), atol=1e-3)


def test_a_scout_series_named_so_is_not_read_whatever_its_size(tmp_path):
    write(tmp_path, planes(SAGITTAL, 20), series="scout", SeriesDescription="SURVEY", **T2)
    write(tmp_path, planes(SAGITTAL, 7), first=50, series="sag", **T1)
    assert min(values(read(tmp_path).sagittal)) == 50


def test_a_subtraction_is_not_read_though_it_has_more_slices(tmp_path):
    kind = ["DERIVED", "PRIMARY", "SUBTRACTION"]
    write(tmp_path, planes(SAGITTAL, 20), series="sub", ImageType=kind, **T2)
    write(tmp_path, planes(SAGITTAL, 7), first=50, series="sag", **T1)
    assert min(values(read(tmp_path).sagittal)) == 50


@pytest.mark.parametrize(("view", "directions"), [("sagittal", SAGITTAL), ("axial", AXIAL)])
def test_a_thin_3d_series_is_not_read_where_a_2d_one_of_the_same_contrast_is(tmp_path, view, directions):
    write(tmp_path, planes(SAGITTAL, 7), series="sag", **T2)
    write(tmp_path, planes(AXIAL, 7), first=20, series="ax", **T2)
    write(tmp_path, planes(directions, 40, step_mm=1.0), first=50, series="3-D", **T2)
    assert max(values(getattr(read(tmp_path), view))) < 50


def test_a_thin_3d_series_is_read_where_the_2d_one_is_of_another_contrast(tmp_path):
    write(tmp_path, planes(SAGITTAL, 7), series="sag", **T1)
    write(tmp_path, planes(SAGITTAL, 40, step_mm=1.0), first=50, series="3-D", **T2)
    assert min(values(read(tmp_path).sagittal)) == 50


# Multi-frame


def test_an_enhanced_file_is_read_beside_single_frames(tmp_path):
    save(tmp_path, enhanced(planes(SAGITTAL, 7), series="sag"))
    write(tmp_path, planes(AXIAL, 6), first=50, series="ax", **T2)
    study = read(tmp_path)
    assert sorted(values(study.sagittal)) == list(range(1, 8))
    assert sorted(values(study.axial)) == list(range(50, 56))


def test_the_frames_of_an_enhanced_file_may_lie_in_tilted_stacks(tmp_path):
    write(tmp_path, planes(SAGITTAL, 7), series="sag", **T2)
    tilt = np.radians(25)
    tilted = ((1.0, 0.0, 0.0), (0.0, np.cos(tilt), -np.sin(tilt)))
    low, high = planes(tilted, 4, start=(0, 0, -80)), planes(AXIAL, 3, start=(0, 0, 40))
    save(tmp_path, enhanced([*low, *high], series="ax"))
    axial = read(tmp_path).axial
    assert [len(stack) for stack in axial.stacks] == [3, 4]
    for image, number in zip(axial.images, values(axial), strict=True):
        np.testing.assert_allclose(image.plane.normal, [*low, *high][number - 1].normal, atol=1e-6)


def test_several_enhanced_files_can_be_one_series(tmp_path):
    on = planes(SAGITTAL, 8)
    first, second = enhanced(on[:4], series="sag"), enhanced(on[4:], series="sag")
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    save(tmp_path, first, second)
    series = read(tmp_path).sagittal
    assert len(series.images) == 8
    assert len({image.sop_instance_uid for image in series.images}) == 8


def test_each_frame_of_an_enhanced_file_has_its_own_rescaling(tmp_path):
    ds = enhanced(planes(SAGITTAL, 5), series="sag")
    for index, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        item = type(frame)()
        item.RescaleSlope, item.RescaleIntercept = 10 * (index + 1), 0
        frame.PixelValueTransformationSequence = [item]
    save(tmp_path, ds)
    assert sorted(values(read(tmp_path).sagittal)) == [10, 40, 90, 160, 250]


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless], ids=lambda uid: uid.name)
def test_a_compressed_enhanced_file_is_read(tmp_path, syntax):
    ds = enhanced(planes(SAGITTAL, 7, shape=(64, 64)), series="sag")
    ds.compress(syntax)
    save(tmp_path, ds)
    assert sorted(values(read(tmp_path).sagittal)) == list(range(1, 8))


def test_frames_without_a_place_of_their_own_are_left_out_and_the_rest_is_read(tmp_path):
    old = dataset(planes(SAGITTAL, 1)[0], 1, series="old", **T2)
    old.NumberOfFrames = 3
    save(tmp_path, with_pixels(old, np.zeros((3, old.Rows, old.Columns))))
    write(tmp_path, planes(SAGITTAL, 7), first=20, series="sag", **T2)
    study = read(tmp_path)
    assert sorted(values(study.sagittal)) == list(range(20, 27))
    assert "files_skipped" in study.flags


# Transfer syntaxes


def picture(number):
    """Pixels that differ everywhere, 12 bits."""
    return np.random.default_rng(number).integers(0, 4096, (48, 64)).astype("<u2")


def compressed_by_itk(folder, plane, number, kind):
    """A DICOM file whose pixel data GDCM compressed, with the header that it should have."""
    writer = itk.ImageFileWriter[itk.Image[itk.US, 2]].New()
    way = itk.GDCMImageIO.New()
    way.SetCompressionType(kind)
    writer.SetInput(itk.image_from_array(picture(number).astype(np.uint16)))
    writer.SetImageIO(way)
    writer.SetUseCompression(True)
    path = folder / f"raw-{number}.dcm"
    writer.SetFileName(str(path))
    writer.Update()
    raw = dcmread(path)
    path.unlink()
    ds = dataset(plane, number, **T2)
    ds.file_meta.TransferSyntaxUID = raw.file_meta.TransferSyntaxUID
    ds.BitsStored, ds.HighBit = raw.BitsStored, raw.HighBit
    ds.PixelData = raw.PixelData
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return ds


@pytest.mark.parametrize(
    ("kind", "syntax"),
    [
        (itk.GDCMImageIOEnums.Compression_JPEG, JPEGLosslessSV1),
        (itk.GDCMImageIOEnums.Compression_JPEG2000, JPEG2000Lossless),
    ],
    ids=["JPEG lossless", "JPEG 2000"],
)
def test_pixels_compressed_without_loss_are_those_that_were_sent(tmp_path, kind, syntax):
    on = planes(SAGITTAL, 5, shape=(48, 64))
    for number, plane in enumerate(on, start=1):
        ds = compressed_by_itk(tmp_path, plane, number, kind)
        assert ds.file_meta.TransferSyntaxUID == syntax
        save(tmp_path, ds)
    for image in read(tmp_path).sagittal.images:
        number = 1 + next(k for k, plane in enumerate(on) if abs(plane.signed_distance_mm(image.plane.origin_lps_mm)) < 0.1)
        np.testing.assert_array_equal(image.load_pixels(), picture(number))


def test_jpeg_ls_is_read(tmp_path):
    pytest.importorskip("jpeg_ls", reason="nothing here can write JPEG-LS")
    for number, plane in enumerate(planes(SAGITTAL, 5, shape=(48, 64)), start=1):
        ds = dataset(plane, number, **T2)
        ds.compress(JPEGLSLossless)
        save(tmp_path, ds)
    assert sorted(values(read(tmp_path).sagittal)) == [1, 2, 3, 4, 5]


def test_lossy_jpeg_2000_comes_close(tmp_path):
    rows, columns = np.indices((64, 64))
    smooth = 800 + 600 * np.sin(rows / 20) * np.cos(columns / 15)
    for number, plane in enumerate(planes(SAGITTAL, 5, shape=(64, 64)), start=1):
        ds = with_pixels(dataset(plane, number, **T2), np.rint(smooth))
        ds.compress(JPEG2000, j2k_psnr=[60])
        save(tmp_path, ds)
    for image in read(tmp_path).sagittal.images:
        assert np.abs(image.load_pixels() - smooth).max() < 60


# Headers that lack what they should hold


@pytest.mark.parametrize(
    "lacking", ["Modality", "EchoTime", "RepetitionTime", "SeriesDescription", "FrameOfReferenceUID", "InstanceNumber"]
)
def test_a_tag_that_is_missing_or_empty_does_not_keep_a_study_from_being_read(tmp_path, lacking):
    given = {"SeriesDescription": "t2", **T2}
    for view, way, first in (("sag", SAGITTAL, 1), ("ax", AXIAL, 50)):
        for plane_number, plane in enumerate(planes(way, 6), start=first):
            ds = dataset(plane, plane_number, series=view, **given)
            if plane_number % 2:
                delattr(ds, lacking)
            else:
                setattr(ds, lacking, None)
            save(tmp_path, ds)
    study = read(tmp_path)
    assert (len(study.sagittal.images), len(study.axial.images)) == (6, 6)
    assert (study.sagittal.weighting, study.axial.weighting) == ("T2", "T2")


# Directions


def turned(ways, degrees):
    """Directions turned about all three axes of the patient, one after the other."""
    for axis, angle in enumerate(np.radians(degrees)):
        matrix = np.eye(3)
        a, b = (k for k in range(3) if k != axis)
        matrix[a, a] = matrix[b, b] = np.cos(angle)
        matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
        ways = tuple(matrix @ np.asarray(way, dtype=float) for way in ways)
    return ways


def test_views_turned_about_all_axes_are_still_told_apart(tmp_path):
    degrees = (18, -15, 20)
    write(tmp_path, planes(turned(SAGITTAL, degrees), 9), series="sag", **T2)
    write(tmp_path, planes(turned(AXIAL, degrees), 9), first=50, series="ax", **T2)
    study = read(tmp_path)
    assert sorted(values(study.sagittal)) == list(range(1, 10))
    assert sorted(values(study.axial)) == list(range(50, 59))
    assert lefts(study.sagittal) == sorted(lefts(study.sagittal))


@pytest.mark.parametrize(
    ("position", "directions"),
    [
        ("FFS", ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0))),
        ("HFP", ((0.0, -1.0, 0.0), (0.0, 0.0, -1.0))),
        ("FFP", ((0.0, -1.0, 0.0), (0.0, 0.0, 1.0))),
        ("HFDR", ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0))),
    ],
)
def test_the_patients_position_changes_the_array_and_not_the_order(tmp_path, position, directions):
    on = planes(directions, 7)
    write(tmp_path, on, PatientPosition=position, **T2)
    series = read(tmp_path).sagittal
    assert lefts(series) == sorted(lefts(series))
    for image, number in zip(series.images, values(series), strict=True):
        np.testing.assert_allclose(image.plane.to_patient([3, 2]), on[number - 1].to_patient([3, 2]), atol=1e-3)


# Fields of view


def test_the_lumbar_series_is_preferred_to_the_whole_spine_where_axial_slices_lie_in_both(tmp_path):
    """Both cover the axial slices; of two T2 series the one with finer pixels shows the disks better."""
    whole = planes(SAGITTAL, 9, start=(0, -150, 500), shape=(40, 20), spacing=(20.0, 15.0))
    lumbar = planes(SAGITTAL, 9, start=(0, -150, 150), shape=(40, 40), spacing=(8.0, 8.0))
    write(tmp_path, whole, series="whole", **T2)
    write(tmp_path, lumbar, first=20, series="lumbar", **T2)
    write(tmp_path, planes(AXIAL, 6, start=(-100, -150, 0)), first=50, series="ax", **T2)
    assert min(values(read(tmp_path).sagittal)) == 20


def test_a_whole_spine_series_is_read_where_it_is_the_only_one(tmp_path):
    whole = [
        SlicePlane(p.origin_lps_mm, p.row_direction, p.column_direction, (1.5, 1.5), (480, 200))
        for p in planes(SAGITTAL, 7, start=(0, -150, 400))
    ]
    write(tmp_path, whole, SeriesDescription="WHOLE SPINE T2 SAG", **T2)
    assert read(tmp_path).sagittal.images[0].shape == (480, 200)


def test_a_cervical_series_is_not_read_beside_a_lumbar_one(tmp_path):
    write(tmp_path, planes(SAGITTAL, 15), series="c", SeriesDescription="T2 SAG C-SPINE", **T2)
    write(tmp_path, planes(SAGITTAL, 7), first=50, series="l", SeriesDescription="STIR SAG", **STIR)
    assert min(values(read(tmp_path).sagittal)) == 50
