"""The rows of a benchmark: read from a file or a dataset on the Hub, and their values by what they mean."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...data.rows import stream_rows
from .catalog import Benchmark


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


@dataclass(frozen=True)
class Fields:
    """
    The values of a row by what they mean: its `problem`, its `gold` answer, its `unit`, and so on.

    Attributes:
        row ([`Row`]):
            The row.
        columns (`Mapping[str, str]`):
            The column of everything that the benchmark has.
    """

    row: Row
    columns: Mapping[str, str]

    def value(self, meaning: str) -> Any:
        """The value as it is; `None` where there is none."""
        value = self.row.get(self.columns[meaning]) if meaning in self.columns else None
        return None if is_missing(value) else value

    def text(self, meaning: str) -> str | None:
        """The value as [`plain`] text."""
        value = self.value(meaning)
        return None if value is None else plain(value, self.columns[meaning])

    def number(self, meaning: str) -> float | None:
        """The value as a number of at least 0; raises `ValueError` for anything else."""
        value = self.value(meaning)
        try:
            number = 0.0 if value is None else float(plain(value, meaning))
        except ValueError:
            number = math.nan
        if not 0 <= number < math.inf:
            raise ValueError(f"expected a number of at least 0 as {meaning}, got {value!r}")
        return None if value is None else number


def read_rows(benchmark: Benchmark) -> list[Row]:
    """
    All rows of a benchmark, at least one, in their order.

    Raises:
        `ValueError`: if there is no such file, dataset, configuration or split, or a file is broken.
    """
    source = Path(benchmark.dataset)
    if source.is_file():
        rows = [Row(row.values, str(row.number), row.where) for row in stream_rows(benchmark.dataset)]
    elif source.suffix in (".jsonl", ".json", ".parquet") and not source.is_dir():
        raise ValueError(f"{benchmark.name}: no dataset file at {source}")
    else:
        rows = [row for config in benchmark.config or (None,) for row in _read_config(benchmark, config)]
    if not rows:
        raise ValueError(f"{benchmark.name}: {benchmark.dataset} holds no rows")
    return rows


def find_columns(benchmark: Benchmark, rows: Sequence[Row]) -> dict[str, str]:
    """
    Which column means what, in these rows.

    Returns:
        `dict[str, str]`: by the name of a [`Benchmark`]'s `*_column` field (`problem`, `gold` or else `solution`, `id`
        and so on) the column that is there.

    Raises:
        `ValueError`: if there is none of a kind that the benchmark names.
    """
    columns = {}
    for meaning in ("context", "unit", "choices", "kind", "precision", "tolerance", "group"):
        if column := getattr(benchmark, f"{meaning}_column"):
            columns[meaning] = needed(benchmark, rows, (column,), f"{meaning}_column")
    for column in benchmark.image_columns:
        needed(benchmark, rows, (column,), "image_columns")
    columns["problem"] = needed(benchmark, rows, benchmark.problem_column, "problem_column")
    if gold := _first(rows, benchmark.gold_column):
        columns["gold"] = gold
    else:
        solution = (benchmark.solution_column,) if benchmark.solution_column else ()
        columns["solution"] = needed(benchmark, rows, (*benchmark.gold_column, *solution), "gold_column")
    if number := _first(rows, benchmark.id_column):
        columns["id"] = number
    return columns


def needed(benchmark: Benchmark, rows: Sequence[Row], candidates: Sequence[str], field: str) -> str:
    """The first of the candidates that is there; raises `ValueError` where none is."""
    column = _first(rows, candidates)
    if column is None:
        got = ", ".join(dict.fromkeys(name for row in rows for name in row.values))
        raise ValueError(
            f"{benchmark.dataset} has no {benchmark.name}.{field}: expected {' or '.join(candidates)}, got {got}"
        )
    return column


def is_missing(value: Any) -> bool:
    """Whether a row has no value: null, not a number, or nothing but white space."""
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def plain(value: Any, column: str) -> str:
    """
    The value of a column as text.

    Example:

    ```python
    >>> [plain(value, "answer") for value in (27.0, 0.5, "025", ["$5$"])]
    ['27', '0.5', '025', '$5$']
    ```

    Raises:
        `ValueError`: for anything but a text, a number, or a list of one of them.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if is_missing(value) or not isinstance(value, str | int | float) or value in (math.inf, -math.inf):
        raise ValueError(f"expected one text or number in {column!r}, got {str(value)[:60]!r}")
    return str(value).strip()


def _first(rows: Sequence[Row], candidates: Sequence[str]) -> str | None:
    return next((column for column in candidates if any(row.has(column) for row in rows)), None)


def _read_config(benchmark: Benchmark, config: str | None) -> list[Row]:
    prefix = f"{config}/" if len(benchmark.config) > 1 else ""
    try:
        rows = list(stream_rows(benchmark.dataset, benchmark.split, config, benchmark.revision))
    except (ValueError, OSError) as error:
        named = f"{benchmark.dataset} ({config})" if config else benchmark.dataset
        reason = " ".join(str(error.__cause__ or error).split())
        raise ValueError(
            f"{benchmark.name}: cannot load {named}, split {benchmark.split!r}: expected a .jsonl, .json or .parquet "
            f"file or a dataset on the Hub ({reason})"
        ) from error
    return [Row(row.values, f"{prefix}{row.number}", row.where) for row in rows]
