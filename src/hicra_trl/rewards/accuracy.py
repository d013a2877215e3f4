r"""The reward of strict boxed grading, as TRL calls it."""

from typing import Any

from .boxed import grade


class BoxedAccuracyReward:
    r"""
    1.0 where the last `\boxed{}` of a completion equals the gold answer, else 0.0.

    Example:

    ```python
    >>> reward = BoxedAccuracyReward()
    >>> reward(completions=[r"so \boxed{6}", "6"], solution=["6", "6"])
    [1.0, 0.0]
    ```
    """

    __name__ = "boxed_accuracy"

    def __call__(
        self, completions: list[str] | list[list[dict[str, str]]], solution: list[str], **kwargs: Any
    ) -> list[float]:
        """
        Args:
            completions (`list[str]` or `list[list[dict]]`):
                Completions, plain or conversational; of a conversation the last message counts.
            solution (`list[str]`):
                The gold answers.

        Returns:
            `list[float]`: one reward per completion.
        """
        texts = [c if isinstance(c, str) else c[-1]["content"] for c in completions]
        return [float(grade(text, gold)) for text, gold in zip(texts, solution, strict=True)]
