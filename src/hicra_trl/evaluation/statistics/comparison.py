"""Whether two evaluations differ: paired by problem, with an interval, a test, and what the test could have seen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import sqrt
from typing import Any

import numpy as np
from scipy.special import ndtri

from ..samples.sample import Sample
from .intervals import LEVEL, RESAMPLES, Estimate, bootstrap_means, interval_of
from .summary import by_item
from .votes import pass_at_k, subset_sizes


AVERAGE = "average"
POWER = 0.8
# Standard errors between no difference and one that is found with this power.
_DETECTABLE = ndtri((1 + LEVEL) / 2) + ndtri(POWER)
_EXACT_FLIPS = 14
_SIGNS = np.array([-1.0, 1.0])
# Settings that may differ: on purpose, or because problems and samples are compared one by one.
_ON_PURPOSE = ("model", "model_revision", "trust_remote_code", "seed")
_BY_PROBLEM = ("benchmarks", "override", "num_samples", "max_items")


@dataclass(frozen=True)
class Difference:
    """
    A metric of one benchmark in two evaluations A and B.

    Attributes:
        benchmark (`str`):
            Its name, or `"average"` over all of them.
        metric (`str`):
            `"pass@1"` and so on.
        num_items (`int`):
            Problems.
        a (`float`):
            The metric in A.
        b (`float`):
            The metric in B.
        difference ([`~hicra_trl.evaluation.statistics.intervals.Estimate`]):
            A - B.
        p_value (`float`):
            Of a sign-flip test over problems: how often chance alone makes a difference as large.
        corrected_p_value (`float`):
            The same by Holm's correction for as many benchmarks; for the average it is not corrected.
        detectable (`float`):
            Smallest true difference that this benchmark alone would find about four times out of five.
    """

    benchmark: str
    metric: str
    num_items: int
    a: float
    b: float
    difference: Estimate
    p_value: float
    corrected_p_value: float
    detectable: float

    @property
    def is_found(self) -> bool:
        """Whether A and B differ: the corrected test says so and the interval leaves zero out."""
        low, high = self.difference.ends
        return self.corrected_p_value < 1 - LEVEL and not low <= 0 <= high


@dataclass(frozen=True)
class Comparison:
    """
    Two evaluations side by side.

    Attributes:
        differences (`list[Difference]`):
            For each metric, `pass@1` first, one of each benchmark in the order of A, and their average where there are
            several.
        warnings (`list[str]`):
            What else differs between the two, a line each.
    """

    differences: list[Difference]
    warnings: list[str]

    def of(self, metric: str) -> list[Difference]:
        """Those of one metric."""
        return [difference for difference in self.differences if difference.metric == metric]


def compare(
    a: Mapping[str, Iterable[Sample]],
    b: Mapping[str, Iterable[Sample]],
    settings_a: Mapping[str, Any],
    settings_b: Mapping[str, Any],
) -> Comparison:
    """
    Compares two evaluations on the benchmarks that both have.

    Args:
        a (`Mapping[str, Iterable[Sample]]`):
            Samples of A by benchmark.
        b (`Mapping[str, Iterable[Sample]]`):
            Samples of B by benchmark.
        settings_a (`Mapping[str, Any]`):
            How A was sampled, such as its temperature.
        settings_b (`Mapping[str, Any]`):
            The same of B.

    Returns:
        [`Comparison`]

    Raises:
        `ValueError`: if they have no benchmark in common, a benchmark's problems differ or its samples are incomplete.
    """
    shared = [name for name in a if name in b]
    if not shared:
        raise ValueError(f"nothing to compare: A has {', '.join(a) or 'nothing'}, B has {', '.join(b) or 'nothing'}")
    warnings = [f"only A has {name}" for name in a if name not in b]
    warnings += [f"only B has {name}" for name in b if name not in a]
    warnings += protocol_differences(settings_a, settings_b)
    pairs = {}
    for name in shared:
        pairs[name] = _paired(name, list(a[name]), list(b[name]))
        warnings += _sample_differences(name, *pairs[name])
    most = max(min(len(a[0]), len(b[0])) for a, b in pairs.values())
    return Comparison([row for k in subset_sizes(most) for row in _compare_at(k, pairs)], warnings)


def protocol_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """One line for each setting by which two evaluations, of whatever models, are no longer like with like."""
    names = [name for name in {**a, **b} if name not in (*_ON_PURPOSE, *_BY_PROBLEM)]
    return [f"{n} differs: A {a.get(n)!r}, B {b.get(n)!r}" for n in names if a.get(n) != b.get(n)]


def holm(p_values: list[float]) -> list[float]:
    """
    Holm's correction of p-values for being several.

    Example:

    ```python
    >>> holm([0.04, 0.01, 0.03])  # 3 * 0.01; 2 * 0.03; the largest no smaller than those before
    [0.06, 0.03, 0.06]
    ```
    """
    order = np.argsort(p_values, kind="stable")
    corrected = [min(1.0, (len(order) - rank) * p_values[index]) for rank, index in enumerate(order)]
    result = np.empty(len(order))
    result[order] = np.maximum.accumulate(corrected)
    return result.tolist()


def sign_flip_p_value(differences_I: np.ndarray, seed: int = 0) -> float:
    """
    Chance of a sum at least as far from zero if each problem's difference had either sign with the same probability.

    Exact for up to 14 differences that are not zero, otherwise estimated from 10,000 draws.

    Example:

    ```python
    >>> sign_flip_p_value(np.array([0.5, 0.25, 0.25, 0.5, 0.0]))  # 2 of the 16 ways to put signs
    0.125
    ```
    """
    nonzero = differences_I[differences_I != 0]
    at_least = abs(nonzero.sum()) - 1e-9 * np.abs(nonzero).sum()
    if len(nonzero) <= _EXACT_FLIPS:
        signs = np.array(list(product((-1, 1), repeat=len(nonzero))))
        return float(np.mean(np.abs(signs @ nonzero) >= at_least))
    rng = np.random.default_rng(seed)
    sums = np.concatenate([rng.choice(_SIGNS, (100, len(nonzero))) @ nonzero for _ in range(RESAMPLES // 100)])
    return float((1 + np.sum(np.abs(sums) >= at_least)) / (1 + RESAMPLES))


def difference_draws(differences_IM: np.ndarray, repeats: float, seed: int = 0) -> np.ndarray:
    """
    Means of resampled paired differences, drawn as in
    [`~hicra_trl.evaluation.statistics.intervals.bootstrap_means`].

    Args:
        differences_IM (`numpy.ndarray` of shape `(items, columns)`):
            Differences of shares, from -1 to 1.
        repeats (`float`):
            How many times over the samples of an item measure its share: n / k for pass@k of n samples.
        seed (`int`, *optional*, defaults to `0`):
            Seed of the weights; draws that are averaged need different ones.
    """
    # For a single sample, half an item at either end is much like what Agresti and Min add to paired shares. An item
    # that turns round in all of many samples is rarer: the same weight would make intervals far too wide.
    return bootstrap_means(differences_IM, (-1.0, 1.0), 0.5 / sqrt(repeats), seed)


def _paired(name: str, a: list[Sample], b: list[Sample]) -> tuple[list[list[Sample]], list[list[Sample]]]:
    """Samples of A and of B by problem, in the same order."""
    ids_a, ids_b = {s.item for s in a}, {s.item for s in b}
    only = [
        f"{len(ids)} are only in {side} (such as {min(ids)!r})"
        for side, ids in (("A", ids_a - ids_b), ("B", ids_b - ids_a))
        if ids
    ]
    if only:
        raise ValueError(f"{name}: expected the same items, of {len(ids_a | ids_b)} {' and '.join(only)}")
    of_a, of_b = (
        by_item(f"{name} of {side}", samples, len(ids_a), 1 + max((s.index for s in samples), default=0))
        for side, samples in (("A", a), ("B", b))
    )
    return list(of_a.values()), list(of_b.values())


def _sample_differences(name: str, a: list[list[Sample]], b: list[list[Sample]]) -> list[str]:
    """One line for each way in which the samples of a benchmark were drawn differently."""
    warnings = []
    if len(a[0]) != len(b[0]):
        warnings.append(f"{name}: A has {len(a[0])} samples per item, B {len(b[0])}")
    prompts = sum(of_a[0].prompt != of_b[0].prompt for of_a, of_b in zip(a, b))
    if prompts:
        warnings.append(f"{name}: the prompts of {prompts} of {len(a)} items differ")
    return warnings


def _compare_at(k: int, pairs: dict[str, tuple[list[list[Sample]], list[list[Sample]]]]) -> list[Difference]:
    """Differences in pass@k of the benchmarks with enough samples; for pass@1 also their average."""
    rows, draws, flips = [], [], []
    for name, (a, b) in pairs.items():
        num_samples = min(len(a[0]), len(b[0]))
        if num_samples < k:
            continue
        pass_a, pass_b = (np.array([pass_at_k(len(i), sum(s.correct for s in i), k) for i in side]) for side in (a, b))
        draws.append(difference_draws((pass_a - pass_b)[:, None], num_samples / k, seed=len(rows))[:, 0])
        flips.append((pass_a - pass_b) / len(a))
        rows.append(_difference(name, k, len(a), pass_a.mean(), pass_b.mean(), draws[-1], flips[-1]))
    rows = [replace(r, corrected_p_value=p) for r, p in zip(rows, holm([r.p_value for r in rows]), strict=True)]
    if k == 1 and len(rows) > 1:
        items, (mean_a, mean_b) = sum(r.num_items for r in rows), np.mean([(r.a, r.b) for r in rows], 0)
        flips_I = np.concatenate(flips) / len(rows)
        rows.append(_difference(AVERAGE, k, items, mean_a, mean_b, np.mean(draws, 0), flips_I))
    return rows


def _difference(
    name: str, k: int, num_items: int, a: float, b: float, draws_B: np.ndarray, flips_I: np.ndarray
) -> Difference:
    p_value = sign_flip_p_value(flips_I)
    detectable = float(_DETECTABLE * draws_B.std())
    interval = interval_of(a - b, draws_B)
    return Difference(name, f"pass@{k}", num_items, float(a), float(b), interval, p_value, p_value, detectable)
