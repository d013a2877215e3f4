"""Finds the planning tokens of sampled completions: the tokens that overlap a strategic gram (paper, section 2.1).

Labels belong to the sampled ids, and nothing is tokenised again. A row's ids become the bytes that they wrote, one pass
of an Aho-Corasick automaton finds every gram, and byte spans become token spans.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np
import torch
from ahocorasick_rs import BytesAhoCorasick, Implementation
from transformers import PreTrainedTokenizerBase

from .lexicon import StrategicGrams
from .token_bytes import token_bytes


SEPARATOR = 0  # the byte of masked and special tokens: no word, no white space, in no gram
_OTHER, _WORD, _BACKSLASH, _UNDECIDED = range(4)


def _byte_classes() -> np.ndarray:
    classes = np.full(256, _OTHER, dtype=np.uint8)
    classes[[byte for byte in range(128) if chr(byte).isalnum() or byte == ord("_")]] = _WORD
    classes[ord("\\")] = _BACKSLASH
    classes[128:] = _UNDECIDED
    return classes


def _plain_bytes() -> bytes:
    """Translation of single bytes: ASCII letters to lower case, ASCII white space to a space."""
    table = bytearray(range(256))
    for byte in range(128):
        table[byte] = ord(" ") if chr(byte).isspace() else ord(chr(byte).lower())
    return bytes(table)


_CLASSES = _byte_classes()
_PLAIN = _plain_bytes()


@dataclass
class Labels:
    """
    What one pass over a batch of completions finds.

    Attributes:
        planning_mask (`torch.Tensor` of shape `(B, T)`, bool):
            Whether a token overlaps any occurrence of a strategic gram; on the device of the ids.
        texts (`list[bytes]`):
            Each row as it was matched: lower case, white space collapsed, special and masked tokens as a zero byte.
        spans (`list[numpy.ndarray]` of shape `(n, 5)`, int64):
            Each row's leftmost-longest occurrences in order, as columns gram, first byte and end byte in the row's
            text, first token and end token; ends are exclusive.
    """

    planning_mask: torch.Tensor
    texts: list[bytes]
    spans: list[np.ndarray]


class PlanningTokenLabeler:
    """
    Labels planning tokens: those that overlap an occurrence of a strategic gram.

    Matching ignores case, takes a curly apostrophe for a straight one and any run of white space for one space. An
    occurrence may not start or end inside a word, nor start right after a backslash. Cased letters beyond ASCII match
    where upper and lower case have the same length in UTF-8 (Latin-1, Greek, Cyrillic).

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerFast`]):
            The tokenizer that the completions were sampled with: byte-level BPE, or `▁` with byte fallback.
        grams ([`StrategicGrams`]):
            The lexicon.

    Raises:
        `ValueError`: if the tokenizer's decoder is of another kind.

    Example:

    ```python
    >>> labeler = PlanningTokenLabeler(tokenizer, StrategicGrams(["let's try"]))
    >>> ids = tokenizer("So, let’s\\ntry 3", return_tensors="pt").input_ids  # So , Ġlet ’s Ċ try Ġ 3
    >>> labeler(ids)
    tensor([[False, False,  True,  True,  True,  True, False, False]])
    >>> labeler.occurrences(ids)
    [[("let's try", 2, 6)]]
    ```
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, grams: StrategicGrams) -> None:
        self.grams = grams
        table = token_bytes(tokenizer)
        separator = bytes([SEPARATOR])
        plain = [separator if text is None else text.translate(_PLAIN) for text in table] + [separator]
        self._lengths = np.array([len(text) for text in plain], dtype=np.int32)
        self._starts = np.cumsum(self._lengths, dtype=np.int32) - self._lengths
        self._pool = np.frombuffer(b"".join(plain), dtype=np.uint8)
        self._separator_slot = len(table)
        self._is_separator = np.array([text is None for text in table] + [True])
        self._has_empty = bool((self._lengths == 0).any())

        self._range = np.arange(0, dtype=np.int32)
        self._automaton = BytesAhoCorasick([gram.encode() for gram in grams], implementation=Implementation.DFA)
        self._starts_word = np.array([_is_word(gram[0]) for gram in grams])
        self._ends_word = np.array([_is_word(gram[-1]) for gram in grams])
        self._cased_beyond_ascii = any(char in _lowered_letters() for gram in grams for char in gram)

    def __call__(self, token_ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """
        Args:
            token_ids (`torch.Tensor` of shape `(B, T)`, int):
                Sampled ids, on any device. Ids outside the vocabulary separate.
            mask (`torch.Tensor` of shape `(B, T)`, int or bool, *optional*):
                Tokens at 0 never match and separate their neighbours.

        Returns:
            `torch.Tensor` of shape `(B, T)`, bool: the planning mask, on the device of `token_ids`.
        """
        planning = np.zeros(tuple(token_ids.shape), dtype=bool)
        for row, (_, matches) in enumerate(self._rows(token_ids, mask)):
            _paint(planning[row], matches)
        return self._finish(planning, token_ids)

    def label(self, token_ids: torch.Tensor, mask: torch.Tensor | None = None) -> Labels:
        """Like calling the labeler, and returns the occurrences and texts of the same pass too, as [`Labels`]."""
        planning = np.zeros(tuple(token_ids.shape), dtype=bool)
        texts, spans = [], []
        for row, (text, matches) in enumerate(self._rows(token_ids, mask)):
            _paint(planning[row], matches)
            texts.append(text)
            spans.append(_leftmost_longest(matches))
        return Labels(self._finish(planning, token_ids), texts, spans)

    def occurrences(
        self, token_ids: torch.Tensor, mask: torch.Tensor | None = None
    ) -> list[list[tuple[str, int, int]]]:
        """
        Leftmost-longest occurrences that do not overlap, so that one strategic move counts once.

        Returns:
            `list[list[tuple[str, int, int]]]`: for every row, its occurrences in order as the gram, its first token
            and its end token (exclusive).
        """
        return [
            [(self.grams[gram], first, end) for gram, _, _, first, end in _leftmost_longest(matches).tolist()]
            for _, matches in self._rows(token_ids, mask)
        ]

    def _finish(self, planning: np.ndarray, token_ids: torch.Tensor) -> torch.Tensor:
        if self._has_empty:
            planning &= self._lengths[self._slots(token_ids, None)] > 0
        return torch.from_numpy(planning).to(token_ids.device)

    def _slots(self, token_ids: torch.Tensor, mask: torch.Tensor | None) -> np.ndarray:
        """Table row of every token (B, T); what is masked or outside the vocabulary gets the separator's."""
        if token_ids.dim() != 2 or token_ids.is_floating_point() or token_ids.dtype == torch.bool:
            raise ValueError(
                f"token_ids must be integers of shape (B, T), got {token_ids.dtype} of shape {tuple(token_ids.shape)}"
            )
        ids = token_ids.detach().cpu().numpy()
        known = (ids >= 0) & (ids < self._separator_slot)
        if mask is not None:
            if mask.shape != token_ids.shape:
                raise ValueError(f"mask must have the shape {tuple(token_ids.shape)}, got {tuple(mask.shape)}")
            known &= mask.detach().bool().cpu().numpy()
        return np.where(known, ids, self._separator_slot)

    def _rows(
        self, token_ids: torch.Tensor, mask: torch.Tensor | None
    ) -> Iterator[tuple[bytes, np.ndarray]]:
        """Text and all valid matches (columns as in [`Labels`], overlapping ones included) of every row."""
        for slots in self._slots(token_ids, mask):
            written = np.flatnonzero(~self._is_separator[slots])
            if written.size == 0:
                yield b"", np.zeros((0, 5), dtype=np.int64)
                continue
            # A separator at either end spares every look at a neighbour its bounds check.
            padded = np.full(written[-1] + 3, self._separator_slot, dtype=np.int64)
            padded[1:-1] = slots[: written[-1] + 1]
            lengths = self._lengths[padded]
            ends = np.cumsum(lengths, dtype=np.int32)
            raw = self._pool[np.repeat(self._starts[padded] - ends + lengths, lengths) + self._counting(ends[-1])]
            text, *removed = self._normalized(raw)
            data = text.tobytes()
            found = self._automaton.find_matches_as_indexes(data, overlapping=True)
            matches = np.fromiter(chain.from_iterable(found), dtype=np.int64, count=3 * len(found)).reshape(-1, 3)
            matches = self._inside_words_removed(matches, text, data)
            starts, stops = matches[:, 1], matches[:, 2]
            for positions in removed:
                starts, stops = _before_removal(starts, positions), _before_removal(stops, positions)
            first = np.searchsorted(ends, starts, side="right") - 1
            last = np.searchsorted(ends, stops - 1, side="right")
            yield data, np.column_stack([matches, first, last])

    def _counting(self, size: int) -> np.ndarray:
        """0, 1, ..., size - 1, from a buffer that grows as needed."""
        if size > self._range.size:
            self._range = np.arange(2 * size, dtype=np.int32)
        return self._range[:size]

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


_SPACES_OF_THREE_BYTES = [
    int.from_bytes(chr(code).encode()) for code in range(0x800, 0x10000) if chr(code).isspace()
]


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


def _paint(row: np.ndarray, matches: np.ndarray) -> None:
    """Sets the tokens of every match, in place."""
    if len(matches):
        size = row.size + 1
        change = np.bincount(matches[:, 3], minlength=size) - np.bincount(matches[:, 4], minlength=size)
        row |= np.cumsum(change)[:-1] > 0


def _leftmost_longest(matches: np.ndarray) -> np.ndarray:
    order = np.lexsort((-matches[:, 2], matches[:, 1]))
    chosen, reached = [], -1
    for i, start, end in zip(order.tolist(), matches[order, 1].tolist(), matches[order, 2].tolist(), strict=True):
        if start >= reached:
            chosen.append(i)
            reached = end
    return matches[chosen]
