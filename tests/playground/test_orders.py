import itertools
import random
import time
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hicra_trl.analysis.judge.question import Solution
from hicra_trl.grams import StrategicGrams
from hicra_trl.playground.exact import exact_answer
from hicra_trl.playground.inspect import only_ways
from hicra_trl.playground.orders import (
    BACKTRACK,
    CONCLUDE,
    GIVE_UP,
    NUM_HELD_OUT,
    OUTCOMES,
    PAIRS,
    PHRASES,
    TALK,
    VERBS,
    OrderPolicy,
    OrderProblem,
    compose_trace,
    order_reward,
    read_trace,
    split_problems,
    verify,
)
from hicra_trl.playground.worlds import ORDERS


PROBLEM = OrderProblem((9, 7, 4, 3), 56)
SOLVED = "So \\boxed{9 * 7 - 4 - 3}"
FIRST = "Start by 9 * 7 = 63. Then 63 + 4 = 67. And 67 + 3 = 70, 56 missed."
SECOND = "Also 63 - 4 = 59. Just 59 - 3 = 56, 56 reached."
SMALLEST = (
    "For simplicity 4 * 3 = 12. Here 12 + 9 = 21. Well 21 + 7 = 28, 56 missed. "
    "Again 12 - 9 = 3. Indeed 3 - 7 = -4, 56 missed."
)
SURRENDER = "What am i missing? \\boxed{none}"
POLICIES = [OrderPolicy(), OrderPolicy(slip=0), OrderPolicy(habit=1 / 6, cue=0, give_up=0), OrderPolicy(slip=0.5)]


def composed(count, policy, seed=0):
    rng = random.Random(seed)
    problems, _ = split_problems(0)
    for _ in range(count):
        problem = rng.choice(problems)
        yield problem, *compose_trace(problem, rng, policy)


def test_no_problem_is_in_both_parts_and_no_two_are_the_same():
    training, held_out = split_problems(0)
    assert len({*training, *held_out}) == len(training) + len(held_out)
    assert len(held_out) == NUM_HELD_OUT and len(training) > 400
    assert split_problems(1) != split_problems(0)


def test_every_move_is_the_only_way_for_at_least_5_percent_of_the_problems():
    problems = list(itertools.chain(*split_problems(0)))
    shares = only_ways(ORDERS, problems)
    assert set(shares) == set(PAIRS) and len(PAIRS) >= 6
    assert min(shares.values()) >= 0.05
    assert sum(shares.values()) > 0.8


def test_a_move_solves_what_its_procedure_reaches():
    """An independent way: every expression of one product and one sign twice, evaluated by Python."""
    for problem in itertools.chain(*split_problems(0)):
        solving = set()
        for a, b, x, y in itertools.permutations(problem.numbers):
            for sign in "+-":
                if eval(f"{a} * {b} {sign} {x} {sign} {y}") == problem.target:
                    solving.add(tuple(sorted((problem.numbers.index(a), problem.numbers.index(b)))))
        assert solving == {PAIRS[move] for move in problem.moves}
        assert eval(problem.solution) == problem.target
        assert verify(problem.solution, problem.numbers, problem.target)


def test_the_verb_hints_at_the_move_and_is_no_part_of_the_problem():
    problems = [*itertools.chain(*split_problems(0))]
    cued = [problem.verb == VERBS[problem.moves[0]] for problem in problems]
    assert 0.8 < sum(cued) / len(cued) < 0.9
    # Where it is wrong it hints at nothing.
    wrong = Counter(problem.verb for problem, right in zip(problems, cued) if not right)
    assert set(wrong) == set(VERBS.values()) and max(wrong.values()) < 0.4 * wrong.total()
    assert problems[0] == replace(problems[0], verb="none") and problems[0].verb in problems[0].prompt


def test_every_phrase_is_in_the_papers_list_and_means_one_thing():
    phrases = [*itertools.chain(*PHRASES.values()), *BACKTRACK, *CONCLUDE, *GIVE_UP]
    assert set(phrases) <= set(StrategicGrams.paper())
    assert len(set(phrases)) == len(phrases)
    assert min(map(len, PHRASES.values())) >= 4
    assert not set(TALK) & set(StrategicGrams.paper())


@pytest.mark.parametrize("policy", POLICIES)
def test_every_written_trace_reads_back_as_it_was_meant(policy):
    for problem, text, meant in composed(500, policy):
        trace = read_trace(text, problem)
        assert [(attempt.move, attempt.steps) for attempt in trace.attempts] == meant, text
        assert trace.outcome not in ("unparsed", "cut"), text
        for attempt in trace.attempts:
            assert text[slice(*attempt.place)].lower() in PHRASES[attempt.move]
            assert len(attempt.places) == len(attempt.steps)
            assert all(text[slice(*place)].lstrip("-").isalnum() for place in attempt.places)
        assert trace.end is not None and text[slice(*trace.end)].lower().rstrip(".") in (*CONCLUDE, *GIVE_UP)


@pytest.mark.parametrize("policy", POLICIES)
def test_any_beginning_of_a_written_trace_is_cut_and_not_unparsed(policy):
    for problem, text, _ in composed(20, policy):
        for length in range(len(text) - 1):
            # A sentence that a box would end is whole without it.
            assert read_trace(text[:length], problem).outcome.partition(":")[0] in ("cut", "execution"), text[:length]


@pytest.mark.parametrize("policy", POLICIES)
def test_outcome_agrees_with_the_reward(policy):
    for problem, text, _ in composed(500, policy):
        reward = order_reward([text], [list(problem.numbers)], [problem.target])[0]
        assert (read_trace(text, problem).outcome == "correct") == (reward == 1.0)


