"""Other people's programs, and the bundle's own reader, on studies of every vendor."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from bundle.phantom import dicom
from bundle.phantom.headers import TRANSFER_SYNTAXES
from bundle.phantom.vendors import ORDERS, STACKS
from bundle.study import StudyImage, StudyReader
from tests.phantom.studies import SPINE, VENDORS, brightness, by_place, slim, with_axial, write

ENHANCED = [name for name, vendor in VENDORS.items() if vendor.has_enhanced]
LAYOUTS = [(stacks, order) for stacks in STACKS for order in ORDERS if stacks != "series_per_disk" or order == "ascending"]


def program(name: str) -> str:
    """Path of a Debian program."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Folder with every vendor's whole study, single-frame and, where the vendor has it, multi-frame."""
    folder = tmp_path_factory.mktemp("vendors")
    for number, (name, vendor) in enumerate(VENDORS.items()):
        write(folder / name, slim(vendor), seed=number)
        if vendor.has_enhanced:
            write(folder / f"{name}-enhanced", slim(vendor), seed=number, enhanced=True)
    return folder


@pytest.fixture(scope="module")
def stored_as(tmp_path_factory):
    """Writes the sagittal and axial T2 of a vendor in a transfer syntax, once; returns the study's folder."""
    folder = tmp_path_factory.mktemp("stored")

    def study(name: str, syntax: str) -> Path:
        place = folder / f"{name}-{syntax}"
        if not place.exists():
            write(place, with_axial(slim(VENDORS[name], chance=0.0), "per_disk", "ascending"), transfer_syntax=syntax)
        return place

    return study


def truth_of(study: Path) -> dict:
    return json.loads((study / "truth.json").read_text())


WHOLE = [*VENDORS, *(f"{name}-enhanced" for name in ENHANCED)]


# ---- dciodvfy: the standard's letter --------------------------------------------------------------------------------------


