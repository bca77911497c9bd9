"""The study reader on what archives hold."""

import zipfile

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmwrite
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from bundle.study import StudyError, StudyReader
from tests.study.dicoms import AXIAL, CORONAL, SAGITTAL, SHAPE, STIR, T1, T2, dataset, enhanced, planes, write


def read(path):
    return StudyReader()(path)


def values(series):
    """The one value of each image, in the series' order."""
    return [int(image.load_pixels()[0, 0]) for image in series.images]


def lumbar(folder, **tags):
    """A sagittal and an axial T2 series."""
    write(folder / "sag", planes(SAGITTAL, 7), series="sag", **T2, **tags)
    write(folder / "ax", planes(AXIAL, 6), first=50, series="ax", **T2, **tags)


def test_views_are_told_by_their_orientation_whatever_the_headers_lack(tmp_path):
    bare = {"Modality": None, "SeriesDescription": "", "FrameOfReferenceUID": None, "ImageType": None}
    write(tmp_path, planes(SAGITTAL, 7), series="one", **bare)
    write(tmp_path, planes(AXIAL, 6), first=50, series="two", **bare)
    write(tmp_path, planes(CORONAL, 9), first=80, series="three", **bare)
    study = read(tmp_path)
    assert (len(study.sagittal.images), len(study.axial.images)) == (7, 6)
    assert set(study.flags) == {"sagittal_weighting_unknown", "axial_weighting_unknown"}


@pytest.mark.parametrize(
    ("present", "wanted", "flag"),
    [
        ((T1, STIR, T2), "T2", None),
        ((T1, STIR), "T2FS", "sagittal_fat_suppressed"),
        ((T1,), "T1", "sagittal_t1"),
    ],
)
def test_sagittal_series_falls_back_from_t2_to_fat_suppressed_to_t1(tmp_path, present, wanted, flag):
    for number, tags in enumerate(present):
        write(tmp_path, planes(SAGITTAL, 7), first=10 * number + 1, series=f"s{number}", **tags)
    study = read(tmp_path)
    assert study.sagittal.weighting == wanted
    assert set(study.flags) == {"no_axial_series", *([flag] if flag else [])}


def test_the_reason_of_the_choice_is_told(tmp_path):
    write(tmp_path, planes(SAGITTAL, 7), series="a", **T1)
    write(tmp_path, planes(SAGITTAL, 7), first=20, series="b", **T2)
    assert read(tmp_path).reasons["sagittal"] == (
        "sagittal by the position of its slices, T2 by echo time 100 ms and repetition time 3500 ms; "
        "preferred to 1 other sagittal series (T1)."
    )


@pytest.mark.parametrize(
    ("description", "weighting"),
    [("t2_tse_sag", "T2"), ("SAG T2 FS", "T2FS"), ("T1 FSE", "T1"), ("sag_stir", "T2FS"), ("FSE T2", "T2"), ("", "unknown")],
)
def test_without_timing_the_description_tells_the_contrast(tmp_path, description, weighting):
    write(tmp_path, planes(SAGITTAL, 7), SeriesDescription=description)
    assert read(tmp_path).sagittal.weighting == weighting


def test_timing_is_believed_before_the_description(tmp_path):
    write(tmp_path, planes(SAGITTAL, 7), SeriesDescription="T2 sag", **T1)
    assert read(tmp_path).sagittal.weighting == "T1"


def test_order_follows_position_and_not_instance_number(tmp_path):
    on = planes(SAGITTAL, 7)
    shuffled = [on[k] for k in (3, 0, 6, 1, 5, 2, 4)]
    write(tmp_path, shuffled, **T2)
    series = read(tmp_path).sagittal
    left = [image.plane.center_lps_mm[0] for image in series.images]
    assert left == sorted(left)
    assert sorted(values(series)) == list(range(1, 8))
    assert values(series) != list(range(1, 8))


