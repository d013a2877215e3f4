"""Finds every occurrence of a lexicon's grams in text, by one pass of an Aho-Corasick automaton over its bytes."""

import logging
import re
from collections.abc import Iterable
from itertools import chain

import numpy as np
from ahocorasick_rs import BytesAhoCorasick, Implementation

from . import folding
from .folding import BACKSLASH, LEADING_VOWEL, MARK, OTHER, PLAIN, SEPARATOR, UNDERSCORE, WORD


logger = logging.getLogger(__name__)

# A DFA is twice as fast as an NFA and takes ten times its memory, up to 550 bytes for each byte of a lexicon.
MOST_BYTES_OF_A_DFA = 1 << 18
_WINDOW = 64  # bytes within which the letter before marks, or before and behind underscores, is looked for


class GramMatcher:
    """
    Finds the occurrences of strategic grams in text.

    Matching ignores case, invisible characters and whether letters are composed, takes any apostrophe for a straight
    one and any run of white space for one space. An occurrence may not start or end inside a word, nor end before a
    combining mark, nor start right after a backslash. Underscores around a word are no part of it, and characters of
    scripts without spaces (Chinese, Japanese, Thai) are words of their own.

    Args:
        grams (`Iterable[str]`):
            The grams, such as a [`StrategicGrams`]. Their automaton is built once, here.
    """

    def __init__(self, grams: Iterable[str]) -> None:
        self.grams = grams = tuple(grams)
        separator = bytes([SEPARATOR])
        joined = b"".join(separator + gram.encode().translate(PLAIN) for gram in grams) + separator
        raw = np.frombuffer(joined, dtype=np.uint8)
        text, _ = folding.fold(raw)
        keys = text.tobytes().split(separator)[1:-1]
        small = len(joined) <= MOST_BYTES_OF_A_DFA
        self._automaton = BytesAhoCorasick(
            keys, implementation=Implementation.DFA if small else Implementation.ContiguousNFA
        )
        self._starts_word = np.array([_is_word(key.decode()[0]) for key in keys], dtype=bool)
        self._ends_word = np.array([_is_word(_without_marks(key.decode())[-1:]) for key in keys], dtype=bool)
        self._ends_thai = np.array(["\u0e00" <= key.decode()[-1] <= "\u0e7f" for key in keys], dtype=bool)
        found = set(self.find(raw)[1][:, 0].tolist())
        # Not found in their own spelling, and so nowhere
        self.unmatched = [gram for i, gram in enumerate(grams) if i not in found]
        if self.unmatched:
            logger.warning(
                "%d strategic grams are not found in their own spelling, such as %r",
                len(self.unmatched),
                self.unmatched[0],
            )

    def __reduce__(self) -> tuple:
        return type(self), (self.grams,)  # the automaton does not pickle

    def find(self, raw: np.ndarray) -> tuple[bytes, np.ndarray]:
        """
        Finds all valid occurrences, overlapping ones included.

        Args:
            raw (`numpy.ndarray` of shape `(N,)`, uint8):
                UTF-8 bytes, translated by [`PLAIN`], with a separator as first and last byte.

        Returns:
            `tuple[bytes, numpy.ndarray]`: the text as it was matched, and an int64 array of shape `(n, 5)` with the
            columns gram, first byte and end byte in that text, first byte and end byte in `raw`.
        """
        text, edits = folding.fold(raw)
        data = text.tobytes()
        found = self._automaton.find_matches_as_indexes(data, overlapping=True)
        matches = np.fromiter(chain.from_iterable(found), dtype=np.int64, count=3 * len(found)).reshape(-1, 3)
        matches = self._inside_words_removed(matches, text, data)
        starts, ends = matches[:, 1], matches[:, 2]
        for edit in reversed(edits):
            starts, ends = edit.undone(starts, ends)
        return data, np.column_stack([matches, starts, ends])

    def find_in_text(self, text: str) -> np.ndarray:
        """Like [`~GramMatcher.find`] for a string; the last two columns count the bytes of its UTF-8 encoding."""
        separator = bytes([SEPARATOR])
        raw = separator + text.encode(errors="replace").translate(PLAIN) + separator
        _, matches = self.find(np.frombuffer(raw, dtype=np.uint8))
        matches[:, 3:] -= 1
        return matches

    def _inside_words_removed(self, matches: np.ndarray, text: np.ndarray, data: bytes) -> np.ndarray:
        grams, starts, ends = matches.T
        starts_word, ends_word = self._starts_word[grams], self._ends_word[grams]
        before, behind = folding.kinds_before(text, starts), folding.kinds_behind(text, ends)
        wrong = (before == BACKSLASH) | (before == LEADING_VOWEL) | (behind == MARK)
        wrong |= (starts_word & (before == WORD)) | (ends_word & (behind == WORD))
        hidden_before = starts_word & ((before == UNDERSCORE) | (before == MARK))
        hidden_behind = ends_word & (behind == UNDERSCORE)
        thai = self._ends_thai[grams] & (behind == OTHER)
        for i in np.flatnonzero(~wrong & (hidden_before | hidden_behind | thai)).tolist():
            start, end = starts[i], ends[i]
            left = data[max(start - _WINDOW, 0) : start].decode(errors="replace").rstrip("_")
            right = data[end : end + _WINDOW].decode(errors="replace")
            wrong[i] = (
                (hidden_before[i] and _is_word(_without_marks(left)[-1:]))
                or (hidden_behind[i] and _is_word(right.lstrip("_")[:1]))
                or (thai[i] and _LAST_CONSONANT.match(right) is not None)
            )
        return matches[~wrong]


def leftmost_longest(matches: np.ndarray) -> np.ndarray:
    """Of the occurrences that [`GramMatcher.find`] returns, the leftmost-longest ones that do not overlap."""
    order = np.lexsort((-matches[:, 2], matches[:, 1]))
    chosen, reached = [], -1
    for i, start, end in zip(order.tolist(), matches[order, 1].tolist(), matches[order, 2].tolist(), strict=True):
        if start >= reached:
            chosen.append(i)
            reached = end
    return matches[chosen]


def covered(spans: np.ndarray, size: int) -> np.ndarray:
    """Mask (size,) of the positions inside any of the half-open spans (n, 2)."""
    change = np.bincount(spans[:, 0], minlength=size + 1) - np.bincount(spans[:, 1], minlength=size + 1)
    return np.cumsum(change)[:-1] > 0


# A Thai consonant that nothing pronounceable follows ends the syllable before it.
_LAST_CONSONANT = re.compile("[ก-ฮ](?![ก-ฺๅ-๋ํ๎])")


def _is_word(char: str) -> bool:
    return char == "_" or (char != "" and folding.kind(char) == WORD)


def _without_marks(text: str) -> str:
    while text and folding.kind(text[-1]) == MARK:
        text = text[:-1]
    return text
