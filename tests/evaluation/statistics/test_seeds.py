"""Statistics over few seeds against simulations: intervals hold the truth, differences are found as often as said."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from hicra_trl.evaluation.statistics.comparison import POWER, holm
from hicra_trl.evaluation.statistics.seeds import (
    median_steps,
    paired_difference,
    pooled_spread,
    smallest_difference,
    student,
)


TRIALS = 4000
# Three standard errors of a share of so many trials.
CLOSE = 3 * (0.05 * 0.95 / TRIALS) ** 0.5


def paired(differences):
    """Of a condition whose difference from the baseline is given by seed; the baseline varies much more."""
    base = np.random.default_rng(9).normal(0.5, 10, len(differences))
    return paired_difference(dict(enumerate(base + differences)), dict(enumerate(base)))


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_intervals_hold_the_truth(seeds):
    values = np.random.default_rng(seeds).normal(0.7, 0.02, (TRIALS, seeds))
    estimates = [student(row) for row in values]
    assert np.mean([e.low <= 0.7 <= e.high for e in estimates]) == pytest.approx(0.95, abs=CLOSE)


def test_intervals_of_paired_differences_hold_the_truth():
    values = np.random.default_rng(0).normal(0.03, 0.02, (TRIALS, 5))
    found = [paired(row).difference for row in values]
    assert np.mean([e.low <= 0.03 <= e.high for e in found]) == pytest.approx(0.95, abs=CLOSE)


@pytest.mark.parametrize("comparisons", [1, 7])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_the_smallest_difference_is_found_four_times_out_of_five(seeds, comparisons):
    spread = 0.02
    truth = smallest_difference(spread, seeds, comparisons)
    values = np.random.default_rng(seeds).normal(truth, spread, (TRIALS, seeds))
    found = [paired(row).p_value < 0.05 / comparisons for row in values]
    assert np.mean(found) == pytest.approx(POWER, abs=3 * (0.16 / TRIALS) ** 0.5)


def test_p_values_are_those_of_a_paired_t_test():
    a, b = np.random.default_rng(3).normal(size=(2, 6))
    found = paired_difference(dict(enumerate(a)), {**dict(enumerate(b)), 99: 0.0})
    assert found.num_seeds == 6
    assert found.p_value == pytest.approx(ttest_rel(a, b).pvalue)
    low, high = ttest_rel(a, b).confidence_interval()
    assert (found.difference.low, found.difference.high) == pytest.approx((low, high))


def test_holm_errs_in_one_family_of_twenty():
    """Seven conditions and none better: without the correction a third of such campaigns would find something."""
    values = np.random.default_rng(1).normal(0, 0.02, (TRIALS // 4, 7, 5))
    p_values = [[paired(row).p_value for row in rows] for rows in values]
    assert np.mean([min(p) < 0.05 for p in p_values]) > 0.25
    assert np.mean([min(holm(p)) < 0.05 for p in p_values]) <= 0.05 + 2 * CLOSE


def test_what_all_seeds_agree_on():
    assert paired_difference({1: 0.5, 2: 0.5}, {1: 0.5, 2: 0.5}).p_value == 1
    assert paired_difference({1: 0.75, 2: 0.75}, {1: 0.5, 2: 0.5}).p_value == 0
    assert paired_difference({1: 0.75}, {1: 0.5}).p_value is None
    assert paired_difference({1: 0.75}, {2: 0.5}) is None


def test_the_spread_is_pooled_over_conditions():
    random = np.random.default_rng(2)
    base = dict(enumerate(random.normal(0.7, 0.3, 200)))
    values = {"grpo": base, "a": {s: v + random.normal(0.1, 0.02) for s, v in base.items()}}
    values["b"] = {s: v + random.normal(-0.2, 0.02) for s, v in [*base.items()][:100]}
    spread, count = pooled_spread(values, "grpo")
    assert spread == pytest.approx(0.02, rel=0.1) and count == 300
    assert pooled_spread({"grpo": base, "a": {0: 0.5}}, "grpo") is None
    assert pooled_spread({"a": {0: 0.5}}, "grpo") is None


def test_a_run_that_never_gets_there_is_the_slowest():
    assert median_steps([10, 30, None]) == 30
    assert median_steps([10, None]) is None
