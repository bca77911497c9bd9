from __future__ import annotations

import io
import shutil
import stat
import struct
import zipfile

import pytest

from scripts.web.settings import Limits
from scripts.web.unpack import Budget, Refused, unpack

LIMITS = Limits(max_upload_mb=8, max_unpacked_mb=200, max_ratio=200, max_files=50)


def archive(*members, **options) -> bytes:
    """A zip of (name or ZipInfo, content)."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, **options) as opened:
        for name, content in members:
            opened.writestr(name, content)
    return stream.getvalue()


@pytest.fixture
def unpacked(tmp_path):
    """Unpacks a zip; gives the contents, or raises."""
    target = tmp_path / "target"

    def run(content: bytes, limits: Limits = LIMITS, budget: Budget | None = None) -> list[bytes]:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        (tmp_path / "a.zip").write_bytes(content)
        names = []

        def place(name):
            names.append(name)
            return target / str(len(names))

        files = list(unpack(tmp_path / "a.zip", budget or Budget(limits), place))
        assert sorted(tmp_path.iterdir()) == [tmp_path / "a.zip", target]
        return [path.read_bytes() for path in files]

    return run


def refusal(unpacked, content, limits=LIMITS):
    with pytest.raises(Refused) as caught:
        unpacked(content, limits)
    return caught.value


def test_files_come_out_as_they_went_in(unpacked):
    assert unpacked(archive(("a/1", b"one"), ("a/", b""), ("b/2", b"two"))) == [b"one", b"two"]


@pytest.mark.parametrize(
    "name", ["../out", "a/../../out", "/etc/out", "..\\out", "C:\\out", "c:/out", "a/..", "\\\\host\\share\\out"]
)
def test_a_path_that_leads_out_of_the_archive_is_refused(unpacked, name):
    assert "paths that lead out" in str(refusal(unpacked, archive(("good", b"1"), (name, b"2"))))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(unpacked, kind):
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, (kind | 0o777) << 16
    assert "links or devices" in str(refusal(unpacked, archive((link, b"/etc/passwd"))))


def test_an_archive_in_an_archive_is_refused(unpacked):
    assert "archive inside" in str(refusal(unpacked, archive(("inner.zip", archive(("a", b"1"))))))
    assert "archive inside" in str(refusal(unpacked, archive(("no-ending", archive(("a", b"1"))))))


def test_a_dicom_file_whose_preamble_looks_like_an_archive_is_none(unpacked):
    content = (b"PK\x03\x04" + bytes(124)) + b"DICM" + bytes(20)
    assert unpacked(archive(("image", content))) == [content]


def test_a_bomb_is_refused_by_what_its_index_says(unpacked):
    bomb = archive(("zeros", bytes(100 << 20)))
    assert len(bomb) < 1 << 20
    error = refusal(unpacked, bomb)
    assert "far more than any images" in str(error) and error.status == 413


def test_a_bomb_whose_index_lies_is_refused_by_what_comes_out(unpacked, tmp_path):
    bomb = bytearray(archive(("zeros", bytes(100 << 20))))
    index = bomb.index(b"PK\x01\x02")
    struct.pack_into("<I", bomb, index + 24, 1000)  # uncompressed size in the index
    struct.pack_into("<I", bomb, 22, 1000)  # and in the file's own header
    refusal(unpacked, bytes(bomb))
    assert sum(path.stat().st_size for path in (tmp_path / "target").iterdir()) < 80 << 20


def test_a_bomb_of_many_small_parts_is_refused(unpacked):
    many = archive(*((f"{k}", bytes(6 << 20)) for k in range(40)))
    assert "larger than 200 MB when unpacked" in str(refusal(unpacked, many))


def test_the_whole_upload_has_one_budget(unpacked):
    budget = Budget(Limits(max_unpacked_mb=1, max_files=3))
    unpacked(archive(("a", bytes(700_000)), ("b", b"1")), budget=budget)
    with pytest.raises(Refused, match="larger than 1 MB when unpacked"):
        unpacked(archive(("c", bytes(700_000))), budget=budget)


def test_too_many_files_are_refused(unpacked):
    assert "More than 50 files" in str(refusal(unpacked, archive(*((str(k), b"") for k in range(51)))))


def test_an_index_of_millions_is_refused_before_it_is_read(unpacked, monkeypatch):
    many = archive(*((f"{'x' * 200}{k}", b"") for k in range(100)))
    monkeypatch.setattr(zipfile, "ZipFile", lambda *a, **k: pytest.fail("the index was read"))
    assert "More than 50 files" in str(refusal(unpacked, many))


def test_an_encrypted_archive_is_refused(unpacked):
    content = bytearray(archive(("secret", b"content")))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in str(refusal(unpacked, bytes(content)))


def test_an_unknown_packing_is_refused(unpacked):
    content = bytearray(archive(("a", b"content")))
    struct.pack_into("<H", content, 8, 93)
    struct.pack_into("<H", content, content.index(b"PK\x01\x02") + 10, 93)
    assert "packed in a way" in str(refusal(unpacked, bytes(content)))


def test_an_empty_archive_is_refused(unpacked):
    assert "empty" in str(refusal(unpacked, archive()))


@pytest.mark.parametrize("damage", ["cut", "bits", "noise", "index", "nothing"])
def test_a_damaged_archive_is_refused(unpacked, damage):
    content = bytearray(archive(("a", bytes(range(256)) * 200)))
    if damage == "bits":
        content[60] ^= 0xFF
    if damage == "index":
        content[content.index(b"PK\x01\x02") + 42 : content.index(b"PK\x01\x02") + 46] = b"\xff\xff\xff\x7f"
    damaged = {"cut": bytes(content[:-30]), "noise": b"PK\x03\x04" + bytes(500), "nothing": b""}.get(damage, bytes(content))
    assert "damaged or cut off" in str(refusal(unpacked, damaged))