def test_axial_stacks_of_one_series_are_split_and_run_from_head_to_feet(tmp_path):
    write(tmp_path, planes(SAGITTAL, 7), series="sag", **T2)
    tilt = np.radians(25)
    tilted = ((1.0, 0.0, 0.0), (0.0, np.cos(tilt), -np.sin(tilt)))
    low, high = planes(tilted, 4, start=(0, 0, -80)), planes(AXIAL, 3, start=(0, 0, 40))
    write(tmp_path, [*low, *high], first=50, series="ax", **T2)
    axial = read(tmp_path).axial
    assert [len(stack) for stack in axial.stacks] == [3, 4]
    assert [image.plane.center_lps_mm[2] for image in axial.images] == sorted(
        (image.plane.center_lps_mm[2] for image in axial.images), reverse=True
    )


def test_a_localizer_is_not_read_though_it_is_sagittal(tmp_path):
    for first, way in ((1, SAGITTAL), (20, CORONAL), (40, AXIAL)):
        write(tmp_path, planes(way, 3), first=first, series="scout")
    with pytest.raises(StudyError, match=r"no sagittal series to read \(found: 3 localizer\)"):
        read(tmp_path)


def test_a_radial_myelogram_is_not_read(tmp_path):
    write(tmp_path, planes(SAGITTAL, 7), series="sag", **T1)
    ways = [((np.sin(a), np.cos(a), 0.0), (0.0, 0.0, -1.0)) for a in np.radians(range(0, 40, 8))]
    turned = [planes(way, 1)[0] for way in ways]
    write(tmp_path, turned, first=50, series="radial", **T2)
    assert read(tmp_path).sagittal.weighting == "T1"


def test_derived_images_are_read_where_there_are_no_others(tmp_path):
    lumbar(tmp_path, ImageType=["DERIVED", "SECONDARY", "OTHER"])
    assert len(read(tmp_path).sagittal.images) == 7


def test_originals_come_before_derived_copies(tmp_path):
    write(tmp_path, planes(SAGITTAL, 7), series="copy", ImageType=["DERIVED", "SECONDARY"], **T2)
    write(tmp_path, planes(SAGITTAL, 7), first=20, series="original", **T2)
    assert min(values(read(tmp_path).sagittal)) == 20


def test_the_same_file_twice_counts_once(tmp_path):
    for copy in ("a", "b"):
        write(tmp_path / copy, planes(SAGITTAL, 7), **T2)
    study = read(tmp_path)
    assert len(study.sagittal.images) == 7
    assert "duplicate_slices_dropped" in study.flags


def test_two_echoes_of_one_series_are_told_apart(tmp_path):
    proton = {"ScanningSequence": "SE", "RepetitionTime": 3500, "EchoTime": 20}
    write(tmp_path, planes(SAGITTAL, 7), series="dual", **proton)
    write(tmp_path, planes(SAGITTAL, 7), first=20, series="dual", **T2)
    study = read(tmp_path)
    assert study.sagittal.weighting == "T2"
    assert sorted(values(study.sagittal)) == list(range(20, 27))
    assert "duplicate_slices_dropped" not in study.flags


def test_of_two_sagittal_series_the_one_that_covers_the_axial_slices_is_read(tmp_path):
    write(tmp_path, planes(SAGITTAL, 9, start=(0, 0, 600)), series="upper", **T2)
    write(tmp_path, planes(SAGITTAL, 7, start=(0, -100, 100)), first=20, series="lower", **T2)
    write(tmp_path, planes(AXIAL, 6, start=(-100, -100, 0)), first=50, series="ax", **T2)
    assert min(values(read(tmp_path).sagittal)) == 20


def test_an_enhanced_multi_frame_file_is_a_series(tmp_path):
    on = planes(SAGITTAL, 7)
    enhanced(on, series="enhanced").save_as(tmp_path / "one", enforce_file_format=True)
    series = read(tmp_path).sagittal
    assert series.weighting == "T2"
    assert sorted(values(series)) == list(range(1, 8))
    for image in series.images:
        expected = on[int(image.load_pixels()[0, 0]) - 1]
        assert image.sop_instance_uid.endswith(f"#{int(image.load_pixels()[0, 0])}")
        np.testing.assert_allclose(image.plane.origin_lps_mm, expected.origin_lps_mm)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_transfer_syntaxes_give_the_same_pixels(tmp_path, syntax):
    for number, plane in enumerate(planes(SAGITTAL, 5), start=1):
        ds = dataset(plane, number * 300, **T2)
        if syntax is RLELossless:
            ds.compress(RLELossless)
        else:
            ds.file_meta.TransferSyntaxUID = syntax
            if syntax is ExplicitVRBigEndian:
                ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        if syntax is ExplicitVRBigEndian:
            dcmwrite(tmp_path / str(number), ds, implicit_vr=False, little_endian=False, force_encoding=True)
        else:
            ds.save_as(tmp_path / str(number), enforce_file_format=True)
    assert sorted(values(read(tmp_path).sagittal)) == [300, 600, 900, 1200, 1500]


