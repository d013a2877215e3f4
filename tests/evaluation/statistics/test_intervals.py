"""How often 95 % intervals hold the truth, for benchmarks of the paper's sizes and models from hopeless to perfect."""

from dataclasses import astuple

import numpy as np
import pytest
from scipy.special import entr
from scipy.stats import beta, t

from hicra_trl.evaluation.statistics.intervals import jackknife, shares


TRIALS = 300
# Items and samples per item: AIME, AMC23, a benchmark with one sample, MinervaMath.
SIZES = [(30, 32), (40, 4), (30, 1), (272, 1)]
# How the accuracy on single items is distributed, as a beta distribution: (a, b) has the mean a / (a + b).
MODELS = {
    "hopeless": (0.02, 0.98),
    "weak": (0.1, 1.9),
    "even": (2, 8),
    "split": (0.3, 0.3),
    "strong": (1.9, 0.1),
    "all but perfect": (4.95, 0.05),
}


def simulated_shares(items, samples, model, rng):
    """A benchmark per column."""
    return rng.binomial(samples, rng.beta(*MODELS[model], (items, TRIALS))) / samples


def coverage(estimates, truth):
    return np.mean([estimate.low <= truth <= estimate.high for estimate in estimates])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("items", "samples"), SIZES)
def test_intervals_of_shares_hold_the_truth(items, samples, model):
    a, b = MODELS[model]
    values = simulated_shares(items, samples, model, np.random.default_rng(0))
    assert coverage(shares(values), a / (a + b)) >= 0.9


def test_the_ordinary_bootstrap_would_not_do():
    # Why there are items at the ends: without them the interval holds the truth half of the time.
    rng = np.random.default_rng(0)
    values = simulated_shares(30, 1, "hopeless", rng)
    copies = rng.multinomial(30, np.full(30, 1 / 30), size=2000) / 30
    low, high = np.quantile(copies @ values, (0.025, 0.975), axis=0)
    assert np.mean((low <= 0.02) & (high >= 0.02)) < 0.6


@pytest.mark.parametrize("solved", [0, 1, 15, 30])
def test_one_sample_per_item_gives_the_interval_of_jeffreys(solved):
    [estimate] = shares(np.repeat([1.0, 0.0], [solved, 30 - solved])[:, None])
    low, high = beta.ppf((0.025, 0.975), solved + 0.5, 30 - solved + 0.5)
    assert estimate.value == solved / 30
    assert estimate.low == pytest.approx(0 if solved == 0 else low, abs=0.01)
    assert estimate.high == pytest.approx(1 if solved == 30 else high, abs=0.01)


def test_no_benchmark_is_known_for_certain():
    for value in (0.0, 1.0):
        for items in (1, 30, 500):
            [estimate] = shares(np.full((items, 1), value))
            assert estimate.high - estimate.low > 0.5 / items


def test_columns_are_estimated_as_if_alone():
    values = np.random.default_rng(1).random((20, 3))
    alone = shares(values[:, 1:2])[0]
    assert astuple(shares(values)[1]) == pytest.approx(astuple(alone))


def mean(sums):
    return sums[..., 0] / sums[..., 1]


def test_the_jackknife_of_a_mean_is_the_interval_of_student():
    values = np.random.default_rng(2).lognormal(size=30)
    estimate = jackknife(np.stack([values, np.ones(30)], 1), mean)
    half = t.ppf(0.975, 29) * values.std(ddof=1) / 30**0.5
    assert (estimate.low, estimate.high) == pytest.approx((values.mean() - half, values.mean() + half))


def test_one_item_has_no_jackknife():
    estimate = jackknife(np.array([[3.0, 1.0]]), mean)
    assert (estimate.value, estimate.low, estimate.high) == (3.0, None, None)


@pytest.mark.parametrize("items", [30, 272])
def test_intervals_of_ratios_hold_the_truth(items):
    rng = np.random.default_rng(3)

    def benchmark(size):
        tokens = rng.lognormal(8, 0.8, size)
        return np.stack([rng.beta(3, 60, size) * (8000 / tokens) ** 0.2 * tokens, tokens], 1)

    truth = mean(benchmark(1_000_000).sum(0))
    assert coverage([jackknife(benchmark(items), mean) for _ in range(TRIALS)], truth) >= 0.9


@pytest.mark.parametrize("items", [30, 272])
def test_intervals_of_entropies_hold_the_truth(items):
    # 120 grams of which a few are most, every item with its own favourites and 50 to 500 occurrences.
    rng = np.random.default_rng(4)
    frequency = 1 / np.arange(1, 121)
    frequency /= frequency.sum()

    def benchmark():
        sizes = rng.poisson(200 * rng.lognormal(0, 0.6, items))
        return rng.multinomial(sizes, rng.dirichlet(30 * frequency, items)).astype(float)

    def entropy(counts):
        return entr(counts / counts.sum(-1, keepdims=True)).sum(-1)

    assert coverage([jackknife(benchmark(), entropy) for _ in range(100)], entropy(frequency)) >= 0.88
