r"""Training problems that a benchmark has too: shared n-grams of words, and how much of a problem they cover.

A shared n-gram alone proves little: independent benchmarks share 13 words and more of "$\frac{m}{n}$, where $m$ and
$n$ are relatively prime positive integers. Find $m+n$". What tells a copy is that shared n-grams cover most of it.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


NGRAM = 8
COVERAGE = 0.5
# A Chinese character is a word. So are a LaTeX command without its backslash, and both halves of a subscript.
_WORD = re.compile(r"[一-鿿]|[^\W_一-鿿]+")


@dataclass(frozen=True)
class Overlap:
    """
    A prompt that is largely a benchmark's problem.

    Attributes:
        prompt (`int`):
            Index of the prompt.
        problem (`int`):
            Index of the problem that it has most in common with; of several, the first.
        coverage (`float`):
            Share of the words that lie in shared n-grams, of the prompt or of the problem, whichever is larger.
    """

    prompt: int
    problem: int
    coverage: float


def words(text: str) -> list[str]:
    r"""
    Words of a text in lower case, without punctuation, operators and LaTeX's backslashes, braces and `$`.

    Example:

    ```python
    >>> words(r"Find $\frac{a_1}{2}+1$.")
    ['find', 'frac', 'a', '1', '2', '1']
    ```
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def find_overlaps(
    prompts: Iterable[str], problems: Sequence[str], n: int = NGRAM, coverage: float = COVERAGE
) -> list[Overlap]:
    """
    Finds the prompts that overlap with a problem.

    A text of fewer than `n` words is one n-gram: it overlaps with its equals.

    Args:
        prompts (`Iterable[str]`):
            Training problems, without an instruction that all of them share.
        problems (`Sequence[str]`):
            Problems of benchmarks.
        n (`int`, *optional*, defaults to `8`):
            Words of an n-gram.
        coverage (`float`, *optional*, defaults to `0.5`):
            Least share of words in shared n-grams. 0 takes every prompt that shares one.

    Returns:
        `list[Overlap]`: one for each prompt that overlaps, in order.

    Example:

    ```python
    >>> find_overlaps(["What is one and one?", "So, what is 1 + 1?"], ["What is $1+1$?"], n=3)
    [Overlap(prompt=1, problem=0, coverage=1.0)]
    ```
    """
    if n < 1:
        raise ValueError(f"an n-gram must have at least 1 word, got {n}")
    if not 0 <= coverage <= 1:
        raise ValueError(f"coverage must be in [0, 1], got {coverage}")
    places: dict[str, list[tuple[int, int]]] = defaultdict(list)
    lengths = []
    for problem, text in enumerate(problems):
        tokens = words(text)
        lengths.append(len(tokens))
        for start, gram in enumerate(_ngrams(tokens, n)):
            places[gram].append((problem, start))
    found = (_closest(index, words(text), places, lengths, n) for index, text in enumerate(prompts))
    return [overlap for overlap in found if overlap is not None and overlap.coverage >= coverage]


def _ngrams(tokens: list[str], n: int) -> list[str]:
    if len(tokens) < n:
        return [" ".join(tokens)] if tokens else []
    return [" ".join(tokens[start : start + n]) for start in range(len(tokens) - n + 1)]


def _closest(
    prompt: int, tokens: list[str], places: dict[str, list[tuple[int, int]]], lengths: list[int], n: int
) -> Overlap | None:
    """The overlap with the problem that covers most; `None` where no n-gram is shared."""
    # Per problem, the words in shared n-grams: those of the prompt, those of the problem.
    shared: dict[int, tuple[set[int], set[int]]] = {}
    for start, gram in enumerate(_ngrams(tokens, n)):
        for problem, there in places.get(gram, ()):
            own, others = shared.setdefault(problem, (set(), set()))
            own.update(range(start, min(start + n, len(tokens))))
            others.update(range(there, min(there + n, lengths[problem])))
    overlaps = (
        Overlap(prompt, problem, max(len(own) / len(tokens), len(others) / lengths[problem]))
        for problem, (own, others) in sorted(shared.items())
    )
    return max(overlaps, key=lambda overlap: overlap.coverage, default=None)
