"""Word n-grams of solutions, and in how many solutions each occurs (paper, section 2.1).

A solution is cut into clauses, which end at punctuation, digits and mathematics, and an n-gram never crosses such a
break. Counting maps over blocks of solutions and adds up what the blocks found.

An n-gram is counted as a 52-bit hash with the number of its solution in the 12 bits below, so that one sort of
integers finds repetitions within and across solutions. Two n-grams may share such a hash, so counts by hash are upper
bounds, which adding up what `locate` finds makes exact.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from ..folding import UNSPACED
from ..lexicon import MAX_GRAM_CHARACTERS


BLOCK_SOLUTIONS = 512  # small blocks stay in the cache; the number of a solution must fit in 12 bits
BLOCK_CHARACTERS = 4_000_000

_CLAUSE, _SENTENCE, _FORMULA, _SOLUTION = range(4)
_BREAKS = (b"\x01", b"\x02", b"\x03", b"\x04")
_FULL_STOP = b"\x05"  # ends a sentence before a space, else a clause
_SOFT_SPACE = "\x0b"  # parts words, but does not make a full stop before it the end of a sentence
_FIRST_WORD = 16  # codes below are breaks
_GLUED = np.uint64(1 << 63)  # set in the code of a word without white space before it, as Chinese is written
_SOLUTION_BITS = np.uint64(12)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_FIRST_BYTES = np.array([(1 << 8 * count) - 1 for count in range(9)], dtype=np.uint64)
_IS_QUOTE = np.isin(np.arange(256), [ord("'"), ord("-")])
_HASH_MASK = ~np.uint64((1 << 12) - 1)

# A dollar sign opens mathematics only if no space follows, and closes it only if none is before: "$5 and $6" is money.
_MATH = re.compile(
    rb"\$\$[^$\x04]*\$\$|\$(?!\s)[^$\n\x04]*(?<!\s)\$(?!\d)|\\[A-Za-z]+(?:\{[^{}\x04]*\})*"
    # What is opened again before it is closed was not opened: looking further each time would be quadratic.
    rb"|\\\[(?:[^\\\x04]|\\(?!\[))*?\\\]|\\\((?:[^\\\x04]|\\(?!\())*?\\\)"
)
# Tags and special tokens, as models and chat templates write them: "a < b and c > d" has none.
_TAG = re.compile(
    rb"</?[A-Za-z][\w:.-]*(?:\s+[\w:-]+=(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>\"']+))*\s*/?>"
    rb"|<(\||\xef\xbd\x9c)[^<>|\n\x04]{1,60}?\1>|\[/?[A-Z][A-Z_]+\]"
)
_FIRST_UNSPACED = 0xE0  # the first byte in UTF-8 of any of them is at least this
_TOKEN = re.compile(rb"[\x01-\x05]|[^\x00-\x20]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Format characters, such as the joiners inside Persian and Hindi words, where they are not inside one.
_FORMAT = (
    b"(?:" + b"|".join(chr(c).encode() for c in range(0x80, 0x110000) if unicodedata.category(chr(c)) == "Cf") + b")+"
)
_FORMAT_AT_EDGE = re.compile(rb"(?<![A-Za-z\x80-\xff])" + _FORMAT + b"|" + _FORMAT + rb"(?![A-Za-z\x80-\xff])")


def _byte_table(digits_break: bool) -> bytes:
    """Translation of single bytes: letters to lower case, what breaks a clause to its mark, white space to a space."""
    formula = "0123456789=+^$\\" if digits_break else "=+^$\\"
    table = bytearray(range(256))
    for byte in range(128):
        char = chr(byte)
        if char in formula:
            table[byte] = _BREAKS[_FORMULA][0]
        elif char in "?!\n":
            table[byte] = _BREAKS[_SENTENCE][0]
        elif char.isspace() or (byte < 32 and byte != _BREAKS[_SOLUTION][0]):
            table[byte] = ord(" ")
        elif char.isalnum():
            table[byte] = ord(char.lower())
        elif char == ".":
            table[byte] = _FULL_STOP[0]
        elif byte >= 32 and char not in "'-":
            table[byte] = _BREAKS[_CLAUSE][0]
    return bytes(table)


_TABLES = {digits_break: _byte_table(digits_break) for digits_break in (True, False)}


@dataclass(frozen=True)
class Rules:
    """
    Which n-grams there are: fields of [`~hicra_trl.grams.MiningConfig`].

    A short clause that goes on from a formula, such as "apples" in "3 apples", is no n-gram.
    """

    min_n: int = 3
    max_n: int = 5
    short_clauses: bool = True
    digits_break: bool = True


@dataclass(frozen=True)
class Block:
    """
    Solutions as tokens: words, and breaks between them.

    Attributes:
        text (`bytes`):
            What the tokens are cut from, in lower case and with marks for what breaks a clause.
        starts (`numpy.ndarray` of shape `(N,)`, int32):
            First byte of each token. The first and the last token are breaks between solutions.
        codes (`numpy.ndarray` of shape `(N,)`, uint64):
            Kind of a break, or the hash of a word and, in the highest bit, whether no white space is before it.
    """

    text: bytes
    starts: np.ndarray
    codes: np.ndarray

    @property
    def tokens(self) -> list[bytes]:
        """The tokens."""
        return [self.text[start : self._end(start)] for start in self.starts.tolist()]

    def _end(self, start: int) -> int:
        token = _TOKEN.match(self.text, start)
        assert token is not None
        return token.end()

    @cached_property
    def solutions(self) -> np.ndarray:
        """Number of each token's solution within the block (N,), uint64."""
        return np.cumsum(self.codes == _SOLUTION).astype(np.uint64) - np.uint64(1)

    def phrases(self, starts: np.ndarray, widths: np.ndarray) -> list[str]:
        """The words of the n-grams that start at the tokens `starts` and have `widths` words."""
        edges = zip(self.starts[starts].tolist(), self.starts[starts + widths - 1].tolist())
        found = (self.text[first : self._end(last)].replace(_SOFT_SPACE.encode(), b"") for first, last in edges)
        return [b" ".join(words.split()).decode() for words in found]

    def ngrams(self, rules: Rules) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yields, for each length n: n, the first tokens of the n-grams, and a hash of n tokens from each token on."""
        is_break = self.codes < _FIRST_WORD
        breaks = np.flatnonzero(is_break)
        words_left = np.repeat(breaks, np.diff(breaks, prepend=-1)) - np.arange(self.codes.size)
        rolled, codes = np.zeros(self.codes.size, dtype=np.uint64), self.codes & ~_GLUED
        for n in range(1, rules.max_n + 1):
            rolled = rolled[: self.codes.size - n + 1] * _MULTIPLIER + codes[n - 1 :]
            if n == 1:
                # What is before its first word is not part of an n-gram; what is between two is.
                codes = codes + (self.codes >> np.uint64(63)) * _FIRST_BYTES[7]
            left = words_left[: rolled.size]
            if n >= rules.min_n:
                starts = np.flatnonzero(left >= n)
            elif rules.short_clauses:
                starts = np.flatnonzero(left == n)
                starts = starts[self.opens_clause(starts)]
            else:
                continue
            yield n, starts, rolled

    def opens_clause(self, starts: np.ndarray) -> np.ndarray:
        """Whether a clause opens at each of the tokens `starts`: behind punctuation, not behind a word or formula."""
        before = self.codes[starts - 1]
        return (before < _FIRST_WORD) & (before != _FORMULA)

    def in_formula_sentence(self, starts: np.ndarray) -> np.ndarray:
        """Whether the sentence of each of the tokens `starts` has digits or mathematics in it."""
        sentences = np.cumsum((self.codes == _SENTENCE) | (self.codes == _SOLUTION))
        return (np.bincount(sentences, self.codes == _FORMULA) > 0)[sentences[starts]]


@dataclass(frozen=True)
class Counts:
    """
    In how many solutions the shortest n-grams occur, by hash.

    Attributes:
        hashes (`numpy.ndarray` of shape `(N,)`, uint64):
            The n-grams in increasing order; the lowest 12 bits are 0.
        document (`numpy.ndarray` of shape `(N,)`, int32):
            Document frequency: number of solutions with the n-gram.
    """

    hashes: np.ndarray
    document: np.ndarray


def blocks(solutions: Iterable[str]) -> Iterator[list[str]]:
    """Groups solutions into blocks of up to 512, fewer where they are long."""
    block: list[str] = []
    size = 0
    for solution in solutions:
        if block and (len(block) == BLOCK_SOLUTIONS or size + len(solution) > BLOCK_CHARACTERS):
            yield block
            block, size = [], 0
        block.append(solution)
        size += len(solution)
    if block:
        yield block


def read_block(solutions: Sequence[str], digits_break: bool = True) -> Block:
    """
    Cuts up to 4,096 solutions into words and breaks.

    Words are lower case, and a curly apostrophe is made straight; a Chinese or Japanese character is a word. A
    sentence ends at `?`, `!`, the end of a line, and a full stop before white space. Digits, operators and LaTeX are
    formulas. Any other punctuation ends a clause, and so does a tag or a special token, which is no word.

    Example:

    ```python
    >>> read_block(["Wait, let’s try 3."]).tokens
    [b'\\x04', b'wait', b'\\x01', b"let's", b'try', b'\\x03', b'\\x05', b'\\x04']
    ```
    """
    between = _BREAKS[_SOLUTION].decode()
    text = between + between.join(solution.replace(between, " ") for solution in solutions) + between
    try:
        data = text.encode()
    except UnicodeEncodeError:
        data = _SURROGATE.sub(",", text).encode()
    data = _replaced(_TAG, "<[", data, b",")
    if not text.isascii():
        data = _simplified(data)
    data = _replaced(_MATH, "$\\", data, b"=").translate(_TABLES[digits_break])
    if (np.frombuffer(data, dtype=np.uint8) >= _FIRST_UNSPACED).any():
        data = UNSPACED.sub(rf"{_SOFT_SPACE}\g<0>{_SOFT_SPACE}", data.decode()).encode()
    return _cut(data)


def _replaced(pattern: re.Pattern[bytes], openers: str, data: bytes, by: bytes) -> bytes:
    """Text with `by` for each match; looking only where one may start is four times as fast as `re.sub`."""
    raw = np.frombuffer(data, dtype=np.uint8)
    pieces, end = [], 0
    for start in np.flatnonzero((raw == ord(openers[0])) | (raw == ord(openers[1]))).tolist():
        if start >= end and (match := pattern.match(data, start)):
            pieces.append(data[end:start])
            end = match.end()
    return by.join([*pieces, data[end:]])


def _cut(text: bytes) -> Block:
    raw = np.frombuffer(text, dtype=np.uint8)
    is_break = raw <= _FULL_STOP[0]
    is_word = raw > ord(" ")
    # The text begins and ends with a break, so that every word has a byte before and behind it.
    edge = is_word[1:] != is_word[:-1]
    word_starts, word_ends = np.ascontiguousarray((np.flatnonzero(edge) + 1).reshape(-1, 2).T)
    is_break[1:] |= edge & is_word[1:]
    starts = np.flatnonzero(is_break)
    words = np.flatnonzero(is_word[starts])
    codes = raw[starts].astype(np.uint64) - np.uint64(1)
    stops = np.flatnonzero(codes == _FULL_STOP[0] - 1)
    codes[stops] = np.where(raw[starts[stops] + 1] == ord(" "), _SENTENCE, _CLAUSE)
    word_codes = _word_codes(text, word_starts, word_ends - word_starts)
    spaces = np.cumsum(raw == ord(" "), dtype=np.int32)
    word_codes[1:][spaces[word_starts[1:]] == spaces[word_ends[:-1] - 1]] |= _GLUED
    # What begins or ends with a quotation mark or a hyphen is no plain word: the clause breaks there.
    word_codes[_IS_QUOTE[raw[word_starts]] | _IS_QUOTE[raw[word_ends - 1]]] = _CLAUSE
    codes[words] = word_codes
    return Block(text, starts.astype(np.int32), codes)


def _word_codes(text: bytes, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """
    64 bits that depend on the word alone, for all words at once.

    Seen through a window that moves by one byte, the text is an array of integers of eight bytes, of which a word
    needs the one at its first byte. What lies behind a short word is masked away; a long word mixes in its next ones.

        text              now let's reconsider
        eight_from[0]     now let'                  now.....
        eight_from[4]         let's re              let's...
        eight_from[10]              reconsid        reconsid, and then
        eight_from[18]                      er      er......
    """
    eight_from = np.ndarray(len(text), dtype="<u8", buffer=text + bytes(8), strides=(1,))
    codes = _mixed(eight_from[starts] & _FIRST_BYTES[np.minimum(lengths, 8)])
    rest = np.flatnonzero(lengths > 8)
    done = 8
    # What is longer than a gram may be is never one: words that differ only behind that need not be told apart.
    while rest.size and done < 4 * MAX_GRAM_CHARACTERS:
        eight = eight_from[starts[rest] + done] & _FIRST_BYTES[np.minimum(lengths[rest] - done, 8)]
        codes[rest] = _mixed(codes[rest] * _MULTIPLIER + eight)
        done += 8
        rest = rest[lengths[rest] > done]
    return np.maximum(codes & ~_GLUED, np.uint64(_FIRST_WORD))


def _simplified(data: bytes) -> bytes:
    """
    Text in which everything beyond ASCII but letters is an ASCII character of the same kind.

    A window of four bytes at its first byte, cut to its width, is a character; each is looked at once, however often
    it comes.
    """
    raw = np.frombuffer(data, dtype=np.uint8)
    leads = np.flatnonzero(raw >= 0xC0)
    widths = 2 + (raw[leads] >= 0xE0) + (raw[leads] >= 0xF0)
    unused = (32 - 8 * widths).astype(np.uint32)
    four_from = np.ndarray(raw.size, dtype="<u4", buffer=data + bytes(4), strides=(1,))
    kinds, which = np.unique((four_from[leads] << unused) >> unused, return_inverse=True)
    chars = [int(kind).to_bytes(4, "little").rstrip(b"\0").decode() for kind in kinds]
    if any(char != char.lower() for char in chars):
        return _simplified(data.decode().lower().encode())
    simple = np.array([ord(_simple(char)) for char in chars])
    replaced = np.flatnonzero(simple[which] < 0x80)
    raw, keep = raw.copy(), np.ones(raw.size, dtype=bool)
    raw[leads[replaced]] = simple[which[replaced]]
    for offset in (1, 2, 3):
        wide = replaced[widths[replaced] > offset]
        keep[leads[wide] + offset] = False
    data = raw[keep].tobytes()
    return _FORMAT_AT_EDGE.sub(b",", data) if any(map(_is_format, chars)) else data


def count(block: Block, rules: Rules) -> Counts:
    """
    Document frequencies of the shortest n-grams of a block: those of `min_n` words, and short clauses.

    A longer n-gram is in no more solutions than any n-gram inside it, so that these decide where [`locate`] looks.
    """
    shortest = block.ngrams(replace(rules, max_n=rules.min_n))
    found = [(_mixed(rolled[starts]) & _HASH_MASK) | block.solutions[starts] for _, starts, rolled in shortest]
    keys = np.concatenate(found)
    keys.sort()
    if not keys.size:
        return Counts(keys, np.zeros(0, dtype=np.int32))
    keys = keys[np.diff(keys, prepend=~keys[0]) != 0] >> _SOLUTION_BITS
    first = np.flatnonzero(np.diff(keys, prepend=~keys[0]))
    return Counts(keys[first] << _SOLUTION_BITS, np.diff(first, append=keys.size).astype(np.int32))


@dataclass(frozen=True)
class Found:
    """
    Where the n-grams that are kept occur in a block.

    Attributes:
        hashes (`numpy.ndarray` of shape `(G,)`, uint64):
            The n-grams in increasing order, all 64 bits.
        phrases (`numpy.ndarray` of shape `(G,)`, str):
            Their words; of those longer than a gram may be, the beginning.
        term (`numpy.ndarray` of shape `(G,)`, int64):
            Occurrences in the block.
        formula (`numpy.ndarray` of shape `(G,)`, int64):
            Occurrences in a sentence with digits or mathematics.
        pairs (`numpy.ndarray` of shape `(P, 2)`, int32):
            Solution of the block and position in `hashes`, once for each n-gram that a solution has.
    """

    hashes: np.ndarray
    phrases: np.ndarray
    term: np.ndarray
    formula: np.ndarray
    pairs: np.ndarray


def locate(block: Block, rules: Rules, kept: np.ndarray) -> Found:
    """
    Finds the n-grams whose hashes are in `kept`, and longer ones all of whose parts are; tells apart those that share
    a hash.

    Args:
        block ([`Block`]):
            Solutions.
        rules ([`Rules`]):
            Those that `kept` was counted with.
        kept (`numpy.ndarray` of shape `(K,)`, uint64):
            Hashes in increasing order, as [`count`] returns them.
    """
    # Nearly all n-grams fail at a table of the first bits, which is much faster than the search that follows.
    shift = np.uint64(44)
    possible = np.zeros(1 << 20, dtype=bool)
    possible[kept >> shift] = True
    found, widths = [], []
    shortest = all_parts = np.zeros(block.codes.size, dtype=bool)  # where a kept n-gram of min_n words starts
    for n, starts, rolled in block.ngrams(rules):
        if n > rules.min_n:
            all_parts = all_parts[:-1] & shortest[n - rules.min_n :]
            starts = starts[all_parts[starts]]
        else:
            hashes = _mixed(rolled[starts])
            maybe = np.flatnonzero(possible[hashes >> shift])
            masked = hashes[maybe] & _HASH_MASK
            starts = starts[maybe[kept[np.minimum(np.searchsorted(kept, masked), kept.size - 1)] == masked]]
            if n == rules.min_n:
                shortest[starts] = True
        found.append((starts, _mixed(rolled[starts])))
        widths.append(np.full(starts.size, n))
    starts, hashes = (np.concatenate(parts) for parts in zip(*found))
    unique, first, gram = np.unique(hashes, return_index=True, return_inverse=True)
    pairs = block.solutions[starts].astype(np.int64) * max(unique.size, 1) + gram
    pairs.sort()
    pairs = pairs[np.diff(pairs, prepend=-1) != 0]
    phrases = block.phrases(starts[first], np.concatenate(widths)[first])
    return Found(
        unique,
        np.array([phrase[: MAX_GRAM_CHARACTERS + 1] for phrase in phrases], dtype=np.str_),
        np.bincount(gram, minlength=unique.size),
        np.bincount(gram, block.in_formula_sentence(starts), minlength=unique.size).astype(np.int64),
        np.column_stack(np.divmod(pairs, max(unique.size, 1))).astype(np.int32),
    )


def _mixed(values: np.ndarray) -> np.ndarray:
    """Spreads what distinguishes the values over all 64 bits."""
    values = (values ^ (values >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return values ^ (values >> np.uint64(32))


@lru_cache(maxsize=4096)
def _simple(char: str) -> str:
    """A letter as it is, and an ASCII character of the same kind for anything else."""
    if char in "×÷·−±≤≥≠≈√π∞∑∫→":
        return "="
    if char.isnumeric() and not char.isalpha():
        return "0"
    if unicodedata.category(char)[0] in "LM" or _is_format(char):
        return char
    if char == "’":
        return "'"
    if char.isspace():
        return " "
    return "!" if char in "。！？" else ","


def _is_format(char: str) -> bool:
    return unicodedata.category(char) == "Cf"
