"""Staged context (paper, appendix E.1): when too many completions are cut, they may become longer."""

from dataclasses import dataclass


@dataclass
class StagedContext:
    """
    The limit of a completion, which goes up once: when the share of cut completions has stayed above a threshold.

    Args:
        limit (`int`):
            Tokens of a completion at most, at first.
        extended (`int`, *optional*):
            Tokens afterwards. `None`: there is no second stage.
        threshold (`float`):
            Share of cut completions that is too many.
        patience (`int`):
            Generations in a row with too many.

    Attributes:
        in_a_row (`int`):
            How many there were up to now.
        is_extended (`bool`):
            Whether the second stage has begun.

    Example:

    ```python
    >>> context = StagedContext(16_384, extended=32_768, threshold=0.2, patience=2)
    >>> [context.observe(clipped) for clipped in (0.3, 0.1, 0.3, 0.21, 0.5)]
    [False, False, False, True, False]
    >>> context.current
    32768
    ```
    """

    limit: int
    extended: int | None
    threshold: float
    patience: int
    in_a_row: int = 0
    is_extended: bool = False

    @property
    def current(self) -> int:
        """Tokens that a completion may have now."""
        return self.extended if self.is_extended and self.extended else self.limit

    def observe(self, clipped_ratio: float) -> bool:
        """Takes the share of cut completions of a generation; returns whether the limit goes up now."""
        if self.extended is None or self.is_extended:
            return False
        self.in_a_row = self.in_a_row + 1 if clipped_ratio > self.threshold else 0
        self.is_extended = self.in_a_row >= self.patience
        return self.is_extended
