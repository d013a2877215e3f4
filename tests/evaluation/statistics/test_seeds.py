"""Statistics over few seeds against simulations: intervals hold the truth, differences are found as often as said."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from hicra_trl.dynamics.statistics import mean_and_interval
from hicra_trl.evaluation.statistics.comparison import POWER, holm
from hicra_trl.evaluation.statistics.seeds import (
    median_steps,
    paired_differences,
    paired_p_value,
    pooled_spread,
    smallest_difference,
)


TRIALS = 4000


def close(share):
    """Three standard errors of a share of so many trials."""
    return pytest.approx(share, abs=3 * (share * (1 - share) / TRIALS) ** 0.5)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_intervals_over_seeds_hold_the_truth(seeds):
    values = np.random.default_rng(seeds).normal(0.7, 0.02, (TRIALS, seeds))
    intervals = [mean_and_interval(row) for row in values]
    assert np.mean([abs(mean - 0.7) <= half for mean, half in intervals]) == close(0.95)


@pytest.mark.parametrize("comparisons", [1, 7])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_the_smallest_difference_is_found_four_times_out_of_five(seeds, comparisons):
    spread = 0.02
    truth = smallest_difference(spread, seeds, comparisons)
    values = np.random.default_rng(seeds).normal(truth, spread, (TRIALS, seeds))
    assert np.mean([paired_p_value(row) < 0.05 / comparisons for row in values]) == close(POWER)


def test_pairs_are_compared_by_a_t_test():
    a, b = np.random.default_rng(3).normal(size=(2, 6))
    differences = paired_differences(dict(enumerate(a)), {99: 0.0, **dict(enumerate(b))})
    assert len(differences) == 6
    assert paired_p_value(differences) == pytest.approx(ttest_rel(a, b).pvalue)
    mean, half = mean_and_interval(differences)
    assert (mean - half, mean + half) == pytest.approx(tuple(ttest_rel(a, b).confidence_interval()))


def test_holm_errs_in_one_family_of_twenty():
    """Seven conditions and none better: without the correction a third of such campaigns would find something."""
    values = np.random.default_rng(1).normal(0, 0.02, (TRIALS, 7, 5))
    p_values = [[paired_p_value(row) for row in rows] for rows in values]
    assert np.mean([min(several) < 0.05 for several in p_values]) > 0.25
    assert np.mean([min(holm(several)) < 0.05 for several in p_values]) == close(1 - (1 - 0.05 / 7) ** 7)


def test_what_all_seeds_agree_on():
    """Two seeds that gain one problem each prove nothing, though their spread is none."""
    assert paired_p_value(np.zeros(2)) is None
    assert paired_p_value(np.array([0.1 + 0.2, 0.3]) - 0.2) is None
    assert paired_p_value(np.array([0.25])) is None
    assert len(paired_differences({1: 0.75}, {2: 0.5})) == 0


def test_the_spread_is_pooled_over_conditions():
    random = np.random.default_rng(2)
    base = dict(enumerate(random.normal(0.7, 0.3, 200)))
    values = {"grpo": base, "a": {seed: value + random.normal(0.1, 0.02) for seed, value in base.items()}}
    values["b"] = {seed: value + random.normal(-0.2, 0.02) for seed, value in [*base.items()][:100]}
    spread, count = pooled_spread(values, "grpo")
    assert spread == pytest.approx(0.02, rel=0.1) and count == 300
    assert pooled_spread({"grpo": base, "a": {0: 0.5}}, "grpo") is None
    assert pooled_spread({"a": {0: 0.5}}, "grpo") is None


def test_a_run_that_never_gets_there_is_the_slowest():
    assert median_steps([10, 30, None]) == 30
    assert median_steps([10, None]) is None
