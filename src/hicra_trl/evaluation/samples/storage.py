"""What an evaluation leaves in its folder: `evaluation.json`, and one line a sample in `samples/<benchmark>.jsonl`."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_type_hints

from ...disk import LineFile, check_own, read_mapping, write_whole
from .sample import Sample


RECORD_FILE = "evaluation.json"
SAMPLES_FOLDER = "samples"
# The other files, and something that only ours have in a line.
RESULTS = {"results.md": "| benchmark | items | n |", "results.json": '"benchmarks": {'}
_COUNTS = ("items", "num_samples")
_KINDS = get_type_hints(Sample) | {"finish_reason": str, "grams": dict}


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
                _check(sample)
            except (ValueError, TypeError) as error:
                raise ValueError(f"{file}, line {number}: expected a sample, got {line[:60]!r} ({error})") from error
            if (sample.item, sample.index) in seen:
                raise ValueError(
                    f"{file}, line {number}: sample {sample.index} of item {sample.item!r} is there twice"
                )
            seen.add((sample.item, sample.index))
            samples.append(sample)
    return samples


def _check(sample: Sample) -> None:
    for name, kind in _KINDS.items():
        value = getattr(sample, name)
        if not isinstance(value, kind):
            raise TypeError(f"{name} is {value!r:.60}")
    if not all(isinstance(count, int) for count in sample.grams.values()):
        raise TypeError(f"grams is {sample.grams!r:.60}")


class SampleFile(LineFile[Sample]):
    """
    The samples of one benchmark, to be appended to; see [`~hicra_trl.disk.LineFile`].

    Args:
        folder (`str` or `Path`):
            The evaluation's folder.
        benchmark (`str`):
            Name of the benchmark.
    """

    def __init__(self, folder: str | Path, benchmark: str) -> None:
        super().__init__(samples_file(folder, benchmark), read_samples, "evaluation")


def read_record(folder: str | Path) -> dict[str, Any]:
    """
    What `evaluation.json` says.

    Raises:
        `ValueError`: if the folder has none, or a broken one.
    """
    file = Path(folder) / RECORD_FILE
    if not file.is_file():
        raise ValueError(f"no evaluation in {folder}: expected a folder with {RECORD_FILE}")
    record = read_mapping(file, settings=dict, model=dict, lexicon=dict, benchmarks=dict, versions=list)
    settings = {name: record["settings"].get(name) for name in ("model", "output_dir")}
    sizes = [of.get(name) for of in record["benchmarks"].values() if isinstance(of, dict) for name in _COUNTS]
    facts = [of.get("definition") for of in record["benchmarks"].values() if isinstance(of, dict)]
    texts = [*settings.values(), record["lexicon"].get("fingerprint")]
    if (
        not all(isinstance(text, str) for text in texts)
        or not all(isinstance(size, int) and size > 0 for size in sizes)
        or not all(isinstance(fact, dict) for fact in facts)
        or len(facts) < len(record["benchmarks"])
        or not (record["benchmarks"] and record["versions"])
    ):
        raise ValueError(f"{file}: expected the record of an evaluation, as hicra eval writes it")
    return record


def check_folder(folder: str | Path, benchmarks: Iterable[str], record: dict[str, Any] | None) -> None:
    """
    Raises `ValueError` if an evaluation of `benchmarks` would replace what none has written, or take samples for its
    own that its `record` does not know.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: expected a folder")
    for name, mark in RESULTS.items():
        check_own(folder / name, mark)
    for name in benchmarks:
        file = samples_file(folder, name)
        if os.path.lexists(file) and name not in (record or {"benchmarks": ()})["benchmarks"]:
            raise ValueError(f"{file} is there, but {RECORD_FILE} does not say of what: expected another output_dir")


def write_record(folder: str | Path, record: dict[str, Any]) -> None:
    """Writes `evaluation.json`, at once or not at all."""
    write_whole(Path(folder) / RECORD_FILE, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
