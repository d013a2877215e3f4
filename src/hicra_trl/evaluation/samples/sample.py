"""One sampled completion, as an evaluation stores it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Sample:
    r"""
    A completion with its verdict: one line of `samples/<benchmark>.jsonl`.

    Attributes:
        item (`str`):
            The problem's id within its benchmark.
        index (`int`):
            Number of the sample among those of its item, from 0.
        prompt (`str`):
            What the model was given, as text; images as `<image>`.
        completion (`str`):
            What it wrote, without special tokens.
        tokens (`int`):
            Length of the completion in tokens, end-of-text included.
        finish_reason (`str`):
            `"stop"`, or `"length"` where the token limit cut it.
        answer (`str` or `None`):
            Content of the last balanced `\boxed{}`.
        correct (`bool`):
            The verdict.
        failure (`str` or `None`):
            Why grading could not be finished, as in [`~hicra_trl.rewards.Verdict`]; the verdict then is wrong.
        planning_tokens (`int` or `None`):
            Planning tokens among `tokens`, or `labelled_tokens`; `None` where the sampled ids are not known.
        grams (`dict[str, int]`):
            Occurrences of each strategic gram (leftmost-longest).
        seed (`int`):
            Seed of this sample.
        group (`str` or `None`):
            Part of the benchmark that the item belongs to, where results are also reported by part.
        labelled_tokens (`int` or `None`):
            What `planning_tokens` are among where a server does not tell its ids: the text, tokenised again here.
    """

    item: str
    index: int
    prompt: str
    completion: str
    tokens: int
    finish_reason: Literal["stop", "length"]
    answer: str | None
    correct: bool
    failure: str | None
    planning_tokens: int | None
    grams: dict[str, int]
    seed: int
    group: str | None = None
    labelled_tokens: int | None = None
