"""The file of what a run's grams went along with: the table at each checkpoint, one below the other, as parquet."""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...disk import save_whole
from .files import GRAM_OUTCOMES_FILE


SCHEMA = pa.schema(
    [
        ("step", pa.int32()),
        ("gram", pa.string()),
        ("n", pa.int64()),
        ("right", pa.int64()),
        ("wrong", pa.int64()),
        ("s", pa.float32()),
    ]
)


class GramOutcome(NamedTuple):
    """
    What a gram went along with.

    Attributes:
        gram (`str`):
            The gram.
        n, right, wrong (`int`):
            In how many completions it was since the run began, in how many right and in how many wrong ones.
        s (`float`):
            What it goes along with, from -1 (failure) to 1 (success), of late, as
            [`~hicra_trl.training.credit.outcome.GramOutcomes`] has it.
    """

    gram: str
    n: int
    right: int
    wrong: int
    s: float


def add_gram_outcomes(run: str | Path, step: int, rows: list[GramOutcome]) -> None:
    """Writes what is known after a step below what was known before, and drops what the file has of later steps."""
    columns = zip(*rows) if rows else [[]] * len(GramOutcome._fields)
    table = pa.table([[step] * len(rows), *map(list, columns)], schema=SCHEMA)
    file = Path(run, GRAM_OUTCOMES_FILE)
    if file.is_file():
        table = pa.concat_tables([_read(file).filter(pc.field("step") < step), table]).combine_chunks()
    save_whole(file, lambda part: pq.write_table(table, part, compression="zstd"))


def read_gram_outcomes(run: str | Path) -> dict[int, list[GramOutcome]]:
    """
    What the grams of a run went along with, by step in order, as far as a checkpoint or the end saved it.

    Args:
        run (`str` or `Path`):
            Its folder.

    Raises:
        `ValueError`: if it has no such file, or one that cannot be read.

    Example:

    ```python
    >>> outcomes = read_gram_outcomes("runs/mine")
    >>> max(outcomes[60], key=lambda outcome: outcome.s)
    GramOutcome(gram='try a different approach', n=1842, right=1530, wrong=312, s=0.48)
    ```
    """
    file = Path(run, GRAM_OUTCOMES_FILE)
    if not file.is_file():
        raise ValueError(f"no {GRAM_OUTCOMES_FILE} in {run}: expected the folder of a run; training leaves it there")
    outcomes: dict[int, list[GramOutcome]] = defaultdict(list)
    for step, *values in zip(*_read(file).to_pydict().values()):
        outcomes[step].append(GramOutcome(*values))
    return dict(outcomes)


def _read(file: Path) -> pa.Table:
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"cannot read {file}: {' '.join(str(error).split())[:200]}") from error
    if table.schema != SCHEMA:
        columns = ", ".join(f"{field.name} {field.type}" for field in table.schema)
        raise ValueError(
            f"{file}: expected the columns {', '.join(SCHEMA.names)} as training writes them, got {columns}"
        )
    return table
