"""Reward functions by name, as a recipe gives them, and the gold answers that they grade against."""

import asyncio
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from accelerate import PartialState
from datasets import Dataset
from transformers import TrainerState

from ..fields import Checked, Count, Positive
from ..rewards import BoxedAccuracyReward, Grader, OverlongPenalty
from ..terminal import one_line, say
from .functions import blamed, load_function


REWARDS = ("boxed_accuracy", "overlong_penalty")
_SHOWN = 3
_TAKEN = ("prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric")


@dataclass
class RewardArguments(Checked):
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
    grader_timeout: Positive = 3.0
    grader_workers: Count | None = None
    unreadable_golds: Literal["error", "drop"] = "error"
    overlong_buffer: Count = 4096
    overlong_penalty: Positive = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.reward_funcs:
            raise ValueError("reward_funcs must name at least one reward, got none")


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
    if "." not in name:
        raise ValueError(f"no reward {name!r}: expected {', '.join(REWARDS)}, or a dotted path")
    found = load_function(name, "reward")
    with blamed(f"cannot load the reward {name!r}"):
        reward = found() if isinstance(found, type) else found
    if not callable(reward):
        raise ValueError(f"the reward {name!r} must be a function, got {type(reward).__name__}")
    return reward


def try_rewards(args: RewardArguments, rewards: list[Callable], prompts: Dataset) -> None:
    """Calls the rewards of others on one made-up batch, as TRL does; raises `ValueError` for what a run would meet."""
    rows = [prompts[0], prompts[0]]
    text = r"I cannot say. \boxed{0}"
    is_text = isinstance(rows[0]["prompt"], str)
    batch = {name: [row[name] for row in rows] for name in rows[0] if name not in ("prompt", *_TAKEN)}
    batch |= {
        "prompts": [row["prompt"] for row in rows],
        "completions": [text if is_text else [{"role": "assistant", "content": text}] for _ in rows],
        "completion_ids": [[0, 1, 2] for _ in rows],
        "trainer_state": TrainerState(),
        "log_extra": lambda column, values: None,
        "log_metric": lambda name, value: None,
    }
    for name, reward in zip(args.reward_funcs, rewards, strict=True):
        if name in REWARDS:
            continue
        with blamed(f"the reward {name!r} fails when it is called with {', '.join(batch)}"):
            given = reward(**batch)
            given = list(asyncio.run(given) if inspect.iscoroutine(given) else given)
            is_right = len(given) == len(rows) and not any(one is not None and math.isinf(float(one)) for one in given)
        if not is_right:
            raise ValueError(
                f"the reward {name!r} must return a finite number or None for each of {len(rows)} completions, "
                f"got {one_line(given)}"
            )


def check_columns(prompts: Dataset, role: str) -> None:
    """Raises `ValueError` if a dataset has a column that TRL passes to rewards itself."""
    if taken := sorted({*_TAKEN} & {*prompts.column_names}):
        raise ValueError(
            f"the {role} dataset has columns that TRL passes to rewards itself: {', '.join(taken)}; rename them"
        )


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
