"""The penalty on overlong completions of DAPO (Yu et al., 2025, equation 13)."""

from collections.abc import Sequence
from typing import Any


class OverlongPenalty:
    """
    0 for completions that leave `buffer` tokens of the limit unused, falling linearly to `-penalty` at the limit.

    Summed with another reward, it tells completions that would nearly have been cut from those that were.

    Args:
        max_completion_length (`int`):
            Limit of a completion, in tokens.
        buffer (`int`):
            Length of the slope before the limit, in tokens.
        penalty (`float`, *optional*, defaults to `1.0`):
            Size of the penalty at the limit and beyond.

    Raises:
        `ValueError`: if `buffer` is not in [1, max_completion_length] or `penalty` not above 0.

    Example:

    ```python
    >>> penalty = OverlongPenalty(max_completion_length=100, buffer=20)
    >>> penalty(completion_ids=[[0] * 80, [0] * 90, [0] * 100])
    [0.0, -0.5, -1.0]
    ```
    """

    __name__ = "overlong_penalty"

    def __init__(self, max_completion_length: int, buffer: int, penalty: float = 1.0) -> None:
        if not 1 <= buffer <= max_completion_length or penalty <= 0:
            raise ValueError(
                "the overlong penalty needs 1 <= buffer <= max_completion_length and a penalty above 0, got "
                f"buffer={buffer}, max_completion_length={max_completion_length}, penalty={penalty}"
            )
        self.start = max_completion_length - buffer
        self.buffer = buffer
        self.penalty = penalty

    def __call__(self, completion_ids: Sequence[Sequence[int]], **kwargs: Any) -> list[float]:
        """
        Args:
            completion_ids (`Sequence[Sequence[int]]`):
                Completions, as token ids.

        Returns:
            `list[float]`: one reward per completion, in [-penalty, 0].
        """
        over = [min(max(len(ids) - self.start, 0), self.buffer) for ids in completion_ids]
        return [-self.penalty * tokens / self.buffer if tokens else 0.0 for tokens in over]
