"""Answers of several parts: tuples, intervals, sets, unions, matrices, and several answers in one box."""

import re
from collections.abc import Collection
from dataclasses import dataclass


_CLOSING = {"(": ")", "[": "]", r"\{": r"\}", r"\langle": r"\rangle"}
_TOKEN = re.compile(r"\\\\|\\(?:[{}]|[a-zA-Z]+|.)|.", re.DOTALL)
_MATRIX = re.compile(r"\\begin\{([pbB]?matrix|array)\}(?:\{[^{}]*\})?(.*)\\end\{\1\}", re.DOTALL)
_PLUS_MINUS = re.compile(r"\\pm(?![a-zA-Z])\s*")
_MINUS_PLUS = re.compile(r"\\mp(?![a-zA-Z])\s*")


@dataclass(frozen=True)
class Parts:
    r"""
    An answer of several parts.

    Attributes:
        kind (`str`):
            Its brackets, such as `"()"`, `"[)"`, `"{}"`; `"list"` for parts without brackets, `"union"` for parts
            joined by `\cup`, or `"matrix RxC"`.
        parts (`tuple[str, ...]`):
            The parts in their order; of a matrix, row by row.
    """

    kind: str
    parts: tuple[str, ...]

    @property
    def ordered(self) -> bool:
        """Whether the order of the parts is part of the answer."""
        return self.kind not in ("list", "{}", "union")


def read_parts(text: str) -> Parts | None:
    r"""
    The parts of an answer, or `None` if it is one piece.

    `a \pm b` is two answers. A single part in round brackets is the part, and no structure.

    Args:
        text (`str`):
            An answer as [`~hicra_trl.rewards.equality.notation.plain`] leaves it.

    Example:

    ```python
    >>> read_parts("(1,2]")
    Parts(kind='(]', parts=('1', '2'))
    >>> read_parts(r"1\pm\sqrt{5},-2")
    Parts(kind='list', parts=('1+\\sqrt{5}', '1-\\sqrt{5}', '-2'))
    ```
    """
    if matrix := _MATRIX.fullmatch(text):
        rows = [row.split("&") for row in matrix[2].split(r"\\") if row.strip()]
        if len({len(row) for row in rows}) == 1:
            return Parts(f"matrix {len(rows)}x{len(rows[0])}", tuple(cell.strip() for row in rows for cell in row))
        return None
    if len(union := split(text, (r"\cup",))) > 1:
        return Parts("union", tuple(union))
    if len(listed := split(text, (",", ";"))) > 1:
        return Parts("list", tuple(part for piece in listed for part in _both_signs(piece)))
    if bracketed := _bracketed(text):
        return bracketed
    signs = _both_signs(text)
    return Parts("list", signs) if len(signs) > 1 else None


def unbracketed(text: str) -> str:
    """`text` without braces, or round brackets that are no tuple's, around the whole of it."""
    while (
        text.startswith(("(", "{"))
        and _closing(text, 0) == len(text) - 1
        and (text[0] == "{" or len(split(text[1:-1], (",", ";"))) == 1)
    ):
        text = text[1:-1].strip()
    return text


def split(text: str, separators: Collection[str]) -> list[str]:
    """The pieces of a text between separators that no bracket encloses."""
    parts, depth, last = [], 0, 0
    for token in _TOKEN.finditer(text):
        depth += _step(token[0])
        if depth == 0 and token[0] in separators:
            parts.append(text[last : token.start()].strip())
            last = token.end()
    return [*parts, text[last:].strip()]


def _bracketed(text: str) -> Parts | None:
    opening = next((bracket for bracket in _CLOSING if text.startswith(bracket)), None)
    closing = next((bracket for bracket in _CLOSING.values() if text.endswith(bracket)), None)
    if opening is None or closing is None or _closing(text, 0) != len(text) - len(closing):
        return None
    parts = split(text[len(opening) : -len(closing)], (",", ";"))
    if opening == r"\{":
        signed = tuple(part for piece in parts for part in _both_signs(piece))
        return Parts("{}", signed) if closing == r"\}" and signed != ("",) else None
    if len(parts) < 2:
        return None
    angle = opening == r"\langle" and closing == r"\rangle"
    return Parts("()" if angle else opening[-1] + closing[-1], tuple(parts))


def _both_signs(text: str) -> tuple[str, ...]:
    if not _PLUS_MINUS.search(text):
        # Alone, it is the same.
        text = _MINUS_PLUS.sub(r"\\pm ", text)
    if not _PLUS_MINUS.search(text):
        return (text,)
    upper = _MINUS_PLUS.sub("-", _PLUS_MINUS.sub("+", text))
    lower = _MINUS_PLUS.sub("+", _PLUS_MINUS.sub("-", text))
    return upper.removeprefix("+"), lower


def _closing(text: str, start: int) -> int | None:
    """Where the bracket that opens at `start` closes; any closing bracket closes any other, as in half-open ones."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += _step(token[0])
        if depth == 0:
            return token.start()
    return None


def _step(token: str) -> int:
    if token in ("(", "[", "{", r"\{", r"\langle"):
        return 1
    return -1 if token in (")", "]", "}", r"\}", r"\rangle") else 0
