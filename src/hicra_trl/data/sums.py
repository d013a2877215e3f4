"""Sums in figures and in words, of one step and of two: what a small instruct model can just not do."""

import json
import random
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..disk import write_whole


INSTRUCTION = "How many?"
# Without a worked example SmolLM2-135M writes next to no box, and there is nothing to learn from; without its "So",
# which is a strategic gram, it soon writes no planning token.
DEMONSTRATION = ("Mia has 15 shells and loses 8.", "15 - 8 = 7. So \\boxed{7}")
NUM_TRAIN, NUM_HELD_OUT = 1024, 128
_NAMES = ("Anna", "Ben", "Carla", "David", "Emma", "Felix")
_THINGS = ("apples", "books", "coins", "cups", "pens", "stamps")


def _one_step(draw: random.Random) -> tuple[str, int]:
    a, b = draw.randint(1, 9), draw.randint(1, 9)
    has, things = f"{draw.choice(_NAMES)} has", draw.choice(_THINGS)
    if draw.random() < 0.5:
        return draw.choice((f"{a} + {b}", f"{has} {a} {things} and gets {b}.")), a + b
    a += b
    return draw.choice((f"{a} - {b}", f"{has} {a} {things} and loses {b}.")), a - b


def _two_steps(draw: random.Random) -> tuple[str, int]:
    a, b = draw.randint(1, 9), draw.randint(1, 9)
    c = draw.randint(1, a + b)
    has, things = f"{draw.choice(_NAMES)} has", draw.choice(_THINGS)
    return draw.choice((f"{a} + {b} - {c}", f"{has} {a} {things}, gets {b} and loses {c}.")), a + b - c


def sums(number: int, seed: int, apart_from: Collection[str] = ()) -> dict[str, str]:
    """
    Distinct sums and their answers.

    Args:
        number (`int`):
            How many.
        seed (`int`):
            They follow from it.
        apart_from (`Collection[str]`, *optional*):
            Sums that are left out.

    Example:

    ```python
    >>> sums(2, seed=0)
    {'Emma has 7 cups, gets 1 and loses 5.': '3', '8 + 6 - 10': '4'}
    ```
    """
    draw, answers = random.Random(seed), {}
    while len(answers) < number:
        problem, answer = draw.choice((_one_step, _two_steps))(draw)
        if problem not in apart_from:
            answers[problem] = str(answer)
    return answers


def conversation(problem: str) -> list[dict[str, str]]:
    """The messages that ask for a sum: what the answer looks like, one worked example, the problem."""
    question, answer = DEMONSTRATION
    turns = (("system", INSTRUCTION), ("user", question), ("assistant", answer), ("user", problem))
    return [{"role": role, "content": content} for role, content in turns]


def sum_rows(answers: dict[str, str]) -> list[dict[str, Any]]:
    """Rows of `prompt` and `solution`, as training and held-out evaluation take them."""
    return [{"prompt": conversation(problem), "solution": answer} for problem, answer in answers.items()]


def sum_files(folder: str | Path = "runs/sums") -> tuple[Path, Path]:
    """The files of a folder that [`write_sums`] writes."""
    return Path(folder, "train.jsonl"), Path(folder, "held_out.jsonl")


def write_sums(folder: str | Path = "runs/sums") -> tuple[Path, Path]:
    """Writes `train.jsonl` and `held_out.jsonl`, of which no problem is in both, and returns their paths."""
    held_out = sums(NUM_HELD_OUT, seed=1)
    paths = sum_files(folder)
    for path, answers in zip(paths, (sums(NUM_TRAIN, seed=2, apart_from=held_out), held_out)):
        write_whole(path, "".join(json.dumps(row) + "\n" for row in sum_rows(answers)))
    return paths
