r"""
Random expressions, equations, sets and intervals against their values: exact fractions, or 50 digits.

`FUZZ_CASES=5000 pytest tests/rewards/equality/test_values.py` tries more.
"""

import os
import random
from fractions import Fraction

import mpmath
import pytest

from hicra_trl.rewards import Gold
from hicra_trl.rewards.equality import algebra
from hicra_trl.rewards.equality.answers import same_answer


CASES = int(os.environ.get("FUZZ_CASES", "240"))
BATCH = 40
mpmath.mp.dps = 60
IRRATIONAL = {
    r"\sqrt{2}": mpmath.sqrt(2), r"\sqrt{3}": mpmath.sqrt(3), r"\pi": mpmath.pi(), "e": mpmath.e(),
    r"\ln 3": mpmath.log(3), r"\sqrt[3]{5}": mpmath.cbrt(5), r"\sin 1": mpmath.sin(1),
    "2^{-40}": mpmath.mpf(2) ** -40, "10^{30}": mpmath.mpf(10) ** 30,
}  # fmt: skip


def number(rng):
    """A number in two spellings, and its value."""
    if rng.random() < 0.3:
        text = rng.choice(sorted(IRRATIONAL))
        return text, f"({text})", IRRATIONAL[text]
    top, bottom = rng.randint(1, 60), rng.choice([1, 1, 1, 2, 3, 4, 7, 25])
    value = Fraction(top, bottom)
    if bottom == 1:
        return str(top), rf"\frac{{{3 * top}}}{{3}}", value
    decimal = f"{float(value)}" if bottom in (2, 4, 25) else rf"\frac{{{5 * top}}}{{{5 * bottom}}}"
    return rf"\frac{{{top}}}{{{bottom}}}", decimal, value


def both(left, right, operation):
    """An operation on two values, exact where both are."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return operation(left, right)
    return operation(real(left), real(right))


def real(value):
    return mpmath.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def expression(rng, depth=3):
    if depth == 0 or rng.random() < 0.2:
        return number(rng)
    a, b = expression(rng, depth - 1), expression(rng, depth - 1)
    sign = rng.choice("+-*/^")
    if sign == "+":
        return f"{a[0]}+{b[0]}", f"({b[1]})+({a[1]})", both(a[2], b[2], lambda x, y: x + y)
    if sign == "-":
        return f"{a[0]}-({b[0]})", f"-({b[1]})+({a[1]})", both(a[2], b[2], lambda x, y: x - y)
    if sign == "*":
        return rf"({a[0]})\cdot ({b[0]})", f"({b[1]})({a[1]})", both(a[2], b[2], lambda x, y: x * y)
    if sign == "/" and b[2]:
        return rf"\frac{{{a[0]}}}{{{b[0]}}}", f"({a[1]})/({b[1]})", both(a[2], b[2], lambda x, y: x / y)
    power = rng.choice([2, 3])
    spelled = rf"({a[1]})\cdot " * (power - 1) + f"({a[1]})"
    return f"({a[0]})^{power}", spelled, a[2] ** power


def equal(left, right):
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left == right
    left, right = real(left), real(right)
    return abs(left - right) <= mpmath.mpf(10) ** -50 * max(abs(left), abs(right))


def nudged(rng, text, value):
    """The expression and a little more: between a hundredth and a trillionth of a trillionth of it."""
    digits = rng.randint(2, 24)
    if not value:
        return rf"{text}+10^{{-{digits}}}"
    return rf"({text})\cdot (1+10^{{-{digits}}})"


def expressions(rng):
    gold, answer, value = expression(rng)
    other, _, another = expression(rng)
    yield answer, gold, True
    yield other, gold, equal(another, value)
    yield nudged(rng, gold, value), gold, False


def equations(rng):
    a, b, c = (rng.randint(1, 30) * rng.choice([1, -1]) for _ in range(3))
    variables = rng.choice([("x", "y"), ("x^2", "x"), ("x", "y^2"), (r"\sin x", "y"), ("x^2", "y^2"), ("xy", "z")])
    k = rng.choice([-3, -1, 2, 5])
    gold = rf"{a}{variables[0]}+({b}){variables[1]}={c}"
    yield rf"{k * c}={k * b}{variables[1]}+({k * a}){variables[0]}", gold, True
    yield rf"\frac{{{a}{variables[0]}+({b}){variables[1]}}}{{{c}}}-1=0", gold, True
    yield rf"{a}{variables[0]}+({b}){variables[1]}={c + rng.choice([-1, 1]) if abs(c) > 1 else 3 * c}", gold, False
    yield rf"{a}{variables[0]}+({b + 31}){variables[1]}={c}", gold, False
    yield rng.choice(["0=0", "0=1", "1=1", "x=x", "x=x+1", f"{a}={a}"]), gold, False
    sign, flipped = rng.choice([("<", ">"), (r"\le ", r"\ge ")])
    bound = rng.randint(-9, 9)
    yield rf"{abs(k) * bound}{flipped}{abs(k)}t", rf"t{sign}{bound}", True
    yield rf"t{flipped}{bound}", rf"t{sign}{bound}", False
    yield rf"{-abs(k)}t{sign}{-abs(k) * bound}", rf"t{sign}{bound}", False


def sets(rng):
    parts = [expression(rng, 1) for _ in range(rng.randint(2, 4))]
    if any(equal(a[2], b[2]) for at, a in enumerate(parts) for b in parts[:at]):
        return
    mixed = rng.sample(parts, len(parts))
    gold = rf"\{{{','.join(part[0] for part in parts)}\}}"
    yield rf"\{{{','.join(part[1] for part in mixed)}\}}", gold, True
    wrong = [nudged(rng, *mixed[0][1:]), *(part[1] for part in mixed[1:])]
    yield rf"\{{{','.join(wrong)}\}}", gold, False
    yield rf"\{{{','.join(part[1] for part in mixed[1:])}\}}", gold, False


def intervals(rng):
    low, high = sorted((expression(rng, 1) for _ in range(2)), key=lambda part: real(part[2]))
    opening, closing = rng.choice("(["), rng.choice(")]")
    gold = f"{opening}{low[0]},{high[0]}{closing}"
    yield f"{opening}{low[1]},{high[1]}{closing}", gold, True
    yield f"{opening}{low[1]},{nudged(rng, *high[1:])}{closing}", gold, False
    yield f"{'(' if opening == '[' else '['}{low[1]},{high[1]}{closing}", gold, False
    if equal(low[2], high[2]):
        return
    union = rf"(-\infty,{low[0]})\cup ({high[0]},\infty)"
    yield rf"({high[1]},\infty)\cup (-\infty,{low[1]})", union, True
    yield rf"({high[1]},\infty)\cup (-\infty,{low[1]}]", union, False


def cases(seed):
    rng = random.Random(seed)
    while True:
        yield from rng.choice([expressions, expressions, equations, sets, intervals])(rng)


@pytest.mark.parametrize("seed", range(CASES // BATCH))
def test_answers_are_equal_if_and_only_if_their_values_are(seed):
    found = [case for case, _ in zip(cases(seed), range(BATCH))]
    assert [case for case in found if bool(same_answer(case[0], Gold(case[1]), algebra.equal)) is not case[2]] == []
