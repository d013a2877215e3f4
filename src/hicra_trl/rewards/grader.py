"""Grading of batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from .boxed import extract_boxed, same_answer
from .gold import Gold


@dataclass(frozen=True)
class Verdict:
    r"""
    What grading says of one completion.

    Attributes:
        correct (`bool`):
            Whether its answer equals the gold answer.
        answer (`str` or `None`):
            Content of its last balanced `\boxed{}`.
        failure (`str` or `None`):
            Why the comparison could not be finished: `"timeout"`, `"memory"` or `"crash"`; such an answer is wrong.
    """

    correct: bool
    answer: str | None
    failure: Literal["timeout", "memory", "crash"] | None = None


class Grader:
    """Grades batches of completions."""

    def __call__(self, completions: Sequence[str], golds: Sequence[str | Gold]) -> list[Verdict]:
        """One verdict per completion, in order."""
        answers = [extract_boxed(text) for text in completions]
        texts = [gold.answer if isinstance(gold, Gold) else gold for gold in golds]
        return [Verdict(a is not None and same_answer(a, g), a) for a, g in zip(answers, texts, strict=True)]

    def close(self) -> None:
        """Ends the workers."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
