"""What a completion is graded against."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gold:
    r"""
    The right answer to a problem, and how close an answer must come to it.

    Args:
        answer (`str`):
            The right answer, with or without a box. With `choices`, the letter or the text of the right option.
        choices (`tuple[str, ...]`, *optional*):
            The options of a multiple-choice question in their order: a letter and its option's text are then equal.
        precision (`int`, *optional*):
            Decimals to which a numeric answer is rounded before it is compared.
        absolute_tolerance (`float`, *optional*, defaults to `0.0`):
            Largest difference between two numbers that counts as equal.
        relative_tolerance (`float`, *optional*, defaults to `0.0`):
            The same, as a share of the gold answer's magnitude.
    """

    answer: str
    choices: tuple[str, ...] = ()
    precision: int | None = None
    absolute_tolerance: float = 0.0
    relative_tolerance: float = 0.0
