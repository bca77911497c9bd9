"""Bodies as viewers draw them: boxes in patient space, and label maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from bundle.geometry import SliceBox, Vertebra
from bundle.study.plain import series_of_volume
from bundle.vertebrae.markups import LABEL_VALUES, body_boxes, label_map, slicer_markups, through_body
from bundle.vertebrae.volume import VolumeDetector

#: RAS affine of a sagittal volume as converters write it: columns to the back, rows to the feet, 4 mm slices to the left.
AFFINE = np.array([[0, 0, -4.0, 12], [-1.0, 0, 0, 50], [0, -1.0, 0, 80], [0, 0, 0, 1]])
SHAPE = (100, 160, 7)


@pytest.fixture
def series():
    return series_of_volume(np.zeros(SHAPE), AFFINE, "case")


def body(series, slices, c0=40.0, r0=60.0, c1=74.0, r1=86.0, level="L4", narrow=()):
    """A box on the slices of these indices, counted from the patient's right; half as deep on those in ``narrow``."""
    boxes = []
    for k in slices:
        right = (c0 + c1) / 2 if k in narrow else c1
        boxes.append(SliceBox(series.images[k].sop_instance_uid, (c0, r0, right, r1), 0.9))
    return Vertebra(level, 0.9, tuple(boxes))


def test_a_box_is_where_the_body_is_in_the_patient(series):
    box = body_boxes([body(series, (2, 3, 4))], series)[0]
    # LPS: x = -(12 - 4 * 3) = 0 at the middle slice, y = column - 50, z = 80 - row.
    np.testing.assert_allclose(box.center_lps_mm, [0.0, 57 - 50, 80 - 73], atol=1e-6)
    np.testing.assert_allclose(box.size_mm, [3 * 4.0, 34.0, 26.0], atol=1e-6)
    np.testing.assert_allclose(box.axes, np.diag([-1.0, -1.0, 1.0]), atol=1e-9)
    assert np.linalg.det(box.axes) == pytest.approx(1.0)


def test_slices_through_the_pedicle_do_not_widen_the_box(series):
    vertebra = body(series, (1, 2, 3, 4, 5), narrow=(1, 5))
    assert len(through_body(vertebra)) == 3
    np.testing.assert_allclose(body_boxes([vertebra], series)[0].size_mm, [12.0, 34.0, 26.0], atol=1e-6)


def test_a_turned_box_fits_into_its_box_along_the_patients_axes(series):
    turned = body_boxes([body(series, (2, 3, 4))], series)[0]
    angle = np.radians(30)
    axes = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]]) @ turned.axes
    whole = type(turned)("L4", turned.center_lps_mm, np.array([10.0, 20.0, 30.0]), axes).aligned_cccwhd()
    corners = np.array([[a, b, c] for a in (-5, 5) for b in (-10, 10) for c in (-15, 15)]) @ axes
    np.testing.assert_allclose(whole[3:], corners.max(0) - corners.min(0), atol=1e-9)
    np.testing.assert_allclose(whole[:3], turned.center_lps_mm)


def test_slicer_gets_a_named_roi_with_columns_of_directions(series):
    markup = slicer_markups(body_boxes([body(series, (2, 3, 4))], series))["markups"][0]
    assert (markup["name"], markup["type"], markup["coordinateSystem"]) == ("L4", "ROI", "LPS")
    assert markup["orientation"] == [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]


def test_a_label_map_has_the_bodys_value_where_its_boxes_are_and_nowhere_else(series):
    labels = label_map([body(series, (2, 3, 4))], series, SHAPE, AFFINE)
    assert labels.shape == SHAPE
    assert set(np.unique(labels)) == {0, LABEL_VALUES["L4"]}
    columns, rows, slices = np.nonzero(labels)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (40, 74, 60, 86)
    assert sorted(set(slices.tolist())) == [2, 3, 4]


def test_a_volume_without_an_affine_is_refused():
    class Finder:
        detector = None

    detector = VolumeDetector(Finder())
    with pytest.raises(ValueError, match="load it as a MetaTensor"):
        detector([torch.zeros(1, 4, 4, 3)])


def test_a_volume_gives_what_the_finder_finds_in_its_slices(series):
    class Column:
        vertebrae = (body(series, (2, 3, 4), level="L4"), body(series, (2, 3, 4), r0=95, r1=121, level="L5"))

    class Finder:
        seen = None

        def find(self, found):
            self.seen = found
            uids = [image.sop_instance_uid.replace("volume", "case") for image in found.images]
            assert uids == [image.sop_instance_uid for image in series.images]
            renamed = [
                Vertebra(v.level, v.score, tuple(SliceBox(b.sop_instance_uid.replace("case", "volume"), b.xyxy, b.score)
                                                 for b in v.boxes))
                for v in Column.vertebrae
            ]  # fmt: skip
            return type("Found", (), {"vertebrae": tuple(renamed)})

    volume = MetaTensor(torch.zeros(1, *SHAPE), affine=torch.from_numpy(AFFINE))
    found = VolumeDetector(Finder())(volume[None])[0]
    assert found["label"].tolist() == [LABEL_VALUES["L4"] - 1, LABEL_VALUES["L5"] - 1]
    np.testing.assert_allclose(found["box"][0], [0.0, 7.0, 7.0, 12.0, 34.0, 26.0], atol=1e-4)
