"""Rows from files, folders and the Hub; whatever is wrong is one line."""

import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datasets import Dataset, Image, List, concatenate_datasets, load_dataset
from datasets.exceptions import DatasetGenerationError
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from pyarrow import ArrowException

from ..terminal import one_line


PROMPT_COLUMNS = ("prompt", "problem", "question")
# Where a dataset has both, `solution` is a worked solution and `answer` what it ends on.
GOLD_COLUMNS = ("answer", "solution")
_BUILDERS = {".jsonl": "json", ".jsonl.gz": "json", ".json": "json", ".parquet": "parquet"}
_BROKEN_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)
# What ShareGPT's turns are `from`.
_ROLES = {"human": "user", "user": "user", "system": "system", "tool": "tool", "observation": "tool"}
_JSON = {dict: "a JSON object", list: "a list of JSON objects"}


@dataclass(frozen=True)
class Row:
    """
    A row of a dataset.

    Attributes:
        values (`dict[str, Any]`):
            Its columns; images undecoded.
        number (`int`):
            Its number from 0.
        where (`str`):
            Where it stands, for messages.
    """

    values: dict[str, Any]
    number: int
    where: str


def stream_rows(
    name: str,
    split: str = "train",
    config: str | None = None,
    revision: str | None = None,
    columns: Callable[[list[str]], list[str]] = list,
) -> Iterator[Row]:
    """
    Yields the rows of a dataset without holding them; each row of a file may have columns and types of its own.

    Arguments and errors are those of [`read_rows`]; a file has no split. Of a table, only those of its columns are
    read that `columns` chooses.
    """
    file = Path(name)
    rows: Iterator[tuple[str, Any]]
    if file.is_file() and _suffix(file) == ".parquet":
        rows = _read_parquet(file, columns)
    elif file.is_file():
        rows = (_read_list if _suffix(file) == ".json" else _read_lines)(file)
    else:
        dataset = read_rows(name, split, config, revision)
        dataset = undecoded(dataset.select_columns(columns(dataset.column_names)))
        named = f"{name} ({config})" if config else name
        rows = ((f"{named}, row {number}", values) for number, values in enumerate(dataset))
    for number, (where, values) in enumerate(rows):
        yield Row(values, number, where)


