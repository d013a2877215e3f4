"""Whether expressions have the same values: exactly where they are rational, else to 50 digits and more."""

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

from sympy import Derivative, Expr, Float, I, Integer, Limit, Rational, Symbol, UnevaluatedExpr, nan, oo, zoo
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.core.function import AppliedUndef


DIGITS = 50
# A difference that vanishes to so many digits of what it is the difference of is none.
_MAX_DIGITS = 400
_UNDEFINED = (nan, zoo, oo, -oo)
_UNEVALUATED = (ExprWithLimits, Limit, Derivative)
# Which variables have which values: the domain of a root or a logarithm, that of an arcsine, both signs, and whole
# numbers, at which floors and factorials differ.
_RANGES = ((0, 1), (1, 6), (-6, 6), (-2, 2), (-6, 0), None)
_DENOMINATOR = 97


def same_value(ours: Expr, theirs: Expr) -> bool:
    """
    Whether two expressions are equal at random points wherever the second is real; wherever both are defined, if it
    never is. Unknown functions of equal arguments are equal; sums, integrals and limits are as they are written, or
    evaluated.
    """
    if _same_everywhere(ours, theirs):
        return True
    return any(side.has(*_UNEVALUATED) for side in (ours, theirs)) and _same_everywhere(ours.doit(), theirs.doit())


def _same_everywhere(ours: Expr, theirs: Expr) -> bool:
    real, complex_pairs = 0, []
    for left, right in values(ours, theirs):
        if not _is_real(right):
            complex_pairs.append((left, right))
        elif not same_constant(left, right):
            return False
        else:
            real += 1
    if real:
        return True
    return bool(complex_pairs) and all(same_constant(*pair) for pair in complex_pairs)


def values(*expressions: Expr) -> Iterator[list[Expr]]:
    """The values of all expressions at random points, but where one is undefined; just once where none varies."""
    varies = any(e.free_symbols or e.has(AppliedUndef, *_UNEVALUATED) for e in expressions)
    field = _real if not any(e.has(I) for e in expressions) else _complex
    for point in range(len(_RANGES) if varies else 1):
        found = [at(expression, partial(field, point)) for expression in expressions]
        if not any(value.has(*_UNDEFINED) for value in found):
            yield found


def at(expression: Any, value: Callable[[str], Expr]) -> Expr:
    """The value of an expression where its variables have those values."""
    if isinstance(expression, Symbol):
        return value(expression.name)
    if isinstance(expression, _UNEVALUATED):
        return value(str(_evaluated(expression)))
    if not expression.args:
        return expression
    arguments = [at(argument, value) for argument in expression.args]
    if isinstance(expression, AppliedUndef):
        return value(f"{expression.func}{arguments}")
    return arguments[0] if isinstance(expression, UnevaluatedExpr) else expression.func(*arguments)


def _evaluated(expression: Any) -> Any:
    """The same with its sums and products in SymPy's order."""
    return expression.func(*map(_evaluated, expression.args)) if expression.args else expression


def _complex(point: int, name: str) -> Expr:
    return _real(point, name) + I * _real(point, f"{name}, imaginary")


def _real(point: int, name: str) -> Expr:
    rng = random.Random(f"{name} {point}")
    between = _RANGES[point]
    if between is None:
        return Integer(rng.randint(2, 9))
    low, high = between
    return Rational(rng.randint(low * _DENOMINATOR + 1, high * _DENOMINATOR - 1), _DENOMINATOR)


def same_constant(left: Expr, right: Expr) -> bool:
    """Whether two numbers are equal: their difference vanishes to 400 digits of the larger one."""
    if left == right:
        return True
    if left.is_Rational and right.is_Rational:
        return False
    parts = (left - right).evalf(DIGITS, maxn=_MAX_DIGITS).as_real_imag()
    # SymPy raises the precision until the result has some digits, and leaves one bit where it never has.
    return all(part == 0 or (isinstance(part, Float) and part._prec == 1) for part in parts)


def _is_real(value: Expr) -> bool:
    if value.is_real is None:
        return same_constant(value.as_real_imag()[1], Integer(0))
    return value.is_real


def fraction(expression: Expr, digits: int = DIGITS) -> Fraction | None:
    """A real number to so many digits; `None` for what is no number."""
    value = next(values(expression), [nan])[0].evalf(digits)
    if expression.free_symbols or not (value.is_Rational or isinstance(value, Float)):
        return None
    return Fraction(*map(int, Rational(value).as_numer_denom()))


def sign(value: Expr) -> int:
    """The sign of a real number; 0 for any other."""
    number = value.evalf(DIGITS, maxn=_MAX_DIGITS)
    return bool(number > 0) - bool(number < 0) if number.is_real and not number.has(*_UNDEFINED) else 0
