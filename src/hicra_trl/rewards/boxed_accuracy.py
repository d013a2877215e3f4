r"""The reward of strict boxed grading, as TRL calls it."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from .gold import Gold
from .grader import Grader


FAILURES = {"timeout": "timeouts", "memory": "out_of_memory", "crash": "crashes"}


class BoxedAccuracyReward:
    r"""
    1.0 where the last `\boxed{}` of a completion equals the gold answer, else 0.0.

    Args:
        grader ([`Grader`], *optional*):
            Who grades, and for how long. Defaults to `Grader()`.

    Example:

    ```python
    >>> reward = BoxedAccuracyReward()
    >>> reward(completions=[r"so \boxed{6}", "6"], solution=["6", "6"])
    [1.0, 0.0]
    ```
    """

    __name__ = "boxed_accuracy"

    def __init__(self, grader: Grader | None = None) -> None:
        self.grader = grader or Grader()

    def __call__(
        self,
        completions: Sequence[str] | Sequence[list[dict[str, Any]]],
        solution: Sequence[str],
        choices: Sequence[Sequence[str] | None] | None = None,
        log_extra: Callable[[str, list], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **kwargs: Any,
    ) -> list[float]:
        r"""
        Args:
            completions (`Sequence[str]` or `Sequence[list[dict]]`):
                Completions, plain or conversational; of a conversation the last message counts.
            solution (`Sequence[str]`):
                The gold answers.
            choices (`Sequence[Sequence[str]]`, *optional*):
                The options of multiple-choice problems: a letter and its option's text are then equal.
            log_extra (`Callable`, *optional*):
                TRL's, for the table of completions: the column `answer` is what each box holds.
            log_metric (`Callable`, *optional*):
                TRL's: `rewards/answered` is the share of completions with a boxed answer,
                `rewards/grader_{timeouts,out_of_memory,crashes}` count those whose comparison could not be finished,
                and `rewards/grader_timeout_fraction` is the share of the first of these.

        Returns:
            `list[float]`: one reward per completion.
        """
        options = choices if choices is not None else [None] * len(solution)
        golds = [Gold(gold, tuple(texts or ())) for gold, texts in zip(solution, options, strict=True)]
        verdicts = self.grader([message_text(completion) for completion in completions], golds)
        if log_extra is not None:
            log_extra("answer", [verdict.answer or "" for verdict in verdicts])
        if log_metric is not None:
            # Zeros too: TRL averages over ranks what every rank has logged.
            log_metric("rewards/answered", sum(v.answer is not None for v in verdicts) / max(1, len(verdicts)))
            failures = Counter(verdict.failure for verdict in verdicts)
            for failure, name in FAILURES.items():
                log_metric(f"rewards/grader_{name}", float(failures[failure]))
            log_metric("rewards/grader_timeout_fraction", failures["timeout"] / max(1, len(verdicts)))
        return [float(verdict.correct) for verdict in verdicts]


def message_text(completion: str | list[dict[str, Any]]) -> str:
    """
    What a completion says: itself, or the text of a conversation's last message; empty where that has none.

    Example:

    ```python
    >>> message_text([{"role": "assistant", "content": [{"type": "text", "text": "7"}]}])
    '7'
    ```
    """
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content") if completion else None
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return content if isinstance(content, str) else ""
