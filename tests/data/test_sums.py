import re

from hicra_trl.data.prompts import DataArguments, load_prompts
from hicra_trl.data.sums import DEMONSTRATION, NUM_HELD_OUT, NUM_TRAIN, sum_files, sums, write_sums
from hicra_trl.rewards import grade


def solve(problem):
    """The answer by the words alone: what is got is added, what is lost is taken away."""
    total = 0
    for sign, number in re.findall(r"(\+|-|has|gets|loses|^) ?(\d+)", problem):
        total += -int(number) if sign in ("-", "loses") else int(number)
    return total


def test_every_answer_is_right():
    answers = sums(500, seed=3)
    assert {problem: str(solve(problem)) for problem in answers} == answers
    assert all(0 <= int(answer) <= 18 for answer in answers.values())


def test_a_seed_gives_the_same_and_others_are_left_out():
    first = sums(50, seed=1)
    assert sums(50, seed=1) == first != sums(50, seed=2)
    assert not sums(200, seed=1, apart_from=first).keys() & first.keys()


def test_figures_and_words_of_one_step_and_of_two(tmp_path):
    kinds = [
        r"\d+ [+-] \d+",
        r"\d \+ \d - \d+",
        r"\w+ has \d+ \w+ and \w+ \d+\.",
        r"\w+ has \d \w+, gets \d and loses \d+\.",
    ]
    answers = sums(400, seed=0)
    shares = [sum(re.fullmatch(kind, problem) is not None for problem in answers) / 400 for kind in kinds]
    assert abs(sum(shares) - 1) < 1e-9 and min(shares) > 0.1


def test_files_hold_disjoint_problems_that_load(tmp_path):
    assert write_sums(tmp_path) == sum_files(tmp_path)
    args = DataArguments(dataset_name="sums")
    train, held_out = (load_prompts(str(file), "train", args) for file in sum_files(tmp_path))
    assert (len(train), len(held_out)) == (NUM_TRAIN, NUM_HELD_OUT)
    asked = [{row["prompt"][-1]["content"] for row in rows} for rows in (train, held_out)]
    assert len(asked[0]) == NUM_TRAIN and not asked[0] & asked[1]


def test_the_worked_example_is_right():
    question, answer = DEMONSTRATION
    assert grade(answer, str(solve(question)))