def test_a_file_without_preamble_is_read(tmp_path):
    for number, plane in enumerate(planes(SAGITTAL, 5), start=1):
        ds = dataset(plane, number, **T2)
        ds.preamble = None
        ds.save_as(tmp_path / str(number), implicit_vr=False, little_endian=True)
        whole = (tmp_path / str(number)).read_bytes()
        assert whole[128:132] != b"DICM"
    assert sorted(values(read(tmp_path).sagittal)) == [1, 2, 3, 4, 5]


def test_rescaling_and_inversion_are_applied(tmp_path):
    write(tmp_path, planes(SAGITTAL, 5), RescaleSlope=2, RescaleIntercept=-1, **T2)
    assert sorted(values(read(tmp_path).sagittal)) == [1, 3, 5, 7, 9]
    inverted = tmp_path / "inverted"
    inverted.mkdir()
    ds = dataset(planes(SAGITTAL, 1)[0], 1, PhotometricInterpretation="MONOCHROME1", **T2)
    pixels = np.zeros(SHAPE, dtype="<u2")
    pixels[0, 0] = 9
    ds.PixelData = pixels.tobytes()
    ds.save_as(inverted / "1", enforce_file_format=True)
    image = read(inverted).sagittal.images[0].load_pixels()
    assert (image[0, 0], image[5, 5]) == (0, 9)


def test_a_zip_is_read_like_a_folder(tmp_path):
    lumbar(tmp_path / "study")
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for path in (tmp_path / "study").rglob("*"):
            archive.write(path, path.relative_to(tmp_path))
    study = read(tmp_path / "study.zip")
    assert (study.name, len(study.axial.images)) == ("study", 6)
    assert sorted(values(study.sagittal)) == list(range(1, 8))


def test_different_frames_of_reference_are_flagged_and_used(tmp_path):
    write(tmp_path, planes(SAGITTAL, 7), series="sag", FrameOfReferenceUID="1.2.3", **T2)
    write(tmp_path, planes(AXIAL, 6), first=50, series="ax", FrameOfReferenceUID="1.2.4", **T2)
    study = read(tmp_path)
    assert study.flags == ("frame_of_reference_differs",)
    assert len(study.axial.images) == 6


def test_two_studies_in_one_folder_are_never_mixed(tmp_path):
    write(tmp_path, planes(SAGITTAL, 7), study="one", series="sag", **T2)
    write(tmp_path, planes(AXIAL, 6), first=50, study="two", series="ax", **T2)
    study = read(tmp_path)
    assert study.axial is None
    assert "several_studies" in study.flags


def test_one_truncated_file_among_good_ones_is_left_out_and_flagged(tmp_path):
    paths = write(tmp_path, planes(SAGITTAL, 7), **T2)
    paths[0].write_bytes(paths[0].read_bytes()[:-50])
    study = read(tmp_path)
    assert len(study.sagittal.images) == 6
    assert "files_skipped" in study.flags


def test_a_nifti_volume_in_ras_lands_in_lps(tmp_path):
    affine = np.array([[4.0, 0, 0, -30], [0, 1, 0, -50], [0, 0, 1.5, -60], [0, 0, 0, 1]])  # RAS: slices across x
    data = np.arange(5 * 20 * 30, dtype=np.float32).reshape(5, 20, 30)
    nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / "sag.nii.gz")
    series = read(tmp_path / "sag.nii.gz").sagittal
    assert len(series.images) == 5
    for image in series.images:
        pixels = image.load_pixels()
        row, column = 7, 3
        i, j, k = np.argwhere(data == pixels[row, column])[0]
        ras = affine[:3, :3] @ [i, j, k] + affine[:3, 3]
        np.testing.assert_allclose(image.plane.to_patient([column, row]), ras * [-1, -1, 1], atol=1e-4)


