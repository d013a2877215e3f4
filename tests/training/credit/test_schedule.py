"""The schedules on made-up curves, of which each generation shows one point."""

import json
import random
from dataclasses import asdict
from itertools import pairwise
from math import exp, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hicra_trl.training.credit.schedule import WINDOW, AlphaState, Signal, first_alpha, next_alpha


TARGET = 0.3
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SIGNALS = st.builds(Signal, FLOATS, FLOATS, FLOATS, FLOATS)


def run(curve, state=None, schedule="procedural"):
    """The states after each of the signals."""
    states = [state or first_alpha(schedule, TARGET)]
    for signal in curve:
        states.append(next_alpha(states[-1], signal, schedule, TARGET))
    return states[1:]


def steady(generations, nll=0.1, correct=0.5, planning=0.05):
    return [Signal(nll, correct, planning, 0.5)] * generations


def masters(noise=0.0, seed=0, generations=150):
    """Falls from 1.2 nats to 0.1 within some 60 generations, and from 2 % right to 60 %."""
    draw = random.Random(seed)
    for step in range(generations):
        learned = 1 - exp(-((step / 25) ** 2))
        nll = (1.2 * (1 - learned) + 0.1 * learned) * exp(draw.gauss(0, noise))
        correct = (0.02 + 0.58 * learned) * (1 + draw.gauss(0, noise))
        yield Signal(nll, min(max(correct, 0.0), 1.0), 0.05 * exp(draw.gauss(0, noise)), step / generations)


def never_masters(noise, seed, generations=400):
    draw = random.Random(seed)
    for step in range(generations):
        correct = min(max(0.1 + draw.gauss(0, noise), 0.0), 1.0)
        yield Signal(0.5 * exp(draw.gauss(0, noise)), correct, 0.05, step / generations)


def opened_at(states):
    return next((generation for generation, state in enumerate(states) if state.opened), None)


def turns(states):
    """How often alpha goes from growing to shrinking, or back."""
    signs = [after.alpha > before.alpha for before, after in pairwise(states) if after.alpha != before.alpha]
    return sum(after != before for before, after in pairwise(signs))


def test_alpha_grows_once_execution_is_mastered_and_never_jumps():
    curve = list(masters())
    states = run(curve)
    opened = opened_at(states)
    falling = [after.execution_nll / before.execution_nll for before, after in zip(curve, curve[6:])]
    assert all(ratio > 0.75 for ratio in falling[opened - 8 :])
    assert min(falling) < 0.7 and curve[opened].correct > 0.5
    assert all(state.alpha == 0 for state in states[:opened])
    grown = [state.alpha for state in states[opened : opened + WINDOW]]
    assert grown == [TARGET * (step / WINDOW) for step in range(1, WINDOW + 1)]
    assert all(state.alpha == TARGET for state in states[opened + WINDOW :])


def test_a_model_that_is_reliable_from_the_start_waits_for_one_window():
    assert opened_at(run(steady(WINDOW))) == WINDOW - 1


@pytest.mark.parametrize(
    "curve",
    [
        pytest.param(steady(200, correct=0.2), id="sure and settled, but wrong"),
        pytest.param(steady(200, nll=0.8), id="right and settled, but unsure"),
        pytest.param([Signal(2**-step, 0.5, 0.05, 0) for step in range(6)] * 20, id="right and sure, but not settled"),
        pytest.param(
            [Signal(0.01 * 1.06**step, 0.5, 0.05, 0) for step in range(70)], id="right, but less and less sure"
        ),
        pytest.param(steady(WINDOW - 1), id="reliable, but shorter than a window"),
    ],
)
def test_alpha_stays_0_where_execution_is_not_reliable(curve):
    assert {state.alpha for state in run(curve)} == {0}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("noise", [0.05, 0.1, 0.2])
def test_noise_opens_the_gate_neither_early_nor_never_and_alpha_does_not_flap(noise, seed):
    assert opened_at(run(never_masters(noise, seed))) is None
    states = run(masters(noise, seed))
    assert opened_at(states) >= opened_at(run(masters())) - 8
    assert states[-1].alpha == TARGET and turns(states) == 0


