"""Each rule has a run that deserves its alarm and one that comes close to it and does not."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import theilslopes

from hicra_trl.dynamics.health import RULES, Health, Trend


REAL = sorted((Path(__file__).parents[1] / "data_of_ours" / "logs").glob("*.json"))


def logs(steps=100, every=1, held_out=None, held_out_every=10, **metrics):
    """Rows of a run; a metric is a value, or a function of the step, and a log has its mean since the log before."""
    rows = []
    for step in range(1, steps + 1):
        if held_out is not None and step % held_out_every == 0:
            rows.append({"held_out/pass_at_1": held_out(step), "step": step})
        if step % every == 0:
            since = range(step - every + 1, step + 1)
            means = {
                name: sum(map(value, since)) / every if callable(value) else value for name, value in metrics.items()
            }
            rows.append({**{name.replace("__", "/"): value for name, value in means.items()}, "step": step})
    return rows


def noisy(start, end, spread, steps=100, seed=0):
    """A metric that goes from one level to another over a run, with noise."""
    draw = random.Random(seed)
    values = [start + (end - start) * step / steps + draw.gauss(0, spread) for step in range(steps + 1)]
    return values.__getitem__


def names(rows):
    return [alarm.name for alarm in Health(rows).alarms]


def ratio(value):
    return logs(sampling__importance_sampling_ratio__mean=noisy(value, value, 0.02))


def planning(end, held_out):
    return logs(hicra__planning_fraction=noisy(0.10, end, 0.005), held_out=noisy(0.3, held_out, 0.01, seed=1))


def reward(end, held_out, spread=0.5):
    return logs(reward=noisy(0.3, end, 0.05), reward_std=spread, held_out=noisy(0.3, held_out, 0.01, seed=1))


def entropies(semantic, tokens):
    return logs(hicra__semantic_entropy=noisy(3, semantic, 0.05), entropy=noisy(0.4, tokens, 0.01, seed=1))


def execution(end):
    return logs(hicra__entropy__execution=lambda step: max(0.5 * 0.95**step, end))


DESERVED = {
    "silent_groups": [
        logs(frac_reward_zero_std=noisy(0.85, 0.85, 0.1)),
        logs(frac_reward_zero_std=lambda step: 0.9 if step > 80 else 0.5),
    ],
    "cut_completions": [logs(completions__clipped_ratio=noisy(0.4, 0.4, 0.1))],
    "no_reward": [logs(rewards__brevity__mean=None, rewards__other__mean=0.0)],
    "not_finite": [logs(loss=lambda step: math.nan if step == 50 else 1.0), logs(grad_norm=math.inf)],
    "grader_timeouts": [logs(rewards__grader_timeout_fraction=noisy(0.02, 0.02, 0.005))],
    "sampling_mismatch": [ratio(0.85), ratio(1.15)],
    "planning_share": [
        logs(hicra__planning_fraction=noisy(0.1, 0.6, 0.02)),
        logs(hicra__planning_fraction=lambda step: 0 if step < 50 else 0.04),
    ],
    "planning_without_gain": [planning(0.2, 0.3), planning(0.2, 0.2)],
    "execution_entropy": [execution(0.0)],
    "reward_without_gain": [reward(0.7, 0.3), reward(0.7, 0.1), reward(0.7, 0.3, spread=1.2)],
    "semantic_entropy": [entropies(2.4, 0.6)],
}
# A spike, a level below the threshold, a change in one metric alone, or one that noise could have made.
UNDESERVED = {
    "silent_groups": [
        logs(frac_reward_zero_std=noisy(0.7, 0.7, 0.1)),
        logs(19, frac_reward_zero_std=1.0),
        logs(frac_reward_zero_std=lambda step: 1.0 if step % 20 < 12 else 0.4),
    ],
    "cut_completions": [
        logs(completions__clipped_ratio=noisy(0.25, 0.25, 0.1)),
        logs(completions__clipped_ratio=lambda step: 0.9 if 40 <= step < 46 else 0.0),
    ],
    "no_reward": [
        logs(rewards__brevity__mean=lambda step: 0.0),
        [row | {"rewards/rare/mean": None if row["step"] % 10 else 0.5} for row in logs(loss=0.0)],
    ],
    "not_finite": [logs(loss=-1e30, grad_norm=1e30, hicra__perplexity__planning=math.inf)],
    "grader_timeouts": [logs(rewards__grader_timeout_fraction=lambda step: 0.1 if step % 20 == 0 else 0.0)],
    "sampling_mismatch": [ratio(0.96), ratio(1.04)],
    "planning_share": [
        logs(hicra__planning_fraction=noisy(0.1, 0.3, 0.02)),
        logs(hicra__planning_fraction=noisy(0.001, 0.02, 0.001)),
    ],
    "planning_without_gain": [planning(0.2, 0.5), planning(0.12, 0.3), planning(0.05, 0.1)],
    "execution_entropy": [execution(0.06)],
    "reward_without_gain": [
        reward(0.7, 0.5),
        reward(0.3, 0.3),
        reward(0.4, 0.3),
        reward(0.7, 0.3, spread=3.0),
        logs(reward=noisy(0.3, 0.8, 0.05), reward_std=0.5, held_out=noisy(0.99, 0.99, 0.002)),
        logs(reward=noisy(0.3, 0.8, 0.05), reward_std=0.5, held_out=noisy(0.3, 0.3, 0.1), held_out_every=20),
    ],
    "semantic_entropy": [entropies(3.6, 0.6), entropies(2.4, 0.3), entropies(2.9, 0.6), entropies(2.4, 0.41)],
}


@pytest.mark.parametrize(("name", "rows"), [(name, rows) for name, runs in DESERVED.items() for rows in runs])
def test_a_run_that_deserves_an_alarm_gets_it_once(name, rows):
    assert names(rows) == [name]


@pytest.mark.parametrize(("name", "rows"), [(name, rows) for name, runs in UNDESERVED.items() for rows in runs])
def test_a_run_that_comes_close_gets_none(name, rows):
    assert name not in names(rows)


def test_every_rule_is_tested_and_told():
    rules = {rule.name for rule in RULES}
    assert DESERVED.keys() == UNDESERVED.keys() == rules
    page = (Path(__file__).parents[2] / "docs" / "looking.md").read_text()
    assert {rule.name for rule in RULES if f"| `{rule.name}` |" not in page} == set()


@pytest.mark.parametrize("every", [2, 5, 8, 10, 50])
def test_steps_count_and_not_logs(every):
    shares = {
        "frac_reward_zero_std": lambda step: 0.9,
        "hicra__planning_fraction": lambda step: 0.1 if step <= 100 else 0.4,
        "completions__clipped_ratio": lambda step: 0.0 if step <= 100 else 0.35,
    }
    raised = {alarm.name: alarm.step for alarm in Health(logs(200, every, **shares)).alarms}
    first = -(-20 // every) * every
    assert raised["silent_groups"] == first
    assert all(100 < raised[name] <= 100 + first + every for name in ("planning_share", "cut_completions"))


def test_a_generation_counts_for_all_the_steps_that_it_is_used_for():
    rows = [{"loss": 0.0, "step": step} for step in range(1, 40)]
    for row in rows[::8]:
        row["frac_reward_zero_std"] = 0.9
    assert [alarm.step for alarm in Health(rows).alarms] == [25]


@pytest.mark.parametrize("every", [1, 5, 20])
def test_a_trend_needs_no_log_of_every_step(every):
    metrics = {"hicra__semantic_entropy": noisy(3, 2, 0.05, 400), "entropy": noisy(0.4, 0.8, 0.01, 400, 1)}
    assert names(logs(400, every, **metrics)) == ["semantic_entropy"]


def test_evaluations_of_the_training_count_as_held_out():
    rows = [
        {name.replace("held_out/", "eval_hicra/"): value for name, value in row.items()} for row in reward(0.7, 0.3)
    ]
    assert names(rows) == ["reward_without_gain"]


def test_an_alarm_says_all_that_is_needed():
    [alarm] = Health(logs(completions__clipped_ratio=0.4)).alarms
    assert (alarm.step, alarm.value, alarm.threshold) == (20, pytest.approx(0.4), 0.3)
    assert alarm.line() == (
        "step 20: 40% of the completions of the last 20 steps were cut at their limit (above 30%). They end before "
        "their answer, and are punished for their length: raise max_completion_length, or let "
        "extended_completion_length do it"
    )
    [low] = Health(ratio(0.8)).alarms
    assert low.threshold == 0.9 and "(beyond 0.9)" in low.says


@pytest.mark.parametrize("rows", [run for runs in DESERVED.values() for run in runs])
def test_a_run_read_in_parts_is_the_run_read_at_once(rows):
    at_once = Health(rows).alarms
    first = Health(rows[: len(rows) // 2])
    said = list(first.alarms)
    resumed = Health(rows[: len(rows) // 2])
    for row in rows[len(rows) // 2 :]:
        said += resumed.add(row)
    assert said == at_once == resumed.alarms


@pytest.mark.parametrize("size", range(6, 11))
def test_the_trend_is_theil_and_sens(size):
    draw = np.random.default_rng(size)
    steps, values = np.cumsum(draw.integers(1, 9, size)), draw.normal(size=size)
    trend, span = Trend.of(steps.tolist(), values.tolist()), steps[-1] - steps[0]
    for confidence, interval in ((0.99, trend.certain), (0.8, trend.likely)):
        slope, _, low, high = theilslopes(values, steps, confidence)
        assert (trend.change, *interval) == pytest.approx((slope * span, low * span, high * span))


def healthy(seed, steps=300):
    """A run that learns, wanders and is measured with noise: about as many samples as a small card takes."""
    draw = np.random.default_rng(seed)

    def wander(spread, slowness=50):
        values = [0.0]
        for _ in range(steps):
            values.append(values[-1] * (1 - 1 / slowness) + draw.normal(0, spread * math.sqrt(2 / slowness)))
        return np.array(values)

    def accuracy(ability, groups, samples):
        return (draw.binomial(samples, 1 / (1 + np.exp(-ability - difficulty[:groups]))) / samples).mean()

    def learned(step):
        return 1 - math.exp(-step / speed)

    def around(change):
        return math.exp(change + draw.normal(0, 0.05))

    speed, gain, transfer = draw.uniform(0.1, 1) * steps, draw.uniform(0, 2), draw.uniform(0.5, 1)
    difficulty = draw.normal(0, 1.5, 160)
    ability, entropy, strategies, planning = wander(0.1), wander(0.06), wander(0.03), wander(0.08)
    return logs(
        steps,
        every=int(draw.choice([1, 2, 10])),
        held_out=lambda step: accuracy(-1 + transfer * gain * learned(step) + ability[step], 100, 4),
        held_out_every=int(draw.choice([10, 20, 50])),
        reward=lambda step: accuracy(-1 + gain * learned(step) + ability[step], 32, 8),
        reward_std=0.45,
        frac_reward_zero_std=lambda step: draw.binomial(16, 0.5) / 16,
        completions__clipped_ratio=lambda step: draw.binomial(128, 0.15) / 128,
        rewards__grader_timeout_fraction=lambda step: draw.binomial(128, 0.001) / 128,
        sampling__importance_sampling_ratio__mean=lambda step: draw.normal(0.98, 0.02),
        hicra__planning_fraction=lambda step: 0.1 * around(0.4 * learned(step) + planning[step]),
        hicra__entropy__execution=lambda step: 0.4 * around(entropy[step] - learned(step)),
        entropy=lambda step: 0.4 * around(entropy[step] - learned(step) + 0.3 * step / steps),
        hicra__semantic_entropy=lambda step: 3 * (1 + strategies[step] + 0.1 * learned(step)) + draw.normal(0, 0.08),
        loss=lambda step: draw.normal(),
        grad_norm=lambda step: draw.lognormal(),
    )


def test_noise_raises_hardly_any_alarm():
    alarms = [name for seed in range(40) for name in names(healthy(seed))]
    assert len(alarms) <= 1, alarms


@pytest.mark.parametrize("file", REAL, ids=lambda file: file.stem)
def test_a_healthy_run_raises_none(file):
    assert names(json.loads(file.read_text())) == []
