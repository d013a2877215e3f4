"""Rows from files, folders and the Hub; whatever is wrong is one line."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, concatenate_datasets, load_dataset
from datasets.exceptions import DatasetGenerationError
from pyarrow import ArrowInvalid


PROMPT_COLUMNS = ("prompt", "problem", "question")
# Where a dataset has both, `solution` is a worked solution and `answer` what it ends on.
GOLD_COLUMNS = ("answer", "solution")
_BUILDERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}


def read_rows(name: str, split: str | None = "train", config: str | None = None) -> Dataset:
    """
    Reads a dataset as it is.

    Args:
        name (`str`):
            A JSONL or parquet file, a folder that `datasets` reads, or a dataset on the Hub.
        split (`str`, *optional*, defaults to `"train"`):
            Split to read; `None` for all of them, one behind the other.
        config (`str`, *optional*):
            Configuration of a dataset on the Hub.

    Raises:
        `ValueError`: if there is no such dataset or split, or a file is broken.
    """
    suffix = Path(name).suffix
    try:
        if Path(name).is_file():
            if suffix not in _BUILDERS:
                raise ValueError(f"dataset file {name} must end in .jsonl, .json or .parquet, got {suffix!r}")
            if config is not None:
                raise ValueError(f"{name} is a file and has no configuration {config!r}: expected none")
            return load_dataset(_BUILDERS[suffix], data_files=name, split=split or "train")
        if suffix in _BUILDERS:
            raise ValueError(f"no dataset file at {name}")
        loaded = load_dataset(name, config, split=split)
        return loaded if isinstance(loaded, Dataset) else concatenate_datasets(list(loaded.values()))
    except (FileNotFoundError, ConnectionError) as error:
        raise ValueError(f"no dataset {name!r}: expected a .jsonl or .parquet file or a dataset on the Hub") from error
    except (DatasetGenerationError, ArrowInvalid) as error:
        raise ValueError(f"cannot read {name}: {error.__cause__ or error}") from error


def read_folder(folder: Path, split: str) -> Dataset:
    """Reads the parquet files below a folder, or the JSONL or JSON files where it has no parquet file."""
    for suffix, builder in ((".parquet", "parquet"), (".jsonl", "json"), (".json", "json")):
        files = sorted(str(file) for file in folder.rglob(f"*{suffix}") if file.name != "dataset_infos.json")
        if files:
            try:
                return load_dataset(builder, data_files=files, split=split)
            except (DatasetGenerationError, ArrowInvalid) as error:
                raise ValueError(f"cannot read {folder}: {error.__cause__ or error}") from error
    raise ValueError(f"no dataset in {folder}: expected a .parquet, .jsonl or .json file")


def find_column(dataset: Dataset, given: str | None, candidates: tuple[str, ...], what: str, name: str) -> str:
    """The column that is `given`, or else the first of the candidates that is there."""
    wanted = (given,) if given else candidates
    for column in wanted:
        if column in dataset.column_names:
            return column
    raise ValueError(f"{name} has no column of {what}: expected {' or '.join(wanted)}, got {dataset.column_names}")


def require_columns(dataset: Dataset, columns: Sequence[str], name: str) -> None:
    """Raises `ValueError` if one of the columns is not there."""
    if not set(columns) <= set(dataset.column_names):
        raise ValueError(f"{name}: expected the columns {', '.join(columns)}, got {', '.join(dataset.column_names)}")


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
