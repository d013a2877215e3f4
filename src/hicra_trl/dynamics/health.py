"""What can go wrong in a run and shows in its logs: a table of rules, each of which raises one alarm.

Logs may be any number of steps apart. The value in a log is the mean over the steps since the log before it that had
the metric, and windows are counted in optimizer steps.
"""

import math
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist, fmean
from typing import Any

import numpy as np


# Steps of the window that a level is a mean over, and of the start that a level is compared with.
WINDOW_STEPS = 20
# A trend is one over the last ten points: measurements, or means over at least ten steps. Fewer than six say nothing.
TREND_POINTS, LEAST_POINTS, POINT_STEPS = 10, 6, 10
# Rising, falling: zero is outside this interval of the Theil-Sen slope. Held-out accuracy does not rise: the upper
# end of its wider interval is below the smallest gain that counts.
CONFIDENCE, HELD_OUT_CONFIDENCE, HELD_OUT_GAIN = 0.99, 0.8, 0.02
# Where held-out accuracy is above this, there is little left to gain.
HELD_OUT_CEILING = 0.95
# A share of planning tokens that is compared with a smaller one at the start is compared with this.
LEAST_PLANNING_SHARE = 0.01

_HELD_OUT = ("held_out/pass_at_1", "eval_hicra/pass_at_1")
_REWARD = re.compile(r"rewards/(.+)/mean")


