"""Two evaluations: examples by hand, and how often the interval is right and the verdict wrong."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evaluation.sampling_world import samples
from hicra_trl.evaluation.statistics.comparison import (
    AVERAGE,
    compare,
    difference_draws,
    holm,
    protocol_differences,
    sign_flip_p_value,
)


def only(a, b, settings_a=None, settings_b=None):
    """The comparison of one benchmark."""
    return compare({"x": samples(a)}, {"x": samples(b)}, settings_a or {}, settings_b or {})


def drawn(accuracies, num_samples, rng):
    return (rng.random((len(accuracies), num_samples)) < np.reshape(accuracies, (-1, 1))).tolist()


def test_differences_by_hand():
    comparison = only([[1, 1], [1, 0], [0, 0]], [[1, 0], [0, 0], [0, 0]])
    first, second = comparison.differences
    assert (first.benchmark, first.metric, first.num_items) == ("x", "pass@1", 3)
    assert (first.a, first.b, first.difference.value) == pytest.approx((3 / 6, 1 / 6, 2 / 6))
    # Two differences that are not zero, of the same size: two of the four ways to put signs are as far from zero.
    assert first.p_value == first.corrected_p_value == 0.5
    assert (second.metric, second.a, second.b) == ("pass@2", pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert comparison.warnings == []


def test_a_model_equals_itself_but_not_for_certain():
    rows = [[1, 0]] * 15 + [[0, 0]] * 15
    [difference] = only(rows, rows).of("pass@1")
    assert (difference.difference.value, difference.p_value, difference.is_found) == (0.0, 1.0, False)
    assert difference.difference.low < -0.02 and difference.difference.high > 0.02
    assert difference.detectable > 0.02


def test_swapping_the_two_swaps_the_sign():
    rng = np.random.default_rng(0)
    a, b = drawn(np.full(30, 0.6), 8, rng), drawn(np.full(30, 0.4), 8, rng)
    [forth], [back] = only(a, b).of("pass@1"), only(b, a).of("pass@1")
    assert forth.difference.value == pytest.approx(-back.difference.value)
    assert forth.difference.low == pytest.approx(-back.difference.high, abs=0.01)
    assert forth.p_value == pytest.approx(back.p_value, abs=1e-3)
    assert forth.is_found and back.is_found


def test_items_are_paired_by_id():
    rng = np.random.default_rng(0)
    a, b = samples(drawn(rng.random(20), 4, rng)), samples(drawn(rng.random(20), 4, rng))
    assert compare({"x": a}, {"x": b}, {}, {}) == compare({"x": a[::-1]}, {"x": rng.permutation(b).tolist()}, {}, {})


def test_pairing_finds_what_averages_hide():
    # Problems differ far more than models do: each is solved a little more often, from never to always.
    rng = np.random.default_rng(0)
    accuracy = np.linspace(0.05, 0.85, 30)
    [found] = only(drawn(accuracy + 0.1, 32, rng), drawn(accuracy, 32, rng)).of("pass@1")
    assert found.is_found
    assert found.difference.high - found.difference.low < 0.12


# Accuracy on single items is drawn from a beta distribution; B's odds are those of A times e ** shift.
@pytest.mark.parametrize(("items", "num_samples"), [(30, 32), (40, 4), (30, 1), (272, 1)])
@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (0.1, 1.9), (1.9, 0.1)])
@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_intervals_of_differences_hold_the_truth(items, num_samples, a, b, shift):
    rng = np.random.default_rng(0)

    def pairs(size):
        accuracy = rng.beta(a, b, size)
        odds = accuracy / (1 - accuracy + 1e-300) * np.exp(shift)
        return accuracy, odds / (1 + odds)

    truth = np.mean(np.subtract(*pairs(1_000_000)))
    one, other = (rng.binomial(num_samples, p) / num_samples for p in pairs((items, 200)))
    low, high = np.quantile(difference_draws(one - other, num_samples), (0.025, 0.975), axis=0)
    assert np.mean((low <= truth) & (truth <= high)) >= 0.9


def test_equal_models_are_not_told_apart():
    rng = np.random.default_rng(0)
    accuracy = rng.beta(0.5, 0.5, 30)
    draws = (only(drawn(accuracy, 1, rng), drawn(accuracy, 1, rng)).of("pass@1")[0] for _ in range(60))
    assert sum(row.is_found for row in draws) <= 5


def test_what_is_called_detectable_is_detected_about_four_times_out_of_five():
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(0.1, 0.6, 40)

    def row(shift):
        return only(drawn(accuracy + shift, 4, rng), drawn(accuracy, 4, rng)).of("pass@1")[0]

    shift = np.mean([row(0.1).detectable for _ in range(5)])
    assert 0.65 <= np.mean([row(shift).is_found for _ in range(40)]) <= 0.95


@given(st.lists(st.sampled_from([-0.3, -0.25, 0.0, 0.1, 0.2, 1.0]), max_size=8))
@example([-0.3, -0.3, 0.1, 0.2, 0.1, 0.2])
def test_the_test_counts_all_signs(differences):
    values = np.array(differences)
    sums = [abs(np.dot(signs, values)) for signs in product((-1, 1), repeat=len(values))]
    assert sign_flip_p_value(values) == pytest.approx(np.mean(np.array(sums) >= abs(values.sum()) - 1e-9))


def test_drawn_signs_agree_with_all_signs():
    values = np.random.default_rng(0).normal(0.3, 1, 18)
    signs = np.array(list(product((-1, 1), repeat=18)))
    exact = np.mean(np.abs(signs @ values) >= abs(values.sum()) - 1e-9)
    assert sign_flip_p_value(values) == pytest.approx(exact, abs=0.015)


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([0.04, 0.01, 0.03], [0.06, 0.03, 0.06]),
        ([0.02], [0.02]),
        ([0.9, 0.8], [1.0, 1.0]),
        ([0.01, 0.01], [0.02, 0.02]),
    ],
)
def test_holm(p_values, corrected):
    assert holm(p_values) == pytest.approx(corrected)


def test_several_benchmarks_are_corrected_for_and_averaged():
    rng = np.random.default_rng(0)
    sizes = {"large": (100, 1), "small": (20, 4)}
    a, b = (
        {name: samples(drawn(np.full(items, accuracy), n, rng)) for name, (items, n) in sizes.items()}
        for accuracy in (0.6, 0.45)
    )
    rows = compare(a, b, {}, {}).of("pass@1")
    assert [row.benchmark for row in rows] == ["large", "small", AVERAGE]
    large, small, average = rows
    assert [large.corrected_p_value, small.corrected_p_value] == pytest.approx(holm([large.p_value, small.p_value]))
    assert average.difference.value == pytest.approx((large.difference.value + small.difference.value) / 2)
    assert average.num_items == 120
    widths = [row.difference.high - row.difference.low for row in rows]
    assert widths[2] < max(widths[:2])
    assert [row.benchmark for row in compare(a, b, {}, {}).of("pass@4")] == ["small"]


def test_another_number_of_samples_is_said_and_compared_where_both_have_enough():
    comparison = only([[1, 0, 0, 1]] * 5, [[1, 0]] * 5)
    assert comparison.warnings == ["x: A has 4 samples per item, B 2"]
    assert [row.metric for row in comparison.differences] == ["pass@1", "pass@2"]
    assert comparison.differences[0].difference.value == pytest.approx(0)


def test_another_protocol_is_said():
    a = {"model": "one", "temperature": 0.6, "max_tokens": 32768}
    b = {"model": "two", "temperature": 1.0, "max_tokens": 32768, "top_k": 20}
    assert protocol_differences(a, b) == ["temperature differs: A 0.6, B 1.0", "top_k differs: A None, B 20"]
    assert only([[1]], [[1]], a, b).warnings == protocol_differences(a, b)


def test_other_prompts_are_said():
    given = samples([[1, 0], [0, 0]])
    asked = [replace(s, prompt="Differently.") if s.item == "1" else s for s in given]
    assert compare({"x": given}, {"x": asked}, {}, {}).warnings == ["x: the prompts of 1 of 2 items differ"]


def test_benchmarks_of_one_side_are_said():
    comparison = compare(
        {"x": samples([[1]]), "y": samples([[1]])}, {"z": samples([[1]]), "x": samples([[0]])}, {}, {}
    )
    assert comparison.warnings == ["only A has y", "only B has z"]
    assert {row.benchmark for row in comparison.differences} == {"x"}


ROWS = [[1, 0], [0, 1], [1, 1]]


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (
            {"x": samples(ROWS)},
            {"x": samples(ROWS[:2])},
            r"x: expected the same items, of 3 1 are only in A \(such as '2'\)",
        ),
        ({"x": samples(ROWS)}, {"y": samples(ROWS)}, "nothing to compare: A has x, B has y"),
        ({}, {"y": samples(ROWS)}, "nothing to compare: A has nothing, B has y"),
        (
            {"x": samples(ROWS)},
            {"x": samples(ROWS)[:-1]},
            "x of B: expected 3 items x 2 samples = 6, got 5 of 3 items",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(a, b, message):
    with pytest.raises(ValueError, match=message):
        compare(a, b, {}, {})