def _read_lines(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with (gzip.open if file.suffix == ".gz" else open)(file, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    where = f"{file}, line {number}"
                    yield where, _json(line, dict, where)
    except _BROKEN_GZIP as error:
        raise ValueError(f"cannot read {file}: {one_line(error)}") from error


def _read_list(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, values in enumerate(_json(file.read_bytes(), list, str(file))):
        where = f"{file}, row {number}"
        yield where, _checked(values, dict, where)


def _read_parquet(file: Path, columns: Callable[[list[str]], list[str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    try:
        parquet = pq.ParquetFile(file)
        for batch in parquet.iter_batches(batch_size=256, columns=columns(parquet.schema_arrow.names)):
            for values in batch.to_pylist():
                yield f"{file}, row {number}", values
                number += 1
    except (ArrowException, OSError) as error:
        raise ValueError(f"cannot read {file}: {one_line(error)}") from error


def _json(content: bytes, kind: type, where: str) -> Any:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        start = repr(content[:60].decode(errors="replace"))
        raise ValueError(f"{where}: expected {_JSON[kind]}, got {start} ({str(error)[:100]})") from error
    return _checked(value, kind, where)


def _checked(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{where}: expected {_JSON[kind]}, got {type(value).__name__}")
    return value


def _suffix(file: Path) -> str:
    suffix = "".join(file.suffixes[-2:]) if file.suffix == ".gz" else file.suffix
    if suffix not in _BUILDERS:
        raise ValueError(f"dataset file {file} must end in .jsonl, .json or .parquet, got {suffix!r}")
    return suffix


def undecoded(dataset: Dataset) -> Dataset:
    """A dataset whose images are read as they are stored."""
    for column, feature in dataset.features.items():
        if isinstance(feature, Image):
            dataset = dataset.cast_column(column, Image(decode=False))
        elif isinstance(feature, List) and isinstance(feature.feature, Image):
            dataset = dataset.cast_column(column, List(Image(decode=False)))
    return dataset


def read_rows(
    name: str, split: str | None = "train", config: str | None = None, revision: str | None = None
) -> Dataset:
    """
    Reads a dataset as one table.

    Args:
        name (`str`):
            A JSONL, JSON or parquet file, a folder that `datasets` reads, or a dataset on the Hub.
        split (`str`, *optional*, defaults to `"train"`):
            Split to read; `None` for all of them, one behind the other.
        config (`str`, *optional*):
            Configuration of a dataset on the Hub.
        revision (`str`, *optional*):
            Branch, tag or commit of a dataset on the Hub.

    Raises:
        `ValueError`: if there is no such dataset or split, or a file is broken.
    """
    file = Path(name)
    if file.is_file():
        builder = _BUILDERS[_suffix(file)]
        if not file.stat().st_size:
            raise ValueError(f"{name} is empty: expected rows")
        if config is not None:
            raise ValueError(f"{name} is a file and has no configuration {config!r}: expected none")
        return _load(name, builder, split=split or "train", data_files=name)
    check_there(name)
    return _load(name, name, name=config, split=split, revision=revision)


def check_there(name: str) -> None:
    """Raises `ValueError` if a dataset is not here, and its name is none that one on the Hub can have."""
    file = Path(name)
    if file.exists():
        return
    try:
        if file.suffix not in (*_BUILDERS, ".gz"):
            return validate_repo_id(name)
    except HFValidationError:
        pass
    raise ValueError(f"no dataset file at {name}")


def read_folder(folder: Path, split: str) -> Dataset:
    """Reads the parquet files below a folder, or the JSONL or JSON files where it has no parquet file."""
    for suffix, builder in ((".parquet", "parquet"), (".jsonl", "json"), (".json", "json")):
        files = sorted(str(file) for file in folder.rglob(f"*{suffix}") if file.name != "dataset_infos.json")
        if files:
            return _load(str(folder), builder, split=split, data_files=files)
    raise ValueError(f"no dataset in {folder}: expected a .parquet, .jsonl or .json file")


def _load(name: str, path: str, /, **given: Any) -> Dataset:
    try:
        loaded = load_dataset(path, **given)
        rows = loaded if isinstance(loaded, Dataset) else concatenate_datasets(list(loaded.values()))
        if path == "json":
            # Arrow reads JSON lines in another encoding than UTF-8, and fails at the row that is asked for.
            rows.data.validate(full=True)
        return rows
    except (FileNotFoundError, ConnectionError) as error:
        raise ValueError(f"no dataset {name!r}: expected a .jsonl or .parquet file or a dataset on the Hub") from error
    except (DatasetGenerationError, ValueError, *_BROKEN_GZIP) as error:
        raise ValueError(f"cannot read {name}: {error.__cause__ or error}") from error


def find_column(names: Sequence[str], given: str | None, candidates: tuple[str, ...], what: str, name: str) -> str:
    """The column that is `given`, or else the first of the candidates that is there."""
    wanted = (given,) if given else candidates
    for column in wanted:
        if column in names:
            return column
    raise ValueError(f"{name} has no column of {what}: expected {' or '.join(wanted)}, got {', '.join(names)}")


def require_columns(dataset: Dataset, columns: Sequence[str], name: str) -> None:
    """Raises `ValueError` if one of the columns is not there."""
    if not set(columns) <= set(dataset.column_names):
        raise ValueError(f"{name}: expected the columns {', '.join(columns)}, got {', '.join(dataset.column_names)}")


def as_text(value: Any, column: str, where: str, role: str = "assistant") -> str:
    """
    A text as it is; of a conversation, what one role says. Anything else raises `ValueError`, whose message names the
    column and `where` it stands.

    Example:

    ```python
    >>> as_text([{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}], "completion", "row 0")
    '2'
    ```
    """
    if isinstance(value, str):
        return value
    try:
        turns = ((turn.get("role") or _ROLES.get(turn.get("from"), role), turn) for turn in value)
        said = (turn["content"] if "content" in turn else turn["value"] for who, turn in turns if who == role)
        return "\n\n".join(map(_content, said))
    except (TypeError, KeyError, AttributeError) as error:
        got = f"{type(value).__name__}: {str(value)[:60]!r}"
        raise ValueError(f"{where}: expected text in column {column!r}, got {got}") from error


def _content(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content if part.get("text"))


def as_prompt(value: Any, where: str) -> str | list[dict[str, Any]]:
    """A prompt that is text, or a conversation of messages with role and content; all else raises `ValueError`."""
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, list) and value and all(_is_message(message) for message in value):
        return value
    got = repr(value)
    raise ValueError(f"{where}: expected a prompt (text, or messages with role and content), got {one_line(got)}")


def _is_message(message: Any) -> bool:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        return False
    return isinstance(message.get("content"), str | list) or bool(message.get("tool_calls"))


def is_missing(gold: Any) -> bool:
    """Whether a row has no gold answer."""
    return gold is None or not str(gold).strip()


def as_gold(value: Any, where: str, marker: str | None = None) -> str:
    """
    A gold answer as text; with a marker, what follows the last one.

    Example:

    ```python
    >>> as_gold(27.0, "row 0"), as_gold("48/2 = 24\\n#### 24", "row 1", "####")
    ('27', '24')
    ```
    """
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{where}: expected a gold answer (text or number), got {value!r}")
    # Whole numbers that became floats on the way into a table: the gold answer is 27, not 27.0.
    gold = str(int(value) if isinstance(value, float) and value.is_integer() else value)
    if marker:
        if marker not in gold:
            raise ValueError(f"{where}: expected the marker {marker!r} in the gold answer, got {gold[-60:]!r}")
        gold = gold.rsplit(marker, 1)[1]
    if not gold.strip():
        raise ValueError(f"{where}: the gold answer is empty")
    return gold.strip()
