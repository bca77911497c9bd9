"""Steps 2 and 3 as dictionary transforms."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from bundle.disks.transforms import (
    CropDiskRoid,
    CropRoisd,
    GuessScaled,
    LocateDisksd,
    MatchSlicesd,
    as_meta_tensor,
    plane_of,
    ras_affine,
)
from bundle.geometry import SliceBox, Vertebra
from bundle.study.types import Study
from tests.making import axial_plane, blank, flat_disk, planes, series_of, straight_spine, study_image, upright_sagittal


def meta_tensor(pixels, plane):
    return MetaTensor(torch.as_tensor(pixels, dtype=torch.float32)[None], affine=torch.from_numpy(ras_affine(plane)))


def study(sagittal, axial=None):
    return Study("name", "uid", (), sagittal, axial)


@pytest.fixture
def straight():
    """A straight spine's study: three sagittal slices, and axial slices through and between its disks."""
    sagittal = series_of([blank(f"s{x}", upright_sagittal(x)) for x in (-4, 0, 4)], "sagittal", [(0, 1, 2)])
    heights = (54, 50, 18, 0, -18, -54)  # L2-L3 is at z = 18, L3-L4 at -18, L4-L5 at -54; 0 is the middle of L3
    axial = series_of([blank(f"a{z}", axial_plane(z)) for z in heights], "axial")
    return {"study": study(sagittal, axial), "vertebrae": straight_spine()}


def steps(item, *transforms):
    for transform in transforms:
        item = transform(item)
    return item


def test_the_steps_together_give_five_disks_with_their_slices(straight):
    item = steps(straight, GuessScaled(), LocateDisksd(), MatchSlicesd(), CropRoisd())
    found = [(m.image.sop_instance_uid, m.level) for m in item["matches"]]
    assert found == [
        *(("a54", "L1-L2"), ("a50", "L1-L2"), ("a18", "L2-L3")),
        *(("a0", None), ("a-18", "L3-L4"), ("a-54", "L4-L5")),
    ]
    assert [r.level for r in item["readings"]] == ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
    assert [r.axial is not None for r in item["readings"]] == [True, True, True, True, False]
    assert item["readings"][4].flags == ("no_axial_slice",)
    assert item["readings"][0].matches[0].image.sop_instance_uid == "a54"


def test_a_disk_without_one_of_its_vertebrae_is_flagged_and_present(straight):
    straight["vertebrae"] = [v for v in straight["vertebrae"] if v.level != "L3"]
    item = steps(straight, GuessScaled(), LocateDisksd(), MatchSlicesd(), CropRoisd())
    assert [r.flags for r in item["readings"]][1:3] == [("vertebra_not_found",)] * 2


def test_an_roi_beyond_the_image_is_not_used(straight):
    narrow = [blank("s", replace(upright_sagittal(0), origin_lps_mm=np.array([0.0, 25.0, 150.0])))]
    straight["study"] = study(series_of(narrow, "sagittal", [(0,)]))
    item = steps(straight, GuessScaled(), LocateDisksd(), MatchSlicesd(), CropRoisd())
    assert item["readings"][2].sagittal is None
    assert item["readings"][2].flags == ("no_axial_slice", "roi_outside_image", "no_view")


def test_a_tilted_slice_is_flagged(straight):
    tilted = series_of([blank("a", axial_plane(-18, tilt_deg=20))], "axial")
    straight["study"] = replace(straight["study"], axial=tilted)
    item = steps(straight, GuessScaled(), LocateDisksd(), MatchSlicesd(), CropRoisd(tilted_deg=15))
    assert item["readings"][2].flags == ("axial_slice_tilted",)


