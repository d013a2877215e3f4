"""The oracle that measures a world's headroom credits what decides, and nothing else."""

import random
import re
import runpy
from pathlib import Path

import pytest

from hicra_trl.playground.orders import PAIRS, PHRASES, OrderPolicy, OrderProblem, split_problems, write_trace
from hicra_trl.playground.worlds import ORDERS


HEADROOM = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "headroom.py"))
PROBLEM = OrderProblem((9, 7, 4, 3), 56)
FIRST = "Start by 9 * 7 = 63. Then 63 + 4 = 67. And 67 + 3 = 70, 56 missed."
SOLVED = f"{FIRST} Also 63 - 4 = 59. Just 59 - 3 = 56, 56 reached. So \\boxed{{9 * 7 - 4 - 3}}"
SMALLEST = (
    "For simplicity 4 * 3 = 12. Here 12 + 9 = 21. Well 21 + 7 = 28, 56 missed. "
    "Again 12 - 9 = 3. Indeed 3 - 7 = -4, 56 missed."
)


def decided(text, problem=PROBLEM):
    return [(kind, text[start:end], right) for kind, start, end, right in HEADROOM["decisions"](ORDERS, text, problem)]


def test_a_choice_is_right_if_it_solves_and_so_is_going_on_after_one_that_does_not():
    text = f"{SMALLEST} But wait, {SOLVED[0].lower()}{SOLVED[1:]}"
    assert [one for one in decided(text) if one[0] != "step"] == [
        ("move", "For simplicity", False),
        ("go on", "But wait, ", True),
        ("move", "start by", True),
    ]


def test_steps_count_of_a_move_that_solves_and_the_answer_does():
    steps = [one[1:] for one in decided(SOLVED)]
    assert steps[0] == ("Start by", True)
    assert [text for text, _ in steps[1:]] == ["63", "67", "70", "missed", "59", "56", "reached", "9 * 7 - 4 - 3"]
    assert all(right for _, right in steps)
    assert decided(f"{SMALLEST} What am i missing? \\boxed{{none}}") == [
        ("move", "For simplicity", False),
        ("go on", "What am i missing?", False),
    ]


def test_a_wrong_result_is_the_one_wrong_step():
    wrong = decided(SOLVED.replace("= 67", "= 68").replace("And 67 + 3 = 70", "And 68 + 3 = 71"))
    assert [text for _, text, right in wrong if not right] == ["68"]


@pytest.mark.parametrize(
    "text, first",
    [
        (f"{FIRST} Also 63 / 4", "/"),
        ("Start by 9 * 7 = 63. Xylophones", "X"),
        (f"{SOLVED} So", "S"),
        (f"{FIRST} Also 63 - 4 = 5", ""),
    ],
)
def test_the_first_character_that_no_trace_could_have_is_wrong(text, first):
    wrong = [span for _, *span, right in HEADROOM["decisions"](ORDERS, text, PROBLEM) if not right]
    assert "".join(text[start:end] for start, end in wrong) == first


def test_what_the_world_writes_derails_nowhere():
    rng = random.Random(0)
    for problem in split_problems(0)[0][:100]:
        text = write_trace(problem, rng, OrderPolicy(slip=0))
        for cut in (len(text), rng.randrange(len(text))):
            # Where a text was cut off, what is wrong would come after it, and no token is credited.
            assert all(right for kind, inside, right in decided(text[:cut], problem) if kind == "step" and inside)


def chosen(problem, solves):
    """The tokens of a completion that ends after its first product."""
    move = next(move for move in PAIRS if (move in problem.moves) == solves)
    a, b, *_ = problem.operands(move)
    return re.findall(r"\S+\s*", f"{PHRASES[move][0]} {a} * {b} = {a * b}.")


def test_the_mean_lies_half_way_between_that_of_the_problem_and_that_of_the_generation():
    one, other = split_problems(0)[0][:2]
    rows = [{"prompt": problem.prompt} for problem in (one, one, other)]
    pieces = [chosen(one, True), chosen(one, False), chosen(other, True)]
    lengths = [next(i for i, token in enumerate(tokens) if token[0].isdigit()) for tokens in pieces]
    of_one = lengths[0] / sum(lengths[:2])
    of_all = (lengths[0] + lengths[2]) / sum(lengths)
    expected = [1 - (of_one + of_all) / 2, -(of_one + of_all) / 2, 1 - (1 + of_all) / 2]
    found = HEADROOM["oracle_advantages"](ORDERS, rows, pieces, ("move",))
    assert found.shape == (3, max(map(len, pieces)))
    for row, length, value in zip(found, lengths, expected):
        assert row[:length].tolist() == pytest.approx([value] * length)
        assert not row[length:].any()


def test_steps_are_counted_on_the_smoothed_curve_between_evaluations():
    curve = [(0, 0.0), (10, 0.3), (20, 0.6), (30, 0.9)]
    assert HEADROOM["steps_to"](curve, 0.45) == pytest.approx(15)
    assert HEADROOM["steps_to"](curve, 0.8) is None
