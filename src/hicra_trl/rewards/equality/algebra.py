"""Equality of expressions. It runs in processes that can be killed: nothing here bounds its time."""

import re
from typing import Any

from sympy import Basic, E, Expr, MatrixBase, MatrixExpr, Mul, Set, Symbol, Tuple

from ..gold import Gold
from .numbers import Number, read_number
from .reading import read
from .relations import is_relation, same_relation, same_solutions
from .sets import same_set
from .values import DIGITS, fraction, same_value


_SENTENCE = re.compile(r"(?<![\\a-zA-Z{])[a-zA-Z]{2,} [a-z]{2,}(?![a-zA-Z}])")


def equal(answer: str, gold: str, tolerance: Gold | None = None) -> bool:
    """
    Whether two expressions, as [`~hicra_trl.rewards.equality.notation.plain`] leaves them, are equal.

    Args:
        answer (`str`):
            An expression.
        gold (`str`):
            What it is compared with; an inequality may be answered by the set of its solutions, but not the other way.
        tolerance ([`Gold`], *optional*):
            Whose precision and tolerances hold; then both must be numbers.

    Raises:
        `MemoryError`: if the process may not have the memory that this takes.
    """
    if answer == gold:
        return True
    try:
        if tolerance is not None:
            return _near(answer, gold, tolerance)
        return _same_but_for_percent(answer, gold)
    except MemoryError:
        raise
    except Exception:
        # What SymPy raises on hostile input is not bounded by any list, and whatever it is, nothing was equal.
        return False


def understood(expression: str) -> bool:
    """Whether an expression has a meaning. Of a sentence, the parser would take each letter for a variable."""
    return not _SENTENCE.search(expression) and read(expression) is not None


def _same_but_for_percent(answer: str, gold: str) -> bool:
    """A percent sign counts as a unit, and as a hundredth."""
    percent = answer.endswith("%"), gold.endswith("%")
    left, right = answer.rstrip("%"), gold.rstrip("%")
    if _same(left, right):
        return True
    if percent[0] == percent[1]:
        return False
    return _same(*(rf"\frac{{{text}}}{{100}}" if of else text for text, of in zip((left, right), percent)))


def _same(answer: str, gold: str) -> bool:
    # What is a value, a matrix or a set by turns; SymPy calls it all Basic.
    ours: Any = read(answer)
    theirs: Any = read(gold)
    if ours is None or theirs is None:
        return False
    if is_relation(theirs):
        return same_relation(ours, theirs) if is_relation(ours) else _solves(ours, theirs)
    if isinstance(ours, (Set, Tuple)) or isinstance(theirs, (Set, Tuple)):
        return same_set(ours, theirs)
    if isinstance(ours, (MatrixBase, MatrixExpr)) and isinstance(theirs, (MatrixBase, MatrixExpr)):
        ours, theirs = ours.doit(), theirs.doit()
        return ours.shape == theirs.shape and all(map(same_value, ours.flat(), theirs.flat()))
    if not isinstance(ours, Expr) or not isinstance(theirs, Expr) or ours.is_Matrix or theirs.is_Matrix:
        return False
    if Symbol in (type(ours), type(theirs)) and _letters(ours) == _letters(theirs) is not None:
        return True
    return same_value(ours, theirs) or _rounded(answer, theirs) or _rounded(gold, ours)


def _solves(ours: Basic, theirs: Basic) -> bool:
    return isinstance(ours, Set) and same_solutions(ours, theirs)


def _rounded(decimal: str, other: Expr) -> bool:
    """Whether a decimal is the other value, rounded."""
    number = read_number(decimal)
    if number is None or not number.decimals:
        return False
    value = fraction(other, len(decimal) + DIGITS)
    return value is not None and number.equals(Number(value, None))


def _near(answer: str, gold: str, tolerance: Gold) -> bool:
    ours, theirs = _number(answer), _number(gold)
    if ours is None or theirs is None:
        return False
    places = tolerance.precision
    rounded = theirs if places is None else Number(round(theirs.value, places), None)
    return ours.near(rounded, places, tolerance.absolute_tolerance, tolerance.relative_tolerance)


def _number(text: str) -> Number | None:
    number = read_number(text)
    if number is None and isinstance(meaning := read(text), Expr):
        value = fraction(meaning)
        number = None if value is None else Number(value, None)
    return number


def _letters(expression: Basic) -> str | None:
    r"""The letters of a symbol or a product of symbols: \text{AB} is one, AB are two."""
    factors: tuple[Any, ...] = expression.args if isinstance(expression, Mul) else (expression,)
    if not all(factor == E or isinstance(factor, Symbol) for factor in factors):
        return None
    return "".join("e" if factor == E else factor.name for factor in factors).lower()