@pytest.mark.parametrize("pixel_mm", [0.5, 1.7])
def test_a_picture_gets_its_scale_from_its_bodies(pixel_mm):
    bodies = []
    for vertebra in straight_spine():
        corners = (vertebra.corners_lps_mm[:, 1:] * [1, -1] + [100, 150]) / pixel_mm  # y to columns, z down the rows
        box = SliceBox("p.png", (*corners.min(0), *corners.max(0)), 0.9, corners)
        bodies.append(Vertebra(vertebra.level, 0.9, (box,)))
    shape = (round(300 / pixel_mm), round(200 / pixel_mm))
    picture = study_image("p.png", np.zeros(shape), None)
    item = {"study": study(series_of([picture], "sagittal", [(0,)])), "vertebrae": bodies}
    item = steps(item, GuessScaled(body_depth_mm=34.0), LocateDisksd(), MatchSlicesd(), CropRoisd())
    assert item["placed"].sagittal.images[0].plane.pixel_spacing_mm == pytest.approx((pixel_mm, pixel_mm))
    assert item["disks"]["L3-L4"].height_mm == pytest.approx(10.0)
    assert item["study"].sagittal.images[0].plane is None
    assert all(r.sagittal is not None and r.axial is None for r in item["readings"])


@settings(max_examples=60, deadline=None)
@given(plane=planes(), at=st.tuples(st.integers(0, 39), st.integers(0, 39)))
def test_affine_and_plane_of_a_slice_are_the_same_map(plane, at):
    image = meta_tensor(np.zeros(plane.shape), plane)
    row, column = at
    ras = np.asarray(image.affine) @ [row, column, 0, 1]
    np.testing.assert_allclose(ras[:3] * [-1, -1, 1], plane.to_patient([column, row]), atol=1e-9)
    np.testing.assert_allclose(plane_of(image).to_patient([column, row]), plane.to_patient([column, row]), atol=1e-6)


def test_a_volume_is_no_slice():
    with pytest.raises(ValueError, match="channels, rows and columns"):
        plane_of(MetaTensor(torch.zeros(1, 4, 4, 4)))


def bright_spot(plane, at_lps_mm, width_mm=3.0):
    rows, columns = np.indices(plane.shape)
    away = np.linalg.norm(plane.to_patient(np.stack([columns, rows], -1)) - at_lps_mm, axis=-1)
    return np.exp(-((away / width_mm) ** 2))


def brightest_lps(image):
    row, column = np.unravel_index(int(np.argmax(np.asarray(image[0]))), image.shape[1:])
    return (np.asarray(image.affine) @ [row, column, 0, 1])[:3] * [-1, -1, 1]


@pytest.mark.parametrize("tilt_deg", [0.0, 30.0])
def test_a_point_of_the_square_maps_back_to_the_patient(tilt_deg):
    plane, disk = axial_plane(0.0, tilt_deg), flat_disk(tilt_deg=tilt_deg)
    spot = plane.to_patient([95.0, 88.0])
    item = {"axial": meta_tensor(bright_spot(plane, spot), plane), "disk": disk}
    cut = CropDiskRoid("axial", "axial")(item)["axial"]
    assert cut.shape == (1, 96, 96)
    assert np.linalg.norm(brightest_lps(cut) - spot) < 0.6


@pytest.mark.parametrize("view", ["axial", "sagittal"])
def test_the_inverse_lays_the_square_back_onto_its_slice(view):
    plane = axial_plane(0.0, 12.0) if view == "axial" else upright_sagittal(0.0)
    spot = plane.to_patient([84.0, 83.0]) if view == "axial" else plane.to_patient([104.0, 152.0])
    original = bright_spot(plane, spot)
    crop = CropDiskRoid("image", view)
    item = {"image": meta_tensor(original, plane), "disk": flat_disk()}
    back = crop.inverse(crop(item))["image"]
    assert back.shape == (1, *plane.shape)
    np.testing.assert_allclose(np.asarray(back.affine), ras_affine(plane), atol=1e-6)
    np.testing.assert_allclose(np.asarray(back[0]), original, atol=0.08)


def test_the_affine_of_a_whole_roi_is_that_of_its_best_slice(straight):
    item = steps(straight, GuessScaled(), LocateDisksd(), MatchSlicesd(), CropRoisd())
    roi = item["readings"][1].axial
    tensor = as_meta_tensor(roi)
    assert tensor.shape == (3, 96, 96)
    np.testing.assert_allclose(
        (np.asarray(tensor.affine) @ [10, 20, 0, 1])[:3] * [-1, -1, 1], roi.plane.to_patient([20, 10]), atol=1e-9
    )


def test_an_unknown_view_is_refused():
    with pytest.raises(ValueError, match="axial or sagittal"):
        CropDiskRoid("image", "coronal")