class History:
    """What the logs of a run have said so far."""

    def __init__(self) -> None:
        self.series: defaultdict[str, _Series] = defaultdict(_Series)
        self.rewards: list[str] = []
        self.not_finite: list[str] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds one log, with its `step`."""
        step = row["step"]
        for name, value in row.items():
            if isinstance(value, int | float):
                if name in ("loss", "grad_norm") and not math.isfinite(value):
                    self.not_finite.append(f"{name} was {value}")
                self.series[name].add(step, value)
            # TRL's, where a reward function gave `None` for all completions.
            if match := _REWARD.fullmatch(name):
                if match[1] not in self.rewards:
                    self.rewards.append(match[1])
                self.series[f"none/{match[1]}"].add(step, float(value is None))

    def recent(self, name: str) -> float | None:
        """Mean over the last steps, `None` before there have been that many."""
        series = self.series[name]
        return series.mean(series.last - WINDOW_STEPS, series.last, WINDOW_STEPS)

    def start(self, name: str) -> float | None:
        """Mean over the first steps."""
        series = self.series[name]
        at = bisect_left(series.weights, WINDOW_STEPS)
        return series.mean(-1, series.steps[at - 1], WINDOW_STEPS) if 0 < at <= len(series.steps) else None

    def held_out(self) -> str:
        """The metric that is pass@1 on held-out problems."""
        return next((name for name in _HELD_OUT if self.series[name].steps), _HELD_OUT[0])

    def trends(self, ends: Sequence[int], *names: str) -> "list[Trend] | None":
        """How metrics have changed from point to point, whose last steps are `ends`; `None` for too few points."""
        spans = list(pairwise([-1, *ends]))[-TREND_POINTS:]
        points = [(end, *(self.series[name].mean(start, end) for name in names)) for start, end in spans]
        points = [point for point in points if None not in point]
        if len(points) < LEAST_POINTS:
            return None
        steps, *columns = zip(*points, strict=True)
        return [Trend.of(steps, values) for values in columns]


class _Series:
    """A metric as sums over steps, so that each mean takes two look-ups."""

    def __init__(self) -> None:
        self.last = 0
        self.steps: list[int] = []
        self.weights, self.sums = [0.0], [0.0]
        self.point_ends: list[int] = []
        self._weight_of_points = 0.0

    def add(self, step: int, value: float) -> None:
        weight, self.last = max(1, step - self.last), step
        if not math.isfinite(value):
            return
        self.steps.append(step)
        self.weights.append(self.weights[-1] + weight)
        self.sums.append(self.sums[-1] + weight * value)
        if self.weights[-1] - self._weight_of_points >= POINT_STEPS:
            self._weight_of_points = self.weights[-1]
            self.point_ends.append(step)

    def mean(self, after: int, up_to: int, least_steps: int = 1) -> float | None:
        start, end = bisect_right(self.steps, after), bisect_right(self.steps, up_to)
        weight = self.weights[end] - self.weights[start]
        return (self.sums[end] - self.sums[start]) / weight if weight >= least_steps else None


@dataclass(frozen=True)
class Trend:
    """
    A change over a window, by the Theil-Sen slope: the median of the slopes between any two points.

    Attributes:
        mean (`float`):
            Mean of the points.
        change (`float`):
            Slope times the steps from the first point to the last.
        certain (`tuple[float, float]`):
            Interval of the change with `CONFIDENCE`.
        likely (`tuple[float, float]`):
            Interval with `HELD_OUT_CONFIDENCE`.
    """

    mean: float
    change: float
    certain: tuple[float, float]
    likely: tuple[float, float]

    @classmethod
    def of(cls, steps: Sequence[int], values: Sequence[float]) -> "Trend":
        """
        The trend of values at increasing steps.

        Example:

        ```python
        >>> Trend.of(range(6), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).change
        5.0
        ```
        """
        x, y = np.array(steps, float), np.array(values, float)
        first, second = np.triu_indices(len(x), 1)
        slopes = np.sort((y[second] - y[first]) / (x[second] - x[first]))
        # Sen's interval: slopes at the ranks where Kendall's S has its quantiles.
        deviation = math.sqrt(len(x) * (len(x) - 1) * (2 * len(x) + 5) / 18)

        def interval(confidence: float) -> tuple[float, float]:
            reach = NormalDist().inv_cdf((1 + confidence) / 2) * deviation
            low = max(round((len(slopes) - reach) / 2) - 1, 0)
            high = min(round((len(slopes) + reach) / 2), len(slopes) - 1)
            return float(slopes[low] * span), float(slopes[high] * span)

        span = x[-1] - x[0]
        change = float(np.median(slopes) * span)
        return cls(fmean(values), change, interval(CONFIDENCE), interval(HELD_OUT_CONFIDENCE))


# What a rule looks at: a number, and what else there is to say of it; `None` where there is nothing to judge yet.
Reading = tuple[float, str] | None


def _level(metric: str) -> Callable[[History], Reading]:
    """Mean of the last steps."""

    def read(history: History) -> Reading:
        value = history.recent(metric)
        return None if value is None else (value, "")

    return read


def _beside_start(metric: str, least: float = 0.0) -> Callable[[History], Reading]:
    """Mean of the last steps as a multiple of that of the first ones, which counts as `least` where it is smaller."""

    def read(history: History) -> Reading:
        now, start = history.recent(metric), history.start(metric)
        if now is None or start is None or max(start, least) <= 0:
            return None
        return now / max(start, least), f"{now:.3g} after {start:.3g}"

    return read


def _rise_without_gain(metric: str, unit: str | None = None) -> Callable[[History], Reading]:
    """Certain rise of a metric in means of a `unit`, by default its own, while held-out accuracy does not rise."""

    def read(history: History) -> Reading:
        held_out = history.held_out()
        trends = history.trends(history.series[held_out].steps, held_out, metric, unit or metric)
        if trends is None:
            return None
        accuracy, risen, size = trends
        no_gain = accuracy.likely[1] < HELD_OUT_GAIN and accuracy.mean <= HELD_OUT_CEILING
        if not no_gain or risen.certain[0] <= 0 or size.mean <= 0:
            return None
        return risen.change / size.mean, f"by {risen.change:+.3g}, held-out pass@1 by {accuracy.change:+.3f}"

    return read


def _opposite_entropies(history: History) -> Reading:
    """The smaller of the certain fall of semantic entropy and the certain rise of token entropy, in their means."""
    semantic, tokens = "hicra/semantic_entropy", "entropy"
    trends = history.trends(history.series[semantic].point_ends, semantic, tokens)
    if trends is None:
        return None
    fallen, risen = trends
    if fallen.certain[1] >= 0 or risen.certain[0] <= 0 or fallen.mean <= 0 or risen.mean <= 0:
        return None
    fall, rise = -fallen.change / fallen.mean, risen.change / risen.mean
    return min(fall, rise), f"semantic entropy fell by {fall:.0%} of its mean, token entropy rose by {rise:.0%}"


def _not_finite(history: History) -> Reading:
    return len(history.not_finite), "".join(history.not_finite[-1:])


def _without_reward(history: History) -> Reading:
    """The largest share of the last steps in which a reward function gave no reward at all."""
    shares = {name: history.recent(f"none/{name}") for name in history.rewards}
    known = {name: share for name, share in shares.items() if share is not None}
    return max(((share, name) for name, share in known.items()), default=None)


@dataclass(frozen=True)
class Rule:
    """
    One thing that can go wrong.

    Attributes:
        name (`str`):
            Its name.
        read (`Callable`):
            Finds the number to judge, and what else there is to say of it.
        says (`str`):
            What is wrong, with places for `value`, `threshold` and `detail`.
        why (`str`):
            Why it matters.
        remedy (`str`):
            What to do.
        low, high (`float`):
            All is well from `low` to `high`.
    """

    name: str
    read: Callable[[History], Reading]
    says: str
    why: str
    remedy: str
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class Alarm:
    """
    What a rule has found.

    Attributes:
        step (`int`):
            The step of the log that raised it.
        name (`str`):
            The rule.
        value (`float`):
            The number.
        threshold (`float`):
            What it is beyond.
        says, why, remedy (`str`):
            What is wrong, why it matters, and what to do.
    """

    step: int
    name: str
    value: float
    threshold: float
    says: str
    why: str
    remedy: str

    def line(self) -> str:
        """All of it in one line."""
        return f"step {self.step}: {self.says}. {self.why}: {self.remedy}"


RULES = (
    Rule(
        "silent_groups",
        _level("frac_reward_zero_std"),
        "all rewards were equal in {value:.0%} of the groups of the last 20 steps (above {threshold:.0%})",
        "Such groups teach nothing",
        "take problems that are neither too easy nor too hard for the model, raise num_generations, or replace such "
        "groups by dynamic_sampling_attempts",
        high=0.8,
    ),
    Rule(
        "cut_completions",
        _level("completions/clipped_ratio"),
        "{value:.0%} of the completions of the last 20 steps were cut at their limit (above {threshold:.0%})",
        "They end before their answer, and are punished for their length",
        "raise max_completion_length, or let extended_completion_length do it",
        high=0.3,
    ),
    Rule(
        "no_reward",
        _without_reward,
        "the reward function {detail} gave no reward to any completion in {value:.0%} of the last 20 steps (above "
        "{threshold:.0%})",
        "What gives None does not enter the reward",
        "look at what it expects of the columns and completions",
        high=0.95,
    ),
    Rule(
        "not_finite",
        _not_finite,
        "{detail}",
        "The weights may be lost",
        "go on from an earlier checkpoint with a lower learning_rate or max_grad_norm, or with bf16; with fp16 single "
        "such steps are skipped and do no harm",
        high=0,
    ),
    Rule(
        "grader_timeouts",
        _level("rewards/grader_timeout_fraction"),
        "grading timed out for {value:.1%} of the completions of the last 20 steps (above {threshold:.0%})",
        "What times out counts as wrong, right or not, and every step waits for it",
        "look at the answers in the logged completions; raise grader_timeout or grader_workers",
        high=0.01,
    ),
    Rule(
        "sampling_mismatch",
        _level("sampling/importance_sampling_ratio/mean"),
        "the mean ratio of the policy's probabilities to vLLM's was {value:.2f} in the last 20 steps (beyond "
        "{threshold})",
        "The samples are not the policy's, and their weight is lost or inflated",
        "take the same dtype and attention in both, and vllm_importance_sampling_mode: token_truncate, since ratios "
        "of whole long completions are far from 1",
        low=0.9,
        high=1.1,
    ),
    Rule(
        "planning_share",
        _beside_start("hicra/planning_fraction", LEAST_PLANNING_SHARE),
        "the share of planning tokens in the last 20 steps is {value:.1f} times that of the first 20 (above "
        "{threshold}): {detail}",
        "Completions that fill up with strategic grams game the credit",
        "read some completions (hicra highlight); lower alpha, or drop the grams that are repeated from the lexicon",
        high=3.0,
    ),
    Rule(
        "planning_without_gain",
        _rise_without_gain("hicra/planning_fraction"),
        "the share of planning tokens rose {detail} over the last measurements ({value:.0%} of its mean, above "
        "{threshold:.0%})",
        "Planning that does not help may be strategic grams for their credit",
        "read some completions (hicra highlight); lower alpha",
        high=0.5,
    ),
    Rule(
        "execution_entropy",
        _beside_start("hicra/entropy/execution"),
        "the entropy of execution tokens in the last 20 steps is {value:.0%} of that of the first 20 (below "
        "{threshold:.0%}): {detail}",
        "A policy without entropy samples equal completions, and explores no more",
        "lower learning_rate, raise epsilon_high or temperature, or set entropy_coef, from an earlier checkpoint on",
        low=0.1,
    ),
    Rule(
        "reward_without_gain",
        _rise_without_gain("reward", "reward_std"),
        "the reward rose {detail} over the last measurements ({value:.2f} of its spread within a step, above "
        "{threshold})",
        "The policy games the reward, or learns the problems by heart",
        "read completions with a high reward; correct the reward, take more problems, or stop at the best checkpoint",
        high=0.25,
    ),
    Rule(
        "semantic_entropy",
        _opposite_entropies,
        "{detail} (both above {threshold:.0%})",
        "The policy grows noisier in its tokens while it tries fewer strategies",
        "lower entropy_coef or temperature; raise alpha, or take a lexicon that covers the model's strategies",
        high=0.1,
    ),
)


class Health:
    """
    Judges a run by its logs. Each rule raises its alarm once.

    Args:
        rows (`Iterable[Mapping[str, Any]]`, *optional*):
            Logs so far, in order, as in the `log_history` of a trainer's state.

    Example:

    ```python
    >>> health = Health({"step": step, "completions/clipped_ratio": 0.4} for step in range(1, 20))
    >>> [alarm.name for alarm in health.add({"step": 20, "completions/clipped_ratio": 0.5})]
    ['cut_completions']
    ```
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self.history = History()
        self.alarms: list[Alarm] = []
        for row in rows:
            self.add(row)

    def add(self, row: Mapping[str, Any]) -> list[Alarm]:
        """Adds the next log and returns the alarms that it raises."""
        self.history.add(row)
        said = {alarm.name for alarm in self.alarms}
        new = [
            _alarm(rule, row["step"], *reading)
            for rule in RULES
            if rule.name not in said
            and (reading := rule.read(self.history)) is not None
            and not rule.low <= reading[0] <= rule.high
        ]
        self.alarms += new
        return new


def _alarm(rule: Rule, step: int, value: float, detail: str) -> Alarm:
    threshold = rule.low if value < rule.low else rule.high
    says = rule.says.format(value=value, threshold=threshold, detail=detail)
    return Alarm(step, rule.name, value, threshold, says, rule.why, rule.remedy)
