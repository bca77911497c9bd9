import json

import pydicom
import pytest

from bundle.phantom import dicom
from scripts.phantom_study import main
from tests.phantom.studies import by_place


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(dicom, "series_images", by_place)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_many_studies_have_a_folder_each_and_a_vendor_drawn_for_each(tmp_path):
    main(str(tmp_path / "studies"), seed=100, count=3, vendor="any", max_px=32)
    folders = sorted((tmp_path / "studies").iterdir())
    assert [f.name for f in folders] == [f"phantom-{seed:05d}" for seed in range(100, 103)]
    truths = [json.loads((f / "truth.json").read_text()) for f in folders]
    assert len({truth["vendor"] for truth in truths}) > 1
    assert len({truth["study_instance_uid"] for truth in truths}) == 3


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        main(str(tmp_path / name), seed=7, vendor="esaote,hitachi", max_px=32)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_without_a_vendor_the_study_is_plain(tmp_path, capsys):
    main(str(tmp_path / "study"), seed=75)
    assert {p.name for p in (tmp_path / "study").iterdir()} == {
        "01_localizer", "02_t2_tse_sag", "03_t2_tse_tra", "truth.json",
    }  # fmt: skip
    assert "plain, L1-L2" in capsys.readouterr().out


def test_options_are_followed(tmp_path):
    main(str(tmp_path / "a"), vendor="any", max_px=32, enhanced=True, transfer_syntax="rle", deidentified=True)
    found = [pydicom.dcmread(p) for p in (tmp_path / "a").rglob("*.dcm")]
    assert {ds.SOPClassUID.name for ds in found} == {"Enhanced MR Image Storage"}
    assert {ds.file_meta.TransferSyntaxUID.name for ds in found} == {"RLE Lossless"}
    assert {ds.SeriesDescription for ds in found} == {""}
    assert {ds.Rows for ds in found} == {32}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"vendor": "nobody"}, "--vendor nobody: known are any, siemens"),
        ({"vendor": "ge", "enhanced": True}, "ge has no scanner"),
        ({"vendor": "ge", "transfer_syntax": "zip"}, "--transfer_syntax zip: known are explicit"),
        ({"vendor": "ge", "max_px": 8}, "--max_px 8: at least 32"),
        ({"max_px": 64}, "name a --vendor"),
        ({"count": 0}, "--count 0"),
        ({"vendor": "ge", "config_file": "missing.yaml"}, "missing.yaml: cannot be read"),
    ],
)
def test_a_wrong_option_is_one_line_and_nothing_is_written(tmp_path, options, told):
    with pytest.raises(SystemExit) as stopped:
        main(str(tmp_path / "study"), **options)
    assert told in str(stopped.value)
    assert "\n" not in str(stopped.value)
    assert not (tmp_path / "study").exists()


def test_one_foreign_folder_among_many_stops_all_before_the_first_is_written(tmp_path):
    (tmp_path / "phantom-00002").mkdir()
    (tmp_path / "phantom-00002" / "notes.txt").write_text("precious")
    with pytest.raises(SystemExit, match="no phantom study"):
        main(str(tmp_path), seed=1, count=2, vendor="ge", max_px=32)
    assert [p.name for p in tmp_path.iterdir()] == ["phantom-00002"]
