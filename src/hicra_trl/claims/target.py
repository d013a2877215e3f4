"""Whether an update moves the policy towards the target pi exp(A) (paper, appendix D): figures, and a verdict.

Two questions are asked of a step. Does it lead to the target of its own advantages? And does what HICRA changes in a
step lead to where it changes the target? Here steps are taken from softmax tables, where everything is exact;
`sampled_target` takes them from a model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch

from ..dynamics.statistics import mean_and_interval
from ..evaluation.statistics.comparison import holm
from ..evaluation.statistics.intervals import LEVEL
from ..evaluation.statistics.seeds import paired_p_value
from ..terminal import table
from ..training.credit.hicra import hicra_advantages


GRPO, HICRA = CREDITS = ("grpo", "hicra")
# Length of GRPO's small step; HICRA's is taken with the same learning rate.
SMALL = 1e-3
CLIP = (0.8, 1.28)
STATES, ACTIONS = 16, 8


@dataclass(frozen=True)
class Step:
    """
    Where steps with each credit lead.

    Attributes:
        covered (`dict[str, float]`):
            By credit, the share of KL(policy || its target) that its step takes away; below 0 it leads away.
        alignment (`dict[str, float]`):
            By credit, the cosine of the step and the way to its target, in log-probabilities weighted by the policy: 1
            is straight on, whatever the length.
        turned (`float`):
            The cosine between what HICRA changes in the step and what it changes in the target.
    """

    covered: dict[str, float]
    alignment: dict[str, float]
    turned: float

    @classmethod
    def mean(cls, steps: "Sequence[Step]") -> "Step":
        """Of several."""
        covered, alignment = (
            {c: fmean(of[c] for of in found) for c in CREDITS}
            for found in ([step.covered for step in steps], [step.alignment for step in steps])
        )
        return cls(covered, alignment, fmean(step.turned for step in steps))


@dataclass(frozen=True)
class TargetFigures:
    """
    What steps were found to do.

    Attributes:
        steps (`dict[str, list[Step]]`):
            By policy and kind of step, one entry a seed.
        far (`dict[str, list[float]]`):
            The share that a thousand steps on the same samples cover, in tables, one entry a seed: along the gradient
            at best and in the end, and with the clipped objective in the end.
    """

    steps: dict[str, list[Step]]
    far: dict[str, list[float]]

    @property
    def checks(self) -> dict[str, list[float]]:
        """
        What has to be above 0 for the claim, one entry a seed.

        The threshold is 0 because the theory gives the sign, and no size. The gradient of KL(policy || old policy) is
        zero where a step begins, so that along the gradient of E[A] the derivative of KL(policy || target) is minus
        its squared norm; and what a credit adds to the advantages adds its own gradient to the step. In tables
        anything else is an error. With a model it can fail: a target is known at sampled tokens alone, states share
        parameters, and Adam neither follows the gradient nor takes small steps.
        """
        return {
            f"{name}, {what}": [value(step) for step in steps]
            for name, steps in self.steps.items()
            for what, value in (
                ("to its own target", lambda step: min(step.covered.values())),
                ("turned with the target", lambda step: step.turned),
            )
        }

    @property
    def holds(self) -> bool | None:
        """
        Whether every check is above 0 in a t-test over seeds at 5 %. `False` if one is below, by Holm's correction for
        their number; `None` in between.
        """
        means = [fmean(of) for of in self.checks.values()]
        # Of values without any spread no test says anything.
        p_values = [1.0 if (p := paired_p_value(np.array(of))) is None else p for of in self.checks.values()]
        if any(mean < 0 and p < 1 - LEVEL for mean, p in zip(means, holm(p_values))):
            return False
        return True if all(mean > 0 and p < 1 - LEVEL for mean, p in zip(means, p_values)) else None

    def text(self) -> str:
        """Tables for a terminal, with 95 % intervals over seeds."""
        rows = [["", "seeds", *(f"{c} covers" for c in CREDITS), *(f"{c} alignment" for c in CREDITS), "turned"]]
        for name, steps in self.steps.items():
            shares = [_interval([step.covered[c] for step in steps], ".2%") for c in CREDITS]
            cosines = [_interval([step.alignment[c] for step in steps], ".2f") for c in CREDITS]
            rows.append([name, str(len(steps)), *shares, *cosines, _interval([step.turned for step in steps], ".2f")])
        far = [["a thousand steps", "cover"], *([name, _interval(of, ".0%")] for name, of in self.far.items())]
        return f"{table(rows)}\n\n{table(far)}"


def target(log_policy: torch.Tensor, advantages: torch.Tensor) -> torch.Tensor:
    """
    Log-probabilities of pi exp(A), normalised (paper, equation 1).

    Args:
        log_policy, advantages (`torch.Tensor` of shape `(S, K)`):
            By state and action.

    Example:

    ```python
    >>> target(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[1.0, 0.0]])).exp()  # e / (e + 1)
    tensor([[0.7311, 0.2689]])
    ```
    """
    return (log_policy + advantages).log_softmax(-1)


def covered(old: torch.Tensor, new: torch.Tensor, goal: torch.Tensor, weights: torch.Tensor) -> float:
    """
    The share of KL(policy || target) that a step takes away.

    Args:
        old, new, goal (`torch.Tensor` of shape `(S, K)`):
            Log-probabilities before and after the step, and of the target.
        weights (`torch.Tensor` of shape `(S,)`):
            Of the states.
    """
    before, after = (((p.exp() * (p - goal)).sum(-1) * weights).sum() for p in (old, new))
    return float(1 - after / before)


def compare(
    old: torch.Tensor, new: Mapping[str, torch.Tensor], goals: Mapping[str, torch.Tensor], weights: torch.Tensor
) -> Step:
    """Where steps lead: arguments as in [`covered`], with a step and a target of each credit."""

    def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
        # What is added to all actions of a state changes nothing.
        a, b = (x - (old.exp() * x).sum(-1, keepdim=True) for x in (a, b))
        policy = old.exp() * weights[:, None]
        size = float((policy * a * a).sum() * (policy * b * b).sum()) ** 0.5
        return float((policy * a * b).sum()) / size if size else 0.0

    return Step(
        {c: covered(old, new[c], goals[c], weights) for c in CREDITS},
        {c: cosine(new[c] - old, goals[c] - old) for c in CREDITS},
        cosine(new[HICRA] - new[GRPO], goals[HICRA] - goals[GRPO]),
    )


def table_gradient(log_policy: torch.Tensor, advantages: torch.Tensor) -> torch.Tensor:
    """
    Of E[A] in the logits of softmax tables: pi (A - E[A]). All have the shape `(S, K)`.

    Example:

    ```python
    >>> table_gradient(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[1.0, 0.0]]))  # 1/2 (1 - 1/2), 1/2 (0 - 1/2)
    tensor([[ 0.2500, -0.2500]])
    ```
    """
    policy = log_policy.exp()
    return policy * (advantages - (policy * advantages).sum(-1, keepdim=True))


def table_steps(seed: int, alpha: float, sign: float = 1.0) -> tuple[Step, dict[str, float]]:
    """
    Small steps from a random table, and the share that many cover.

    Args:
        seed (`int`):
            Draws the logits, the reward of each action in [0, 1], and the half of the actions that plans.
        alpha (`float`):
            HICRA's.
        sign (`float`, *optional*, defaults to `1.0`):
            Of all steps.
    """
    draw = torch.Generator().manual_seed(seed)
    shape, double = (STATES, ACTIONS), torch.float64
    old = torch.randn(shape, generator=draw, dtype=double).log_softmax(-1)
    rewards = torch.rand(shape, generator=draw, dtype=double)
    plans, weights = torch.rand(shape, generator=draw) < 0.5, torch.ones(STATES, dtype=double)
    centred = rewards - (old.exp() * rewards).sum(-1, keepdim=True)
    advantages = {GRPO: centred, HICRA: hicra_advantages(centred, plans, alpha)}
    goals = {c: target(old, of) for c, of in advantages.items()}
    gradients = {c: table_gradient(old, of) for c, of in advantages.items()}
    rate = sign * SMALL / gradients[GRPO].norm()
    small = compare(old, {c: (old + rate * of).log_softmax(-1) for c, of in gradients.items()}, goals, weights)

    def many(is_clipped: bool) -> list[float]:
        policy, shares = old, []
        for _ in range(1000):
            ratio = (policy - old).exp()
            acts = torch.where(centred > 0, ratio <= CLIP[1], ratio >= CLIP[0]) if is_clipped else 1.0
            policy = (policy + sign * table_gradient(policy, centred * acts)).log_softmax(-1)
            shares.append(covered(old, policy, goals[GRPO], weights))
        return shares

    plain = many(is_clipped=False)
    return small, {"at best": max(plain), "in the end": plain[-1], "in the end, clipped": many(is_clipped=True)[-1]}


def _interval(values: list[float], form: str) -> str:
    mean, half = mean_and_interval(values)
    return f"{mean:{form}}" if half is None else f"{mean:{form}} +- {half:{form}}"
