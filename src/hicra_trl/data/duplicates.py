"""Rows that pose the same problem: one is kept, and none where their gold answers differ."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Distinct:
    """
    Which rows to keep.

    Attributes:
        keep (`list[int]`):
            The first row of each problem, in order.
        duplicates (`int`):
            Rows that repeat a row that is kept.
        conflicts (`int`):
            Rows of problems that have different gold answers, none of which is kept.
    """

    keep: list[int]
    duplicates: int
    conflicts: int


def distinct(rows: Iterable[tuple[int, str, str]]) -> Distinct:
    """
    Finds the rows that pose different problems.

    Two texts are the same if they differ only in white space and in compatibility characters (NFKC: a full-width comma
    is a comma). Case counts: `$A$` and `$a$` may be two things in one problem. Around a gold answer, `$` does not
    count.

    Args:
        rows (`Iterable[tuple[int, str, str]]`):
            Index, problem and gold answer of each row, by rising index.

    Returns:
        [`Distinct`]: what to keep, and the counts of the rest.

    Example:

    ```python
    >>> distinct([(0, "1 + 1?", "2"), (1, "1+1?", "$2$"), (2, "2 + 2?", "4"), (3, "2 + 2?", "5")])
    Distinct(keep=[0], duplicates=1, conflicts=2)
    ```
    """

    @cache  # the raw DAPO has each text a hundred times
    def normal(text: str) -> str:
        return "".join(unicodedata.normalize("NFKC", text).split())

    first: dict[str, tuple[int, str]] = {}
    counts: dict[str, int] = {}
    conflicting = set()
    for index, problem, gold in rows:
        key, answer = normal(problem), normal(gold).strip("$")
        if first.setdefault(key, (index, answer))[1] != answer:
            conflicting.add(key)
        counts[key] = counts.get(key, 0) + 1
    keep = [index for key, (index, _) in first.items() if key not in conflicting]
    conflicts = sum(counts[key] for key in conflicting)
    return Distinct(keep, sum(counts.values()) - conflicts - len(keep), conflicts)
