"""The file of a token record: what each sampled token was and got. One file a step and process, as parquet."""

import json
import re
from collections import defaultdict
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...disk import save_whole
from .files import TOKEN_RECORD_FOLDER


_NAME = re.compile(r"step_(\d+)_rank_\d+\.parquet")
SCHEMA_VERSION = "1"
SCHEMA = pa.schema(
    [
        ("step", pa.int32()),
        ("rank", pa.int16()),
        ("group", pa.int32()),
        ("index", pa.int16()),
        ("prompt", pa.string()),
        ("completion", pa.binary()),
        ("ends", pa.list_(pa.int32())),
        ("ids", pa.list_(pa.int32())),
        ("own", pa.list_(pa.bool_())),
        ("planning", pa.list_(pa.bool_())),
        ("gram", pa.list_(pa.int32())),
        ("advantage", pa.float32()),
        ("credited", pa.list_(pa.float32())),
        ("logp", pa.list_(pa.float16())),
        ("entropy", pa.list_(pa.float16())),
        ("rewards", pa.list_(pa.float32())),
        ("reward", pa.float32()),
        ("cut", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class RecordHeader:
    """
    What all completions of a file have in common.

    Attributes:
        alpha (`float`):
            Strength of the credit.
        credit (`str`):
            Its rule: `credit` of the configuration.
        lexicon (`str`):
            Fingerprint of the strategic grams.
        temperature (`float`):
            At which completions were sampled and scored.
        reward_names (`list[str]`):
            The reward functions.
        grams (`list[str]`):
            The strategic grams that occur in the file.
    """

    alpha: float
    credit: str
    lexicon: str
    temperature: float
    reward_names: list[str]
    grams: list[str]


@dataclass
class RecordedCompletion:
    """
    One completion of T tokens, as it entered the loss. Arrays are of shape (T,) where nothing else is said.

    Attributes:
        header ([`RecordHeader`]):
            Of the file that it lies in.
        step, rank (`int`):
            Optimizer step that it was first used for, and the process that had it.
        group, index (`int`):
            Its prompt's group among those of all processes, and its place in the group.
        prompt (`str`):
            The prompt, of a chat the last message of the user.
        completion (`bytes`):
            The bytes that the tokens wrote, one after another; special tokens write their name.
        ends (`numpy.ndarray`, int32):
            Where each token ends in `completion`.
        ids (`numpy.ndarray`, int32):
            The sampled ids, those that tools wrote too.
        own (`numpy.ndarray`, bool):
            The model's own tokens that enter the loss.
        planning (`numpy.ndarray`, bool):
            The planning tokens.
        gram (`numpy.ndarray`, int32):
            Index in `header.grams` of the occurrence (leftmost-longest) that a token belongs to; -1 for none.
        advantage (`float`):
            GRPO's.
        credited (`numpy.ndarray`, float32):
            The advantage that entered the loss.
        logp, entropy (`numpy.ndarray`, float16):
            Log-probability of the token and entropy of the policy at first use, in nats; NaN where a token is not the
            model's own, or was never used.
        rewards (`numpy.ndarray` of shape `(number of functions,)`, float32):
            Of each reward function; NaN where it gave none.
        reward (`float`):
            Their weighted sum.
        cut (`bool`):
            Whether it ended without an end token.
    """

    header: RecordHeader
    step: int
    rank: int
    group: int
    index: int
    prompt: str
    completion: bytes
    ends: np.ndarray
    ids: np.ndarray
    own: np.ndarray
    planning: np.ndarray
    gram: np.ndarray
    advantage: float
    credited: np.ndarray
    logp: np.ndarray
    entropy: np.ndarray
    rewards: np.ndarray
    reward: float
    cut: bool

    @property
    def text(self) -> str:
        """The completion as text; bytes that are none are shown as U+FFFD."""
        return self.completion.decode(errors="replace")


def record_file(run: str | Path, step: int, rank: int) -> Path:
    """
    Where a run's token record of a step and process lies.

    Example:

    ```python
    >>> str(record_file("runs/mine", 40, 1))
    'runs/mine/token_records/step_000040_rank_001.parquet'
    ```
    """
    return Path(run, TOKEN_RECORD_FOLDER, f"step_{step:06d}_rank_{rank:03d}.parquet")


def record_files(run: str | Path) -> dict[int, list[Path]]:
    """The files of a run's token record, by step in order, those of a step by process."""
    files: dict[int, list[Path]] = defaultdict(list)
    for file in sorted(Path(run, TOKEN_RECORD_FOLDER).glob("*.parquet")):
        if match := _NAME.fullmatch(file.name):
            files[int(match[1])].append(file)
    return dict(sorted(files.items()))


def write_record(file: str | Path, rows: list[RecordedCompletion]) -> None:
    """Writes the completions of one step and process, with the header of the first, at once."""
    header = {"schema_version": SCHEMA_VERSION}
    for name, value in vars(rows[0].header).items():
        header[name] = value if isinstance(value, str) else json.dumps(value)
    columns = [_column([getattr(row, field.name) for row in rows], field.type) for field in SCHEMA]
    table = pa.Table.from_arrays(columns, schema=SCHEMA.with_metadata(header))
    save_whole(file, lambda part: pq.write_table(table, part, compression="zstd"))


def read_header(file: str | Path) -> RecordHeader:
    """
    What the completions of a file have in common, without reading them.

    Raises:
        `ValueError`: if it is no such file, or one of another version.
    """
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"cannot read {file}: {' '.join(str(error).split())[:200]}") from error
    found = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    if (version := found.get("schema_version")) != SCHEMA_VERSION:
        raise ValueError(f"{file}: expected a token record of schema_version {SCHEMA_VERSION}, got {version}")
    if schema.remove_metadata() != SCHEMA:
        names = ", ".join(schema.names)
        raise ValueError(f"{file}: expected the columns of a token record, {', '.join(SCHEMA.names)}, got {names}")
    texts = [field.name for field in fields(RecordHeader) if field.type is str]
    values = {field.name: found[field.name] for field in fields(RecordHeader)}
    return RecordHeader(**{name: value if name in texts else json.loads(value) for name, value in values.items()})


def read_record(file: str | Path) -> list[RecordedCompletion]:
    """The completions of a file; raises as [`read_header`] does."""
    header = read_header(file)
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"cannot read {file}: {' '.join(str(error).split())[:200]}") from error
    columns = [_values(table.column(name).combine_chunks()) for name in SCHEMA.names]
    return [RecordedCompletion(header, *row) for row in zip(*columns, strict=True)]


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_list(kind):
        return pa.array(values, kind)
    # One array and its offsets: a list of lists is made number by number.
    offsets = np.cumsum([0, *(len(value) for value in values)], dtype=np.int32)
    flat = pa.array(np.concatenate(values).astype(kind.value_type.to_pandas_dtype()), kind.value_type)
    return pa.ListArray.from_arrays(offsets, flat)


def _values(column: pa.Array) -> list[Any]:
    if not isinstance(column, pa.ListArray):
        return column.to_pylist()
    flat = column.values.to_numpy(zero_copy_only=False)
    return [flat[start:end] for start, end in pairwise(column.offsets.to_numpy())]
