"""What the verdicts amount to, by range of steps; and whether a judge agrees with those who know."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...evaluation.statistics.intervals import Estimate, bootstrap_means, interval_of, jackknife
from ...terminal import table
from .question import LABELS, UNREADABLE, Solution
from .verdicts import Verdict


RANGES = 8
_CLASSES = (*LABELS, UNREADABLE)


@dataclass(frozen=True)
class Shares:
    """
    Verdicts of a range of steps.

    Attributes:
        steps (`tuple[int, int]` or `None`):
            First and last step; `None` for all verdicts.
        completions (`int`):
            What was written in it and graded.
        wrong (`int`):
            How many are wrong.
        judged (`int`):
            Verdicts.
        unreadable (`int`):
            How many of them are unreadable.
        labels (`dict[str, Estimate]`):
            Share of each label among those that can be read, with a 95 % interval over problems; empty without any.
    """

    steps: tuple[int, int] | None
    completions: int
    wrong: int
    judged: int
    unreadable: int
    labels: dict[str, Estimate]


def shares_by_range(solutions: Sequence[Solution], verdicts: Sequence[Verdict]) -> list[Shares]:
    """
    Shares of the labels: of at most `RANGES` ranges with as many recorded steps each, then of all.

    Args:
        solutions (`Sequence[Solution]`):
            Everything that was written, right or wrong.
        verdicts (`Sequence[Verdict]`):
            Those on wrong ones.
    """
    steps = sorted({solution.step for solution in solutions if solution.step is not None})
    parts = [part.tolist() for part in np.array_split(steps, min(RANGES, len(steps)))] if steps else []
    ranges = [(part[0], part[-1]) for part in parts if len(parts) > 1]
    return [_shares(part, solutions, verdicts) for part in (*ranges, None)]


def _shares(steps: tuple[int, int] | None, solutions: Sequence[Solution], verdicts: Sequence[Verdict]) -> Shares:
    def inside(step: int | None) -> bool:
        return steps is None or (step is not None and steps[0] <= step <= steps[1])

    graded = {one.key: one for one in solutions if inside(one.step) and one.correct is not None}
    found = [verdict for verdict in verdicts if inside(verdict.step) and verdict.key in graded]
    readable = [verdict for verdict in found if verdict.label != UNREADABLE]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for verdict in readable:
        counts[graded[verdict.key].problem][verdict.label] += 1
    estimates = {}
    if readable:
        sums_IM = np.array([[*(count[label] for label in LABELS), count.total()] for count in counts.values()], float)
        for place, label in enumerate(LABELS):
            share = jackknife(sums_IM, lambda sums, place=place: sums[..., place] / sums[..., -1])
            if share.low is None or share.high is None or share.value in (0, 1):
                # Where all problems agree, leaving one out says nothing about the next.
                estimates[label] = Estimate(share.value, None, None)
            else:
                estimates[label] = Estimate(share.value, max(share.low, 0.0), min(share.high, 1.0))
    wrong = sum(not one.correct for one in graded.values())
    return Shares(steps, len(graded), wrong, len(found), len(found) - len(readable), estimates)


def shares_text(ranges: Sequence[Shares]) -> str:
    """A row for each range."""
    header = ("steps", "completions", "wrong", "judged", *LABELS, UNREADABLE)
    rows = [
        (
            "all" if part.steps is None else "-".join(dict.fromkeys(map(str, part.steps))),
            f"{part.completions:,}",
            f"{part.wrong:,}",
            f"{part.judged:,}",
            *(_percent(part.labels[label]) if part.labels else "" for label in LABELS),
            f"{part.unreadable:,}",
        )
        for part in ranges
    ]
    return table([header, *rows])


@dataclass(frozen=True)
class Agreement:
    """
    How well verdicts agree with labels, or with those of a second pass.

    Attributes:
        problems (`int`):
            Problems, over which the intervals are.
        solutions (`int`):
            Pairs that were compared.
        accuracy (`Estimate`):
            Share of the pairs that are equal. An unreadable verdict equals no label.
        kappa (`Estimate` or `None`):
            Cohen's kappa, agreement beyond chance; `None` where both know a single class, and chance explains all.
        confusion (`dict[str, dict[str, int]]`):
            Pairs, by label and verdict.
    """

    problems: int
    solutions: int
    accuracy: Estimate
    kappa: Estimate | None
    confusion: dict[str, dict[str, int]]


def agreement(problems: Sequence[str], labels: Sequence[str], verdicts: Sequence[str]) -> Agreement:
    """
    Compares verdicts with labels.

    The intervals are of the Bayesian bootstrap over problems, whose solutions are not independent, with half a problem
    more that agrees by chance: without it, perfect agreement on five problems would look certain.

    Args:
        problems (`Sequence[str]`):
            The problem of each pair.
        labels (`Sequence[str]`):
            What is right.
        verdicts (`Sequence[str]`):
            What the judge says.

    Example:

    ```python
    >>> found = agreement("abcd", ["strategy"] * 2 + ["execution"] * 2, ["strategy"] * 3 + ["execution"])
    >>> found.accuracy.value, found.kappa.value  # 3 of 4; (0.75 - 0.5) / (1 - 0.5)
    (0.75, 0.5)
    ```
    """
    size = len(_CLASSES)
    counts = {problem: np.zeros((size, size)) for problem in problems}
    for problem, label, verdict in zip(problems, labels, verdicts, strict=True):
        counts[problem][_CLASSES.index(label), _CLASSES.index(verdict)] += 1
    counts_IK = np.array([count.ravel() for count in counts.values()])
    whole = counts_IK.sum(0).reshape(size, size)
    by_chance = np.outer(whole.sum(1), whole.sum(0)).ravel() / whole.sum() / len(counts)
    draws = bootstrap_means(counts_IK, (by_chance, by_chance), end_weight=0.25).reshape(-1, size, size)
    accuracy, kappa = _agreement(whole)
    accuracies, kappas = _agreement(draws)
    return Agreement(
        len(counts),
        int(whole.sum()),
        interval_of(float(accuracy), accuracies),
        None if np.isnan(kappa) else interval_of(float(kappa), kappas),
        {
            label: {verdict: int(count) for verdict, count in zip(_CLASSES, row, strict=True)}
            for label, row in zip(_CLASSES, whole, strict=True)
            if label in labels
        },
    )


def _agreement(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and Cohen's kappa of confusion tables of shape (..., K, K)."""
    shares = counts / counts.sum((-2, -1), keepdims=True)
    equal = np.trace(shares, axis1=-2, axis2=-1)
    chance = (shares.sum(-1) * shares.sum(-2)).sum(-1)
    with np.errstate(invalid="ignore"):
        return equal, (equal - chance) / (1 - chance)


def agreement_text(found: Agreement, rows: str, columns: str) -> str:
    """Accuracy, kappa and the confusion table; `rows` and `columns` say whose."""
    kappa = "undefined: both know a single class" if found.kappa is None else _number(found.kappa)
    shown = [
        name for name in _CLASSES if name in found.confusion or any(row[name] for row in found.confusion.values())
    ]
    cells = [(name, *(f"{row[column]:,}" for column in shown)) for name, row in found.confusion.items()]
    return (
        f"accuracy       {_percent(found.accuracy)} of {found.solutions:,} solutions\n"
        f"Cohen's kappa  {kappa}; []: 95 % interval over {found.problems:,} problems\n\n"
        f"{table([(f'{rows}, {columns} ->', *shown), *cells])}"
    )


def _percent(share: Estimate) -> str:
    text = f"{100 * share.value:.1f} %"
    return (
        text if share.low is None or share.high is None else f"{text} [{100 * share.low:.0f}, {100 * share.high:.0f}]"
    )


def _number(estimate: Estimate) -> str:
    low, high = estimate.ends
    return f"{estimate.value:.2f} [{low:.2f}, {high:.2f}]"
