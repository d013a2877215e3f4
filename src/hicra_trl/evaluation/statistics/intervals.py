"""95 % intervals over the items of a benchmark, honest also for few items.

Samples of one problem are not independent, so what is resampled or left out is always a whole item. How often an
interval holds the truth is measured in `tests/evaluation/statistics/test_intervals.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit


RESAMPLES = 10_000
LEVEL = 0.95
_TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
_CHUNK = 2_000_000


@dataclass(frozen=True)
class Estimate:
    """
    A number and its 95 % interval.

    Attributes:
        value (`float`):
            The number.
        low (`float` or `None`):
            Lower end of the interval; `None` where there is a single item, which cannot say.
        high (`float` or `None`):
            Upper end.
    """

    value: float
    low: float | None
    high: float | None

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends of the interval, which those of shares always have."""
        assert self.low is not None and self.high is not None
        return self.low, self.high


def bootstrap_means(
    values_IM: np.ndarray,
    ends: tuple[float | np.ndarray, float | np.ndarray] = (0.0, 1.0),
    end_weight: float = 0.5,
    seed: int = 0,
) -> np.ndarray:
    """
    Means of resampled items, by the Bayesian bootstrap (Rubin, 1981) with two more items at the ends of the range.

    Items get random weights from a flat Dirichlet distribution, where the ordinary bootstrap counts copies. The
    ordinary one collapses where it matters: if none of 30 problems was solved, every resample is all wrong and the
    interval has no width. An item at each end with the weight of half an item prevents that: for values of 0 and 1
    this is the posterior of a share under Jeffreys' prior.

    Args:
        values_IM (`numpy.ndarray` of shape `(items, columns)`):
            Values of each item.
        ends (`tuple[float, float]`, *optional*, defaults to `(0.0, 1.0)`):
            Smallest and largest value that an item can have; an array has those of each column.
        end_weight (`float`, *optional*, defaults to `0.5`):
            Weight of each end; an item has 1.
        seed (`int`, *optional*, defaults to `0`):
            Seed of the weights.

    Returns:
        `numpy.ndarray` of shape `(RESAMPLES, columns)`.
    """
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(values_IM))
    means = []
    for start in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - start)
        items = rng.standard_exponential((count, len(values_IM)))
        low, high = rng.standard_gamma(end_weight, (2, count, 1))
        total = items.sum(1, keepdims=True) + low + high
        means.append((items @ values_IM + low * ends[0] + high * ends[1]) / total)
    return np.concatenate(means)


def interval_of(value: float, draws: np.ndarray) -> Estimate:
    """The value with the middle 95 % of its draws; the interval always holds the value itself."""
    low, high = np.quantile(draws, _TAILS)
    return Estimate(float(value), float(min(low, value)), float(max(high, value)))


def shares(values_IM: np.ndarray) -> list[Estimate]:
    """
    Means of values in [0, 1], such as the share of an item's samples that are correct, for several columns at once.

    Example:

    ```python
    >>> none_of_30 = shares(np.zeros((30, 1)))[0]  # not 0 +- 0: Jeffreys' interval of 0 out of 30
    >>> f"{none_of_30.value} [{none_of_30.low}, {none_of_30.high:.2f}]"
    '0.0 [0.0, 0.08]'
    ```
    """
    draws_BM = bootstrap_means(values_IM)
    return [interval_of(value, draws) for value, draws in zip(values_IM.mean(0), draws_BM.T, strict=True)]


def jackknife(sums_IM: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> Estimate:
    """
    A statistic of sums over all items, with a Student interval from leaving out one item after the other.

    For a mean this is the ordinary Student interval. For an entropy, which too few counts make too small, the interval
    lies around the value that the jackknife corrects for this, and is widened to hold the value itself.

    Args:
        sums_IM (`numpy.ndarray` of shape `(items, columns)`):
            Each item's part of the sums.
        statistic (`Callable`):
            Maps sums of shape `(..., columns)` to numbers of shape `(...,)`.

    Example:

    ```python
    >>> sums = np.array([[1.0, 1], [2.0, 1], [3.0, 1]])  # of 1, 2 and 3, and how many they are
    >>> jackknife(sums, lambda sums: sums[..., 0] / sums[..., 1])  # 2 +- 4.303 * 1 / sqrt(3)
    Estimate(value=2.0, low=-0.4841377117503298, high=4.48413771175033)
    ```
    """
    total_M, items = sums_IM.sum(0), len(sums_IM)
    value = float(statistic(total_M))
    if items == 1:
        return Estimate(value, None, None)
    without_I = statistic(total_M - sums_IM)
    centre = items * value - (items - 1) * without_I.mean()
    half = stdtrit(items - 1, _TAILS[1]) * np.sqrt((items - 1) * without_I.var())
    return Estimate(value, float(min(centre - half, value)), float(max(centre + half, value)))
