"""Reward functions by name, as a recipe gives them, and the gold answers that they grade against."""

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from accelerate import PartialState
from datasets import Dataset

from ..rewards import BoxedAccuracyReward, Grader, OverlongPenalty
from ..terminal import say


REWARDS = ("boxed_accuracy", "overlong_penalty")
_SHOWN = 3


@dataclass
class RewardArguments:
    r"""
    Which rewards a run sums, and how strictly they grade.

    Args:
        reward_funcs (`list[str]`, *optional*, defaults to `["boxed_accuracy"]`):
            Rewards, summed: `boxed_accuracy`, `overlong_penalty`, or the dotted path of any function that TRL takes,
            or of a class of such functions that needs no arguments. The first one judges `hicra/pass_at_k`.
        answer_after_think (`bool`, *optional*, defaults to `False`):
            `boxed_accuracy` takes only a box behind the last `</think>`.
        grader_timeout (`float`, *optional*, defaults to `3.0`):
            Seconds in which two expressions must be compared; after them the answer is wrong.
        grader_workers (`int`, *optional*):
            Processes of each rank that compare expressions. Defaults to one per CPU core, at most 4.
        unreadable_golds (`Literal["error", "drop"]`, *optional*, defaults to `"error"`):
            What happens where a gold answer has no meaning to the grader: `"error"`, or `"drop"` for training without
            these problems.
        overlong_buffer (`int`, *optional*, defaults to `4096`):
            `overlong_penalty` falls over so many tokens before `max_completion_length`.
        overlong_penalty (`float`, *optional*, defaults to `1.0`):
            Its size at `max_completion_length`.
    """

    reward_funcs: list[str] = field(default_factory=lambda: ["boxed_accuracy"])
    answer_after_think: bool = False
    grader_timeout: float = 3.0
    grader_workers: int | None = None
    unreadable_golds: Literal["error", "drop"] = "error"
    overlong_buffer: int = 4096
    overlong_penalty: float = 1.0


def load_rewards(args: RewardArguments, max_completion_length: int) -> list[Callable]:
    """The reward functions that a recipe names, in its order."""
    return [_load_reward(name, args, max_completion_length) for name in args.reward_funcs]


def _load_reward(name: str, args: RewardArguments, max_completion_length: int) -> Callable:
    if name == "boxed_accuracy":
        return BoxedAccuracyReward(
            Grader(args.grader_workers, args.grader_timeout, after_think=args.answer_after_think)
        )
    if name == "overlong_penalty":
        return OverlongPenalty(max_completion_length, args.overlong_buffer, args.overlong_penalty)
    module, _, function = name.rpartition(".")
    if not module:
        raise ValueError(f"no reward {name!r}: expected {', '.join(REWARDS)}, or a dotted path")
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot load the reward {name!r}: {error}") from error
    finally:
        sys.path.pop(0)
    return found() if isinstance(found, type) else found


def check_golds(prompts: Dataset, args: RewardArguments) -> None:
    """Raises `ValueError` if the grader cannot read a gold answer, and `boxed_accuracy` is to grade against it."""
    if "boxed_accuracy" not in args.reward_funcs or args.unreadable_golds == "drop":
        return
    golds = prompts["solution"]
    with Grader(args.grader_workers, args.grader_timeout) as grader:
        wrong = grader.unreadable(golds)
    if wrong:
        shown = "; ".join(f"row {at}, {golds[at]!r}: {reason}" for at, reason in list(wrong.items())[:_SHOWN])
        raise ValueError(
            f"{len(wrong)} of {len(golds)} gold answers cannot be graded against ({shown}): correct them, or train "
            "without them by unreadable_golds: drop"
        )


def drop_unreadable(prompts: Dataset, args: RewardArguments) -> Dataset:
    """The problems whose gold answers the grader can read, if `unreadable_golds` is `"drop"`; else all of them."""
    if "boxed_accuracy" not in args.reward_funcs or args.unreadable_golds == "error":
        return prompts
    grader = Grader(args.grader_workers, args.grader_timeout)
    # One process of each node reads the gold answers, and the others find the result in the cache.
    with PartialState().local_main_process_first(), grader:
        readable = prompts.filter(_Readable(grader), batched=True, desc="Reading gold answers")
    if len(readable) < len(prompts):
        say(f"{len(prompts) - len(readable)} of {len(prompts)} problems dropped: unreadable gold answers")
    if not len(readable):
        raise ValueError(f"none of {len(prompts)} gold answers can be graded against")
    return readable


class _Readable:
    def __init__(self, grader: Grader) -> None:
        self.grader = grader

    def __call__(self, rows: dict[str, list[Any]]) -> list[bool]:
        wrong = self.grader.unreadable(rows["solution"])
        return [at not in wrong for at in range(len(rows["solution"]))]
