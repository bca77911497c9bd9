"""Contact sheets: panels, and what each sheet shows."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bundle.geometry import DISK_LEVELS
from bundle.phantom.anatomy import TRANSITIONS, sample_spine
from bundle.phantom.paint import SpinePatient
from bundle.phantom.slices import NEGATIVES
from scripts import contact_sheet
from scripts.contact_sheet import VARIANTS, axial_rows, main, negative_rows, sagittal_rows
from scripts.panels import AXIAL_SCANNER, PROTOCOLS, Panel, axial_view, draw_sheet, sagittal_view, squared, taken


def test_sheet_is_written_with_a_place_for_each_panel(tmp_path):
    rows = [[Panel(np.eye(8), "one"), Panel(np.eye(8), "two", real=True)], [Panel(np.zeros((8, 4)), "dark")]]
    path = draw_sheet(rows, tmp_path / "new" / "sheet.png", "title", side_in=1.0)
    width, height = Image.open(path).size
    assert (width, height) == (220, 275)


def test_window_follows_the_middle_not_a_bright_edge(tmp_path):
    pixels = np.full((90, 90), 0.2)
    pixels[30:60, 30:60] = np.linspace(0.1, 0.3, 30)
    bright = pixels.copy()
    bright[:, 75:] = 50.0
    plain, edged = (
        np.asarray(Image.open(draw_sheet([[Panel(p, window_share=0.35)]], tmp_path / f"{k}.png")).convert("L"), dtype=float)
        for k, p in enumerate((pixels, bright))
    )
    middle = (
        slice(plain.shape[0] // 2 - 20, plain.shape[0] // 2 + 20),
        slice(plain.shape[1] // 2 - 20, plain.shape[1] // 2 + 20),
    )
    assert edged[middle] == pytest.approx(plain[middle], abs=2)


def test_square_is_cut_from_the_middle_in_millimetres():
    image = np.zeros((100, 60))
    assert squared(image, (0.5, 1.0), 40.0).shape == (80, 40)
    assert squared(image, (1.0, 1.0), 80.0).shape == (80, 60)


def test_views_lie_as_radiologists_look_at_them():
    sagittal = sagittal_view((1, 2, 3))
    assert sagittal.center_lps_mm == pytest.approx([1, 2, 3])
    assert (sagittal.row_direction[1], sagittal.column_direction[2]) == (1, -1)
    spine = sample_spine(3)
    axes = spine.disks["L3-L4"].axes
    assert (axial_view((0, 0, 0), axes, 80.0).row_direction @ axes[0]) == pytest.approx(1)


def test_fluid_is_bright_in_t2_and_dark_in_t1():
    spine = sample_spine(3)
    z = float(spine.body("L3").center_lps_mm[2])
    x, wall, half_depth, _, gap = spine.canal_at(z)
    plane = replace(axial_view((x, wall + gap + half_depth, z), np.eye(3), 120.0, 96), thickness_mm=1.0)
    patient, quiet = SpinePatient(spine), replace(AXIAL_SCANNER, noise=0.0)
    t2, t1 = (taken(patient, plane, name, quiet, profile=1) for name in ("T2", "T1"))
    assert t2[48, 48] > 1.5 * np.median(t2)
    assert t1[48, 48] / np.median(t1) < 0.7 * t2[48, 48] / np.median(t2)
    assert set(PROTOCOLS) == {"T2", "T1", "STIR", "MYELO"}


def test_without_real_images_the_sheets_show_phantoms_only(tmp_path):
    rows = sagittal_rows(tmp_path, 0, across=1)
    assert [p.title.split()[-1] for row in rows for p in row] == ["T2", "T1", "STIR"]
    axial = axial_rows(tmp_path, 0, "configs/inference.yaml", patients=1)
    assert [p.title.split()[2] for p in axial[0]] == list(DISK_LEVELS)
    assert not any(p.real for row in rows + axial for p in row)


def test_negatives_show_each_kind():
    titles = [p.title for row in negative_rows(0, examples=1) for p in row]
    assert titles == list(NEGATIVES)


def test_variants_that_are_asked_for_are_asked_for_by_their_name():
    assert set(TRANSITIONS) <= set(VARIANTS)
    for name in TRANSITIONS:
        assert sample_spine(0, **VARIANTS[name].settings).transition == name


@pytest.mark.parametrize("name", ["scoliosis", "listhesis", "osteophytes", "laminectomy", "screws"])
def test_variants_are_found_among_the_first_patients(name):
    variant = VARIANTS[name]
    assert any(variant.shows(sample_spine(k, **variant.settings)) for k in range(120))


def test_unknown_sheet_is_refused_by_name():
    with pytest.raises(SystemExit, match="no sheet is called coronal: choose among sagittal, axial"):
        main("coronal")


def test_real_rows_stand_beside_the_phantoms(shared_data):
    pictures = contact_sheet._spider(shared_data, "t2", 2)
    assert len(pictures) == 2 and all(p.real for p in pictures)
    slices = list(contact_sheet._hitachi(shared_data, "006_T2_SAG"))
    assert len(slices) == 11
    assert "6" in slices[0].title  # the middle one first
