import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hicra_trl.grams import StrategicGrams
from hicra_trl.playground import OUTCOMES, PHRASES, Policy, Problem, countdown_reward, read_trace, write_trace
from hicra_trl.playground.world import split_problems


PROBLEM = Problem((8, 5, 3), 10)
SOLVED = "So \\boxed{8 + 5 - 3}"
TRY_SUM = "What if we try 8 + 5 + 3."
REFUTE_SUM = "Let me verify: 13 + 3 = 16, 10 missed."
TRY_RIGHT = "Hold on, perhaps 8 + 5 - 3."
CONFIRM_RIGHT = "To verify: 13 - 3 = 10, 10 reached."


def written(count, policy, seed=0):
    rng = random.Random(seed)
    problems, _ = split_problems(0)
    for _ in range(count):
        problem = rng.choice(problems)
        yield problem, write_trace(problem, rng, policy)


def test_every_planted_phrase_is_in_the_papers_list():
    paper = set(StrategicGrams.paper())
    for move, phrases in PHRASES.items():
        assert len(set(phrases)) >= 4, move
        assert set(phrases) <= paper, move


@pytest.mark.parametrize("policy", [Policy(), Policy(0, 0, 0), Policy(0, 0, 1), Policy(0.5, 0.5, 0.5, 2)])
def test_every_written_trace_is_well_formed_and_right_in_every_step(policy):
    for problem, text in written(400, policy):
        trace = read_trace(text, problem)
        assert not trace.malformed, text
        assert trace.attempts and all(attempt.legal and all(attempt.steps) for attempt in trace.attempts), text
        assert trace.outcome != "execution: wrong step", text


def test_outcome_agrees_with_the_reward():
    for problem, text in written(1000, Policy()):
        reward = countdown_reward([text], [list(problem.numbers)], [problem.target])[0]
        assert (read_trace(text, problem).outcome == "correct") == (reward == 1.0)


def test_a_good_strategy_always_solves():
    assert {read_trace(text, problem).outcome for problem, text in written(300, Policy(0, 0, 0))} == {"correct"}


def test_one_bad_habit_gives_one_kind_of_failure():
    def failures(policy):
        return {read_trace(text, problem).outcome for problem, text in written(300, policy)} - {"correct"}

    assert failures(Policy(skip=1, give_up=0, repeat=0)) == {"strategy: skipped the check"}
    assert failures(Policy(skip=0, give_up=1, repeat=0)) == {"strategy: gave up"}