def test_a_meta_image_volume_lands_in_lps(tmp_path):
    import itk

    data = np.arange(5 * 20 * 30, dtype=np.float32).reshape(30, 20, 5)  # z, y, x: sagittal slices across x
    image = itk.image_from_array(data)
    image.SetSpacing([4.0, 1.0, 1.5])
    image.SetOrigin([-30.0, 50.0, 60.0])
    itk.imwrite(image, str(tmp_path / "7_t2.mha"))
    series = read(tmp_path / "7_t2.mha").sagittal
    assert len(series.images) == 5
    for image in series.images:
        pixels = image.load_pixels()
        row, column = 7, 3
        k, j, i = np.argwhere(data == pixels[row, column])[0]
        expected = [-30 + 4.0 * i, 50 + j, 60 + 1.5 * k]
        np.testing.assert_allclose(image.plane.to_patient([column, row]), expected, atol=1e-4)


def test_a_damaged_meta_image_is_told(tmp_path):
    (tmp_path / "a.mha").write_bytes(b"ObjectType = Image\nNDims = 3\n")
    with pytest.raises(StudyError, match=r"a\.mha: the MetaImage volume cannot be read"):
        read(tmp_path / "a.mha")


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_picture_is_one_sagittal_slice_without_a_place(tmp_path, ending):
    Image.fromarray(np.full((40, 30), 100, dtype=np.uint8)).save(tmp_path / f"slice.{ending}")
    study = read(tmp_path / f"slice.{ending}")
    assert study.sagittal.images[0].plane is None
    assert study.sagittal.images[0].sop_instance_uid == f"slice.{ending}"
    assert {"no_patient_space", "no_axial_series"} <= set(study.flags)


def _empty(folder):
    pass


def _text(folder):
    (folder / "a.txt").write_text("hello")
    (folder / "b.csv").write_text("1,2")


def _truncated(folder):
    path = write(folder, planes(SAGITTAL, 1), **T2)[0]
    path.write_bytes(path.read_bytes()[:700])


def _no_sagittal(folder):
    write(folder, planes(AXIAL, 6), **T2)


def _no_spacing(folder):
    write(folder, planes(SAGITTAL, 7), PixelSpacing=None, **T2)


def _no_position(folder):
    write(folder, planes(SAGITTAL, 7), ImagePositionPatient=None, **T2)


def _other_modality(folder):
    write(folder, planes(SAGITTAL, 7), Modality="CT")


def _many_pictures(folder):
    for name in ("a", "b"):
        Image.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(folder / f"{name}.png")


def _broken_picture(folder):
    (folder / "a.png").write_bytes(b"\x89PNG and no more")


def _broken_nifti(folder):
    (folder / "a.nii.gz").write_bytes(b"nothing")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_empty, "empty"),
        (_text, "no DICOM, NIfTI, PNG or JPG image in it (2 other files)"),
        (_truncated, "series-1: damaged or truncated"),
        (_no_sagittal, "no sagittal series to read (found: 1 axial)"),
        (_no_spacing, "no PixelSpacing, so nothing in it can be measured (and 6 more like it)"),
        (_no_position, "its place in the patient is unknown"),
        (_other_modality, "not MR (CT)"),
        (_many_pictures, "2 pictures and no study"),
        (_broken_picture, "a.png: the picture cannot be decoded"),
        (_broken_nifti, "a.nii.gz: the NIfTI volume cannot be read"),
    ],
)
def test_bad_input_gives_one_line_that_names_the_place_and_no_patient(tmp_path, make, says):
    make(tmp_path)
    with pytest.raises(StudyError) as caught:
        read(tmp_path)
    message = str(caught.value)
    assert says in message
    assert str(tmp_path) in message
    assert "\n" not in message
    assert "Secret" not in message and "SECRET" not in message
