"""Equality of expressions by math-verify. It runs in processes that can be killed: nothing here bounds its time."""

import logging
import re
from functools import lru_cache

from latex2sympy2_extended import NormalizationConfig
from math_verify import LatexExtractionConfig, parse, verify
from sympy import Add, Basic, Expr, Function, Limit, MatrixBase, Mul, Pow, Symbol, nan, oo, simplify, zoo
from sympy.concrete.expr_with_limits import ExprWithLimits

from .capitals import renamed


# Units are gone already, and math-verify would take the c of mc^2 for one.
_NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="last", equations=False
)
_EXTRACTION = [
    LatexExtractionConfig(
        try_extract_without_anchor=False, boxed_match_priority=0, normalization_config=_NORMALIZATION
    )
]
# Names that its grammar has no place for: E with an index (E alone is Euler's number), the index of the sun; and
# gamma, which is a function there, of its powers and indices too: \gamma^2 - 1 is infinite.
_NAMES = (
    (re.compile(r"(?<![\\a-zA-Z])E(?=_)"), r"\\Upsilon "),
    (re.compile(r"_\{?\\odot(?![a-zA-Z])\}?"), "_{0}"),
    (re.compile(r"\\(?:gamma(?![a-zA-Z])|Gamma(?![a-zA-Z(]))"), r"\\omicron "),
)
# It adds numbers that stand side by side, as those of 1\frac{1}{2}: 2(3) is 5 there. And \pi(3) is a function of 3.
_FACTOR = re.compile(r"\)(?=\(|\d|\\frac)|(?<![\d._^a-zA-Z])\d[\d.]*(?=\([^a-zA-Z()]*\)|\(\\frac)|\\pi ?(?=\()")
_INFINITE = (oo, -oo, zoo, nan)
# It warns at every call that no timeout of its own is set.
logging.getLogger("math_verify").setLevel(logging.CRITICAL)


def equal(answer: str, gold: str) -> bool:
    """
    Whether two expressions, as [`~hicra_trl.rewards.equality.notation.plain`] leaves them, are equal.

    Raises:
        `MemoryError`: if the process may not have the memory that this takes.
    """
    try:
        ours, theirs = read(answer), read(gold)
        # The order matters: verify is not symmetric.
        return bool(ours and theirs) and (
            verify(theirs, ours, timeout_seconds=None, raise_on_error=True) or _is_symbol(ours[0], theirs[0])
        )
    except MemoryError:
        raise
    except Exception:
        # What SymPy raises on hostile input is not bounded by any list, and whatever it is, nothing was equal.
        return False


def _is_symbol(ours: Basic | MatrixBase | str, theirs: Basic | MatrixBase | str) -> bool:
    """Whether one is a symbol and the other, unevaluated, comes to it: math-verify compares their texts."""
    one, other = sorted((ours, theirs), key=lambda part: not isinstance(part, Symbol))
    return isinstance(one, Symbol) and isinstance(other, Expr) and simplify(other - one) == 0


@lru_cache(maxsize=1000)
def read(expression: str) -> list[Basic | MatrixBase | str]:
    """What math-verify reads in an expression: SymPy objects and the text, or the text alone where it has no sense."""
    # There, I is the imaginary unit, with any index.
    expression = renamed(expression, {"I": r"\vartheta "})
    for name, replacement in _NAMES:
        expression = name.sub(replacement, expression)
    expression = _FACTOR.sub(r"\g<0>\\cdot ", expression)
    parts = parse(f"\\boxed{{{expression}}}", extraction_config=_EXTRACTION, parsing_timeout=None)
    # SymPy simplifies the difference between such an expression and a number to 0 now and then.
    return [part for part in parts if isinstance(part, str) or not reckons_with_infinity(part)]


def reckons_with_infinity(expression: Basic | MatrixBase) -> bool:
    """Whether infinity is calculated with, as in oo + 1; as a value, an end of an interval or a limit it is none."""
    parts = expression.flat() if isinstance(expression, MatrixBase) else expression.args
    if isinstance(expression, (ExprWithLimits, Limit)):
        parts = parts[:1]
    operation = isinstance(expression, (Add, Mul, Pow, Function))
    return any((operation and part in _INFINITE) or reckons_with_infinity(part) for part in parts)


def understood(expression: str) -> bool:
    """Whether math-verify reads mathematics in an expression."""
    return any(not isinstance(part, str) for part in read(expression))
