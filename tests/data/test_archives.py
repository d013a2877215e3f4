"""Archives of images: extracted once and whole, or refused before anything is written."""

import stat
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from hicra_trl.data import archives as images
from hicra_trl.data.archives import extract_images, list_files


def archive(tmp_path, members, name="images.zip"):
    file = tmp_path / name
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for member, content in members:
            opened.writestr(member, content)
    return file


def linked(name, target="/etc/passwd", kind=stat.S_IFLNK):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    return info, target


def refused(file, folder):
    """The one line that refuses an archive, of which nothing then is anywhere."""
    with pytest.raises(ValueError) as raised:
        extract_images(file, folder)
    assert [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    assert len(str(raised.value).splitlines()) == 1
    return str(raised.value)


def test_what_is_extracted_is_what_is_in_the_archive(tmp_path):
    members = [("images/", ""), ("images/a.png", b"\x00a"), ("images/deep/b:1..png", b"b" * 10_000)]
    target = extract_images(archive(tmp_path, members), tmp_path / "cache")
    assert list_files(target) == {"images/a.png", "images/deep/b:1..png"}
    assert (target / "images/a.png").read_bytes() == b"\x00a"


def test_an_archive_is_extracted_once_and_another_one_elsewhere(tmp_path):
    file = archive(tmp_path, [("a.png", b"a")])
    target = extract_images(file, tmp_path / "cache")
    (target / "mark").touch()
    assert extract_images(file, tmp_path / "cache") == target and (target / "mark").exists()
    other = extract_images(archive(tmp_path, [("a.png", b"b")]), tmp_path / "cache")
    assert other != target and (other / "a.png").read_bytes() == b"b"


def test_an_interrupted_extraction_is_done_again(tmp_path, monkeypatch):
    file = archive(tmp_path, [("a.png", b"a"), ("b.png", b"b")])
    copy, copied = images.shutil.copyfileobj, []

    def interrupted(*args):
        copied.append(copy(*args))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(images.shutil, "copyfileobj", interrupted)
        with pytest.raises(KeyboardInterrupt):
            extract_images(file, tmp_path / "cache")
    assert len(copied) == 1
    target = extract_images(file, tmp_path / "cache")
    assert list_files(target) == {"a.png", "b.png"}
    assert list((tmp_path / "cache").glob("*.partial")) == []


def test_several_at_once_extract_one(tmp_path):
    file = archive(tmp_path, [(f"{i}.png", bytes(1000)) for i in range(50)])
    with ThreadPoolExecutor(4) as pool:
        targets = set(pool.map(lambda _: extract_images(file, tmp_path / "cache"), range(4)))
    assert len(targets) == 1 and len(list_files(targets.pop())) == 50


@pytest.mark.parametrize(
    "name", ["../a.png", "images/../../a.png", "/tmp/a.png", "..\\a.png", "C:/a.png", "C:\\a.png", "a/../../b.png"]
)
def test_names_that_lead_out_of_the_folder_are_refused(name, tmp_path):
    file = archive(tmp_path, [("good.png", b"a"), (name, b"b")])
    assert "expected names inside of the archive" in refused(file, tmp_path / "cache")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(kind, tmp_path):
    file = archive(tmp_path, [linked("images/a.png", kind=kind), ("images/b.png", b"b")])
    assert "got a link or a device 'images/a.png'" in refused(file, tmp_path / "cache")


def test_a_link_to_a_folder_with_a_file_in_it_is_refused(tmp_path):
    file = archive(tmp_path, [linked("images", str(tmp_path)), ("images/b.png", b"b")])
    refused(file, tmp_path / "cache")
    assert not (tmp_path / "b.png").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.png", "a.png"), "expected each name once"),
        (("a.png", "./a.png"), "expected each name once"),
        (("a", "a/b.png"), "expected a file or a folder 'a', got both"),
    ],
)
def test_names_that_meet_are_refused(names, message, tmp_path):
    assert message in refused(archive(tmp_path, [(name, b"a") for name in names]), tmp_path / "cache")


def test_bombs_are_refused_by_size_and_by_number(tmp_path, monkeypatch):
    file = archive(tmp_path, [("a.png", bytes(2_000_000)), ("b.png", bytes(2_000_000))])
    assert file.stat().st_size < 10_000
    monkeypatch.setattr(images, "MAX_BYTES", 3_999_999)
    assert "expected at most 3,999,999 bytes when extracted, got 4,000,000" in refused(file, tmp_path / "cache")
    monkeypatch.setattr(images, "MAX_BYTES", 4_000_000)
    monkeypatch.setattr(images, "MAX_MEMBERS", 1)
    assert "expected at most 1 members, got 2" in refused(file, tmp_path / "cache")


def test_a_member_larger_than_it_says_is_refused(tmp_path):
    file = archive(tmp_path, [("a.png", bytes(5_000_000))])
    data = bytearray(file.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        data[(at := data.index(signature) + offset) : at + 4] = struct.pack("<I", 10)
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"cannot extract .*CRC"):
        extract_images(file, tmp_path / "cache")
    assert sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*")) < 20_000


def test_an_encrypted_member_is_refused(tmp_path):
    file = archive(tmp_path, [("a.png", b"a")])
    data = bytearray(file.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    file.write_bytes(data)
    assert "got the encrypted 'a.png'" in refused(file, tmp_path / "cache")


@pytest.mark.parametrize("damage", [lambda data: b"no archive", lambda data: data[: len(data) // 2]])
def test_what_is_no_archive_is_named(damage, tmp_path):
    file = archive(tmp_path, [("a.png", bytes(range(256)) * 20)])
    file.write_bytes(damage(file.read_bytes()))
    assert refused(file, tmp_path / "cache").startswith(f"cannot extract {file}: ")


def test_damaged_data_is_named_and_nothing_is_left_as_done(tmp_path):
    file = archive(tmp_path, [("a.png", bytes(range(256)) * 20)])
    data = bytearray(file.read_bytes())
    data[60] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(ValueError, match="cannot extract"):
        extract_images(file, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir() and path.suffix != ".partial"] == []
