"""What the samples of one problem say: pass@k and the vote of the majority, both without drawing at random."""

from collections import Counter
from collections.abc import Hashable, Sequence
from math import comb

import numpy as np

from ...dynamics.statistics import pass_at_k
from ...rewards.equality.notation import plain
from ...rewards.equality.numbers import read_number


__all__ = ["count_votes", "majority_at_k", "pass_at_k", "subset_sizes"]


def subset_sizes(num_samples: int) -> list[int]:
    """
    The k of pass@k and maj@k: powers of two up to the number of samples, and that number.

    Example:

    ```python
    >>> subset_sizes(6)
    [1, 2, 4, 6]
    ```
    """
    powers = [1 << exponent for exponent in range(num_samples.bit_length())]
    return powers if powers[-1] == num_samples else [*powers, num_samples]


def count_votes(answers: Sequence[str | None], correct: Sequence[bool]) -> tuple[int, tuple[int, ...]]:
    """
    Counts the votes for each answer to one problem.

    All answers that were graded correct are one answer, whatever their notation; wrong ones are one where they write
    the same number, or the same text in the plain form of [`~hicra_trl.rewards.equality.notation.plain`]: wrong
    answers that only algebra could tell to be equal stay apart. A sample without an answer does not vote.

    Returns:
        `tuple[int, tuple[int, ...]]`: votes for the correct answer, and for each wrong one in descending order.

    Example:

    ```python
    >>> count_votes(["0.5", "1/2", "2", None, "2.0", "3"], [True, True, False, False, False, False])
    (2, (2, 1))
    ```
    """
    pairs = zip(answers, correct, strict=True)
    wrong = Counter(_meaning(answer) for answer, right in pairs if answer is not None and not right)
    return sum(correct), tuple(sorted(wrong.values(), reverse=True))


def majority_at_k(num_samples: int, num_correct: int, wrong: Sequence[int], k: int) -> float:
    """
    Chance that the most frequent answer among k of the samples is the correct one, over all subsets of size k.

    Among equally frequent answers each is chosen with the same chance; where nobody votes the outcome is wrong.

    Args:
        num_samples (`int`):
            Samples drawn, at least k, those without an answer included.
        num_correct (`int`):
            Votes for the correct answer.
        wrong (`Sequence[int]`):
            Votes for each wrong answer.
        k (`int`):
            Size of the subset, at least 1.

    Returns:
        `float`: the exact expectation; for k = 1 the share of correct samples.

    Example:

    ```python
    >>> majority_at_k(num_samples=4, num_correct=2, wrong=[1, 1], k=4)  # 2 votes against 1 and 1
    1.0
    >>> majority_at_k(num_samples=4, num_correct=2, wrong=[2], k=2)  # 1/6 both right, 4/6 a tie, 1/6 both wrong
    0.5
    ```
    """
    silent = num_samples - num_correct - sum(wrong)
    if not 1 <= k <= num_samples or num_correct < 0 or silent < 0:
        raise ValueError(
            "maj@k needs 1 <= k <= num_samples and no more votes than samples, "
            f"got k={k}, num_samples={num_samples}, num_correct={num_correct}, wrong={list(wrong)}"
        )
    favourable = 0.0
    for right in range(1, min(k, num_correct) + 1):
        ways = _ways_not_to_outvote(right, k - right, wrong, silent)
        favourable += comb(num_correct, right) * sum(ways[:, -1] / np.arange(1, len(ways) + 1))
    return float(favourable / comb(num_samples, k))


def _ways_not_to_outvote(right: int, others: int, wrong: Sequence[int], silent: int) -> np.ndarray:
    """
    Subsets of samples that are not correct in which no wrong answer has more than `right` votes, as an array of shape
    `(ties + 1, others + 1)`: by the number of wrong answers that have exactly `right`, and by the subset's size.
    """
    harmless = silent + sum(votes for votes in wrong if votes < right)
    ways = np.zeros((others // right + 1, others + 1))
    ways[0] = [comb(harmless, size) for size in range(others + 1)]
    for votes in (votes for votes in wrong if votes >= right):
        before, ways = ways, np.zeros_like(ways)
        for taken in range(min(right, others) + 1):
            tie = taken == right
            ways[tie:, taken:] += comb(votes, taken) * before[: len(before) - tie, : others + 1 - taken]
    return ways


def _meaning(answer: str) -> Hashable:
    text = plain(answer)
    number = read_number(text)
    return text if number is None else (number.value, number.percent)
