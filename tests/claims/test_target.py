"""Whether updates move a policy towards pi exp(A), where the answer is known."""

import math
from dataclasses import replace

import pytest
import torch

from hicra_trl.claims.sampled_target import target_figures
from hicra_trl.claims.target import (
    CREDITS,
    Step,
    TargetFigures,
    compare,
    covered,
    table_gradient,
    table_steps,
    target,
)
from hicra_trl.playground import PretrainConfig, pretrain


UNIFORM = torch.full((1, 2), 0.5, dtype=torch.float64).log()
ONE = torch.ones(1, dtype=torch.float64)


def test_from_a_uniform_policy_one_step_lands_on_the_target():
    """The gradient is A / 2 for two equal actions, so that a step of 2 adds A to the logits."""
    advantages = torch.tensor([[0.6, -0.6]], dtype=torch.float64)
    gradient = table_gradient(UNIFORM, advantages)
    assert gradient.tolist() == [[0.3, -0.3]]
    goal = target(UNIFORM, advantages)
    assert goal[0, 0].exp() == pytest.approx(math.exp(0.6) / (math.exp(0.6) + math.exp(-0.6)))
    assert covered(UNIFORM, (UNIFORM + 2 * gradient).log_softmax(-1), goal, ONE) == pytest.approx(1)
    # A step four times as long passes by, to where it is farther from the target than before.
    assert covered(UNIFORM, (UNIFORM + 8 * gradient).log_softmax(-1), goal, ONE) < 0


def test_a_small_step_covers_the_squared_norm_of_the_gradient():
    """d KL(policy || target) = -|gradient|^2 rate; KL before is log(sum pi e^A) - sum pi A."""
    policy = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64).log()
    advantages = torch.tensor([[0.4, -0.2, -0.7]], dtype=torch.float64)
    mean = 0.5 * 0.4 - 0.3 * 0.2 - 0.2 * 0.7
    before = math.log(0.5 * math.exp(0.4) + 0.3 * math.exp(-0.2) + 0.2 * math.exp(-0.7)) - mean
    squares = (0.5 * (0.4 - mean)) ** 2 + (0.3 * (-0.2 - mean)) ** 2 + (0.2 * (-0.7 - mean)) ** 2
    new = (policy + 1e-4 * table_gradient(policy, advantages)).log_softmax(-1)
    share = covered(policy, new, target(policy, advantages), ONE)
    assert share == pytest.approx(1e-4 * squares / before, rel=1e-3)


def test_where_a_step_leads_by_hand():
    """GRPO's target raises the first action. HICRA's raises the second one; its step goes there, half of the way."""
    goals = {"grpo": target(UNIFORM, torch.tensor([[1.0, 0.0]])), "hicra": target(UNIFORM, torch.tensor([[0.0, 1.0]]))}
    new = {c: target(UNIFORM, of) for c, of in zip(CREDITS, torch.tensor([[[-0.01, 0]], [[0, 0.5]]]))}
    step = compare(UNIFORM, new, goals, ONE)
    assert step.alignment == {"grpo": pytest.approx(-1), "hicra": pytest.approx(1)}
    # Half a unit is left of one. KL is near the square: 3/4 of it are gone, exactly 1 - 0.02796 / 0.12011.
    assert step.covered["grpo"] < 0 and step.covered["hicra"] == pytest.approx(0.767, abs=1e-3)
    assert step.turned == pytest.approx(1)
    assert compare(UNIFORM, {**new, "hicra": new["grpo"]}, goals, ONE).turned == 0


def test_weights_are_of_states():
    policy = UNIFORM.repeat(2, 1)
    goal = target(policy, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    new = torch.stack([goal[0], UNIFORM[0]])
    assert covered(policy, new, goal, torch.tensor([3.0, 1.0])) == pytest.approx(0.75)


@pytest.mark.parametrize("seed", range(3))
def test_steps_in_tables_lead_to_their_targets(seed):
    step, far = table_steps(seed, alpha=0.2)
    assert all(0 < share < 0.01 for share in step.covered.values())
    assert all(0.8 < cosine < 1 for cosine in (*step.alignment.values(), step.turned))
    # A step that goes on passes by: the gradient does not know where the target ends. The clip stops before it.
    assert far["in the end"] < 0 < far["in the end, clipped"] < far["at best"] < 1


def test_a_wrong_sign_in_tables_is_caught():
    step, far = table_steps(0, alpha=0.2, sign=-1)
    assert all(value < 0 for value in (*step.covered.values(), *step.alignment.values(), step.turned))
    assert far["at best"] < 0


def figures(*turned):
    """Steps that lead to their targets, and turn as given."""
    step = Step({"grpo": 0.1, "hicra": 0.2}, {"grpo": 0.9, "hicra": 0.8}, 0.0)
    steps = [
        replace(step, covered={c: of + 0.01 * seed for c, of in step.covered.items()}, turned=of)
        for seed, of in enumerate(turned)
    ]
    return TargetFigures({"playground, Adam": steps}, {"at best": [0.5]})


def test_three_verdicts():
    assert figures(0.2, 0.3, 0.25).holds is True
    assert figures(-0.2, -0.3, -0.25).holds is False
    assert figures(0.2, -0.3, 0.25).holds is None
    # Of values that do not spread nothing is said.
    assert figures(0.2, 0.2, 0.2).holds is None
    assert figures(0.2, 0.3).checks == {
        "playground, Adam, to its own target": [0.1, pytest.approx(0.11)],
        "playground, Adam, turned with the target": [0.2, 0.3],
    }


def test_one_check_below_decides_by_holms_correction():
    assert figures(-0.18, -0.24, -0.2).holds is False
    # p is 0.03: too much for the lesser of two.
    found = figures(-0.16, -0.3, -0.2)
    [steps] = found.steps.values()
    noisy = [replace(step, covered=dict.fromkeys(CREDITS, of)) for step, of in zip(steps, (-0.3, 0.1, 0.25))]
    assert replace(found, steps={"playground, Adam": noisy}).holds is None


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """It writes what can be read, and little more."""
    config = PretrainConfig(steps=300, batch_size=32)
    return pretrain(tmp_path_factory.mktemp("base"), config)


def test_steps_of_a_model_lead_to_their_targets_and_a_wrong_sign_does_not(base):
    found = target_figures(base, num_seeds=2, num_batches=2)
    assert [*found.steps] == ["tables, gradient", "playground, gradient", "playground, Adam"]
    assert all(value > 0 for of in [*found.checks.values()][:4] for value in of), found.text()
    assert all(min(step.alignment.values()) > 0 for step in found.steps["playground, Adam"]), found.text()
    wrong = target_figures(base, num_seeds=2, num_batches=1, sign=-1)
    assert all(value < 0 for of in [*wrong.checks.values()][:4] for value in of), wrong.text()
    assert all(max(step.alignment.values()) < 0 for step in wrong.steps["playground, Adam"]), wrong.text()
