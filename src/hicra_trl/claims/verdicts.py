"""Verdicts on the claims: pure functions of the numbers of runs, with the bounds of `claims.yaml`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np

from ..dynamics.statistics import mean_and_interval
from ..evaluation.statistics.comparison import holm
from ..evaluation.statistics.intervals import LEVEL
from ..evaluation.statistics.seeds import paired_p_value, smallest_difference
from .plan import read_claims


HOLDS, FAILS, OPEN = "holds here", "fails here", "cannot be told"
_START, _WINDOW, _WAY = 3, 5, 0.8

Curve = Sequence[Sequence[float]]
# One number a seed.
Values = Mapping[int, float]


@dataclass(frozen=True)
class Numbers:
    """
    What a run amounts to.

    Attributes:
        curves (`dict[str, Curve]`):
            `(step, value)` pairs by name: what was logged, and `strategy` and `execution`, the shares of completions
            with an error of that class.
        figures (`dict[str, float]`):
            Single numbers by name: of the token record, and of the lexicon with parts dropped.
    """

    curves: dict[str, Curve]
    figures: dict[str, float] = field(default_factory=dict)

    def values(self, name: str) -> np.ndarray:
        """The values of a curve."""
        return np.array([value for _, value in self.curves[name]])

    def late(self, name: str) -> np.ndarray:
        """Those of the last third of the steps."""
        return np.array([value for step, value in self.curves[name] if 3 * step > 2 * self.curves[name][-1][0]])

    def end(self, name: str) -> float:
        """Their mean."""
        return float(self.late(name).mean())

    def start(self, name: str) -> float:
        """The mean of the first three."""
        return float(self.values(name)[:_START].mean())

    def moved(self, name: str, sign: int) -> float | None:
        """The step at which it has gone most of its way up (1) or down (-1); `None` if it never has."""
        way = self.end(name) - self.start(name)
        if not sign * way > 0:
            return None
        values, half = self.values(name), _WINDOW // 2
        means = (values[max(0, i - half) : i + half + 1].mean() for i in range(len(values)))
        so_far = (sign * (mean - self.start(name)) >= _WAY * abs(way) for mean in means)
        return next((float(step) for (step, _), there in zip(self.curves[name], so_far) if there), None)


# By condition and seed, of one base.
Runs = Mapping[str, Mapping[int, Numbers]]


@dataclass(frozen=True)
class Part:
    """
    One number a seed, and the bound that its mean is to be above or below.

    Attributes:
        name, says, unit (`str`):
            What it is.
        bound, excluded (`float`):
            What the mean has to pass for the claim to hold, and what it has to fall short of for it to fail.
        sign (`int`):
            1 if the claim is above its bound, -1 if below.
        values (`Values`):
            By seed.
        beside (`dict[str, Values]`):
            Of each base.
        least_seeds (`int`):
            Nothing counts with fewer.
    """

    name: str
    says: str
    unit: str
    bound: float
    excluded: float
    sign: int
    values: Values
    beside: Mapping[str, Values]
    least_seeds: int

    @cached_property
    def mean_and_half(self) -> tuple[float, float | None]:
        """Mean over seeds, and half of its 95 % interval."""
        return mean_and_interval([*self.values.values()]) if self.values else (float("nan"), None)

    def p_value(self, bound: float) -> float | None:
        """Of the mean being `bound`; `None` where so few seeds, or seeds so alike, cannot say."""
        if len(self.values) < self.least_seeds:
            return None
        return paired_p_value(np.array([*self.values.values()]) - bound)

    @property
    def is_held(self) -> bool:
        """Whether the mean is surely on the claim's side of its bound."""
        p_value = self.p_value(self.bound)
        return p_value is not None and p_value < 1 - LEVEL and self.sign * (self.mean_and_half[0] - self.bound) > 0

    @property
    def is_on_other_side(self) -> bool:
        """Whether the mean is beyond the bound that excludes the claim, by chance or not."""
        return self.sign * (self.mean_and_half[0] - self.excluded) < 0

    @property
    def detectable(self) -> float | None:
        """The smallest distance from the bound that so many seeds, with their spread, find four times out of five."""
        if self.p_value(self.bound) is None:
            return None
        return smallest_difference(float(np.std([*self.values.values()], ddof=1)), len(self.values))


