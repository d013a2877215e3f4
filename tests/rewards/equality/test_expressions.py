"""Random expressions, each in two spellings, against their values where the variables have random ones."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hicra_trl.rewards import Gold
from hicra_trl.rewards.equality import algebra
from hicra_trl.rewards.equality.answers import same_answer


NAMES = ("x", "n", "y_1", "y_2", "I", "R", "E_1", "v_0", "m_p", r"\gamma", r"\Omega", r"\theta", r"\lambda", "T_{c}")
FUNCTIONS = {
    r"\sqrt{%s}": np.sqrt,
    r"\sin(%s)": np.sin,
    r"\ln(%s)": np.log,
    "e^{%s}": np.exp,
    "|%s|": np.abs,
    "-(%s)": np.negative,
}
VALUES = dict(zip(NAMES, np.random.default_rng(0).uniform(0.5, 3, (len(NAMES), 4)).astype(complex)))


@dataclass(frozen=True)
class Expression:
    """What is written in two ways, and its values (4,)."""

    one: str
    other: str
    values: np.ndarray


def operation(operands):
    a, sign, b = operands
    if sign == "+":
        return Expression(f"({a.one})+({b.one})", f"{b.other}+{a.other}", a.values + b.values)
    if sign == "-":
        return Expression(f"({a.one})-({b.one})", f"-({b.other})+{a.other}", a.values - b.values)
    if sign == "/":
        return Expression(rf"\frac{{{a.one}}}{{{b.one}}}", f"({a.other})/({b.other})", a.values / b.values)
    return Expression(rf"({a.one})\cdot ({b.one})", f"({b.other})({a.other})", a.values * b.values)


def application(operands):
    form, a = operands
    return Expression(form % a.one, form % a.other, FUNCTIONS[form](a.values))


def power(operands):
    a, exponent = operands
    return Expression(f"({a.one})^{exponent}", rf"\left({a.other}\right)^{{{exponent}}}", a.values**exponent)


leaves = st.one_of(
    st.integers(1, 9).map(lambda number: Expression(str(number), str(number), np.full(4, number, dtype=complex))),
    st.sampled_from(NAMES).map(lambda name: Expression(name, name, VALUES[name])),
)
expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(operation),
        st.tuples(st.sampled_from(sorted(FUNCTIONS)), inner).map(application),
        st.tuples(inner, st.integers(2, 3)).map(power),
    ),
    max_leaves=4,
)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(a=expressions, b=expressions)
def test_spellings_of_an_expression_are_equal_and_other_expressions_are_not(a, b):
    values = np.stack([a.values, b.values])
    assume(np.isfinite(values).all() and np.abs(values).max() < 1e9)
    assert same_answer(a.one, Gold(a.other), algebra.equal)
    if not np.allclose(a.values, b.values, rtol=1e-4, atol=1e-4):
        assert same_answer(a.one, Gold(b.other), algebra.equal) is False
