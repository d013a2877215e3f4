"""The playground's world: a small Countdown, from reasoning-gym, verified by reasoning-gym.

Three different numbers, `+` and `-` only, each number used exactly once. Such a problem has four candidate values, so
a solver that checks what it proposes and does not give up finds the answer in at most four attempts.
"""

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from reasoning_gym.games.countdown import CountdownConfig, CountdownDataset

from hicra_trl.disk import write_whole
from hicra_trl.rewards import extract_boxed


MAX_NUMBER = 11
NUM_DRAWS = 4000
NUM_HELD_OUT = 80
# The verifier hands its input to sympy, which evaluates it: only short sums and differences may reach it.
SAFE_ANSWER = re.compile(r"[0-9+\- ]{1,40}")


@dataclass(frozen=True)
class Problem:
    """
    One Countdown problem.

    Args:
        numbers (`tuple[int, ...]`):
            Three different positive integers, in descending order; the first is less than the sum of the others, so
            that no candidate is negative.
        target (`int`):
            Positive integer to reach.

    Example:

    ```python
    >>> problem = Problem(numbers=(8, 5, 4), target=9)
    >>> problem.prompt
    'Using 8, 5 and 4, make 9.\\n'
    >>> problem.candidates
    ('8 + 5 + 4', '8 + 5 - 4', '8 - 5 + 4', '5 + 4 - 8')
    >>> problem.solution
    '8 + 5 - 4'
    ```
    """

    numbers: tuple[int, ...]
    target: int

    @property
    def prompt(self) -> str:
        """The question as plain text."""
        first, second, third = self.numbers
        return f"Using {first}, {second} and {third}, make {self.target}.\n"

    @property
    def candidates(self) -> tuple[str, ...]:
        """The four expressions worth trying: one per positive value, none of them negative on the way."""
        a, b, c = self.numbers
        return (f"{a} + {b} + {c}", f"{a} + {b} - {c}", f"{a} - {b} + {c}", f"{b} + {c} - {a}")

    @property
    def solution(self) -> str:
        """The candidate that reaches the target."""
        return next(candidate for candidate in self.candidates if verify(candidate, self.numbers, self.target))


@cache
def _countdown() -> CountdownDataset:
    return CountdownDataset(
        CountdownConfig(
            min_numbers=3,
            max_numbers=3,
            min_value=1,
            max_value=MAX_NUMBER,
            min_target=1,
            max_target=3 * MAX_NUMBER,
            operators=("+", "-"),
            seed=0,
            size=NUM_DRAWS,
        )
    )


@cache
def _all_problems() -> tuple[Problem, ...]:
    drawn = [entry["metadata"] for entry in _countdown()]
    keys = {(tuple(sorted(entry["numbers"], reverse=True)), entry["target"]) for entry in drawn}
    return tuple(Problem((a, b, c), target) for (a, b, c), target in sorted(keys) if a > b > c and a < b + c)


def draw_exercise(problem: Problem, rng: random.Random) -> tuple[Problem, str]:
    """The same numbers with any target up to the largest sum, reachable or not, and nothing to begin with."""
    return replace(problem, target=rng.randint(1, 3 * MAX_NUMBER - 3)), ""


@lru_cache(maxsize=65536)
def verify(answer: str, numbers: tuple[int, ...], target: int) -> bool:
    """Whether reasoning-gym's own verifier gives `answer` its full score."""
    if SAFE_ANSWER.fullmatch(answer) is None:
        return False
    entry = {"metadata": {"numbers": list(numbers), "target": target}}
    return _countdown().score_answer(answer, entry) == 1.0


@cache
def split_problems(seed: int) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """
    Splits the problems, which reasoning-gym draws.

    Args:
        seed (`int`):
            Seed of the split; the problems are always the same.

    Returns:
        `tuple[tuple[Problem, ...], tuple[Problem, ...]]`:
            Training problems (for pretraining and for RL) and held-out problems. No problem is in both.
    """
    problems = list(_all_problems())
    random.Random(seed).shuffle(problems)
    return tuple(problems[NUM_HELD_OUT:]), tuple(problems[:NUM_HELD_OUT])


def countdown_reward(
    completions: list[str], numbers: list[list[int]], target: list[int], **kwargs: Any
) -> list[float]:
    """
    Reward function for TRL: 1.0 where the last balanced `\\boxed{}` solves the problem, else 0.0.

    Args:
        completions (`list[str]`):
            Plain-text completions.
        numbers (`list[list[int]]`):
            Numbers of each completion's problem.
        target (`list[int]`):
            Target of each completion's problem.
        **kwargs (`Any`):
            Other columns that TRL passes, unused.
    """
    answers = map(extract_boxed, completions)
    problems = zip(answers, map(tuple, numbers), target)
    return [float(answer is not None and verify(answer, given, goal)) for answer, given, goal in problems]


def problem_rows(problems: tuple[Problem, ...]) -> list[dict[str, Any]]:
    """Rows with the columns `prompt`, `numbers`, `target` and `solution`, for a dataset that TRL trains on."""
    return [
        {"prompt": p.prompt, "numbers": list(p.numbers), "target": p.target, "solution": p.solution} for p in problems
    ]


def problem_files(folder: Path) -> tuple[Path, Path]:
    """The files of a folder that [`write_problems`] writes."""
    return folder / "train.jsonl", folder / "held_out.jsonl"


def write_problems(folder: Path, seed: int, split: Callable[[int], Any] = split_problems) -> tuple[Path, Path]:
    """Writes `train.jsonl` and `held_out.jsonl` of a split into `folder` and returns their paths."""
    paths = problem_files(folder)
    for path, problems in zip(paths, split(seed)):
        write_whole(path, "".join(json.dumps(row) + "\n" for row in problem_rows(problems)))
    return paths
