"""Runs that were never trained: their truth is known."""

from dataclasses import dataclass, field

import numpy as np

from hicra_trl.claims.plan import campaigns
from hicra_trl.claims.verdicts import Numbers


STEPS = np.arange(2, 151, 2)


@dataclass
class Truth:
    """What is true of all bases; `gain` and `more` are of HICRA, and what is said of a name alone comes first."""

    gain: float = 0.0
    gains: dict[str, float] = field(default_factory=dict)
    sway: float = 0.004
    execution_fall: float = 0.2
    rise: float = 0.5
    strategy_fall: float = 0.4
    execution_error_fall: float = 0.1
    when_execution: float = 20.0
    when_semantic: float = 80.0
    when_strategy: float = 80.0
    more: float = 0.0
    more_entropy: float = 0.0
    more_solved: float = 0.0
    longer: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    seeds: int = 5


def invent(truth, quick=False):
    """Numbers by campaign, condition and seed, as those of real runs."""
    found = {}
    for name, plan in campaigns(quick).items():
        found[name] = {
            condition: {seed: _run(truth, name, condition, seed) for seed in plan.seeds[: truth.seeds]}
            for condition in plan.conditions
        }
    return found


def _run(truth, campaign, condition, seed):
    # What a seed brings is shared by conditions, and what a run sways by is its own.
    shared = np.random.default_rng([seed, *campaign.encode()]).normal(0, 0.03)
    rng = np.random.default_rng([seed, *campaign.encode(), *condition.encode()])
    own, late, is_hicra = rng.normal(0, truth.sway), rng.normal(0, 4), condition == "hicra"
    regularized = condition.startswith("entropy-")
    gain = truth.gains.get(condition, truth.gains.get(campaign, truth.gain) if is_hicra else 0.0)
    more = (truth.more + own) * _moved(20)
    curves = {
        "accuracy": 0.2 + 0.5 * _moved(40) + (gain + shared + own) * _moved(20),
        "semantic_entropy": 2 + truth.rise * _moved(truth.when_semantic + late) + is_hicra * more,
        "entropy": 0.4 - 0.1 * _moved(30) + is_hicra * truth.more_entropy,
        "pass_at_8": 0.6 + 0.3 * _moved(30) + is_hicra * truth.more_solved,
        "execution_perplexity": 1.3 * (1 - truth.execution_fall * _moved(truth.when_execution)),
        "strategy": 0.6 - truth.strategy_fall * _moved(truth.when_strategy + late),
        "execution": 0.2 - truth.execution_error_fall * _moved(40),
        "length": 60 * np.exp(0.3 * _moved(40) + regularized * (truth.longer + own)),
        "planning_fraction": 0.2 + 0 * STEPS,
    }
    noisy = {name: values + rng.normal(0, 0.01, len(STEPS)) for name, values in curves.items()}
    points = {name: list(zip(STEPS.tolist(), values.tolist())) for name, values in noisy.items()}
    points["accuracy"] = points["accuracy"][4::5]
    figures = {name: value + rng.normal(0, truth.sway) for name, value in truth.figures.items()}
    return Numbers(points, figures if condition == "grpo" else {})


def _moved(when):
    """From 0 to 1, half of it at a step."""
    return 1 / (1 + np.exp(-(STEPS - when) / 6))
