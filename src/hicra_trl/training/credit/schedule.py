"""How strong the credit is from generation to generation: a value that is handed in and returned, nothing hidden."""

from dataclasses import dataclass, field, replace
from math import isfinite, log, sqrt
from statistics import mean, stdev
from typing import Literal


AlphaSchedule = Literal["constant", "linear", "procedural"]

# Generations that are looked at together, and that alpha takes to grow from 0 to its value: in the playground, where
# one generation's negative log-likelihood (NLL) scatters by 4 %, half of them place its mean to 2 %.
WINDOW = 12
# Highest NLL of an execution token, in nats, at which execution can be reliable: at log 2 a token has half of the
# probability. The one threshold that is not relative: a model that is reliable from the start has no rise to show, and
# one that never will be settles as well.
SURE = log(2)
# Below this a number is as good as 0: an NLL in nats (tokens are certain to 99 %, and what it still falls by is no
# learning), and a share of planning tokens (at which alpha moves next to nothing).
NEGLIGIBLE = 0.01
# Highest share by which the NLL may still fall, or rise, from the first half of the window to the second: a fifth in
# six generations halves it in 19. While execution is learned it falls faster, afterwards slower (paper, section 2.2).
SETTLED = 0.2
# Lowest share of right answers. A right answer needs every step of it right; and with a quarter of them, nine of ten
# groups of eight hold right and wrong ones, which is what tells a good plan from a bad one.
RIGHT = 0.25
# Standard errors that the fall and the right answers must have to spare before the gate opens: it is looked at in
# every generation, and opens only once.
SPARE = 2
# How often what was measured when the gate opened may be doubled, or halved, before alpha shrinks.
DRIFT = 2


@dataclass(frozen=True)
class Signal:
    """
    What one generation showed, pooled over all ranks.

    Args:
        execution_nll (`float`):
            Mean negative log-likelihood of the execution tokens, the model's own tokens outside planning, in nats.
            NaN if there are none.
        correct (`float`):
            Share of right answers.
        planning_fraction (`float`):
            Planning tokens / completion tokens.
        progress (`float`):
            Share of the run's optimizer steps that are done, in [0, 1].
    """

    execution_nll: float
    correct: float
    planning_fraction: float
    progress: float


@dataclass(frozen=True)
class AlphaState:
    """
    What a schedule remembers. `AlphaState(**json)` of its `asdict` is equal to it.

    Args:
        alpha (`float`):
            Amplification of the next generation.
        grown (`int`, *optional*, defaults to `0`):
            Of `"procedural"`, as all that follow: steps from 0 towards the full amplification, at most `WINDOW`.
        execution_nll (`list[float]`, *optional*):
            Logarithms of the NLL in the last `WINDOW` generations.
        correct (`list[float]`, *optional*):
            Their shares of right answers.
        planning_fraction (`list[float]`, *optional*):
            Their shares of planning tokens.
        opened (`list[float]`, *optional*):
            The means of the three when the gate opened. Empty while it is closed.
    """

    alpha: float
    grown: int = 0
    execution_nll: list[float] = field(default_factory=list)
    correct: list[float] = field(default_factory=list)
    planning_fraction: list[float] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)


def first_alpha(schedule: AlphaSchedule, alpha: float) -> AlphaState:
    """
    Where a schedule begins: at `alpha` if it is constant, else at 0.

    Args:
        schedule (`Literal["constant", "linear", "procedural"]`):
            As in [`next_alpha`].
        alpha (`float`):
            Amplification that the schedule leads to, in [0, 1).

    Returns:
        [`AlphaState`]: that of the first generation.
    """
    return AlphaState(alpha if schedule == "constant" else 0.0)


def next_alpha(state: AlphaState, signal: Signal, schedule: AlphaSchedule, alpha: float) -> AlphaState:
    """
    The amplification of the next generation, from what this one showed.

    Args:
        state ([`AlphaState`]):
            That of this generation.
        signal ([`Signal`]):
            What it showed. One without execution tokens leaves `"procedural"` as it is.
        schedule (`Literal["constant", "linear", "procedural"]`):
            `"constant"` is `alpha` throughout; `"linear"` is `alpha` times the progress; `"procedural"` stays 0 until
            execution is reliable, that is sure, settled, and right often enough, over a window of generations. Then a
            gate opens for good, and alpha grows by one of `WINDOW` equal steps a generation. It shrinks by as many
            while execution is unlearned, or while planning tokens are more than twice as many per execution token as
            when the gate opened: then the lexicon is being gamed.
        alpha (`float`):
            Amplification that the schedule leads to, in [0, 1).

    Returns:
        [`AlphaState`]: that of the next generation, its `alpha` in [0, `alpha`].

    Example:

    ```python
    >>> signal = Signal(execution_nll=0.1, correct=0.6, planning_fraction=0.05, progress=0.5)
    >>> next_alpha(first_alpha("linear", 0.2), signal, "linear", 0.2).alpha
    0.1
    >>> state = first_alpha("procedural", 0.36)
    >>> alphas = []
    >>> for _ in range(15):
    ...     state = next_alpha(state, signal, "procedural", 0.36)
    ...     alphas.append(state.alpha)
    >>> alphas[10:]
    [0.0, 0.03, 0.06, 0.09, 0.12]
    ```
    """
    if schedule == "constant":
        return replace(state, alpha=alpha)
    if schedule == "linear":
        return replace(state, alpha=alpha * min(max(signal.progress, 0.0), 1.0))
    if not all(map(isfinite, (signal.execution_nll, signal.correct, signal.planning_fraction))):
        return state
    # In logarithms, in which a fall is relative, and one wild generation weighs less.
    nlls = [*state.execution_nll, log(max(signal.execution_nll, NEGLIGIBLE))][-WINDOW:]
    corrects = [*state.correct, signal.correct][-WINDOW:]
    fractions = [*state.planning_fraction, signal.planning_fraction][-WINDOW:]
    means = [mean(nlls), mean(corrects), mean(fractions)]
    opened = state.opened or (means if _is_reliable(nlls, corrects) else [])
    grown = state.grown
    if opened:
        shrinks = _is_unlearned(means, opened) or _is_gamed(means, opened)
        grown = min(max(grown + (-1 if shrinks else 1), 0), WINDOW)
    return AlphaState(alpha * (grown / WINDOW), grown, nlls, corrects, fractions, opened)


def _is_reliable(nlls: list[float], corrects: list[float]) -> bool:
    if len(nlls) < WINDOW:
        return False
    half = WINDOW // 2
    earlier, later = nlls[:half], nlls[half:]
    change = mean(later) - mean(earlier)
    spare = SPARE * sqrt((stdev(earlier) ** 2 + stdev(later) ** 2) / half)
    settled = change - spare >= log(1 - SETTLED) and change <= log(1 + SETTLED)
    right = mean(corrects) - SPARE * stdev(corrects) / sqrt(WINDOW)
    return settled and mean(later) <= log(SURE) and right >= RIGHT


def _is_unlearned(means: list[float], opened: list[float]) -> bool:
    (nll, correct, _), (nll_then, correct_then, _) = means, opened
    # Alone, a higher NLL may be exploration.
    return correct < correct_then / DRIFT or (nll > nll_then + log(DRIFT) and correct < correct_then)


def _is_gamed(means: list[float], opened: list[float]) -> bool:
    fraction, then = means[2], max(opened[2], NEGLIGIBLE)
    return fraction * (1 - then) > DRIFT * then * (1 - fraction)
