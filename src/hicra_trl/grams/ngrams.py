"""Word n-grams of solutions, and in how many solutions each occurs (paper, section 2.1).

A solution is cut into clauses, which end at punctuation, digits and mathematics, and an n-gram never crosses such a
break. Counting maps over blocks of solutions and adds up what the blocks found.

An n-gram is counted as a 52-bit hash with the number of its solution in the 12 bits below, so that one sort of
integers finds repetitions within and across solutions. Two n-grams may share such a hash, so counts by hash are upper
bounds, which `locate` makes exact for the n-grams that are kept.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from .matcher import UNSPACED


BLOCK_SOLUTIONS = 2048  # the number of a solution within its block must fit in 12 bits
BLOCK_CHARACTERS = 8_000_000

_CLAUSE, _SENTENCE, _FORMULA, _SOLUTION = range(4)
_BREAKS = (b"\x01", b"\x02", b"\x03", b"\x04")
_FIRST_WORD = 16  # codes below are breaks
_SOLUTION_BITS = np.uint64(12)
_HASH_MASK = ~np.uint64((1 << 12) - 1)

# A dollar sign opens mathematics only if no space follows, and closes it only if none is before: "$5 and $6" is money.
_MATH = re.compile(
    r"\$\$[^$\x04]*\$\$|\$(?!\s)[^$\n\x04]*(?<!\s)\$(?!\d)|\\\[[^\x04]*?\\\]|\\\([^\x04]*?\\\)"
    r"|\\[a-z]+(?:\{[^{}\x04]*\})*"
)
_BETWEEN_UNSPACED = re.compile(f"(?<={UNSPACED.pattern}) (?={UNSPACED.pattern})")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def _byte_table() -> bytes:
    table = bytearray(range(256))
    for byte in range(128):
        char = chr(byte)
        if char in "0123456789=+^$\\":
            table[byte] = _BREAKS[_FORMULA][0]
        elif char in "?!\n":
            table[byte] = _BREAKS[_SENTENCE][0]
        elif char.isspace() or (byte < 32 and byte != _BREAKS[_SOLUTION][0]):
            table[byte] = ord(" ")
        elif byte >= 32 and not char.isalpha() and char not in ".'-":
            table[byte] = _BREAKS[_CLAUSE][0]
    return bytes(table)


_TABLE = _byte_table()


class _Codes(dict):
    """Code of a token: which break it is, or 64 bits that depend on the word alone."""

    def __missing__(self, token: bytes) -> int:
        # What begins or ends with a quotation mark or a hyphen is no plain word: the clause breaks there.
        if token[:1] in b"'-" or token[-1:] in b"'-":
            return self.setdefault(token, _CLAUSE)
        code = int.from_bytes(blake2b(token, digest_size=8).digest(), "little")
        return self.setdefault(token, max(code, _FIRST_WORD))


@dataclass(frozen=True)
class Rules:
    """
    Which n-grams there are.

    Args:
        min_n (`int`, *optional*, defaults to `3`):
            Fewest words.
        max_n (`int`, *optional*, defaults to `5`):
            Most words.
        short_clauses (`bool`, *optional*, defaults to `True`):
            Whether a clause of fewer than `min_n` words is an n-gram too, as "wait" and "hold on" are. One that goes
            on from a formula, such as "apples" in "3 apples", is not.
    """

    min_n: int = 3
    max_n: int = 5
    short_clauses: bool = True


@dataclass(frozen=True)
class Block:
    """
    Solutions as tokens.

    Attributes:
        tokens (`list[bytes]`):
            N words and breaks; the first and the last are breaks between solutions.
        codes (`numpy.ndarray` of shape `(N,)`, uint64):
            Kind of a break, or the hash of a word.
        solutions (`numpy.ndarray` of shape `(N,)`, uint64):
            Number of the token's solution within the block.
    """

    tokens: list[bytes]
    codes: np.ndarray
    solutions: np.ndarray

    def ngrams(self, rules: Rules) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yields, for each length n, n itself, the first tokens of the n-grams, and their 64-bit hashes."""
        is_break = self.codes < _FIRST_WORD
        breaks = np.flatnonzero(is_break)
        words_left = np.repeat(breaks, np.diff(breaks, prepend=-1)) - np.arange(self.codes.size)
        short = self.opens_clause(np.arange(self.codes.size)) if rules.short_clauses else None
        rolled = np.zeros(self.codes.size, dtype=np.uint64)
        for n in range(1, rules.max_n + 1):
            rolled = rolled[: self.codes.size - n + 1] * np.uint64(0x9E3779B97F4A7C15) + self.codes[n - 1 :]
            left = words_left[: rolled.size]
            if n >= rules.min_n:
                starts = np.flatnonzero(left >= n)
            elif rules.short_clauses:
                starts = np.flatnonzero((left == n) & short[: rolled.size])
            else:
                continue
            yield n, starts, _mixed(rolled[starts])

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
    In how many solutions n-grams occur, by hash.

    Attributes:
        hashes (`numpy.ndarray` of shape `(N,)`, uint64):
            The n-grams in increasing order; the lowest 12 bits are 0.
        document (`numpy.ndarray` of shape `(N,)`, int32):
            Document frequency: number of solutions with the n-gram.
    """

    hashes: np.ndarray
    document: np.ndarray


def blocks(solutions: Iterable[str]) -> Iterator[list[str]]:
    """Groups solutions into blocks of up to 2,048, fewer where they are long."""
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


def read_block(solutions: Sequence[str]) -> Block:
    """
    Cuts up to 2,048 solutions into words and breaks.

    Words are lower case, and a curly apostrophe is made straight; a Chinese or Japanese character is a word. A
    sentence ends at `?`, `!`, the end of a line, and a full stop before white space. Digits, operators and LaTeX are
    formulas. Any other punctuation ends a clause.

    Example:

    ```python
    >>> read_block(["Wait, let’s try 3."]).tokens
    [b'\\x04', b'wait', b'\\x01', b"let's", b'try', b'\\x03', b'\\x01', b'\\x04']
    ```
    """
    between = _BREAKS[_SOLUTION].decode()
    text = between + between.join(solution.replace(between, " ") for solution in solutions) + between
    text = text.lower()
    if not text.isascii():
        text = _BEYOND_ASCII.sub(_simplified, text)
    if "$" in text or "\\" in text:
        text = _MATH.sub("0", text)
    data = text.encode(errors="replace").translate(_TABLE)
    data = data.replace(b". ", _BREAKS[_SENTENCE]).replace(b".", _BREAKS[_CLAUSE])
    for mark in _BREAKS:
        data = data.replace(mark, b" " + mark + b" ")
    tokens = data.split()
    memo = _Codes(zip(_BREAKS, range(4)))
    codes = np.fromiter(map(memo.__getitem__, tokens), dtype=np.uint64, count=len(tokens))
    numbers = np.cumsum(codes == _SOLUTION).astype(np.uint64)
    return Block(tokens, codes, numbers - np.uint64(1))


def count(block: Block, rules: Rules) -> Counts:
    """Document frequencies of all n-grams of a block."""
    found = [(hashes & _HASH_MASK) | block.solutions[starts] for _, starts, hashes in block.ngrams(rules)]
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
            Their words.
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
    Finds the n-grams whose hashes are in `kept`, and tells apart those that share one.

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
    for n, starts, hashes in block.ngrams(rules):
        maybe = np.flatnonzero(possible[hashes >> shift])
        masked = hashes[maybe] & _HASH_MASK
        at = np.minimum(np.searchsorted(kept, masked), kept.size - 1)
        maybe = maybe[kept[at] == masked]
        found.append((starts[maybe], hashes[maybe]))
        widths.append(np.full(maybe.size, n))
    starts, hashes = (np.concatenate(parts) for parts in zip(*found))
    unique, first, gram = np.unique(hashes, return_index=True, return_inverse=True)
    spans = zip(starts[first].tolist(), np.concatenate(widths)[first].tolist())
    phrases = [_joined(b" ".join(block.tokens[start : start + n]).decode()) for start, n in spans]
    pairs = np.unique(block.solutions[starts].astype(np.int64) * max(unique.size, 1) + gram)
    return Found(
        unique,
        np.array(phrases, dtype=np.str_),
        np.bincount(gram, minlength=unique.size),
        np.bincount(gram, block.in_formula_sentence(starts), minlength=unique.size).astype(np.int64),
        np.column_stack(np.divmod(pairs, max(unique.size, 1))).astype(np.int32),
    )


def _joined(words: str) -> str:
    return words if words.isascii() else _BETWEEN_UNSPACED.sub("", words)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Spreads what distinguishes the values over all 64 bits."""
    values = (values ^ (values >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return values ^ (values >> np.uint64(32))


def _simplified(match: re.Match) -> str:
    return "".join(map(_simple, match[0]))


@lru_cache(maxsize=4096)
def _simple(char: str) -> str:
    """A letter as it is, and an ASCII character of the same kind for anything else."""
    if UNSPACED.match(char):
        return f" {char} "
    if unicodedata.category(char)[0] in "LM":
        return char
    if char == "’":
        return "'"
    if char.isspace():
        return " "
    if char.isnumeric() or char in "×÷·−±≤≥≠≈√π∞∑∫→":
        return "0"
    return "!" if char in "。！？" else ","
