import itertools
import json
import time

import pytest

from hicra_trl.playground import Problem, countdown_reward, split_problems, verify, write_problems
from hicra_trl.playground.world import NUM_HELD_OUT, problem_rows


@pytest.fixture(scope="module")
def split():
    return split_problems(0)


def test_held_out_problems_are_not_trained_on(split):
    train, held_out = split
    keys = [{(tuple(sorted(p.numbers)), p.target) for p in part} for part in split]
    assert keys[0].isdisjoint(keys[1])
    assert [len(part) for part in keys] == [len(train), len(held_out)]
    assert len(held_out) == NUM_HELD_OUT and len(train) > 150


def test_split_depends_on_nothing_but_the_seed(split):
    split_problems.cache_clear()
    assert split_problems(0) == split
    assert split_problems(1) != split


def test_exactly_one_candidate_solves_each_problem(split):
    for problem in itertools.chain(*split):
        solving = [c for c in problem.candidates if verify(c, problem.numbers, problem.target)]
        assert solving == [problem.solution]


def test_candidates_reach_every_positive_value():
    problem = Problem((8, 5, 4), 1)
    signs = itertools.product([1, -1], repeat=3)
    reachable = {abs(sum(s * n for s, n in zip(sign, problem.numbers))) for sign in signs}
    assert {eval(candidate) for candidate in problem.candidates} == reachable


def test_prompt_tells_numbers_and_target():
    assert Problem((8, 5, 3), 10).prompt == "Using 8, 5 and 3, make 10.\n"


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        (r"Therefore \boxed{8 + 5 - 3}", 1.0),
        (r"Therefore \boxed{ 5-3+8 }", 1.0),
        (r"\boxed{8 - 5 + 3} But wait, so \boxed{8 + 5 - 3}", 1.0),
        (r"\boxed{8 + 5 - 3} But wait, so \boxed{8 - 5 + 3}", 0.0),
        (r"\boxed{8 + 5 - 3} But wait, so \boxed{8 - 5 +", 0.0),
        ("8 + 5 - 3", 0.0),
        (r"\boxed{none}", 0.0),
        (r"\boxed{}", 0.0),
        (r"\boxed{10}", 0.0),
        (r"\boxed{8 + 5 - 3 + 0}", 0.0),
        (r"\boxed{8 + 5 - 3 = 10}", 0.0),
        (r"\boxed{(8 + 5 - 3)}", 0.0),
        ("", 0.0),
    ],
)
def test_reward_is_the_verifiers_on_the_last_box(completion, reward):
    assert countdown_reward([completion], numbers=[[8, 5, 3]], target=[10], prompts=["unused"]) == [reward]


def test_reward_accepts_what_a_dataset_row_holds(split):
    rows = problem_rows(split[1])
    completions = [f"\\boxed{{{row['solution']}}}" for row in rows]
    rewards = countdown_reward(completions, [row["numbers"] for row in rows], [row["target"] for row in rows])
    assert rewards == [1.0] * len(rows)


@pytest.mark.parametrize("answer", ["9**9**9**9", "1" * 5000, "__import__('os')", "(" * 500, "-" * 5000 + "1"])
def test_hostile_answers_are_wrong_and_cost_nothing(answer):
    start = time.perf_counter()
    assert countdown_reward([f"\\boxed{{{answer}}}"], [[8, 5, 3]], [10]) == [0.0]
    assert time.perf_counter() - start < 1.0


def test_written_problems_are_the_split(tmp_path, split):
    for path, problems in zip(write_problems(tmp_path / "data", seed=0), split):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert rows == problem_rows(problems)
        assert set(rows[0]) == {"prompt", "numbers", "target", "solution"}
