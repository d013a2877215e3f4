"""Text as it is compared: one spelling for what differs in case, apostrophes, white space and composition.

Works on UTF-8 that may hold broken characters, and knows where in it each byte of the result came from.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import NamedTuple

import numpy as np


SEPARATOR = 0  # a byte that is no word, no white space, and in no gram
OTHER, WORD, MARK, UNDERSCORE, BACKSLASH, LEADING_VOWEL = range(6)  # what a character is to its neighbours
_EDITED, _COMBINING, _COMPOSES = 1, 2, 4  # flags of a character: folds to another; may join; may change what is before

# Chinese and Japanese put no spaces between words: each character is a word of its own.
UNSPACED = re.compile(
    "[\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
# Thai, Lao, Burmese, Khmer and their neighbours put none either, and write in letters.
_UNSPACED_LETTERS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf]"
)
# Vowels that Unicode counts as letters, written behind and before the consonant that they belong to
_FOLLOWING_VOWELS, _LEADING_VOWELS = "ะาำๅະາຳ", "เแโใไເແໂໃໄ"
# What nobody sees: soft hyphen, zero-width characters, directions, variation selectors
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_APOSTROPHES = dict.fromkeys(map(ord, "`´ʹʼ‘’‛′＇"), "'")


def composed(text: str) -> str:
    """Lower case, composed (NFC), apostrophes straight, without what nobody sees; white space as it was."""
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", text).lower()).translate(_APOSTROPHES)


def _plain_table() -> bytes:
    table = bytearray(range(256))
    for byte in range(128):
        table[byte] = ord(" ") if chr(byte).isspace() else ord(composed(chr(byte)))
    return bytes(table)


PLAIN = _plain_table()  # folds what is ASCII


class _Characters(NamedTuple):
    """By code point: neighbourhood, flags and combining class, uint8; what the edited ones fold to."""

    kinds: np.ndarray
    flags: np.ndarray
    classes: np.ndarray
    folds: dict[int, bytes]
    flagged: np.ndarray  # by the first two bytes in UTF-8: whether any such character has a flag


@cache
def _characters() -> _Characters:
    kinds, flags, classes = (np.zeros(0x110000, dtype=np.uint8) for _ in range(3))
    folds: dict[int, bytes] = {}
    kinds[0xAC00:0xD7A4] = WORD  # Hangul; left out below, as are ideographs: most characters, and none of them folds
    blocks = (0, 0x3400), (0xA000, 0xAC00), (0xF900, 0x20000), (0x2F800, 0x2FA20), (0xE0000, 0xE1000)
    for code in chain.from_iterable(range(*block) for block in blocks):
        char = chr(code)
        kinds[code] = _kind(char)
        classes[code] = unicodedata.combining(char)
        fold = " " if char.isspace() else composed(char).replace("ς", "σ")
        if fold != char:
            folds[code] = fold.encode()
            flags[code] = _EDITED
        decomposed = unicodedata.decomposition(char)
        if decomposed and decomposed[0] != "<" and len(pair := decomposed.split()) == 2:
            flags[int(pair[1], 16)] |= _COMBINING | _COMPOSES
    flags[classes > 0] |= _COMBINING
    flags[0x1161:0x1176] |= _COMBINING | _COMPOSES  # Hangul vowels
    flags[0x11A8:0x11C3] |= _COMBINING | _COMPOSES  # and final consonants
    for code, fold in folds.items():
        if any(flags[ord(char)] & _COMBINING for char in fold.decode()):
            flags[code] |= _COMBINING | _COMPOSES
    kinds[ord("_")], kinds[ord("\\")] = UNDERSCORE, BACKSLASH
    flagged = np.zeros(0x10000, dtype=bool)
    for code in np.flatnonzero(flags).tolist():
        flagged[int.from_bytes(chr(code).encode()[:2])] = code >= 0x80
    return _Characters(kinds, flags, classes, folds, flagged)


def _kind(char: str) -> int:
    if char in _FOLLOWING_VOWELS or unicodedata.category(char)[0] == "M":
        return MARK
    if char in _LEADING_VOWELS:
        return LEADING_VOWEL
    unspaced = UNSPACED.match(char) or _UNSPACED_LETTERS.match(char)
    return WORD if char.isalnum() and not unspaced else OTHER


def kind(char: str) -> int:
    """What a character is to its neighbours."""
    return int(_characters().kinds[ord(char)])


def kinds_behind(text: np.ndarray, at: np.ndarray) -> np.ndarray:
    """What the characters that begin at bytes `at` are to those before them."""
    codes, _ = _code_points(text, at)
    return _characters().kinds[codes]


def kinds_before(text: np.ndarray, at: np.ndarray) -> np.ndarray:
    """What the characters that end at bytes `at` are to those behind them."""
    first = at - 1
    for _ in range(3):
        first -= (text[first] & 0xC0) == 0x80
    codes, sizes = _code_points(text, first)
    return np.where(first + sizes == at, _characters().kinds[codes], OTHER)


class Edits:
    """Which stretches of a text were replaced: bytes `starts` to `ends` of it are `new_starts` to `new_ends` now."""

    def __init__(self, starts: np.ndarray, ends: np.ndarray, sizes: np.ndarray) -> None:
        self.starts, self.ends = starts, ends
        self.shifts = np.concatenate([[0], np.cumsum(ends - starts - sizes)])
        self.new_ends = ends - self.shifts[1:]
        self.new_starts = self.new_ends - sizes

    def undone(self, first: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where spans of the new text were before; a replaced stretch is in or out as a whole."""
        return self._of(first, self.starts, 0), self._of(end - 1, self.ends, 1)

    def _of(self, bytes_: np.ndarray, bounds: np.ndarray, one: int) -> np.ndarray:
        before = np.searchsorted(self.new_ends, bytes_, side="right")
        moved = bytes_ + self.shifts[before] + one
        if self.starts.size == 0:
            return moved
        nearest = np.minimum(before, self.starts.size - 1)
        return np.where((before < self.starts.size) & (self.new_starts[nearest] <= bytes_), bounds[nearest], moved)


