"""Whether equations and inequalities say the same."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, TypeVar

from latex2sympy2_extended.logic import And
from sympy import Basic, Eq, Expr, Ge, Gt, Intersection, Le, Lt, MatrixBase, Ne, Set, solve, together
from sympy.core.relational import Relational

from .sets import is_trivial, same_set
from .values import same_constant, same_value, sign, values


_T = TypeVar("_T")
_FLIPPED = {Gt: Lt, Ge: Le}


def is_relation(meaning: Basic | MatrixBase) -> bool:
    """Whether it is a relation or a chain of them."""
    return bool(_members(meaning))


def same_relation(ours: Basic, theirs: Basic) -> bool:
    """
    Whether two relations, or chains of them, say the same: their differences of both sides are proportional, or they
    have the same solutions. What is true or false of itself equals what is written alike.
    """
    left, right = _members(ours), _members(theirs)
    if len(left) == len(right) and _matching(left, right, _written_alike):
        return True
    if any(_is_constant(member) for member in left + right):
        return False
    if len(left) == len(right) and _matching(left, right, _proportional):
        return True
    if any(isinstance(member, Eq) for member in left + right):
        return len(left) == len(right) == 1 and _solved_alike(left[0], right[0])
    return ours.free_symbols == theirs.free_symbols and same_solutions(solutions(ours), theirs)


def same_solutions(ours: Set, theirs: Basic) -> bool:
    """Whether a set, neither empty nor everything, is that of the numbers which an inequality allows."""
    if any(isinstance(member, Eq) or _is_constant(member) for member in _members(theirs)):
        return False
    return not is_trivial(ours) and same_set(ours, solutions(theirs))


def solutions(relation: Basic) -> Set:
    """The real numbers that solve an inequality in one variable."""
    return reduce(Intersection, (member.as_set() for member in _members(relation)))


def _members(meaning: Basic | MatrixBase) -> list[Relational]:
    members: Any = meaning._unsorted_args if isinstance(meaning, And) else [meaning]  # type: ignore[attr-defined]
    return members if all(isinstance(member, Relational) for member in members) else []


def _matching(left: Sequence[_T], right: Sequence[_T], same: Callable[[_T, _T], bool]) -> bool:
    """Whether each of the right ones has one on the left that is the same."""
    remaining = list(left)
    for other in right:
        found = next((at for at, one in enumerate(remaining) if same(one, other)), None)
        if found is None:
            return False
        del remaining[found]
    return True


def _upward(relation: Relational) -> tuple[type, Any, Any]:
    """The kind of a relation, of those that point to the right, and its sides."""
    kind = type(relation)
    if kind in _FLIPPED:
        return _FLIPPED[kind], relation.rhs, relation.lhs
    return kind, relation.lhs, relation.rhs


def _written_alike(ours: Relational, theirs: Relational) -> bool:
    (kind, *sides), (other, *others) = _upward(ours), _upward(theirs)
    return kind is other and (sides == others or (kind in (Eq, Ne) and sides[::-1] == others))


def _difference(relation: Relational) -> Expr:
    _, left, right = _upward(relation)
    return left - right


def _numerator(difference: Expr) -> Expr:
    combined: Any = together(difference)
    return combined.as_numer_denom()[0]


def _is_constant(relation: Relational) -> bool:
    """Whether it is always true or never."""
    if not all(isinstance(side, Expr) for side in relation.args):
        return False
    first, *others = [*(value for (value,) in values(_difference(relation))), None]
    return first is None or all(other is None or same_constant(first, other) for other in others)


def _proportional(ours: Relational, theirs: Relational) -> bool:
    """Whether the differences of the sides are multiples of each other, by a positive number where order counts."""
    (kind, *sides), (other, *others) = _upward(ours), _upward(theirs)
    if kind is not other or not all(isinstance(side, Expr) for side in (*sides, *others)):
        return False
    differences = _difference(ours), _difference(theirs)
    factor = _factor(*differences)
    if factor is None and kind in (Eq, Ne):
        factor = _factor(*map(_numerator, differences))
    return factor is not None and (kind in (Eq, Ne) or factor > 0)


def _factor(ours: Expr, theirs: Expr) -> int | None:
    """The sign of the number by which one expression is a multiple of the other; 1 for a complex one."""
    pairs = [pair for pair in values(ours, theirs) if not same_constant(pair[1], pair[1] * 0)]
    if len(pairs) < 2 or same_constant(pairs[0][0], pairs[0][0] * 0):
        return None
    (a, b), *others = pairs
    if all(same_constant(a * d, b * c) for c, d in others):
        return sign(a / b) or 1
    return None


def _solved_alike(ours: Relational, theirs: Relational) -> bool:
    """Whether two equations have the same solutions for each of their variables."""
    if not isinstance(ours, Eq) or not isinstance(theirs, Eq):
        return False
    variables = sorted(theirs.free_symbols, key=str)
    if ours.free_symbols != theirs.free_symbols or all(_is_polynomial(side) for side in (ours, theirs)):
        return False
    return bool(variables) and all(_same_for(variable, ours, theirs) for variable in variables)


def _is_polynomial(equation: Eq) -> bool:
    return bool(_numerator(_difference(equation)).is_polynomial())


def _same_for(variable: Basic, ours: Eq, theirs: Eq) -> bool:
    left, right = (solve(_difference(side), variable) for side in (ours, theirs))
    return bool(right) and len(left) == len(right) and _matching(left, right, same_value)
