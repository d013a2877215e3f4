"""The rows of a benchmark as they are stored: in a file, or in a dataset on the Hub."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datasets import Dataset, Image, List, load_dataset
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from pyarrow import ArrowException

from .catalog import Benchmark


_SUFFIXES = (".jsonl", ".json", ".parquet")


@dataclass(frozen=True)
class Row:
    """
    A row of a dataset.

    Attributes:
        values (`dict[str, Any]`):
            Its columns; images undecoded.
        number (`str`):
            Its number from 0, behind its configuration where there are several.
        where (`str`):
            Where it stands, for messages.
    """

    values: dict[str, Any]
    number: str
    where: str

    def has(self, column: str) -> bool:
        """Whether there is such a column; `outer.inner` is one inside another."""
        outer, _, inner = column.partition(".")
        nested = self.values.get(outer)
        return column in self.values or (isinstance(nested, dict) and inner in nested)

    def get(self, column: str) -> Any:
        """The value in a column; `None` where the row has none."""
        if column in self.values or not self.has(column):
            return self.values.get(column)
        outer, _, inner = column.partition(".")
        return self.values[outer][inner]


def read_rows(benchmark: Benchmark) -> list[Row]:
    """
    All rows of a benchmark, in their order.

    Args:
        benchmark ([`Benchmark`]):
            Where they are.

    Returns:
        `list[Row]`: at least one.

    Raises:
        `ValueError`: if there is no such file, dataset, configuration or split, or a file is broken.
    """
    source = Path(benchmark.dataset)
    if source.is_file():
        rows = list(_read_file(source))
    elif source.suffix in _SUFFIXES and not source.is_dir():
        raise ValueError(f"{benchmark.name}: no dataset file at {source}")
    else:
        rows = [row for config in benchmark.config or (None,) for row in _read_dataset(benchmark, config)]
    if not rows:
        raise ValueError(f"{benchmark.name}: {benchmark.dataset} holds no rows")
    return rows


def _read_file(file: Path) -> Iterator[Row]:
    if file.suffix not in _SUFFIXES:
        raise ValueError(f"dataset file {file} must end in .jsonl, .json or .parquet, got {file.suffix!r}")
    if file.suffix == ".jsonl":
        yield from _read_lines(file)
        return
    for number, values in enumerate(_read_parquet(file) if file.suffix == ".parquet" else _read_list(file)):
        yield Row(values, str(number), f"{file}, row {number}")


def _read_lines(file: Path) -> Iterator[Row]:
    number = 0
    with file.open("rb") as lines:
        for line_number, line in enumerate(lines, 1):
            if line.strip():
                where = f"{file}, line {line_number}"
                yield Row(_object(_json(line, where), where), str(number), where)
                number += 1


def _read_list(file: Path) -> Iterator[dict[str, Any]]:
    rows = _json(file.read_bytes(), str(file))
    if not isinstance(rows, list):
        raise ValueError(f"{file}: expected a list of JSON objects, got {type(rows).__name__}")
    for number, values in enumerate(rows):
        yield _object(values, f"{file}, row {number}")


def _read_parquet(file: Path) -> Iterator[dict[str, Any]]:
    try:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=64):
            yield from batch.to_pylist()
    except (ArrowException, OSError) as error:
        raise ValueError(f"cannot read {file}: {' '.join(str(error).split())}") from error


def _json(content: bytes, where: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: expected JSON, got {content[:60].decode(errors='replace')!r} ({error})") from error


def _object(values: Any, where: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise ValueError(f"{where}: expected a JSON object, got {str(values)[:60]!r}")
    return values


def _read_dataset(benchmark: Benchmark, config: str | None) -> Iterator[Row]:
    named = f"{benchmark.dataset} ({config})" if config else benchmark.dataset
    prefix = f"{config}/" if len(benchmark.config) > 1 else ""
    try:
        dataset = load_dataset(benchmark.dataset, config, split=benchmark.split, revision=benchmark.revision)
    except (DatasetNotFoundError, DatasetGenerationError, OSError, ValueError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise ValueError(
            f"{benchmark.name}: cannot load {named}, split {benchmark.split!r}: expected a .jsonl, .json or .parquet "
            f"file or a dataset on the Hub ({reason})"
        ) from error
    for number, values in enumerate(_undecoded(dataset)):
        yield Row(values, f"{prefix}{number}", f"{named}, row {number}")


def _undecoded(dataset: Dataset) -> Dataset:
    for column, feature in dataset.features.items():
        if isinstance(feature, Image):
            dataset = dataset.cast_column(column, Image(decode=False))
        elif isinstance(feature, List) and isinstance(feature.feature, Image):
            dataset = dataset.cast_column(column, List(Image(decode=False)))
    return dataset
