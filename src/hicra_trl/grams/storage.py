"""What lies in a lexicon's folder: a parquet file that plain `datasets` reads, its provenance, and a card.

What is read may come from anybody: sizes are bounded before anything is decompressed, only the expected columns are
read, and nothing is executed.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..disk import save_whole, write_whole
from ..terminal import one_line


GRAMS_FILE = "strategic_grams.parquet"
PROVENANCE_FILE = "provenance.json"
CARD_FILE = "README.md"
MAX_GRAMS = 100_000
MAX_FILE_BYTES = 64 << 20
MAX_DATA_BYTES = 256 << 20
MAX_PROVENANCE_BYTES = 1 << 20
STATISTICS = {
    "document_frequency": pa.int64(),
    "term_frequency": pa.int64(),
    "cluster": pa.int64(),
    "cluster_document_frequency": pa.int64(),
    "rank": pa.int64(),
    "example": pa.string(),
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True)
class Contents:
    """
    What a lexicon's folder holds.

    Attributes:
        phrases (`Sequence[str]`):
            The grams.
        provenance (`dict[str, Any]`):
            Where they come from.
        statistics (`dict[str, list]`):
            Columns aligned with the grams, their clusters among them.
    """

    phrases: Sequence[str]
    provenance: dict[str, Any] = field(default_factory=dict)
    statistics: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that depend on the grams and their order, and on nothing else."""
        return hashlib.sha256("\n".join(self.phrases).encode()).hexdigest()[:16]


def write(folder: Path, contents: Contents, card: str) -> Path:
    """Writes a lexicon and its card into `folder`, and returns it."""
    size = len(contents.phrases)
    if size > MAX_GRAMS:
        raise ValueError(f"a lexicon may have {MAX_GRAMS:,} grams, got {size:,}: keep fewer clusters")
    columns: dict[str, Any] = {"gram": pa.array(contents.phrases, pa.string())}
    for name, column in contents.statistics.items():
        columns[name] = pa.array(column, STATISTICS[name])
    save_whole(folder / GRAMS_FILE, lambda part: pq.write_table(pa.table(columns), part))
    record = {**contents.provenance, "fingerprint": contents.fingerprint, "size": size}
    write_whole(folder / PROVENANCE_FILE, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    write_whole(folder / CARD_FILE, card)
    return folder


def read(folder: Path, name: str) -> tuple[Contents, str]:
    """
    Reads a lexicon.

    Args:
        folder (`Path`):
            Folder with `strategic_grams.parquet`, or with any one parquet file that has a column `gram`.
        name (`str`):
            What to call the folder in messages.

    Returns:
        `tuple[Contents, str]`: what the folder holds, and how messages call the file with the grams.

    Raises:
        `FileNotFoundError`: if no parquet file is there.
        `ValueError`: if a file is too large, broken, or has wrong columns or types.
    """
    file = grams_file([path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")], name)
    where = f"{name}/{one_line(file)}"
    check_size((folder / file).stat().st_size, where, MAX_FILE_BYTES)
    try:
        with pq.ParquetFile(folder / file) as parquet:
            _check_schema(parquet, where)
            present = [column for column in STATISTICS if column in parquet.schema_arrow.names]
            table = _read_bounded(parquet, ["gram", *present], where)
        columns = {column: table[column].to_pylist() for column in table.column_names}
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{where}: not a readable parquet file ({one_line(error)})") from error
    for column in table.column_names:
        if (empty := table[column].null_count) and column != "example":
            expected = "text" if column == "gram" else "a number"
            raise ValueError(f"{where}: expected {expected} in every row of column {column!r}, got {empty} empty")
    statistics = {column: columns[column] for column in present}
    if "example" in statistics:
        statistics["example"] = [text and _CONTROL.sub(" ", text) for text in statistics["example"]]
    provenance = _read_provenance(folder / PROVENANCE_FILE, f"{name}/{PROVENANCE_FILE}")
    return Contents(columns["gram"], provenance, statistics), where


def grams_file(files: Iterable[str], name: str) -> str:
    """Which of the files of `name` has the grams; raises `FileNotFoundError` where that cannot be told."""
    parquet = [file for file in files if file.endswith(".parquet")]
    if GRAMS_FILE in parquet:
        return GRAMS_FILE
    if len(parquet) == 1:
        return parquet[0]
    got = f"{len(parquet)} parquet files" if parquet else "no parquet file"
    raise FileNotFoundError(f"no strategic grams in {name}: expected {GRAMS_FILE}, got {got}")


def _check_depth(value: Any, most: int = 50) -> None:
    if most == 0:
        raise ValueError("nested too deep")
    for inside in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_depth(inside, most - 1)


def check_size(size: int, where: str, most: int) -> None:
    """Raises `ValueError` if the file `where` has more bytes than it may."""
    if size > most:
        raise ValueError(f"{where}: a lexicon's file may have {most:,} bytes, got {size:,}")


def _check_schema(parquet: pq.ParquetFile, where: str) -> None:
    metadata, schema = parquet.metadata, parquet.schema_arrow
    if schema.names.count("gram") != 1 or any(schema.names.count(name) > 1 for name in STATISTICS):
        raise ValueError(f"{where}: expected a column 'gram', got {one_line(', '.join(schema.names))}")
    for name in schema.names:
        kind = schema.field(name).type
        if name == "gram" or STATISTICS.get(name) == pa.string():
            fits, expected = pa.types.is_string(kind) or pa.types.is_large_string(kind), "text"
        else:
            fits, expected = name not in STATISTICS or pa.types.is_signed_integer(kind), "whole numbers"
        if not fits:
            raise ValueError(f"{where}: expected {expected} in column {name!r}, got {one_line(kind)}")
    if metadata.num_rows > MAX_GRAMS:
        raise ValueError(f"{where}: a lexicon may have {MAX_GRAMS:,} grams, got {metadata.num_rows:,}")
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if size > MAX_DATA_BYTES:
        raise ValueError(f"{where}: a lexicon may have {MAX_DATA_BYTES:,} bytes of data, got {size:,}")


def _read_bounded(parquet: pq.ParquetFile, columns: list[str], where: str) -> pa.Table:
    """Metadata may understate what a file unpacks to, and a repeated text is in the file once."""
    batches, size = [], 0
    for batch in parquet.iter_batches(batch_size=100, columns=columns):
        size += batch.nbytes
        if size > MAX_DATA_BYTES:
            raise ValueError(f"{where}: a lexicon may have {MAX_DATA_BYTES:,} bytes of data, got more")
        batches.append(batch)
    return pa.Table.from_batches(batches, pa.schema([parquet.schema_arrow.field(name) for name in columns]))


def _read_provenance(file: Path, where: str) -> dict[str, Any]:
    if not file.is_file():
        return {}
    check_size(file.stat().st_size, where, MAX_PROVENANCE_BYTES)
    try:
        provenance = json.loads(file.read_text(encoding="utf-8"))
        json.dumps(provenance, ensure_ascii=False).encode()
        _check_depth(provenance)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: expected a JSON object ({error})") from error
    if not isinstance(provenance, dict):
        raise ValueError(f"{where}: expected a JSON object, got {type(provenance).__name__}")
    return provenance
