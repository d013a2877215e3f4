"""Finds every occurrence of a lexicon's grams in text, by one pass of an Aho-Corasick automaton over its bytes."""

import re
from collections.abc import Iterable
from functools import cache
from itertools import chain

import numpy as np
from ahocorasick_rs import BytesAhoCorasick, Implementation


SEPARATOR = 0  # a byte that is no word, no white space, and in no gram
_OTHER, _WORD, _BACKSLASH, _UNDECIDED = range(4)
# Chinese and Japanese put no spaces between words: a gram that begins or ends in them may do so anywhere.
UNSPACED = re.compile("[\u3005\u3006\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def _byte_classes() -> np.ndarray:
    classes = np.full(256, _OTHER, dtype=np.uint8)
    classes[[byte for byte in range(128) if chr(byte).isalnum() or byte == ord("_")]] = _WORD
    classes[ord("\\")] = _BACKSLASH
    classes[128:] = _UNDECIDED
    return classes


def _plain_table() -> bytes:
    """Translation of single bytes: ASCII letters to lower case, ASCII white space to a space."""
    table = bytearray(range(256))
    for byte in range(128):
        table[byte] = ord(" ") if chr(byte).isspace() else ord(chr(byte).lower())
    return bytes(table)


_CLASSES = _byte_classes()
PLAIN = _plain_table()


class GramMatcher:
    """
    Finds the occurrences of strategic grams in text.

    Matching ignores case, takes a curly apostrophe for a straight one and any run of white space for one space. An
    occurrence may not start or end inside a word (Chinese and Japanese characters are words of their own where a gram
    starts or ends with them), nor start right after a backslash. Cased letters beyond ASCII match
    where upper and lower case have the same length in UTF-8 (Latin-1, Greek, Cyrillic).

    Args:
        grams (`Iterable[str]`):
            The grams, such as a [`StrategicGrams`]. Their automaton is built once, here.
    """

    def __init__(self, grams: Iterable[str]) -> None:
        self.grams = grams = tuple(grams)
        self._automaton = BytesAhoCorasick([gram.encode() for gram in grams], implementation=Implementation.DFA)
        self._starts_word = np.array([_is_word(gram[0]) and not UNSPACED.match(gram[0]) for gram in grams])
        self._ends_word = np.array([_is_word(gram[-1]) and not UNSPACED.match(gram[-1]) for gram in grams])
        self._cased_beyond_ascii = any(char in _lowered_letters() for gram in grams for char in gram)

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
        text, *removed = self._normalized(raw)
        data = text.tobytes()
        found = self._automaton.find_matches_as_indexes(data, overlapping=True)
        matches = np.fromiter(chain.from_iterable(found), dtype=np.int64, count=3 * len(found)).reshape(-1, 3)
        matches = self._inside_words_removed(matches, text, data)
        starts, ends = matches[:, 1], matches[:, 2]
        for positions in removed:
            starts, ends = _before_removal(starts, positions), _before_removal(ends, positions)
        return data, np.column_stack([matches, starts, ends])

    def find_in_text(self, text: str) -> np.ndarray:
        """Like [`~GramMatcher.find`] for a string; the last two columns count the bytes of its UTF-8 encoding."""
        separator = bytes([SEPARATOR])
        raw = separator + text.encode(errors="replace").translate(PLAIN) + separator
        _, matches = self.find(np.frombuffer(raw, dtype=np.uint8))
        matches[:, 3:] -= 1
        return matches

    def _normalized(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """
        Straightens apostrophes and collapses white space.

        Returns the text and the positions of the bytes that went: those of repeated white space, then those of
        characters beyond ASCII. What goes always follows the byte that stays for it, so that the byte after an
        occurrence tells where the occurrence ends.
        """
        beyond = np.zeros(0, dtype=np.int64)
        if (raw >= 0x80).any():
            if self._cased_beyond_ascii:
                raw = _lowered(raw)
            raw, beyond = _beyond_ascii(raw)
        space = raw == ord(" ")
        repeated = np.flatnonzero(space[1:] & space[:-1]) + 1
        return (np.delete(raw, repeated) if repeated.size else raw), repeated, beyond

    def _inside_words_removed(self, matches: np.ndarray, text: np.ndarray, data: bytes) -> np.ndarray:
        grams, starts, ends = matches.T
        starts_word, ends_word = self._starts_word[grams], self._ends_word[grams]
        before, after = _CLASSES[text[starts - 1]], _CLASSES[text[ends]]
        wrong = (before == _BACKSLASH) | (starts_word & (before == _WORD)) | (ends_word & (after == _WORD))
        undecided = ~wrong & ((starts_word & (before == _UNDECIDED)) | (ends_word & (after == _UNDECIDED)))
        for i in np.flatnonzero(undecided):
            wrong[i] = (starts_word[i] and _word_before(data, starts[i])) or (
                ends_word[i] and _word_after(data, ends[i])
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


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


def _word_before(data: bytes, end: int) -> bool:
    start = end - 1
    while start > end - 4 and 0x80 <= data[start] < 0xC0:
        start -= 1
    return _is_one_word_character(data[start:end])


def _word_after(data: bytes, start: int) -> bool:
    lead = data[start]
    width = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    return _is_one_word_character(data[start : start + width])


def _is_one_word_character(data: bytes) -> bool:
    try:
        char = data.decode()
    except UnicodeDecodeError:
        return False
    return len(char) == 1 and _is_word(char)


def _before_removal(indices: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Where bytes stood before those at the sorted positions `removed` went."""
    return indices + np.searchsorted(removed - np.arange(removed.size), indices, side="right")


def _beyond_ascii(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Writes `’` and white space beyond ASCII as one byte each; returns the text and the positions that went."""
    raw = raw.copy()
    # raw ends with a separator, so behind every lead byte there is at least one more byte.
    two = np.flatnonzero(raw == 0xC2)
    two = two[np.isin(raw[two + 1], (0x85, 0xA0))]
    three = np.flatnonzero((raw >= 0xE1) & (raw <= 0xE3))
    three = three[three < raw.size - 2]
    tail = (raw[three + 1].astype(np.int64) << 8) | raw[three + 2]
    code = (raw[three].astype(np.int64) << 16) | tail
    space = three[np.isin(code, _SPACES_OF_THREE_BYTES)]
    apostrophe = three[code == int.from_bytes("’".encode())]
    raw[two] = raw[space] = ord(" ")
    raw[apostrophe] = ord("'")
    removed = np.sort(np.concatenate([two + 1, space + 1, space + 2, apostrophe + 1, apostrophe + 2]))
    return (np.delete(raw, removed) if removed.size else raw), removed


_SPACES_OF_THREE_BYTES = [int.from_bytes(chr(code).encode()) for code in range(0x800, 0x10000) if chr(code).isspace()]


@cache
def _lowering() -> dict[int, str]:
    """Letters beyond ASCII whose lower case has the same length in UTF-8."""
    pairs = ((code, chr(code).lower()) for code in range(0x80, 0x20000) if not 0xD800 <= code < 0xE000)
    return {code: low for code, low in pairs if low != chr(code) and len(low.encode()) == len(chr(code).encode())}


@cache
def _lowered_letters() -> frozenset[str]:
    return frozenset(_lowering().values())


def _lowered(raw: np.ndarray) -> np.ndarray:
    text = raw.tobytes().decode(errors="surrogateescape").translate(_lowering())
    return np.frombuffer(text.encode(errors="surrogateescape"), dtype=np.uint8)