def test_the_base_fails_by_strategy_and_solves_15_to_45_percent():
    outcomes = Counter(read_trace(text, problem).outcome for problem, text in written(3000, Policy()))
    assert 0.15 < outcomes["correct"] / 3000 < 0.45
    assert outcomes["strategy: skipped the check"] > 300 and outcomes["strategy: gave up"] > 300
    assert outcomes["strategy: repeated a refuted candidate"] > 30


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (f"{TRY_SUM} {REFUTE_SUM} {TRY_RIGHT} {CONFIRM_RIGHT} {SOLVED}", "correct"),
        (f"{TRY_RIGHT} {SOLVED}", "correct"),
        (f"{TRY_SUM} Let me verify: 13 + 3 = 17, 10 missed. {TRY_RIGHT} {SOLVED}", "correct"),
        (
            f"{TRY_SUM} Let me verify: 13 + 3 = 17, 10 missed. What am i missing? \\boxed{{none}}",
            "execution: wrong step",
        ),
        (
            f"{TRY_SUM} Let me verify: 12 + 3 = 15, 10 missed. What am i missing? \\boxed{{none}}",
            "execution: wrong step",
        ),
        (
            f"{TRY_SUM} Let me verify: 13 + 3 = 16, 11 missed. What am i missing? \\boxed{{none}}",
            "execution: wrong step",
        ),
        (f"{TRY_SUM} Let me verify: 13 + 3 = 16, 10 reached. So \\boxed{{8 + 5 + 3}}", "execution: wrong step"),
        (
            f"{TRY_RIGHT} To verify: 13 - 3 = 10, 10 missed. What am i missing? \\boxed{{none}}",
            "execution: wrong step",
        ),
        ("Maybe 8 + 5 + 2. So \\boxed{8 + 5 + 2}", "execution: wrong step"),
        ("Maybe 8 + 5 + 3. So \\boxed{8 + 5}", "execution: wrong step"),
        ("Maybe 8 + 5 + 3. So \\boxed{16}", "execution: wrong step"),
        ("Maybe maybe 8 + 5 + 3. So \\boxed{8 + 5 + 3}", "execution: wrong step"),
        (f"{REFUTE_SUM} What am i missing? \\boxed{{none}}", "execution: wrong step"),
        (f"{TRY_SUM} {REFUTE_SUM} This approach isn't working. \\boxed{{none}}", "strategy: gave up"),
        ("What am i missing? \\boxed{none}", "strategy: gave up"),
        (f"{TRY_SUM} So \\boxed{{8 + 5 + 3}}", "strategy: skipped the check"),
        (f"{TRY_SUM} {REFUTE_SUM} Maybe 8 - 5 + 3. So \\boxed{{8 - 5 + 3}}", "strategy: skipped the check"),
        (f"{TRY_SUM} {REFUTE_SUM} So \\boxed{{8 + 5 + 3}}", "strategy: repeated a refuted candidate"),
        (f"{TRY_SUM} {REFUTE_SUM} Maybe 3 + 5 + 8. So \\boxed{{3 + 5 + 8}}", "strategy: repeated a refuted candidate"),
        (f"{TRY_SUM} {REFUTE_SUM} {TRY_SUM} {REFUTE_SUM} Let me", "strategy: repeated a refuted candidate"),
        (f"{TRY_SUM} {REFUTE_SUM} {TRY_RIGHT} To verify: 13", "strategy: ran out of length"),
        (f"{TRY_SUM} {REFUTE_SUM} {TRY_RIGHT} {CONFIRM_RIGHT} So \\boxed{{8 +", "strategy: ran out of length"),
        ("", "strategy: ran out of length"),
    ],
)
def test_each_failure_has_its_class(text, outcome):
    assert read_trace(text, PROBLEM).outcome == outcome


def test_steps_are_judged_one_by_one():
    check_difference = "Maybe 8 - 5 + 3. Let me verify: 4 + 3 = 7, 10 missed."
    check_sum = "But wait, maybe 8 + 5 + 3. To verify: 13 + 3 = 15, 10 missed."
    first, second = read_trace(f"{check_difference} {check_sum}", PROBLEM).attempts
    assert first.steps == (False, True, True)
    assert second.steps == (True, False, True)


def test_case_and_repetition_are_read():
    trace = read_trace(f"{TRY_SUM} {REFUTE_SUM} {TRY_SUM}".lower(), PROBLEM)
    assert [attempt.repeated for attempt in trace.attempts] == [False, True]
    assert [attempt.checked for attempt in trace.attempts] == [True, False]


SNIPPETS = [
    TRY_SUM,
    REFUTE_SUM,
    TRY_RIGHT,
    CONFIRM_RIGHT,
    SOLVED,
    "\\boxed{none}",
    "\\boxed{",
    "}",
    " ",
    "\n",
    "8 + 5",
    "٣",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=20)), max_size=12).map("".join))
def test_whatever_is_written_gets_exactly_one_class(text):
    trace = read_trace(text, PROBLEM)
    assert trace.outcome in OUTCOMES
    assert (trace.outcome == "correct") == (countdown_reward([text], [[8, 5, 3]], [10])[0] == 1.0)


@pytest.mark.parametrize("unit", [f"{TRY_SUM} {REFUTE_SUM} ", "\\boxed{", "maybe 8 + 5 + ", "8 ", " ", "a"])
def test_reading_takes_linear_time(unit):
    def seconds(repeats):
        start = time.perf_counter()
        read_trace(unit * repeats + "x", PROBLEM)
        return time.perf_counter() - start

    seconds(10)
    assert seconds(4000) < 2.0
