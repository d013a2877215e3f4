"""Gold answers of a row: from an answer column, the last box of a worked solution, or the options of a question."""

import math
import re
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from ...rewards import Gold, extract_boxed
from .catalog import Benchmark
from .rows import Row


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


def read_options(benchmark: Benchmark, row: Row) -> tuple[str, ...]:
    """The options of a multiple-choice question; of other questions none."""
    column = benchmark.choices_column
    value = row.get(column) if column else None
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError(f"expected a list of options in {column!r}, got {str(value)[:60]!r}")
    if len(value) > len(ascii_uppercase):
        raise ValueError(f"expected at most {len(ascii_uppercase)} options, got {len(value)}")
    return tuple("" if is_missing(option) else plain(option, column) for option in value)


def is_multiple_choice(benchmark: Benchmark, row: Row) -> bool:
    """Whether a letter is asked for."""
    if benchmark.kind_column:
        kind = re.sub("[^a-z]", "", plain(row.get(benchmark.kind_column), benchmark.kind_column).lower())
        return kind in ("multichoice", "multiplechoice")
    return bool(read_options(benchmark, row))


def read_gold(benchmark: Benchmark, row: Row, column: str, boxed: bool) -> Gold:
    """
    The gold answer of a row.

    Args:
        benchmark ([`Benchmark`]):
            How it is read.
        row ([`Row`]):
            The row.
        column (`str`):
            Where it is.
        boxed (`bool`):
            Whether the column holds worked solutions.

    Returns:
        [`~hicra_trl.rewards.Gold`]: of a multiple-choice question the letter, with the options.

    Raises:
        `ValueError`: if there is none, or it is no option.
    """
    answer = _answer(benchmark, row.get(column), column, boxed)
    if is_multiple_choice(benchmark, row):
        options = read_options(benchmark, row)
        letter = _letter(answer, options or ascii_uppercase, benchmark.choice_gold)
        # Options that stand inside the problem have no text of their own; four are the rule.
        return Gold(letter, choices=options or tuple(ascii_uppercase[: max(4, ord(letter) - ord("A") + 1)]))
    tolerance = row.get(benchmark.tolerance_column) if benchmark.tolerance_column else None
    return Gold(
        answer,
        precision=read_precision(benchmark, row),
        absolute_tolerance=benchmark.absolute_tolerance if is_missing(tolerance) else _number(tolerance, "tolerance"),
        relative_tolerance=benchmark.relative_tolerance,
    )


def read_precision(benchmark: Benchmark, row: Row) -> int | None:
    """Decimals that count, where the row says so."""
    value = row.get(benchmark.precision_column) if benchmark.precision_column else None
    if is_missing(value):
        return None
    number = _number(value, "precision")
    if not number.is_integer():
        raise ValueError(f"expected a whole number of decimals as precision, got {value!r}")
    return int(number)


def _answer(benchmark: Benchmark, value: Any, column: str, boxed: bool) -> str:
    if is_missing(value):
        raise ValueError(f"no gold answer in {column!r}")
    answer = plain(value, column)
    if boxed:
        content = extract_boxed(answer)
        if content is None:
            raise ValueError(f"no gold answer: the solution in {column!r} has no last box")
        return content
    if benchmark.gold_marker:
        _, marker, answer = answer.rpartition(benchmark.gold_marker)
        if not marker or not answer.strip():
            raise ValueError(f"no gold answer behind {benchmark.gold_marker!r} in {column!r}")
    return answer.strip()


def _letter(answer: str, options: Sequence[str], kind: str) -> str:
    letters = ascii_uppercase[: len(options)]
    if kind == "text" and answer in options:
        return letters[options.index(answer)]
    letter = answer.strip("(). ").upper()
    if kind == "letter" and len(letter) == 1 and letter in letters:
        return letter
    raise ValueError(f"the gold answer is the {kind} of no option: got {answer[:60]!r}, options {list(options)}")


def _number(value: Any, what: str) -> float:
    try:
        number = float(plain(value, what))
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"expected a number of at least 0 as {what}, got {value!r}")
    return number
