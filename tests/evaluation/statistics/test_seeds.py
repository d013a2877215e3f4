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


# Ends of runs: as good as any other, mostly bad with a long tail of good ones, and near the 100 % that none exceeds.
TRUTHS = {"normal": 0.7, "skewed": 0.2, "bounded": 0.9}


def ends(kind, shape, seed=0):
    draw = np.random.default_rng(seed)
    if kind == "normal":
        return draw.normal(0.7, 0.02, shape)
    return draw.exponential(0.2, shape) if kind == "skewed" else draw.beta(18, 2, shape)


def student_coverage(values, truth):
    means, halves = mean_and_interval(values.T)
    return np.mean(np.abs(means - truth) <= halves)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_intervals_over_seeds_hold_the_truth(seeds):
    assert student_coverage(ends("normal", (TRIALS, seeds)), TRUTHS["normal"]) == close(0.95)


@pytest.mark.parametrize(("kind", "seeds", "share"), [("skewed", 5, 0.88), ("skewed", 10, 0.90), ("bounded", 5, 0.92)])
def test_skewed_ends_cost_an_interval_little(kind, seeds, share):
    coverage = student_coverage(ends(kind, (TRIALS, seeds)), TRUTHS[kind])
    assert share - 0.01 < coverage < 0.95


def test_a_run_in_ten_that_collapses_is_not_seen_by_five_seeds():
    """More than half of such campaigns have no such run, and no interval over seeds knows of it."""
    draw = np.random.default_rng(0)
    values = np.where(draw.random((TRIALS, 5)) < 0.1, 0.3, draw.normal(0.85, 0.02, (TRIALS, 5)))
    assert student_coverage(values, 0.1 * 0.3 + 0.9 * 0.85) < 0.5


@pytest.mark.parametrize("kind", TRUTHS)
@pytest.mark.parametrize("seeds", [5, 10])
def test_a_bootstrap_over_seeds_holds_the_truth_less_often(kind, seeds):
    """Why campaigns have no bootstrap: resampled seeds spread too little, by (n - 1) / n, and have no tails."""
    values, draw = ends(kind, (1000, seeds)), np.random.default_rng(1)
    resampled = values[:, draw.integers(0, seeds, (1000, seeds))]
    low, high = np.quantile(resampled.mean(2), [0.025, 0.975], axis=1)
    coverage = np.mean((low <= TRUTHS[kind]) & (TRUTHS[kind] <= high))
    assert coverage < student_coverage(values, TRUTHS[kind]) - 0.02
    assert coverage < (0.86 if seeds == 5 else 0.93)


def test_a_studentized_bootstrap_holds_the_truth_and_says_less():
    """It is no choice either: at five seeds one interval in twenty is more than twice as wide as Student's."""
    values, draw = ends("normal", (1000, 5)), np.random.default_rng(1)
    resampled = values[:, draw.integers(0, 5, (1000, 5))]
    means, spreads = values.mean(1, keepdims=True), values.std(1, ddof=1)
    shifts = resampled.mean(2) - means
    spread = np.maximum(resampled.std(2, ddof=1), 1e-12)
    low, high = np.quantile(shifts / spread, [0.025, 0.975], axis=1) * spreads
    assert np.mean((means[:, 0] - high <= 0.7) & (means[:, 0] - low >= 0.7)) > 0.92
    times = (high - low) / (2 * mean_and_interval(values.T)[1])
    assert np.median(times) > 1.1 and np.quantile(times, 0.95) > 2


@pytest.mark.parametrize("comparisons", [1, 7])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_the_smallest_difference_is_found_four_times_out_of_five(seeds, comparisons):
    spread = 0.02
    truth = smallest_difference(spread, seeds, comparisons)
    values = np.random.default_rng(seeds).normal(truth, spread, (TRIALS, seeds))
    assert np.mean([paired_p_value(row) < 0.05 / comparisons for row in values]) == close(POWER)


@pytest.mark.parametrize("kind", TRUTHS)
@pytest.mark.parametrize("seeds", [5, 10])
def test_power_is_as_promised_for_ends_that_are_not_normal(kind, seeds):
    """Of two conditions that differ by a constant; what a difference has of skew is gone."""
    spread = np.diff(ends(kind, (2, 100_000)), axis=0).std()
    a, b = ends(kind, (2, TRIALS, seeds), seed=2)
    found = [paired_p_value(row) < 0.05 for row in a - b + smallest_difference(spread, seeds)]
    assert np.mean(found) == pytest.approx(POWER, abs=0.04)


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


@pytest.mark.parametrize("kind", TRUTHS)
def test_holm_errs_as_rarely_with_one_baseline_and_true_differences(kind):
    """Seven conditions against one baseline, the first three of them better."""
    values = ends(kind, (TRIALS // 2, 8, 5))
    better = 3 * np.diff(ends(kind, (2, 100_000)), axis=0).std()
    differences = values[:, 1:] - values[:, :1] + better * (np.arange(7) < 3)[:, None]
    corrected = np.array([holm([paired_p_value(row) for row in rows]) for rows in differences])
    assert np.mean(corrected[:, 3:].min(1) < 0.05) < 0.06
    assert np.mean(corrected[:, :3] < 0.05) > 0.5


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
