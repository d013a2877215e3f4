"""Every number here was worked out by hand."""

import math
from collections import Counter

import numpy as np
import pytest

from hicra_trl.dynamics import conditional_entropy, following_ngrams, pass_at_k, shannon_entropy


def test_shannon_entropy():
    assert shannon_entropy([5]) == 0.0
    assert shannon_entropy([]) == 0.0
    assert shannon_entropy([2, 2, 0, 2, 2]) == pytest.approx(math.log(4))
    assert shannon_entropy([3, 1]) == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(4))


def test_conditional_entropy_weighs_each_gram_by_its_share():
    # Gram 0: 3 of 4 pairs, two continuations 2:1. Gram 1: 1 of 4, one continuation.
    pairs = {(0, b"a"): 2, (0, b"b"): 1, (1, b"a"): 1}
    h = 2 / 3 * math.log(3 / 2) + 1 / 3 * math.log(3)
    assert conditional_entropy(pairs) == pytest.approx(3 / 4 * h)
    assert conditional_entropy({}) == 0.0


def spans(text, *words):
    starts = [text.index(word) for word in words]
    return np.array([[i, s, s + len(w), 0, 0] for i, (s, w) in enumerate(zip(starts, words))]).reshape(-1, 5)


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        (b"so 3 + 4 = 7", [b"so"], {(0, b"3 + 4"): 1}),
        (b"so 3 + but 4 = 7 then", [b"so", b"but"], {(0, b"3 +"): 1, (1, b"4 = 7"): 1}),
        (b"so but x", [b"so", b"but"], {(1, b"x"): 1}),
        (b"so, 3 = 3", [b"so"], {(0, b"3 = 3"): 1}),
        (b"so \0 3", [b"so"], {}),
        (b"so 3\0 4 5", [b"so"], {(0, b"3"): 1}),
        (b"so", [b"so"], {}),
        (b"nothing", [], {}),
    ],
)
def test_following_ngrams_stop_at_the_next_gram_and_at_separators(text, words, expected):
    assert following_ngrams(text, spans(text, *words)) == Counter(expected)


def test_pass_at_k():
    assert pass_at_k(4, 1, 1) == 0.25
    assert pass_at_k(4, 1, 2) == 0.5
    assert pass_at_k(4, 2, 2) == pytest.approx(1 - 1 / 6)
    assert pass_at_k(4, 3, 2) == 1.0
    assert pass_at_k(8, 0, 8) == 0.0


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 1, 0), (4, 1, 5)])
def test_pass_at_k_refuses_impossible_counts(n, c, k):
    with pytest.raises(ValueError, match=f"got k={k}, num_samples={n}, num_correct={c}"):
        pass_at_k(n, c, k)
