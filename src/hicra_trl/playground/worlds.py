"""The worlds, behind one small protocol: what pretraining, evaluation and the exact judge need of one."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from . import orders, traces, world


class Problem(Protocol):
    """What is asked. Problems are frozen dataclasses, so that one with another target can be made of one."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """In descending order."""
        ...

    @property
    def target(self) -> int:
        """What to reach."""
        ...

    @property
    def prompt(self) -> str:
        """The question as plain text."""
        ...

    @property
    def solution(self) -> str:
        """An expression that reaches the target."""
        ...


@dataclass(frozen=True)
class World:
    """
    A world.

    Args:
        name (`str`):
            What recipes and commands call it.
        split (`Callable`):
            Training and held-out problems for a seed.
        exercise (`Callable`):
            For the drill: another problem than a given one, and what its completion begins with.
        write (`Callable`):
            A completion for a problem, from a source of random numbers and a policy, or what follows its beginning.
        read (`Callable`):
            The trace in a completion of a problem: its `outcome`, and `attempts` with `steps`, right or wrong.
        outcomes (`tuple[str, ...]`):
            The classes of completions.
        solving (`Callable`):
            The choices that solve a problem.
        choice (`Callable`):
            The choice of one attempt.
        max_new_tokens (`int`):
            Length limit of a completion.
    """

    name: str
    split: Callable[[int], tuple[tuple[Any, ...], tuple[Any, ...]]]
    exercise: Callable[[Any, random.Random], tuple[Any, str]]
    write: Callable[..., str]
    read: Callable[[str, Any], Any]
    outcomes: tuple[str, ...]
    solving: Callable[[Any], tuple[str, ...]]
    choice: Callable[[Any], str]
    max_new_tokens: int


def _signs(candidate: str) -> str:
    """Signs of the numbers in descending order: `"5 + 4 - 8"` gives `"-++"`."""
    parts = ["+", *candidate.split()]
    return "".join(sign for _, sign in sorted(zip(map(int, parts[1::2]), parts[::2]), reverse=True))


PLAYGROUND = World(
    "playground",
    world.split_problems,
    world.draw_exercise,
    lambda problem, rng, policy, begin: traces.write_trace(problem, rng, policy),
    traces.read_trace,
    traces.OUTCOMES,
    solving=lambda problem: (_signs(problem.solution),),
    choice=lambda attempt: _signs(attempt.candidate),
    max_new_tokens=128,
)
ORDERS = World(
    "orders",
    orders.split_problems,
    orders.draw_exercise,
    orders.write_trace,
    orders.read_trace,
    orders.OUTCOMES,
    solving=lambda problem: problem.moves,
    choice=lambda attempt: attempt.move,
    max_new_tokens=160,
)
WORLDS = {world.name: world for world in (PLAYGROUND, ORDERS)}