@dataclass(frozen=True)
class Verdict:
    """
    What the runs say of a claim.

    Attributes:
        name (`str`):
            `C1` to `C10`.
        parts (`list[Part]`):
            All of which have to hold.
    """

    name: str
    parts: list[Part]

    @cached_property
    def against(self) -> dict[str, float]:
        """By part, the p-value of its mean being the bound that excludes the claim, after Holm's correction."""
        told = {part.name: p for part in self.parts if (p := part.p_value(part.excluded)) is not None}
        return dict(zip(told, holm([*told.values()])))

    @property
    def failed(self) -> list[Part]:
        """Parts that exclude the claim."""
        sure = [part for part in self.parts if self.against.get(part.name, 1.0) < 1 - LEVEL]
        return [part for part in sure if part.is_on_other_side]

    @property
    def word(self) -> str:
        """One of three."""
        if self.parts and all(part.is_held for part in self.parts):
            return HOLDS
        return FAILS if self.failed else OPEN


def verdict(name: str, measured: Mapping[str, Mapping[str, Values]], planned: Sequence[str]) -> Verdict:
    """
    The verdict on a claim.

    Args:
        name (`str`):
            Of the claim.
        measured (`Mapping[str, Mapping[str, Values]]`):
            By base and part, one number a seed; of C9 and C10, which are of no single base, under an empty name.
        planned (`Sequence[str]`):
            The bases whose mean counts.
    """
    everything = read_claims()
    given_parts = everything["claims"][name]["parts"]
    if every := given_parts.get("every"):
        given_parts = {part: {**every, "says": part} for of in measured.values() for part in of}
    parts = []
    for part, given in given_parts.items():
        sign, other = (1, "fails_below") if "above" in given else (-1, "fails_above")
        bound = given["above" if sign == 1 else "below"]
        beside = {base: of[part] for base, of in measured.items() if of.get(part)}
        counted = [beside.get(base, {}) for base in planned]
        shared = set.intersection(*map(set, counted)) if counted else set()
        values = {seed: fmean(of[seed] for of in counted) for seed in sorted(shared)}
        excluded = given.get(other, bound)
        parts.append(
            Part(part, given["says"], given["unit"], bound, excluded, sign, values, beside, everything["least_seeds"])
        )
    return Verdict(name, parts)


def difference(runs: Runs, condition: str, of: Callable[[Numbers], float]) -> Values:
    """A condition minus GRPO, of the seeds that both have."""
    a, b = runs.get(condition, {}), runs.get("grpo", {})
    return {seed: of(a[seed]) - of(b[seed]) for seed in a if seed in b}


def _each(runs: Runs, of: Callable[[Numbers], float | None], condition: str = "grpo") -> Values:
    found = {seed: of(run) for seed, run in runs.get(condition, {}).items()}
    return {seed: value for seed, value in found.items() if value is not None and np.isfinite(value)}


def _gain(runs: Runs) -> dict[str, Values]:
    return {"gain": difference(runs, "hicra", lambda run: run.end("accuracy"))}


def _phases(runs: Runs) -> dict[str, Values]:
    def later(name: str, sign: int) -> Callable[[Numbers], float | None]:
        def steps(run: Numbers) -> float | None:
            first, then = run.moved("execution_perplexity", -1), run.moved(name, sign)
            return None if first is None or then is None else then - first

        return steps

    return {
        "execution_falls": _each(
            runs, lambda run: 1 - run.end("execution_perplexity") / run.start("execution_perplexity")
        ),
        "semantic_rises": _each(runs, lambda run: run.end("semantic_entropy") - run.start("semantic_entropy")),
        "strategy_falls": _each(runs, lambda run: run.start("strategy") - run.end("strategy")),
        "semantic_later": _each(runs, later("semantic_entropy", 1)),
        "strategy_later": _each(runs, later("strategy", -1)),
    }


def rank_correlation(run: Numbers) -> float:
    """Of accuracy, and the mean semantic entropy since the evaluation before; NaN where one is constant or short."""
    steps = [0.0, *(step for step, _ in run.curves["accuracy"])]
    between = [
        [value for step, value in run.curves["semantic_entropy"] if first < step <= last]
        for first, last in pairwise(steps)
    ]
    pairs = [(value, fmean(logged)) for (_, value), logged in zip(run.curves["accuracy"], between) if logged]
    if len(pairs) < 3:
        return float("nan")
    with np.errstate(invalid="ignore"):
        return float(np.corrcoef([_ranks(values) for values in zip(*pairs)])[0, 1])