def test_without_slips_failures_are_of_strategy():
    outcomes = {read_trace(text, problem).outcome for problem, text, _ in composed(500, OrderPolicy(slip=0))}
    assert {outcome.partition(":")[0] for outcome in outcomes} == {"correct", "strategy"}


def test_the_playbook_is_skewed():
    first = Counter(meant[0][0] for _, _, meant in composed(2000, OrderPolicy()))
    assert first["largest first"] > 0.6 * 2000
    assert min(first.values()) > 0.03 * 2000 and len(first) == len(PAIRS)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (f"{FIRST} {SECOND} {SOLVED}", "correct"),
        (f"{SMALLEST} Hold on, start by{FIRST[8:]} {SECOND} {SOLVED}", "correct"),
        (SOLVED, "correct"),
        (f"{SMALLEST} {SURRENDER}", "strategy: smallest first"),
        (f"{SMALLEST} {SMALLEST.replace('For simplicity', 'To make it easier')}", "cut"),
        (f"{SMALLEST} But wait, start by 9", "cut"),
        ("", "cut"),
        (f"{FIRST} {SECOND.replace('56 reached', '56 missed')} {SURRENDER}", "execution: largest first"),
        (f"{FIRST} {SECOND.replace('= 59', '= 58')} {SURRENDER}", "execution: largest first"),
        (f"{FIRST.replace('70, 56', '70, 65')} {SECOND.replace('= 59', '= 58')} Thus", "execution: largest first"),
        (f"{FIRST.replace('9 * 7', '9 * 4')} {SURRENDER}", "execution: largest first"),
        (f"{FIRST[:40]} So \\boxed{{9 * 7 + 4 + 3}}", "unparsed"),
        (
            f"{FIRST.replace('missed', 'reached')} So \\boxed{{9 * 7 + 4 + 3}}",
            "execution: largest first",
        ),
        (f"{FIRST} {SECOND} So \\boxed{{9 * 7 - 4 - 4}}", "execution: largest first"),
        (
            f"{SMALLEST.replace('-4, 56 missed', '-4, 56 reached')} So \\boxed{{4 * 3 - 9 - 7}}",
            "execution: smallest first",
        ),
        (f"{SMALLEST} So \\boxed{{4 * 3 - 9 - 7}}", "execution: smallest first"),
        (f"{SMALLEST} Let us see. {SURRENDER}", "unparsed"),
        (f"{FIRST} {FIRST} {SURRENDER}", "unparsed"),
        (f"{SMALLEST[26:]} {SURRENDER}", "unparsed"),
        (SURRENDER, "unparsed"),
        ("So \\boxed{9 * 7}", "unparsed"),
    ],
)
def test_each_failure_has_its_class(text, outcome):
    assert read_trace(text, PROBLEM).outcome == outcome


def test_steps_are_judged_one_by_one():
    text = (
        "Start by 9 * 7 = 64. Then 64 + 4 = 68. And 68 - 3 = 71, 56 missed. "
        "Also 64 - 4 = 60. Just 60 - 3 = 57, 57 missed."
    )
    (attempt,) = read_trace(text, PROBLEM).attempts
    assert attempt.steps == (False, True, False, True, True, True, False)
    # Each stands where it first goes wrong, or else where its result does.
    assert [text[slice(*place)] for place in attempt.places] == ["64", "68", "-", "missed", "60", "57", "57"]


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("9 * 7 - 4 - 3", True),
        (" 9*7-4-3 ", True),
        ("7 * 9 - 3 - 4", True),
        ("- 4 - 3 + 9 * 7", False),
        ("9 * 7 - 4 - 3 = 56", False),
        ("9 * 7 - 7", False),
        ("(9 * 7) - 4 - 3", False),
        ("9 * 7 - 7 + 0", False),
        ("56", False),
        ("none", False),
        ("", False),
        ("9**7-4-3", False),
        ("٩ * 7 - 4 - 3", False),
        ("1" * 5000, False),
    ],
)
def test_the_verifier_accepts_what_uses_each_number_once_and_reaches_the_target(answer, right):
    assert verify(answer, PROBLEM.numbers, PROBLEM.target) == right


SNIPPETS = [FIRST, SECOND, SMALLEST, SOLVED, SURRENDER, "\\boxed{", "}", " ", "\n", "9 * 7", "٣"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=20)), max_size=12).map("".join))
def test_whatever_is_written_gets_exactly_one_class(text):
    trace = read_trace(text, PROBLEM)
    assert trace.outcome in OUTCOMES
    assert (trace.outcome == "correct") == (order_reward([text], [[9, 7, 4, 3]], [56])[0] == 1.0)


@pytest.mark.parametrize("unit", [f"{SMALLEST} ", "\\boxed{", "start by 9 * ", "9 ", " ", "a", "then 63 + 4 = 67. "])
def test_reading_takes_linear_time(unit):
    start = time.process_time()
    read_trace(unit * 2000 + "x", PROBLEM)
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize(
    ("text", "label", "quote"),
    [
        (f"{FIRST} {SECOND} {SOLVED}", "acceptable", "9 * 7 - 4 - 3"),
        (f"{SMALLEST} {SURRENDER}", "strategy", "For simplicity"),
        (f"{FIRST} {SECOND.replace('= 59', '= 58')} {SURRENDER}", "execution", "Start by"),
        (f"{SMALLEST} But wait, start by 9", "strategy", "But wait, start by 9"),
        (f"{SMALLEST} Let us see.", "execution", "Let us see."),
    ],
)
def test_the_exact_judge_knows_this_world(text, label, quote):
    answer = exact_answer(Solution("1", PROBLEM.prompt, text))
    assert answer.label == label and answer.quote.endswith(quote)
