"""Whether sets, intervals and tuples are the same."""

from sympy import Basic, EmptySet, Expr, FiniteSet, Interval, S, Set, Tuple

from .values import same_value


def same_set(ours: Basic, theirs: Basic) -> bool:
    """Whether two sets have the same elements, two intervals the same ends, two tuples the same parts in order."""
    if isinstance(ours, Tuple) and isinstance(theirs, Tuple):
        return len(ours) == len(theirs) and all(map(same_element, ours, theirs))
    if not isinstance(ours, Set) or not isinstance(theirs, Set):
        return False
    ours, theirs = ours.doit(), theirs.doit()
    if isinstance(ours, Interval) and isinstance(theirs, Interval):
        sides = [(one.left_open, one.right_open) for one in (ours, theirs)]
        return sides[0] == sides[1] and _same_end(ours.start, theirs.start) and _same_end(ours.end, theirs.end)
    if isinstance(ours, FiniteSet) and isinstance(theirs, FiniteSet):
        return _same_elements(list(ours.args), theirs.args)
    return ours == theirs or ours.symmetric_difference(theirs).is_empty is True


def same_element(ours: Basic, theirs: Basic) -> bool:
    """Whether two elements of sets or tuples, which may be such themselves, are equal."""
    if isinstance(ours, Expr) and isinstance(theirs, Expr):
        return same_value(ours, theirs)
    return same_set(ours, theirs)


def is_trivial(found: Set) -> bool:
    """Whether a set is empty, or that of all real numbers."""
    return found in (EmptySet, S.Reals)


def _same_end(ours: Basic, theirs: Basic) -> bool:
    return ours == theirs or same_element(ours, theirs)


def _same_elements(ours: list[Basic], theirs: tuple[Basic, ...]) -> bool:
    if len(ours) != len(theirs):
        return False
    for element in theirs:
        same = next((one for one in ours if same_element(one, element)), None)
        if same is None:
            return False
        ours.remove(same)
    return True
