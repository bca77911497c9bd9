import copy

import numpy as np
import pytest
import yaml

from bundle.phantom.headers import TRANSFER_SYNTAXES
from bundle.phantom.sequences import sample_sequence
from bundle.phantom.vendors import CONFIG_FILE, VendorError, choose_vendor, load_vendors

TABLE = yaml.safe_load(CONFIG_FILE.read_text())
VENDORS = load_vendors()


def load(tmp_path, change):
    table = copy.deepcopy(TABLE)
    change(table)
    path = tmp_path / "vendors.yaml"
    path.write_text(yaml.safe_dump(table, sort_keys=False))
    return load_vendors(path)


def test_every_big_vendor_is_known():
    assert set(VENDORS) >= {"siemens", "ge", "philips", "canon", "hitachi", "esaote", "united_imaging"}


@pytest.mark.parametrize("name", VENDORS)
def test_every_vendor_always_takes_what_a_reading_needs(name):
    chances = {habit.role: habit.chance for habit in VENDORS[name].series}
    assert chances["localizer"] == chances["sagittal_t2"] == chances["axial_t2"] == 1.0
    assert set(chances) == set(TABLE["series"])


@pytest.mark.parametrize("name", VENDORS)
def test_protocols_and_transfer_syntaxes_are_known_to_those_who_use_them(name):
    assert set(VENDORS[name].transfer_syntaxes) <= set(TRANSFER_SYNTAXES)
    for habit in VENDORS[name].series:
        assert sample_sequence(np.random.default_rng(0), habit.sequence).name == habit.sequence


def test_a_vendors_own_entry_comes_before_the_common_one():
    by_role = {habit.role: habit for habit in VENDORS["ge"].series}
    assert by_role["axial_t2"].matrix_px == (512,) != tuple(TABLE["series"]["axial_t2"]["matrix_px"])
    assert by_role["axial_t2"].tags["ScanningSequence"] == "SE"
    assert "FAST_GEMS" in by_role["axial_t2"].tags["ScanOptions"]


def test_a_vendor_is_drawn_by_seed_and_each_comes():
    drawn = [choose_vendor(list(VENDORS.values()), seed).name for seed in range(100)]
    assert drawn == [choose_vendor(list(VENDORS.values()), seed).name for seed in range(100)]
    assert set(drawn) == set(VENDORS)


def _mistype(table):
    table["vendors"]["ge"]["series"]["axial_t2"]["ordres"] = ["ascending"]


def _unknown_order(table):
    table["vendors"]["ge"]["series"]["axial_t2"]["orders"] = ["sideways"]


def _unknown_series(table):
    table["vendors"]["ge"]["series"]["axial_t3"] = {}


def _unknown_tag(table):
    table["vendors"]["ge"]["tags"]["NoSuchTag"] = 1


def _upside_down(table):
    table["series"]["axial_t2"]["te_ms"] = [120, 90]


def _no_scanner(table):
    table["vendors"]["ge"]["scanners"] = []


def _no_series(table):
    del table["series"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_mistype, "ge: axial_t2: unknown entry ordres"),
        (_unknown_order, "sideways"),
        (_unknown_series, "axial_t3"),
        (_unknown_tag, "NoSuchTag is no DICOM keyword"),
        (_upside_down, "te_ms"),
        (_no_scanner, "ge: no scanner"),
        (_no_series, "series"),
    ],
)
def test_a_mistake_in_the_table_is_told_in_one_line_with_the_file(tmp_path, change, told):
    with pytest.raises(VendorError) as error:
        load(tmp_path, change)
    assert told in str(error.value)
    assert str(error.value).startswith(str(tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["a: [", None], ids=["no YAML", "no file"])
def test_a_table_that_cannot_be_read_is_told(tmp_path, text):
    path = tmp_path / "vendors.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(VendorError, match=r"vendors\.yaml: cannot be read"):
        load_vendors(path)