def fold(raw: np.ndarray) -> tuple[np.ndarray, list[Edits]]:
    """
    Folds a text.

    Args:
        raw (`numpy.ndarray` of shape `(N,)`, uint8):
            UTF-8 bytes, translated by [`PLAIN`], with a separator as first and last byte.

    Returns:
        `tuple[numpy.ndarray, list[Edits]]`: the text as it is compared, and what was done to it, in order.
    """
    edits = []
    leads = np.flatnonzero(raw >= 0xC0)
    characters = _characters()
    leads = leads[characters.flagged[raw[leads].astype(np.uint16) << 8 | raw[leads + 1]]]
    if leads.size:
        codes, sizes = _code_points(raw, leads)
        flags = characters.flags[codes]
        edited = (flags & _EDITED) > 0
        if edited.any():
            starts, new = leads[edited], [characters.folds[code] for code in codes[edited].tolist()]
            raw = _replaced(raw, starts, starts + sizes[edited], new, edits)
        if (flags & _COMBINING).any():
            runs = list(_decomposed(raw))
            if runs:
                starts, ends, new = zip(*runs, strict=True)
                raw = _replaced(raw, np.array(starts), np.array(ends), list(new), edits)
    space = raw == ord(" ")
    repeated = np.flatnonzero(space[1:] & space[:-1]) + 1
    if repeated.size:
        raw = np.delete(raw, repeated)
        edits.append(Edits(repeated, repeated + 1, np.zeros_like(repeated)))
    return raw, edits


def _replaced(
    raw: np.ndarray, starts: np.ndarray, ends: np.ndarray, new: list[bytes], edits: list[Edits]
) -> np.ndarray:
    data = raw.tobytes()
    kept = [data[end:start] for end, start in zip([0, *ends.tolist()], [*starts.tolist(), len(data)], strict=True)]
    edits.append(Edits(starts, ends, np.fromiter(map(len, new), dtype=np.int64, count=len(new))))
    return np.frombuffer(b"".join(chain(*zip(kept, new, strict=False), kept[-1:])), dtype=np.uint8)


def _decomposed(raw: np.ndarray) -> Iterator[tuple[int, int, bytes]]:
    """Stretches of a letter and its marks that are not composed, or in another order: first byte, end, composed."""
    leads = np.flatnonzero(raw >= 0xC0)
    codes, sizes = _code_points(raw, leads)
    characters = _characters()
    flags, classes = characters.flags[codes], characters.classes[codes]
    joined = np.zeros(leads.size, dtype=bool)  # to the character before, which is beyond ASCII too
    joined[1:] = leads[1:] == (leads + sizes)[:-1]
    disordered = np.zeros(leads.size, dtype=bool)
    disordered[1:] = joined[1:] & (classes[1:] > 0) & (classes[1:] < classes[:-1])
    combining = (flags & _COMBINING) > 0
    data, reached = raw.tobytes(), 0
    for i in np.flatnonzero(disordered | ((flags & _COMPOSES) > 0)).tolist():
        if i < reached:
            continue
        first, reached = i, i + 1
        while combining[first] and joined[first]:
            first -= 1
        while reached < leads.size and combining[reached] and joined[reached]:
            reached += 1
        start, end = int(leads[first]), int(leads[reached - 1] + sizes[reached - 1])
        start -= bool(combining[first]) and data[start - 1] < 0x80
        run = data[start:end]
        text = run.decode(errors="surrogateescape")  # the character before may be broken
        new = unicodedata.normalize("NFC", text).encode(errors="surrogateescape")
        if new != run:
            yield start, end, new


_SIZES = np.array(
    [1] * 0x80 + [0] * 0x42 + [2] * 0x1E + [3] * 16 + [4] * 5 + [0] * 11, np.int32
)  # of a character, by first byte
_LEAST = np.array([0, 0, 0x80, 0x800, 0x10000], np.int32)  # code point of so many bytes


def _code_points(raw: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Code points and sizes of the characters that begin at bytes `at`; 0 and 1 where none does."""
    lead = raw[at]
    sizes = _SIZES[lead]
    codes = np.where(sizes > 1, lead & (0x7F >> sizes), lead).astype(np.int32)
    valid = sizes > 0
    for further in range(1, int(sizes.max(initial=0))):
        byte = raw[np.minimum(at + further, raw.size - 1)]
        more = sizes > further
        codes = np.where(more, codes << 6 | byte & 0x3F, codes)
        valid &= ~more | ((byte & 0xC0) == 0x80)
    valid &= (codes >= _LEAST[sizes]) & (codes < 0x110000) & ((codes < 0xD800) | (codes >= 0xE000))
    return np.where(valid, codes, 0), np.where(valid, sizes, 1)
