r"""What an expression in LaTeX means: math-verify's parser, exact in its numbers. Nothing here bounds its time."""

import re
from functools import lru_cache
from typing import Any

from latex2sympy2_extended import NormalizationConfig, normalize_latex
from latex2sympy2_extended.latex2sympy2 import _Latex2Sympy
from math_verify.grader import should_treat_as_complex
from sympy import (
    Add,
    Basic,
    Expr,
    Function,
    I,
    Limit,
    MatrixBase,
    Mul,
    Pow,
    Rational,
    Symbol,
    factorial2,
    nan,
    oo,
    zoo,
)
from sympy.concrete.expr_with_limits import ExprWithLimits

from .capitals import renamed


# Units are gone already, and math-verify would take the c of mc^2 for one.
_NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="last", equations=False
)
# Names that its grammar has no place for: E with an index (E alone is Euler's number), the index of the sun; and
# gamma, which is a function there, of its powers and indices too: \gamma^2 - 1 is infinite.
_NAMES = (
    (re.compile(r"(?<![\\a-zA-Z])E(?=_)"), r"\\Upsilon "),
    (re.compile(r"_\{?\\odot(?![a-zA-Z])\}?"), "_{0}"),
    (re.compile(r"\\(?:gamma(?![a-zA-Z])|Gamma(?![a-zA-Z(]))"), r"\\omicron "),
)
# It deletes primes: here they are part of the index.
_PRIMES = re.compile(r"(\\[a-zA-Z]+ ?|(?<![a-zA-Z\\])[a-zA-Z]|(?<=[a-zA-Z'])[a-zA-Z])(?:_(?:\{([^{}]*)\}|(\w)))?'+")
# A product with a bracket is a call to it.
_FACTOR = re.compile(r"\)(?=\(|\d|\\frac)|(?<![\d._^a-zA-Z])\d[\d.]*(?=\([^a-zA-Z()]*\)|\(\\frac)|\\pi ?(?=\()")
_MIXED = re.compile(r"\\frac\{\d+\}\{\d+\}")
# Where i counts, or is a unit vector beside j.
_COUNTER = re.compile(r"\\(?:sum|prod|vec|hat)|_\{?i(?![a-zA-Z])|(?<![a-zA-Z\\])j(?![a-zA-Z])")
_DIGITS = re.compile(r"\{?[\d.]+\}?")
_INFINITE = (oo, -oo, zoo, nan)


class _Reader(_Latex2Sympy):
    """The parser. Its own rounds decimals, adds numbers that stand side by side, and drops the index of a number."""

    def __init__(self, latex: str) -> None:
        super().__init__(is_real=not should_treat_as_complex(latex))
        self.i_is_imaginary = not _COUNTER.search(latex)

    def convert_atom_expr(self, atom: Any) -> Any:
        meaning = super().convert_atom_expr(atom)
        return meaning.xreplace({Symbol("i", real=self.is_real): I}) if self.i_is_imaginary else meaning

    def parse_number(self, text: str) -> Expr:
        return Rational(text.replace(",", ""))

    def convert_atom(self, atom: Any) -> Any:
        if atom.number_subexpr() and atom.number_subexpr().subexpr():
            raise ValueError(f"a number has no index: {atom.getText()}")
        return super().convert_atom(atom)

    def convert_postfix(self, postfix: Any) -> Any:
        if [op.getText() for op in postfix.postfix_op()] == ["!", "!"]:
            exp = postfix.exp() if hasattr(postfix, "exp") else postfix.exp_nofunc()
            return factorial2(self.convert_exp(exp))
        return super().convert_postfix(postfix)

    def convert_postfix_list(self, factors: list[Any], i: int = 0) -> Any:
        first, *rest = (factor.getText() for factor in factors[i : i + 2])
        if rest and first.isdigit() and len(factors) == i + 2 and _MIXED.fullmatch(rest[0]):
            return super().convert_postfix_list(factors, i)
        if rest and _DIGITS.fullmatch(first) and _DIGITS.match(rest[0]):
            raise ValueError(f"two numbers side by side: {first} {rest[0]}")
        left = self.convert_postfix(factors[i])
        if not rest or not isinstance(left, Expr) or getattr(left, "is_Matrix", False):
            return super().convert_postfix_list(factors, i)
        right = self.convert_postfix_list(factors, i + 1)
        return (self.mat_mul_flat if getattr(right, "is_Matrix", False) else self.mul_flat)(left, right)


@lru_cache(maxsize=1000)
def read(expression: str) -> Basic | MatrixBase | None:
    """What an expression, as [`~hicra_trl.rewards.equality.notation.plain`] leaves it, means; `None` for nothing."""
    # There, I is the imaginary unit, with any index.
    expression = renamed(expression, {"I": r"\vartheta "})
    for name, replacement in _NAMES:
        expression = name.sub(replacement, expression)
    expression = _FACTOR.sub(r"\g<0>\\cdot ", _PRIMES.sub(_primed, expression))
    if "'" in expression:
        return None
    try:
        latex = normalize_latex(f"\\boxed{{{expression}}}", _NORMALIZATION)
        meaning = _Reader(latex).parse(latex)
    except (MemoryError, RecursionError):
        raise
    except Exception:
        # The parser raises bare exceptions, and whatever SymPy does on the way.
        return None
    # SymPy simplifies the difference between such an expression and a number to 0 now and then.
    readable = isinstance(meaning, (Basic, MatrixBase)) and not reckons_with_infinity(meaning)
    return meaning if readable else None


def _primed(match: re.Match[str]) -> str:
    index = (match[2] or match[3] or "") + "9" * 7 + str(len(match[0]) - len(match[0].rstrip("'")))
    return f"{match[1]}_{{{index}}}"


def reckons_with_infinity(expression: Basic | MatrixBase) -> bool:
    """Whether infinity is calculated with, as in oo + 1; as a value, an end of an interval or a limit it is none."""
    parts = expression.flat() if isinstance(expression, MatrixBase) else expression.args
    if isinstance(expression, (ExprWithLimits, Limit)):
        parts = parts[:1]
    operation = isinstance(expression, (Add, Mul, Pow, Function))
    return any((operation and part in _INFINITE) or reckons_with_infinity(part) for part in parts)
