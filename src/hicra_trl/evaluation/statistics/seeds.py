"""What a few seeds can say: paired t-tests, the smallest difference that they would show, and medians of steps."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri, ndtr, stdtr, stdtrit

from .comparison import POWER
from .intervals import LEVEL


_QUANTILES = (np.arange(2000) + 0.5) / 2000


def paired_differences(a: Mapping[int, float], b: Mapping[int, float]) -> np.ndarray:
    """A - B for each seed that both have."""
    return np.array([a[seed] - b[seed] for seed in a if seed in b])


def paired_p_value(differences: np.ndarray) -> float | None:
    """
    Of a t-test of paired differences; `None` where they do not spread, as a single one or a few of coarse values, of
    which no test can say how far they are from chance.

    Example:

    ```python
    >>> round(paired_p_value(np.array([0.1, 0.2, 0.1])), 3)  # t = 0.1333 / (0.0577 / sqrt(3)) = 4
    0.057
    ```
    """
    if len(differences) < 2 or np.allclose(differences, differences[0], rtol=1e-9, atol=0):
        return None
    mean, spread = differences.mean(), differences.std(ddof=1)
    return float(2 * stdtr(len(differences) - 1, -abs(mean) / spread * len(differences) ** 0.5))


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
    >>> f"{smallest_difference(1.0, 5):.2f} {smallest_difference(1.0, 10):.2f}"  # in spreads
    '1.68 1.00'
    ```
    """
    return spread * _in_spreads(num_seeds, comparisons)


@cache
def _in_spreads(num_seeds: int, comparisons: int) -> float:
    critical = stdtrit(num_seeds - 1, 1 - (1 - LEVEL) / 2 / comparisons)
    # Over the spreads that samples have, by quantiles: scipy's noncentral t is no number in its tails.
    limits = critical * np.sqrt(chdtri(num_seeds - 1, _QUANTILES) / (num_seeds - 1))
    shift: Any = brentq(lambda shift: float(ndtr(shift - limits).mean()) - POWER, 0, 10 + limits.max())
    return float(shift) / num_seeds**0.5


def pooled_spread(values: Mapping[str, Mapping[int, float]], baseline: str) -> tuple[float, int] | None:
    """
    Standard deviation over seeds of a condition's difference from the baseline, pooled over conditions, and how many
    differences it is from; `None` where no condition shares two seeds with the baseline.

    Example:

    ```python
    >>> pooled_spread({"grpo": {1: 0.5, 2: 0.5}, "hicra": {1: 0.5, 2: 0.75}}, "grpo")  # of 0 and 0.25
    (0.1767766952966369, 2)
    ```
    """
    groups = [paired_differences(of, values.get(baseline, {})) for name, of in values.items() if name != baseline]
    groups = [group for group in groups if len(group) > 1]
    if not groups:
        return None
    count, squares = sum(map(len, groups)), sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return (squares / (count - len(groups))) ** 0.5, count


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
