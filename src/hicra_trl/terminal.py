"""What is said on screen."""

import os
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from textwrap import wrap
from unicodedata import category, east_asian_width


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def say(line: str) -> None:
    """Writes a line to stderr, from the first process of a run alone."""
    if os.environ.get("RANK", "0") == "0":
        print(line, file=sys.stderr)


def first_line(error: BaseException) -> str:
    """
    What an error says, in one line; its kind where it says nothing.

    Example:

    ```python
    >>> first_line(ValueError("no dataset\\nTraceback ...")), first_line(KeyError())
    ('no dataset', 'KeyError')
    ```
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def one_line(text: object) -> str:
    """What others wrote, fit for a terminal: without control characters, at most 300 characters in one line."""
    line = " ".join(_CONTROL.sub(" ", str(text)).split())
    return line if len(line) <= 300 else f"{line[:300]}..."


def did_you_mean(wrong: Iterable[str], known: Collection[str]) -> str:
    """
    What may have been meant by names that are not known, to put behind a message; nothing where that is not clear.

    Example:

    ```python
    >>> did_you_mean(["--alpah", "0.3"], ["--alpha", "--seed"])
    ' (did you mean --alpha?)'
    ```
    """
    near = [match for name in wrong for match in get_close_matches(name, known, 1, 0.75)]
    return f" (did you mean {' and '.join(dict.fromkeys(near))}?)" if near else ""


def table(rows: Sequence[Sequence[str]]) -> str:
    """
    Rows as text, with the cells of each column aligned at their ends.

    Example:

    ```python
    >>> print(table([("", "reward"), ("step 9", "0.5"), ("step 10", "0.75")]))
             reward
     step 9     0.5
    step 10    0.75
    ```
    """
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    padded = ([" " * (most - _width(cell)) + cell for cell, most in zip(row, widths, strict=True)] for row in rows)
    return "\n".join(map("  ".join, padded))


def _width(text: str) -> int:
    """Columns that a text takes in a terminal: Chinese characters have two, combining marks none."""
    return sum(2 if east_asian_width(char) in "WF" else category(char) not in ("Mn", "Me", "Cf") for char in text)


def labelled(lines: Mapping[str, str], width: int | None = None) -> str:
    """
    Names and, aligned behind them, what there is to say of each; with a width, long lines are wrapped.

    Example:

    ```python
    >>> print(labelled({"model": "Qwen3-4B", "benchmarks": "aime24\\namc23"}))
    model       Qwen3-4B
    benchmarks  aime24
                amc23
    ```
    """
    indent = max(map(len, lines)) + 2
    shown = []
    for name, text in lines.items():
        parts = text.splitlines()
        if width is not None:
            rest = {"width": width - indent, "break_long_words": False, "break_on_hyphens": False}
            parts = [part for line in parts for part in wrap(line, **rest)]
        shown.append(f"{name:<{indent}}" + ("\n" + " " * indent).join(parts))
    return "\n".join(shown)
