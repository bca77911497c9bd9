from __future__ import annotations

import io
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid

from tests.scripts.web.serving import SECRET, upload


def dicom(study="1.2.3", instance=None, name=f"{SECRET}^Eva", **more) -> bytes:
    """A DICOM file with a header and no image."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", instance or generate_uid()
    dataset.StudyInstanceUID, dataset.PatientName, dataset.PatientID = study, name, "P-1"
    dataset.StudyDate, dataset.StudyDescription = "20240301", "LWS"
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def zip_of(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def stored(web, study):
    folder = web.places.images(study)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_dropped_folder_is_one_study(client, web):
    answer = upload(client, (f"{SECRET}/sag/1.dcm", dicom()), (f"{SECRET}/ax/1.dcm", dicom()), (f"{SECRET}/notes.txt", b"x"))
    assert answer.status_code == 200
    body = answer.json()
    (received,) = body["received"]
    entry = received["study"]
    assert not received["duplicate"] and body["left_out"] == 1
    assert body["message"] == "1 study queued. 1 files were left out: they are no images."
    assert (entry["state"], entry["files"], entry["ahead"]) == ("queued", 2, 0)
    assert entry["patient"]["name"] == f"{SECRET}, Eva" and entry["study_date"] == "2024-03-01"
    assert stored(web, entry["id"]) == ["001/000001.dcm", "002/000002.dcm"]


def test_nothing_on_disk_is_called_after_a_patient(client, web):
    upload(client, (f"{SECRET}/{SECRET}.dcm", dicom()), (f"{SECRET}.zip", zip_of(**{f"{SECRET}/a": dicom(study="1.9")})))
    assert not [path for path in web.places.root.rglob("*") if SECRET in str(path)]


def test_several_studies_in_one_upload_are_each_queued(client):
    body = upload(client, ("cd.zip", zip_of(a=dicom("1.2.1"), b=dicom("1.2.2"), c=dicom("1.2.1")))).json()
    assert sorted(r["study"]["files"] for r in body["received"]) == [1, 2] and body["message"] == "2 studies queued."


def test_a_study_uploaded_twice_is_recognised_however_it_comes(client):
    files = [dicom(instance=f"1.2.3.{k}") for k in range(3)]
    first = upload(client, *((f"{k}.dcm", content) for k, content in enumerate(files))).json()["received"][0]
    again = upload(client, ("all.zip", zip_of(z=files[2], y=files[0], x=files[1]))).json()
    assert again["received"][0]["duplicate"] and again["received"][0]["study"]["id"] == first["study"]["id"]
    assert again["message"] == "1 study is here already."
    assert client.get("/api/studies").json()["total"] == 1


def test_more_images_of_the_same_study_are_told_and_linked(client):
    first = upload(client, ("1", dicom())).json()["received"][0]["study"]["id"]
    body = upload(client, ("1", dicom()), ("2", dicom())).json()
    assert not body["received"][0]["duplicate"] and body["received"][0]["study"]["related"] == [first]
    assert "Other images of the same study are here already." in body["message"]


def test_pictures_are_studies_of_their_own_but_beside_dicom_only_copies(client):
    body = upload(client, ("a.png", png()), ("b.PNG", png() + b" "), ("spine.nii.gz", b"\x1f\x8bvolume")).json()
    assert len(body["received"]) == 3
    body = upload(client, ("a.png", png()), ("1.dcm", dicom())).json()
    assert len(body["received"]) == 1 and body["left_out"] == 1


def test_a_dicomdir_and_hidden_files_are_no_images(client):
    directory = dicom(DirectoryRecordSequence=[])
    body = upload(client, ("DICOMDIR", directory), ("index", directory), (".DS_Store", dicom()), ("1", dicom())).json()
    assert body["received"][0]["study"]["files"] == 1


def test_a_file_that_is_no_image_is_refused(client, web):
    answer = upload(client, (f"{SECRET}.docx", b"PDF or whatever"))
    assert answer.status_code == 415
    assert answer.json()["detail"] == "No DICOM, NIfTI, PNG or JPG image in it (1 file of another kind)."
    assert list(web.places.incoming.iterdir()) == list(web.places.studies.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.zip", b"this is no zip", "The zip archive is damaged or cut off: make it anew."),
        ("a.zip", b"PK\x03\x04" + bytes(200), "The zip archive is damaged or cut off: make it anew."),
        ("a.zip", b"", "The zip archive is damaged or cut off: make it anew."),
        (
            "a.7z",
            b"7z\xbc\xaf\x27\x1c" + bytes(200),
            "Of archives only zip can be taken: unpack it first and drop the folder.",
        ),
        ("a.tar.gz", b"\x1f\x8b" + bytes(200), "Of archives only zip can be taken: unpack it first and drop the folder."),
    ],
)
def test_an_archive_that_cannot_be_read_is_refused(client, web, name, content, message):
    answer = upload(client, (name, content))
    assert (answer.status_code, answer.json()["detail"]) == (400, message)
    assert list(web.places.incoming.iterdir()) == list(web.places.studies.iterdir()) == []


def test_of_a_refused_upload_nothing_is_taken(client):
    assert upload(client, ("1", dicom()), ("a.zip", zip_of(**{"../b": dicom()}))).status_code == 400
    assert client.get("/api/studies").json()["total"] == 0


def test_an_upload_over_the_limit_is_refused_with_the_limit(client, web):
    answer = upload(client, ("1.dcm", bytes(9 << 20)))
    assert (answer.status_code, answer.json()["detail"]) == (413, "The upload is larger than 8 MB.")
    assert list(web.places.incoming.iterdir()) == []


def test_an_upload_that_does_not_say_how_long_it_is_is_counted(client):
    def body():
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        for _ in range(9):
            yield bytes(1 << 20)
        yield b"\r\n--x--\r\n"

    answer = client.post("/api/studies", content=body(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert (answer.status_code, answer.json()["detail"]) == (413, "The upload is larger than 8 MB.")


def test_too_many_files_are_refused(client):
    answer = upload(client, *((str(k), b"x") for k in range(201)))
    assert (answer.status_code, answer.json()["detail"]) == (413, "More than 200 files in one upload.")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/zip", b"PK", 415),
        ("multipart/form-data", b"", 415),
        ("multipart/form-data; boundary=x", b"", 400),
        ("multipart/form-data; boundary=x", b"nonsense", 400),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 400),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nfield\r\n--x--\r\n',
            400,
        ),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; filename="a"\r\n\r\ncut o', 400),
        ("multipart/form-data; boundary=x", b"--x\r\nA: " + b"b" * 40000, 400),
    ],
)
def test_what_is_no_upload_is_refused(client, web, content_type, body, status):
    answer = client.post("/api/studies", content=body, headers={"content-type": content_type})
    assert answer.status_code == status and "\n" not in answer.json()["detail"]
    assert list(web.places.incoming.iterdir()) == []


def test_a_deflated_file_that_unpacks_without_end_is_refused(client):
    dataset = dcmread(io.BytesIO(dicom()))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    meta = io.BytesIO()
    dcmwrite(meta, dataset, enforce_file_format=True)
    length = int.from_bytes(meta.getvalue()[140:144], "little")
    start = bytearray(meta.getvalue()[: 144 + length])
    start[140:144] = (20).to_bytes(4, "little")  # where it says that the deflated part begins is a lie
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = start + b"".join(packer.compress(bytes(1 << 20)) for _ in range(600)) + packer.flush()
    assert len(bomb) < 1 << 20
    answer = upload(client, ("image.dcm", bytes(bomb)))
    assert answer.status_code == 413 and "unpacks to far more" in answer.json()["detail"]


def test_a_deflated_file_as_it_should_be_is_taken(client):
    dataset = dcmread(io.BytesIO(dicom()))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    assert upload(client, ("image.dcm", stream.getvalue())).json()["received"][0]["study"]["patient"]["id"] == "P-1"


def test_a_damaged_header_is_taken_for_the_reading_to_judge(client):
    body = upload(client, ("image.dcm", dicom()[:300])).json()
    assert len(body["received"]) == 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou = 山田, 太郎"),
        ("Doe^John^^Dr", "Doe, John, Dr"),
        ("", ""),
        ("<script>^x", "<script>, x"),
    ],
)
def test_a_name_is_shown_as_people_write_it(client, name, shown):
    content = dicom(name=name, SpecificCharacterSet="ISO_IR 192")
    assert upload(client, ("1", content)).json()["received"][0]["study"]["patient"]["name"] == shown


def test_leftovers_of_an_interrupted_upload_go_at_the_next_start(web, add):
    kept = add()
    for folder in (web.places.incoming / "half", web.places.images("no-such-study"), web.places.images(kept)):
        folder.mkdir(parents=True)
    web.places.clear(web.store.has)
    assert list(web.places.incoming.iterdir()) == [] and [f.name for f in web.places.studies.iterdir()] == [kept]


def test_a_full_disk_is_told_before_anything_is_taken(app, client, monkeypatch):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(1, 1, -1))
    answer = upload(client, ("1", dicom()))
    assert answer.status_code == 507 and "nearly full" in answer.json()["detail"]