def errors_of(files) -> set[str]:
    """What dciodvfy calls an error in any of the files."""
    found = set()
    for file in files:
        done = subprocess.run([program("dciodvfy"), str(file)], capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        assert re.search("^(Enhanced)?MRImage$", said, re.MULTILINE), said  # it knew what it looked at
        found |= {line for line in said.splitlines() if line.startswith(("Error", "Abort"))}
    return found


def first_of_each_series(study: Path) -> list[Path]:
    return sorted(study.glob("*/0001.dcm"))


def test_dciodvfy_does_find_errors(studies, tmp_path):
    ds = pydicom.dcmread(first_of_each_series(studies / "siemens")[0])
    del ds.ScanningSequence
    ds.save_as(tmp_path / "a.dcm")
    assert any("ScanningSequence" in error for error in errors_of([tmp_path / "a.dcm"]))


@pytest.mark.parametrize("name", WHOLE)
def test_every_vendors_objects_keep_to_the_standard(studies, name):
    files = sorted((studies / name).rglob("*.dcm"))
    assert len(files) >= len(truth_of(studies / name)["series"])
    assert errors_of(files) == set()


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
@pytest.mark.parametrize("name", VENDORS)
def test_every_transfer_syntax_keeps_to_the_standard(stored_as, name, syntax):
    files = first_of_each_series(stored_as(name, syntax))
    assert {pydicom.dcmread(f).file_meta.TransferSyntaxUID for f in files} == {TRANSFER_SYNTAXES[syntax]}
    assert errors_of(files) == set()


@pytest.mark.parametrize("name", ENHANCED)
@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_every_transfer_syntax_of_multi_frame_objects_keeps_to_the_standard(tmp_path, name, syntax):
    write(tmp_path / "study", slim(VENDORS[name], chance=0.0), transfer_syntax=syntax, enhanced=True)
    assert errors_of(first_of_each_series(tmp_path / "study")) == set()


@pytest.mark.parametrize("name", WHOLE)
def test_a_deidentified_study_breaks_the_standard_by_its_missing_modality_alone(tmp_path, name):
    vendor, _, kind = name.partition("-")
    write(tmp_path / "study", slim(VENDORS[vendor]), deidentified=True, enhanced=kind == "enhanced")
    errors = errors_of(first_of_each_series(tmp_path / "study"))
    assert errors
    assert {re.search("<(.*?)>", error).group(1) for error in errors} == {"Modality"}


def test_the_plain_study_keeps_to_the_standard(tmp_path, monkeypatch):
    monkeypatch.setattr(dicom, "series_images", by_place)
    dicom.write_study(tmp_path / "study", SPINE, 1)
    files = first_of_each_series(tmp_path / "study")
    assert [f.parent.name for f in files] == ["01_localizer", "02_t2_tse_sag", "03_t2_tse_tra"]
    assert errors_of(files) == set()


# ---- dcm2niix: geometry as others understand it ---------------------------------------------------------------------------


def corners(plane_affine: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(4, 3) LPS millimetres of the outer pixels' centres, in an order that does not depend on the array's."""
    ends = np.array([[c, r, 0, 1] for c in (0, columns - 1) for r in (0, rows - 1)])
    points = (ends @ plane_affine.T)[:, :3]
    return points[np.lexsort(np.round(points, 1).T)]


def converted(study: Path, out: Path) -> dict[int, list[nibabel.Nifti1Image]]:
    """dcm2niix's images by Series Number."""
    out.mkdir()
    command = [
        program("dcm2niix"),
        "-b",
        "y",
        "-ba",
        "n",
        "-z",
        "n",
        "-x",
        "i",
        "-f",
        "%s_%d_%p",
        "-o",
        str(out),
        str(study),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    images: dict[int, list[nibabel.Nifti1Image]] = {}
    for path in sorted(out.glob("*.nii")):
        series = json.loads(path.with_suffix(".json").read_text())["SeriesNumber"]
        images.setdefault(series, []).append(nibabel.load(path))
    return images


def slices_of(image: nibabel.Nifti1Image) -> list[np.ndarray]:
    """Corners of each slice of a NIfTI image, in LPS."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    columns, rows = image.shape[:2]
    count = image.shape[2] if image.ndim > 2 else 1
    return [corners(lps @ _shift(k), rows, columns) for k in range(count)]


def _shift(k: int) -> np.ndarray:
    move = np.eye(4)
    move[2, 3] = k
    return move


def dicom_slices(study: Path, series: dict) -> list[list[np.ndarray]]:
    """Corners of each slice, by stack, from the headers as pydicom reads them."""
    by_uid = {}
    for file in sorted((study / series["folder"]).glob("*.dcm")):
        ds = pydicom.dcmread(file, stop_before_pixels=True)
        groups = ds.get("PerFrameFunctionalGroupsSequence") or [None]
        for number, group in enumerate(groups, start=1):
            where = ds if group is None else group.PlanePositionSequence[0]
            turn = ds if group is None else group.PlaneOrientationSequence[0]
            measures = ds if group is None else group.PixelMeasuresSequence[0]
            row, column = np.reshape([float(v) for v in turn.ImageOrientationPatient], (2, 3))
            affine = np.eye(4)
            affine[:3, 0] = row * float(measures.PixelSpacing[1])
            affine[:3, 1] = column * float(measures.PixelSpacing[0])
            affine[:3, 3] = [float(v) for v in where.ImagePositionPatient]
            uid = ds.SOPInstanceUID if group is None else f"{ds.SOPInstanceUID}#{number}"
            by_uid[str(uid)] = corners(affine, ds.Rows, ds.Columns)
    return [[by_uid[uid] for uid in stack["sop_instance_uids"]] for stack in series["stacks"]]


def scale_of(study: Path) -> float:
    """What brightness 1 is after rescaling."""
    pixels = VENDORS[truth_of(study)["vendor"]].pixels
    return pixels.scale * (pixels.slope or 1.0)


def assert_same_geometry(study: Path, out: Path) -> None:
    """Every stack is one NIfTI image with the stack's slices in place, and every voxel has the brightness of its place."""
    truth, images = truth_of(study), converted(study, out)
    assert set(images) == {series["series_number"] for series in truth["series"]}
    for series in truth["series"]:
        wanted = dicom_slices(study, series)
        found = [slices_of(image) for image in images[series["series_number"]]]
        assert sorted(map(len, found)) == sorted(map(len, wanted)), series["role"]
        for stack in wanted:
            nearest = min(
                found, key=lambda slices: np.abs(slices[0] - stack[0]).max() + np.abs(slices[-1] - stack[-1]).max()
            )
            backward = min(
                found, key=lambda slices: np.abs(slices[-1] - stack[0]).max() + np.abs(slices[0] - stack[-1]).max()
            )
            off = min(
                np.abs(np.stack(nearest) - np.stack(stack)).max() if len(nearest) == len(stack) else np.inf,
                np.abs(np.stack(backward[::-1]) - np.stack(stack)).max() if len(backward) == len(stack) else np.inf,
            )
            assert off < 0.02, (series["role"], off)
        for image in images[series["series_number"]]:
            places = np.moveaxis(np.indices(image.shape), 0, -1)
            ras = nibabel.affines.apply_affine(image.affine, places)
            expected = brightness(ras * [-1, -1, 1]) * scale_of(study)
            assert np.abs(image.get_fdata() - expected).max() < 1.5, series["role"]


@pytest.mark.parametrize("name", WHOLE)
def test_dcm2niix_puts_every_voxel_of_every_series_where_the_plan_has_it(studies, tmp_path, name):
    assert_same_geometry(studies / name, tmp_path / "nii")


@pytest.mark.parametrize(("stacks", "order"), LAYOUTS)
def test_dcm2niix_understands_every_layout_of_axial_stacks(tmp_path, stacks, order):
    write(tmp_path / "study", with_axial(slim(VENDORS["siemens"], chance=0.0), stacks, order))
    assert_same_geometry(tmp_path / "study", tmp_path / "nii")


@pytest.mark.parametrize("syntax", ["implicit", "rle", "jpeg2000"])  # Debian's dcm2niix is built without JPEG-LS
@pytest.mark.parametrize("name", ["canon", "ge"])  # unsigned and signed
def test_dcm2niix_decodes_the_transfer_syntaxes(stored_as, tmp_path, name, syntax):
    assert_same_geometry(stored_as(name, syntax), tmp_path / "nii")


# ---- Orthanc: a real archive ----------------------------------------------------------------------------------------------

_local = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str, data: bytes | None = None, method: str | None = None):
    request = urllib.request.Request(url, data=data, method=method)
    with _local.open(request, timeout=30) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """Address of an Orthanc with an empty store, on a free port of the loopback."""
    executable = program("Orthanc")
    folder = tmp_path_factory.mktemp("orthanc")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomServerEnabled": False,
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    log = (folder / "log").open("w")
    process = subprocess.Popen([executable, str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                ask(f"{address}/system")
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(20)
        log.close()


@pytest.fixture(scope="module")
def archive(orthanc, studies):
    """Orthanc with all the studies, and its Study Instance UIDs by name."""
    for file in sorted(studies.rglob("*.dcm")):
        answer = ask(f"{orthanc}/instances", file.read_bytes())
        assert answer["Status"] == "Success", file
    return orthanc


def test_orthanc_holds_all_studies(archive, studies):
    wanted = [truth_of(studies / name) for name in WHOLE]
    counted = ask(f"{archive}/statistics")
    assert counted["CountStudies"] == counted["CountPatients"] == len(WHOLE)
    assert counted["CountSeries"] == sum(len(truth["series"]) for truth in wanted)
    assert counted["CountInstances"] == len(list(studies.rglob("*.dcm")))


@pytest.mark.parametrize("name", WHOLE)
def test_orthanc_files_every_series_as_the_truth_names_it(archive, studies, name):
    truth = truth_of(studies / name)
    query = {"Level": "Study", "Query": {"StudyInstanceUID": truth["study_instance_uid"]}}
    (study,) = ask(f"{archive}/tools/find", json.dumps(query).encode())
    found = {s["MainDicomTags"]["SeriesInstanceUID"]: s for s in ask(f"{archive}/studies/{study}/series")}
    assert set(found) == {series["series_instance_uid"] for series in truth["series"]}
    for series in truth["series"]:
        filed = found[series["series_instance_uid"]]
        assert len(filed["Instances"]) == (len(series["stacks"]) if truth["enhanced"] else series["images"])
        assert filed["MainDicomTags"].get("SeriesDescription", "") == series["description"]
        assert filed["MainDicomTags"]["Modality"] == "MR"


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_orthanc_keeps_every_transfer_syntax_as_it_comes(orthanc, stored_as, syntax):
    for file in first_of_each_series(stored_as("canon", syntax)):
        answer = ask(f"{orthanc}/instances", file.read_bytes())
        assert answer["Path"].startswith("/instances/")
        stored = f"{orthanc}{answer['Path']}/metadata/TransferSyntax"
        with _local.open(stored, timeout=30) as said:
            assert said.read().decode() == TRANSFER_SYNTAXES[syntax]
        ask(f"{orthanc}{answer['Path']}", method="DELETE")


def test_orthanc_files_a_deidentified_study(orthanc, tmp_path):
    truth = write(tmp_path / "study", slim(VENDORS["ge"]), seed=77, deidentified=True)
    answers = [ask(f"{orthanc}/instances", file.read_bytes()) for file in sorted(tmp_path.rglob("*.dcm"))]
    assert {answer["Status"] for answer in answers} == {"Success"}
    (study,) = {answer["ParentStudy"] for answer in answers}
    filed = {s["MainDicomTags"]["SeriesInstanceUID"]: len(s["Instances"]) for s in ask(f"{orthanc}/studies/{study}/series")}
    assert filed == {series["series_instance_uid"]: series["images"] for series in truth["series"]}
    ask(f"{orthanc}/studies/{study}", method="DELETE")


# ---- the bundle's own reader ----------------------------------------------------------------------------------------------


def assert_read_right(source: Path) -> None:
    truth, study = truth_of(source), StudyReader()(source)
    by_role: dict[str, list[dict]] = {}
    for series in truth["series"]:
        by_role.setdefault(series["role"], []).append(series)
    (sagittal,) = by_role["sagittal_t2"]
    assert study.sagittal.series_instance_uid == sagittal["series_instance_uid"]
    assert [image.sop_instance_uid for image in study.sagittal.images] == sagittal["stacks"][0]["sop_instance_uids"]
    wanted = [stack["sop_instance_uids"] for series in by_role["axial_t2"] for stack in series["stacks"]]
    assert [[study.axial.images[k].sop_instance_uid for k in stack] for stack in study.axial.stacks] == wanted


@pytest.mark.parametrize("name", WHOLE)
def test_the_reader_picks_sagittal_and_axial_t2_of_every_vendor_and_finds_the_stacks(studies, name):
    assert_read_right(studies / name)


@pytest.mark.parametrize("name", VENDORS)
def test_the_reader_picks_them_from_what_a_deidentified_study_still_says(tmp_path, name):
    # Without any header only the pixels tell T2 from T1, and these tell places: so no T1 beside the T2 here.
    write(tmp_path / "study", slim(VENDORS[name], chance=0.0), deidentified=True)
    assert_read_right(tmp_path / "study")


@pytest.mark.parametrize(("stacks", "order"), LAYOUTS)
def test_the_reader_understands_every_layout_of_axial_stacks(tmp_path, stacks, order):
    write(tmp_path / "study", with_axial(slim(VENDORS["united_imaging"], chance=0.0), stacks, order))
    assert_read_right(tmp_path / "study")


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
@pytest.mark.parametrize("name", VENDORS)
def test_the_reader_decodes_every_transfer_syntax_of_every_pixel_format(stored_as, name, syntax):
    study = stored_as(name, syntax)
    assert_shows_its_place(StudyReader()(study).axial.images[0], scale_of(study))


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_the_reader_decodes_every_transfer_syntax_of_multi_frame_objects(tmp_path, syntax):
    vendor = with_axial(slim(VENDORS["siemens"], chance=0.0), "per_disk", "ascending")
    write(tmp_path / "study", vendor, transfer_syntax=syntax, enhanced=True)
    for image in StudyReader()(tmp_path / "study").axial.images:
        assert_shows_its_place(image, scale_of(tmp_path / "study"))


def assert_shows_its_place(image: StudyImage, scale: float) -> None:
    rows, columns = np.indices(image.shape)
    expected = brightness(image.plane.to_patient(np.stack([columns, rows], axis=-1))) * scale
    assert np.abs(image.load_pixels() - expected).max() < 1.5
