"""Whole series of digital patients, without DICOM in between."""

import json

import numpy as np

from bundle.geometry import Stack
from scripts.detector_studies import phantom_series, transitions


def test_series_come_from_each_maker_in_turn_with_the_patient_s_truth():
    found = list(phantom_series(2, 5, max_px=48))
    assert [maker for maker, *_ in found] == ["siemens", "ge"]
    for _, spine, series in found:
        planes = [image.plane for image in series.images]
        steps = np.diff(Stack(tuple(planes)).positions_mm)
        assert np.all(steps > 0) or np.all(steps < 0)
        assert all(image.load_pixels().shape == image.shape for image in series.images)
        middle = series.images[len(series.images) // 2]
        body = spine.body("L3").center_lps_mm
        assert bool(middle.plane.contains_px(middle.plane.to_pixel(body)))
        # Each image holds its own pixels, from the patient's right to left.
        assert planes[0].to_patient(np.zeros(2))[0] < planes[-1].to_patient(np.zeros(2))[0]
        assert not np.array_equal(series.images[0].load_pixels(), middle.load_pixels())


def test_transitional_patients_are_transitional():
    ((_, spine, _),) = phantom_series(1, 5, transition="sacralised L5", max_px=32)
    assert spine.transition == "sacralised L5"


def test_series_elsewhere_shows_what_it_is_to_show():
    ((_, spine, series),) = phantom_series(1, 5, max_px=32, body="T5")
    middle = series.images[len(series.images) // 2].plane
    assert bool(middle.contains_px(middle.to_pixel(spine.body("T5").center_lps_mm)))
    assert not bool(middle.contains_px(middle.to_pixel(spine.body("L2").center_lps_mm)))


def test_flags_are_counted_by_kind(tmp_path, root, monkeypatch):
    monkeypatch.chdir(root)
    output = tmp_path / "transitions.json"
    transitions(count=1, kinds="ordinary,T13", seed=31, output=str(output))
    counted = json.loads(output.read_text())
    assert {kind: found["patients"] for kind, found in counted.items()} == {"ordinary": 1, "T13": 1}
    assert counted["ordinary"]["flags"] == {}
    assert counted["T13"]["flags"] == {"ribs_do_not_fit": 1}
    assert counted["T13"]["transitional_anatomy or ribs_do_not_fit"][0] == 1.0
