"""The folder in which a mining keeps what it has done: one mining at a time, and nobody else's files."""

import re
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from ...disk import lock


LOCK_FILE = "hicra_mine.lock"
_HEX = "[0-9a-f]{%d}"
_NAME = rf"[0-9]{{5,}}-{_HEX % 16}"
_OWN = re.compile(
    rf"{LOCK_FILE}|solutions(/{_NAME}\.parquet)?|(counts|found)-{_HEX % 12}(/{_NAME}\.npy)?|kept-{_HEX % 12}\.npy"
    rf"|embeddings(/{_HEX % 16}\.npy)?"
)
_PART = re.compile(r"\.([^/]+)\.[0-9]+\.part(\.[a-z]+)$")  # what `save_whole` had not finished


class WorkFolder:
    """
    A work folder of [`~hicra_trl.grams.mine_strategic_grams`], locked while it is open.

    Args:
        path (`str` or `Path`):
            The folder; made where it is not there.
        is_removed (`bool`):
            Whether it goes when all went well.

    Raises:
        `ValueError`: if another mining is at work there, or it is to go and holds files that no mining wrote.
    """

    def __init__(self, path: str | Path, is_removed: bool) -> None:
        self.path, self._is_removed = Path(path), is_removed
        self._was_empty = self.path.is_dir() and not any(self.path.iterdir())
        self._check()
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = (self.path / LOCK_FILE).open("ab")
        lock(self._lock, "mining")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            if kind is None and self._is_removed:
                self._check()
                for path in sorted(self.path.rglob("*"), reverse=True):
                    path.rmdir() if path.is_dir() else path.unlink()
                if not self._was_empty:
                    # Another mining may have come just now, with a lock of its own.
                    with suppress(OSError):
                        self.path.rmdir()

    def _check(self) -> None:
        for path in sorted(self.path.rglob("*")) if self._is_removed else ():
            name = path.relative_to(self.path).as_posix()
            if path.is_symlink() or not _OWN.fullmatch(_PART.sub(r"\1\2", name)):
                raise ValueError(
                    f"{self.path} holds {name}, which is not from hicra mine: expected a new folder, by another "
                    "--output_dir or --work_folder"
                )
