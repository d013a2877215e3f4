"""What a few seeds can say: Student's intervals, paired t-tests, and the smallest difference that they would show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri, ndtr, stdtr, stdtrit

from ...dynamics.statistics import mean_and_interval
from .comparison import POWER
from .intervals import LEVEL, Estimate


_QUANTILES = (np.arange(2000) + 0.5) / 2000


def student(values: Sequence[float]) -> Estimate:
    """
    Mean over seeds, with its 95 % Student interval from two on.

    Example:

    ```python
    >>> student([0.7])
    Estimate(value=0.7, low=None, high=None)
    ```
    """
    mean, half = mean_and_interval(values)
    return Estimate(float(mean), *((None, None) if half is None else (float(mean - half), float(mean + half))))


@dataclass(frozen=True)
class PairedDifference:
    """
    A metric in two conditions A and B, paired by seed.

    Attributes:
        num_seeds (`int`):
            Seeds that both have.
        difference ([`~hicra_trl.evaluation.statistics.intervals.Estimate`]):
            A - B.
        p_value (`float`, *optional*):
            Of a paired t-test; `None` for a single seed, as the next is.
        detectable (`float`, *optional*):
            Smallest true difference that so many seeds with this spread find four times out of five.
    """

    num_seeds: int
    difference: Estimate
    p_value: float | None
    detectable: float | None


def paired_difference(a: Mapping[int, float], b: Mapping[int, float]) -> PairedDifference | None:
    """
    Compares values by seed; `None` where no seed has both.

    Example:

    ```python
    >>> found = paired_difference({1: 0.8, 2: 0.9, 3: 0.8}, {1: 0.7, 2: 0.7, 3: 0.7})
    >>> f"{found.difference.value:.3f}, p {found.p_value:.3f}"  # t = 0.1333 / (0.0577 / sqrt(3)) = 4
    '0.133, p 0.057'
    ```
    """
    differences = np.array([a[seed] - b[seed] for seed in a if seed in b])
    if not len(differences):
        return None
    if len(differences) == 1:
        return PairedDifference(1, student(differences), None, None)
    spread, mean = float(differences.std(ddof=1)), float(differences.mean())
    if spread:
        p_value = float(2 * stdtr(len(differences) - 1, -abs(mean) / spread * len(differences) ** 0.5))
    else:
        p_value = float(mean == 0)
    return PairedDifference(
        len(differences), student(differences), p_value, smallest_difference(spread, len(differences))
    )


def smallest_difference(spread: float, num_seeds: int, comparisons: int = 1) -> float:
    """
    The true difference that a paired t-test finds with a power of 80 %, at 5 % in both directions.

    Args:
        spread (`float`):
            Standard deviation over seeds of the difference.
        num_seeds (`int`):
            Pairs, at least 2.
        comparisons (`int`, *optional*, defaults to `1`):
            How many are tested together: the first that Holm's correction finds has to pass 5 % divided by them.

    Example:

    ```python
    >>> f"{smallest_difference(1.0, 5):.2f} {smallest_difference(1.0, 10):.2f}"  # of 1.68 and 1.00 spreads
    '1.68 1.00'
    ```
    """
    return spread * _in_spreads(num_seeds, comparisons)


@cache
def _in_spreads(num_seeds: int, comparisons: int) -> float:
    critical = stdtrit(num_seeds - 1, 1 - (1 - LEVEL) / 2 / comparisons)
    # The chance over the spread that a sample has, as quantiles: scipy's noncentral t is no number in its tails.
    limits = critical * np.sqrt(chdtri(num_seeds - 1, _QUANTILES) / (num_seeds - 1))
    shift = brentq(lambda shift: float(ndtr(shift - limits).mean()) - POWER, 0, 10 + limits.max())
    return float(shift) / num_seeds**0.5


def pooled_spread(values: Mapping[str, Mapping[int, float]], baseline: str) -> tuple[float, int] | None:
    """
    Standard deviation over seeds of a condition's difference from the baseline, pooled over conditions.

    Args:
        values (`Mapping[str, Mapping[int, float]]`):
            By condition and seed.
        baseline (`str`):
            One of them.

    Returns:
        `tuple[float, int]`, *optional*: the deviation, and the differences that it is from; `None` where no condition
            shares two seeds with the baseline.

    Example:

    ```python
    >>> pooled_spread({"grpo": {1: 0.5, 2: 0.5}, "hicra": {1: 0.5, 2: 0.75}}, "grpo")  # of 0 and 0.25
    (0.1767766952966369, 2)
    ```
    """
    base = values.get(baseline, {})
    groups = [
        [of[seed] - base[seed] for seed in of if seed in base] for name, of in values.items() if name != baseline
    ]
    groups = [group for group in groups if len(group) > 1]
    if not groups:
        return None
    squares = sum((len(group) - 1) * np.var(group, ddof=1) for group in groups)
    count = sum(map(len, groups))
    return float(np.sqrt(squares / (count - len(groups)))), count


def median_steps(steps: Sequence[float | None]) -> float | None:
    """
    Median of the steps that runs took to get somewhere; one that never does (`None`) takes longer than all others.

    Example:

    ```python
    >>> median_steps([20, None, 40]), median_steps([20, None, None])
    (40.0, None)
    ```
    """
    median = float(np.median([np.inf if step is None else step for step in steps]))
    return median if np.isfinite(median) else None
