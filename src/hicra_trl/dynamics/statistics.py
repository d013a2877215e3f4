"""What reinforcement learning changes, as pure functions of counts (paper, sections 2.2 and 4.2.3)."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


NGRAM_WORDS = 3
# A word ends at white space and at a separator; punctuation that hangs on the gram itself is no word.
_FOLLOWING_WORDS = re.compile(rb"[ ,.;:!?]*([^ \0]+(?: [^ \0]+){0,%d})" % (NGRAM_WORDS - 1))


def shannon_entropy(counts: Iterable[int]) -> float:
    """
    Shannon entropy, in nats, of the frequency distribution that `counts` describe.

    Over the occurrences of strategic grams this is the semantic entropy (paper, section 2.2.2).

    Example:

    ```python
    >>> shannon_entropy([1, 1])  # ln 2
    0.6931471805599453
    >>> shannon_entropy([3, 1])  # -(3/4 ln 3/4 + 1/4 ln 1/4)
    0.5623351446188083
    ```
    """
    counts = [count for count in counts if count > 0]
    total = sum(counts)
    return math.fsum(count / total * math.log(total / count) for count in counts)


def mean_and_interval(values: Any) -> tuple[Any, Any]:
    """
    Mean over seeds, along the first axis, and half the width of its 95 % Student interval (`None` for a single seed).

    Example:

    ```python
    >>> mean, half_width = mean_and_interval([0.7, 0.8, 0.9])  # 0.8 +- 4.303 * 0.1 / sqrt(3)
    >>> f"{mean:.3f} +- {half_width:.3f}"
    '0.800 +- 0.248'
    ```
    """
    # Imported here: training does not wait for it. Not from scipy.stats, which takes seconds.
    from scipy.special import stdtrit

    values = np.asarray(values, dtype=float)
    if (seeds := len(values)) < 2:
        return values.mean(axis=0), None
    return values.mean(axis=0), stdtrit(seeds - 1, 0.975) * values.std(axis=0, ddof=1) / seeds**0.5


def perplexity_of(nll: float) -> float:
    """
    Perplexity of tokens with a mean negative log-likelihood of `nll` nats; infinite where it fits in no float.

    Example:

    ```python
    >>> perplexity_of(0.0), perplexity_of(710.0)
    (1.0, inf)
    ```
    """
    try:
        return math.exp(nll)
    except OverflowError:
        return math.inf


def conditional_entropy(pairs: Mapping[tuple[int, bytes], int]) -> float:
    """
    Entropy, in nats, of the execution n-gram that follows a strategic gram, given the gram (paper, section 2.2.2).

    Args:
        pairs (`Mapping[tuple[int, bytes], int]`):
            How often each (gram, following n-gram) pair occurs.

    Returns:
        `float`: sum over grams s of p(s) H(n-gram | s), with p(s) the share of the pairs that start with s.

    Example:

    ```python
    >>> # gram 0 goes on in two ways, gram 1 always in the same: 2/4 ln 2 + 2/4 * 0
    >>> conditional_entropy({(0, b"3 + 4"): 1, (0, b"5 - 1"): 1, (1, b"7 is 7"): 2})
    0.34657359027997264
    ```
    """
    followers: dict[int, list[int]] = defaultdict(list)
    for (gram, _), count in pairs.items():
        followers[gram].append(count)
    total = sum(pairs.values())
    return math.fsum(sum(counts) / total * shannon_entropy(counts) for counts in followers.values())


def following_ngrams(text: bytes, spans: np.ndarray) -> Counter[tuple[int, bytes]]:
    """
    Counts the execution n-gram behind each occurrence of a strategic gram: its next three words, fewer where the next
    occurrence or the end comes first; an occurrence with no word behind it counts nothing.

    Args:
        text (`bytes`):
            A row's text, as in [`~hicra_trl.grams.Labels`].
        spans (`numpy.ndarray` of shape `(n, 5)`):
            The row's occurrences, as in [`~hicra_trl.grams.Labels`].

    Returns:
        `Counter`: how often each (gram, n-gram) pair occurs.
    """
    pairs: Counter[tuple[int, bytes]] = Counter()
    grams, starts, ends = spans[:, 0].tolist(), spans[:, 1].tolist(), spans[:, 2].tolist()
    limits = [*starts[1:], len(text)][: len(grams)]
    for gram, end, limit in zip(grams, ends, limits, strict=True):
        match = _FOLLOWING_WORDS.match(text, end, limit)
        if match:
            pairs[gram, match[1]] += 1
    return pairs


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """
    Unbiased estimate of the chance that at least one of k samples is correct (Chen et al., 2021).

    Args:
        num_samples (`int`):
            Samples drawn, at least k.
        num_correct (`int`):
            How many of them are correct.
        k (`int`):
            Size of the subset, at least 1.

    Returns:
        `float`: 1 - C(num_samples - num_correct, k) / C(num_samples, k).

    Example:

    ```python
    >>> pass_at_k(num_samples=4, num_correct=1, k=2)  # 1 - C(3, 2) / C(4, 2)
    0.5
    ```
    """
    if not 1 <= k <= num_samples or not 0 <= num_correct <= num_samples:
        raise ValueError(
            "pass@k needs 1 <= k <= num_samples and 0 <= num_correct <= num_samples, "
            f"got k={k}, num_samples={num_samples}, num_correct={num_correct}"
        )
    return 1 - math.comb(num_samples - num_correct, k) / math.comb(num_samples, k)