def test_alpha_shrinks_while_execution_is_unlearned_and_grows_again():
    lost = [Signal(0.1 * 1.15**step, 0.6 * 0.9**step, 0.05, 0) for step in range(25)]
    states = run(steady(40, correct=0.6) + lost + steady(30, nll=2.0, correct=0.02) + steady(60, correct=0.6))
    alphas = [state.alpha for state in states]
    assert alphas[39] == TARGET and alphas[60] < TARGET and alphas[80] == 0 and alphas[-1] == TARGET
    assert turns(states) == 2
    assert all(state.opened == states[39].opened for state in states[39:])


def test_answers_go_wrong_while_the_model_stays_sure():
    assert run(steady(30) + steady(40, nll=0.01, correct=0.1))[-1].alpha == 0


def test_exploration_is_not_unlearning():
    assert run(steady(30) + steady(60, nll=0.6, correct=0.6))[-1].alpha == TARGET
    assert run(steady(30) + steady(60, nll=0.6, correct=0.4))[-1].alpha == 0


@pytest.mark.parametrize("planning", [0.0, 0.01, 0.25, 0.7])
def test_the_brake_holds_when_the_planning_share_runs_away(planning):
    runaway = [planning + (1 - planning) * min(step / 20, 1) for step in range(60)]
    states = run(steady(30, planning=planning) + [Signal(0.1, 0.5, share, 0.5) for share in runaway])
    assert states[29].alpha == TARGET and states[-1].alpha == 0
    assert run(steady(30, planning=planning) + steady(60, planning=planning * 1.1))[-1].alpha == TARGET


def test_a_first_gram_is_not_a_runaway():
    assert run(steady(30, planning=0.0) + steady(60, planning=0.001))[-1].alpha == TARGET


def test_a_resume_equals_the_uninterrupted_run():
    curve = list(masters(0.1)) + steady(20, correct=0.05)
    states = run(curve)
    for cut in (3, 45, 60, 155):
        restored = AlphaState(**json.loads(json.dumps(asdict(states[cut]))))
        assert restored == states[cut]
        assert run(curve[cut + 1 :], restored) == states[cut + 1 :]


@pytest.mark.parametrize("field", ["execution_nll", "correct", "planning_fraction"])
def test_a_generation_without_a_signal_changes_nothing(field):
    state = run(steady(15))[-1]
    unknown = Signal(**{**asdict(steady(1)[0]), field: nan})
    assert run([unknown], state) == [state]


@given(st.lists(SIGNALS), st.floats(0, 1, exclude_max=True))
def test_constant_is_alpha_bit_for_bit(curve, alpha):
    state = first_alpha("constant", alpha)
    for signal in [*curve, Signal(nan, nan, nan, nan)]:
        assert state.alpha.hex() == alpha.hex()
        state = next_alpha(state, signal, "constant", alpha)
    assert state == AlphaState(alpha)


@given(st.floats(0, 1, exclude_max=True))
def test_what_has_grown_is_alpha_bit_for_bit(alpha):
    grown = run(steady(WINDOW))[-1]
    for signal in steady(WINDOW):
        grown = next_alpha(grown, signal, "procedural", alpha)
        assert grown.alpha <= alpha
    assert grown.alpha.hex() == alpha.hex()


@pytest.mark.parametrize(("progress", "alpha"), [(0, 0.0), (0.25, 0.075), (0.5, 0.15), (1, 0.3)])
def test_linear_follows_the_progress(progress, alpha):
    assert first_alpha("linear", TARGET) == AlphaState(0.0)
    assert run([Signal(nan, 0.0, 0.0, progress)], schedule="linear")[-1].alpha == alpha


@given(st.lists(SIGNALS, max_size=3 * WINDOW), st.sampled_from(["linear", "procedural"]), st.booleans())
def test_alpha_is_in_its_range_after_any_finite_signals(curve, schedule, opened):
    states = run(curve, run(steady(15))[-1] if opened else None, schedule)
    for state in states:
        assert 0 <= state.alpha <= TARGET
        assert max(len(history) for history in (state.execution_nll, state.correct, state.planning_fraction)) <= WINDOW
        assert AlphaState(**json.loads(json.dumps(asdict(state)))) == state
