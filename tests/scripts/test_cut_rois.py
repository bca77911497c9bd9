"""From a set as published to a datalist and ROIs, with the released detector."""

import json
import shutil

import numpy as np
import pytest
from openpyxl import Workbook
from PIL import Image
from pydicom import dcmread

from bundle.geometry import DISK_LEVELS
from scripts.cut_rois import main

SAGITTAL = "02_t2_tse_sag"


def spider(source, folder):
    """The middle slice as a picture, 0.65 mm a pixel as SPIDER's, and the gradings of its disks."""
    files = sorted((source / SAGITTAL).glob("*.dcm"))
    pixels = dcmread(files[len(files) // 2]).pixel_array.astype(float)
    (folder / "images").mkdir()
    Image.fromarray((255 * pixels / pixels.max()).clip(0, 255).astype(np.uint8)).save(folder / "images" / "7_t2.png")
    rows = [f"7,{disk},0,0,0,{int(disk == 1)},{int(disk < 4)},0,3" for disk in range(1, 8)]
    head = "Patient,IVD label,Modic,UP endplate,LOW endplate,Disc herniation,Disc bulging,Disc narrowing,Pfirrman grade"
    (folder / "radiological_gradings.csv").write_text("\n".join([head, *rows]) + "\n")
    return {}


def sudirman(source, folder):
    """The study as .ima files in a patient's folder, and the workbook of notes."""
    place = folder / "0007" / "L-SPINE" / "T2"
    place.mkdir(parents=True)
    for k, file in enumerate(sorted((source / SAGITTAL).glob("*.dcm"))):
        shutil.copy(file, place / f"T2_{k:03d}.ima")
    book = Workbook()
    book.active.append(["Patient ID", "Clinician's Notes"])
    book.active.append([7, "L2-3 to L4-5 diffuse disc bulges. L5-S1 right extruded disc."])
    book.save(folder / "Radiologists Report.xlsx")
    return {"report": str(folder / "Radiologists Report.xlsx")}


def tianchi(source, folder):
    """The study in a folder of any name, and the JSON of points, with an empty and a joined tag."""
    shutil.copytree(source / SAGITTAL, folder / "train" / "study7")
    uid = str(dcmread(next((source / SAGITTAL).glob("*.dcm"))).StudyInstanceUID)
    tags = dict(zip(DISK_LEVELS, ("", "v2", "v2,v5", "v2", "v4"), strict=True))
    points = [{"coord": [9, 9], "tag": {"identification": k, "disc": v}, "zIndex": 5} for k, v in tags.items()]
    data = [{"seriesUid": "1", "instanceUid": "1.2", "annotation": [{"annotator": 72, "data": {"point": points}}]}]
    (folder / "train.json").write_text(json.dumps([{"studyUid": uid, "version": "v0.1", "data": data}]))
    return {"folder": str(folder / "train"), "report": str(folder / "train.json")}


@pytest.mark.parametrize(
    ("lay_out", "findings"),
    [
        (spider, ["normal", "normal", "bulge", "bulge", "herniation"]),
        (sudirman, ["normal", "bulge", "bulge", "bulge", "herniation"]),
        (tianchi, [None, "bulge", "bulge", "bulge", "herniation"]),
    ],
)
def test_a_set_as_published_becomes_a_datalist_and_rois(lay_out, findings, sample_study, tmp_path, monkeypatch, root):
    monkeypatch.chdir(root)
    folder = tmp_path / "set"
    folder.mkdir()
    given = {"folder": str(folder), **lay_out(sample_study, folder)}
    main(output=str(tmp_path / "rois.npz"), dataset=lay_out.__name__, **given)
    items = json.loads((tmp_path / "rois.json").read_text())["training"]
    assert [item["finding"] for item in items if item["level"] in DISK_LEVELS] == findings
    with np.load(tmp_path / "rois.npz") as file:
        assert [(DISK_LEVELS[level], label) for level, label in zip(file["level"], file["label"], strict=True)] == [
            (item["level"], item["label"]) for item in items if item["finding"] is not None
        ]
        assert file["sagittal"].dtype == np.uint8 and file["sagittal"].std() > 10
        assert file["sagittal"].shape[1:] == ((1, 144, 144) if lay_out is spider else (3, 144, 144))
        assert set(file["patient"]) == ({0} if lay_out is tianchi else {7})


def test_a_set_that_is_not_known_is_told(tmp_path):
    with pytest.raises(SystemExit, match="error: no data set mnist; known are spider, rsna, sudirman, tianchi"):
        main(str(tmp_path), str(tmp_path / "rois.npz"), dataset="mnist")


def test_a_folder_that_is_not_as_published_is_told(tmp_path, root, monkeypatch):
    monkeypatch.chdir(root)
    with pytest.raises(SystemExit, match=r"error: .*radiological_gradings\.csv: cannot be read"):
        main(str(tmp_path), str(tmp_path / "rois.npz"))
    assert not list(tmp_path.glob("rois*"))
