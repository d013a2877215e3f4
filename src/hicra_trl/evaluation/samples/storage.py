"""What an evaluation leaves in its folder: `evaluation.json`, and one line a sample in `samples/<benchmark>.jsonl`."""

import fcntl
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ...disk import write_whole
from .sample import Sample


RECORD_FILE = "evaluation.json"
SAMPLES_FOLDER = "samples"


def samples_file(folder: str | Path, benchmark: str) -> Path:
    """Where the samples of a benchmark are."""
    return Path(folder) / SAMPLES_FOLDER / f"{benchmark}.jsonl"


def read_samples(file: Path) -> list[Sample]:
    """
    Reads stored samples; a last line that an interruption tore is left out.

    Raises:
        `ValueError`: for a broken line before that, or a sample that is there twice; the message names the line.
    """
    samples: list[Sample] = []
    seen: set[tuple[str, int]] = set()
    with open(file, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                sample = Sample(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise ValueError(f"{file}, line {number}: expected a sample, got {line[:60]!r} ({error})") from error
            if (sample.item, sample.index) in seen:
                raise ValueError(
                    f"{file}, line {number}: sample {sample.index} of item {sample.item!r} is there twice"
                )
            seen.add((sample.item, sample.index))
            samples.append(sample)
    return samples


class SampleFile:
    """
    The samples of one benchmark, to be appended to.

    Opening it truncates away a last line that an interruption tore.

    Args:
        folder (`str` or `Path`):
            The evaluation's folder.
        benchmark (`str`):
            Name of the benchmark.

    Attributes:
        samples (`list[Sample]`):
            Those that were there when it was opened.

    Raises:
        `ValueError`: if the file is broken, or another process appends to it.
    """

    def __init__(self, folder: str | Path, benchmark: str) -> None:
        self.path = samples_file(folder, benchmark)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "ab")  # noqa: SIM115
        self._lock()
        self.samples = read_samples(self.path)
        self._drop_torn_line()

    def append(self, samples: Sequence[Sample]) -> None:
        """Stores samples; when this returns, they are on disk."""
        lines = [json.dumps(asdict(sample), ensure_ascii=False) + "\n" for sample in samples]
        # A byte-level tokenizer can sample half a surrogate pair, which UTF-8 has no bytes for.
        self._file.write("".join(lines).encode(errors="replace"))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _lock(self) -> None:
        # Some network file systems have no locks; there, read_samples finds what two writers did.
        with suppress(OSError):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f"{self.path} is in use: another evaluation writes there") from None

    def _drop_torn_line(self) -> None:
        size = self.path.stat().st_size
        with open(self.path, "rb") as file:
            whole = sum(len(line) for line in file if line.endswith(b"\n"))
        if whole < size:
            self._file.truncate(whole)


def read_record(folder: str | Path) -> dict[str, Any]:
    """
    What `evaluation.json` says.

    Raises:
        `ValueError`: if the folder has none, or a broken one.
    """
    file = Path(folder) / RECORD_FILE
    if not file.is_file():
        raise ValueError(f"no evaluation in {folder}: expected a folder with {RECORD_FILE}")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"cannot read {file}: {error}") from error


def write_record(folder: str | Path, record: dict[str, Any]) -> None:
    """Writes `evaluation.json`, at once or not at all."""
    write_whole(Path(folder) / RECORD_FILE, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
