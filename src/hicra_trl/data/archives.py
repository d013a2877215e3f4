"""Image files of a dataset that ships them as a zip archive: extracted once, and nothing of it is trusted."""

import hashlib
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from huggingface_hub import cached_assets_path
from huggingface_hub.utils import WeakFileLock
from tqdm import tqdm


MAX_MEMBERS = 1_000_000
MAX_BYTES = 64 << 30


def extract_images(archive: Path, folder: Path | None = None) -> Path:
    """
    Extracts a zip archive, or finds it extracted.

    Extraction is atomic: it goes to another name that is renamed at the end, so that what was interrupted is done
    again. Of several processes one extracts and the others wait.

    Args:
        archive (`Path`):
            The zip archive.
        folder (`Path`, *optional*):
            Where extracted archives are kept, each by a hash of its table of contents. Defaults to Hugging Face's
            cache of assets.

    Returns:
        `Path`: the folder that it is extracted to.

    Raises:
        `ValueError`: if it is no zip archive, is damaged, holds more than 1,000,000 members or 64 GiB, or has members
            that are encrypted, no plain files, repeated, or outside of the folder that they are extracted to.
    """
    folder = folder or cached_assets_path("hicra_trl", namespace="images")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            _check(archive, opened.infolist())
            # Names, sizes and checksums: what the archive holds, without reading it.
            table = "".join(f"{member.filename}\0{member.file_size}\0{member.CRC}\n" for member in members)
            target = folder / hashlib.sha256(table.encode()).hexdigest()[:16]
            with WeakFileLock(f"{target}.lock"):
                if not target.is_dir():
                    _extract(opened, members, target, f"Extracting {archive.name}")
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(f"cannot extract {archive}: {error}") from error
    return target


def list_files(folder: Path) -> set[str]:
    """Paths of all files below `folder`, relative to it."""
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def _extract(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], target: Path, title: str) -> None:
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for member in tqdm(members, desc=title, unit="file"):
        file = partial / member.filename
        file.parent.mkdir(parents=True, exist_ok=True)
        # zipfile reads no more of a member than the size that was checked, whatever it decompresses to.
        with archive.open(member) as source, file.open("xb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
    partial.rename(target)


def _check(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    """Raises `ValueError` for what must not be extracted, before anything is."""
    if len(members) > MAX_MEMBERS:
        raise ValueError(f"{archive}: expected at most {MAX_MEMBERS:,} members, got {len(members):,}")
    size = sum(member.file_size for member in members)
    if size > MAX_BYTES:
        raise ValueError(f"{archive}: expected at most {MAX_BYTES:,} bytes when extracted, got {size:,}")
    names = set()
    for member in members:
        name = PurePosixPath(member.filename)
        # As Windows reads it: `..\\a` and `C:a` lead out there, and whatever leads out elsewhere does too.
        windows = PureWindowsPath(member.filename)
        if windows.anchor or ".." in windows.parts or not name.parts:
            raise ValueError(f"{archive}: expected names inside of the archive, got {member.filename!r}")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ValueError(f"{archive}: expected plain files, got a link or a device {member.filename!r}")
        if member.flag_bits & 1:
            raise ValueError(f"{archive}: expected no encryption, got the encrypted {member.filename!r}")
        if name in names:
            raise ValueError(f"{archive}: expected each name once, got {member.filename!r} again")
        names.add(name)
    files = {PurePosixPath(member.filename) for member in members if not member.is_dir()}
    for parent in {parent for name in names for parent in name.parents} & files:
        raise ValueError(f"{archive}: expected a file or a folder {str(parent)!r}, got both")