def _ranks(values: Sequence[float]) -> np.ndarray:
    """From 1; equals share the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[which]


def _diversity(runs: Runs) -> dict[str, Values]:
    of_both = [_each(runs, rank_correlation, condition) for condition in ("grpo", "hicra")]
    together = {seed: fmean(of[seed] for of in of_both) for seed in of_both[0] if seed in of_both[1]}
    return {"together": together, "more": difference(runs, "hicra", lambda run: run.end("semantic_entropy"))}


def _regularization(runs: Runs) -> dict[str, Values]:
    names = [name for name in runs if name.startswith("entropy-")]
    lengths = [difference(runs, name, lambda run: float(np.log(run.end("length")))) for name in names]
    shared = set.intersection(*map(set, lengths)) if lengths else set()
    gains = {
        f"gain-{name.removeprefix('entropy-')}": difference(runs, name, lambda run: run.end("accuracy"))
        for name in names
    }
    return {"longer": {seed: fmean(of[seed] for of in lengths) for seed in sorted(shared)}, **gains}


def effect_size(a: np.ndarray, b: np.ndarray) -> float:
    """
    Cohen's d of two curves' values; NaN where they differ and neither spreads.

    Example:

    ```python
    >>> effect_size(np.array([2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    1.0
    ```
    """
    difference, spread = float(a.mean() - b.mean()), float((a.var(ddof=1) + b.var(ddof=1)) / 2) ** 0.5
    # What has come to its end in both tells nothing.
    return difference / spread if spread else 0.0 if difference == 0 else float("nan")


def _telling(runs: Runs) -> dict[str, Values]:
    def sizes(name: str) -> Values:
        both = [seed for seed in runs.get("hicra", {}) if seed in runs.get("grpo", {})]
        return {seed: effect_size(*(runs[one][seed].late(name) for one in ("hicra", "grpo"))) for seed in both}

    semantic, entropy, solved = map(sizes, ("semantic_entropy", "entropy", "pass_at_8"))
    above = [
        {seed: abs(semantic[seed]) - abs(other[seed]) for seed in semantic if np.isfinite(other[seed])}
        for other in (entropy, solved)
    ]
    return {"semantic": semantic, "above_entropy": above[0], "above_pass_at_8": above[1]}


def _figures(names: Sequence[str], runs: Runs) -> dict[str, Values]:
    return {name: _each(runs, lambda run, name=name: run.figures.get(name)) for name in names}


def _falls(runs: Runs) -> dict[str, Values]:
    return {"fall": _each(runs, lambda run: error_fall(run, "strategy") - error_fall(run, "execution"))}


def error_fall(run: Numbers, kind: str) -> float:
    """By how much the share of completions with an error of a class falls, from the first fifth to the last."""
    values = run.values(kind)
    fifth = max(1, len(values) // 5)
    return float(values[:fifth].mean() - values[-fifth:].mean())


def foundation(found: Mapping[str, Runs]) -> dict[str, Values]:
    """C9, of the strong base and the weak one together."""
    strong, weak = (_gain(found.get(f"orders-{base}", {}))["gain"] for base in ("strong", "weak"))
    return {
        "strong_above_weak": {seed: strong[seed] - weak[seed] for seed in strong if seed in weak},
        "weak": weak,
    }


_MEASURES: dict[str, Callable[[Runs], dict[str, Values]]] = {
    "C1": _gain,
    "C2": _phases,
    "C3": _diversity,
    "C4": _regularization,
    "C5": _telling,
    "C6": partial(_figures, ("most_30", "few_20", "few_30")),
    "C7": partial(_figures, ("correlation", "deviation")),
    "C8": _falls,
}


def verdicts(found: Mapping[str, Runs], target: Mapping[str, Values]) -> list[Verdict]:
    """
    The verdicts on all claims.

    Args:
        found (`Mapping[str, Runs]`):
            The numbers of finished runs, by campaign, condition and seed. A campaign that is not planned is not there;
            one of which nothing is finished is there, and empty.
        target (`Mapping[str, Values]`):
            The parts of C10.
    """
    told: list[Verdict] = []
    for name, claim in read_claims()["claims"].items():
        if name == "C9":
            told.append(verdict(name, {"": foundation(found)}, [""]))
        elif name == "C10":
            told.append(verdict(name, {"": target}, [""]))
        else:
            judged = [base for base in (*claim["bases"], *claim["beside"]) if base in found]
            measured: dict[str, Any] = {base: _MEASURES[name](found[base]) for base in judged}
            told.append(verdict(name, measured, [base for base in claim["bases"] if base in found]))
    return told
