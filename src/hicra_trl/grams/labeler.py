"""Finds the planning tokens of sampled completions: the tokens that overlap a strategic gram (paper, section 2.1).

Labels belong to the sampled ids, and nothing is tokenised again. A row's ids become the bytes that they wrote, the
matcher finds the grams in those, and byte spans become token spans.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from .folding import PLAIN, SEPARATOR
from .lexicon import StrategicGrams
from .matcher import GramMatcher, covered, leftmost_longest
from .token_bytes import token_bytes


@dataclass
class Labels:
    """
    What one pass over a batch of completions finds.

    Attributes:
        planning_mask (`torch.Tensor` of shape `(B, T)`, bool):
            Whether a token overlaps any occurrence of a strategic gram; on the device of the ids.
        gram_index (`torch.Tensor` of shape `(B, T)`, int64):
            Index of the gram that a token is in, or -1; of several, the one of `spans`. On the device of the ids.
        texts (`list[bytes]`):
            Each row as it was matched: lower case, white space collapsed, special and masked tokens as a zero byte.
        spans (`list[numpy.ndarray]` of shape `(n, 5)`, int64):
            Each row's leftmost-longest occurrences in order, as columns gram, first byte and end byte in the row's
            text, first token and end token; ends are exclusive.
    """

    planning_mask: torch.Tensor
    gram_index: torch.Tensor
    texts: list[bytes]
    spans: list[np.ndarray]


class PlanningTokenLabeler:
    """
    Labels planning tokens: those that overlap an occurrence of a strategic gram.

    [`GramMatcher`] says what an occurrence is.

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
        plain = [separator if text is None else text.translate(PLAIN) for text in table] + [separator]
        self._lengths = np.array([len(text) for text in plain], dtype=np.int32)
        self._starts = np.cumsum(self._lengths, dtype=np.int32) - self._lengths
        self._pool = np.frombuffer(b"".join(plain), dtype=np.uint8)
        self._separator_slot = len(table)
        self._is_separator = np.array([text is None for text in table] + [True])
        self._matcher = GramMatcher(grams)

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
        slots = self._slots(token_ids, mask)
        return self._planning(slots, self._rows(slots)).to(token_ids.device)

    def label(self, token_ids: torch.Tensor, mask: torch.Tensor | None = None) -> Labels:
        """Like calling the labeler, and returns the occurrences and texts of the same pass too, as [`Labels`]."""
        slots = self._slots(token_ids, mask)
        rows = list(self._rows(slots))
        spans = [leftmost_longest(matches) for _, matches in rows]
        index = np.full(slots.shape, -1)
        for row, (_, matches), chosen in zip(index, rows, spans, strict=True):
            # Of a token that two occurrences write to, the last one stays.
            for gram, _, _, first, end in (*matches.tolist(), *chosen.tolist()):
                row[first:end] = gram
        # A token that wrote nothing overlaps nothing.
        index[self._lengths[slots] == 0] = -1
        found = torch.from_numpy(index).to(token_ids.device)
        return Labels(found >= 0, found, [text for text, _ in rows], spans)

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
            [(self.grams[gram], first, end) for gram, _, _, first, end in leftmost_longest(matches).tolist()]
            for _, matches in self._rows(self._slots(token_ids, mask))
        ]

    def _planning(self, slots: np.ndarray, rows: Iterable[tuple[bytes, np.ndarray]]) -> torch.Tensor:
        planning = np.zeros(slots.shape, dtype=bool)
        for row, (_, matches) in zip(planning, rows, strict=True):
            row[:] = covered(matches[:, 3:], row.size)
        # A token that wrote nothing overlaps nothing.
        planning &= self._lengths[slots] > 0
        return torch.from_numpy(planning)

    def _slots(self, token_ids: torch.Tensor, mask: torch.Tensor | None) -> np.ndarray:
        """Table row of every token (B, T); what is masked or outside the vocabulary gets the separator's."""
        if not isinstance(token_ids, torch.Tensor):
            raise ValueError(f"token_ids must be a tensor of shape (B, T), got {type(token_ids).__name__}")
        if token_ids.dim() != 2 or token_ids.is_floating_point() or token_ids.dtype == torch.bool:
            raise ValueError(
                f"token_ids must be integers of shape (B, T), got {token_ids.dtype} of shape {tuple(token_ids.shape)}"
            )
        ids = token_ids.detach().cpu().numpy()
        known = (ids >= 0) & (ids < self._separator_slot)
        if mask is not None:
            if not isinstance(mask, torch.Tensor) or mask.shape != token_ids.shape:
                got = tuple(mask.shape) if isinstance(mask, torch.Tensor) else type(mask).__name__
                raise ValueError(f"mask must be a tensor of shape {tuple(token_ids.shape)}, got {got}")
            known &= mask.detach().bool().cpu().numpy()
        return np.where(known, ids, self._separator_slot)

    def _rows(self, batch: np.ndarray) -> Iterator[tuple[bytes, np.ndarray]]:
        """Text and all valid matches (columns as in [`Labels`], overlapping ones included) of every row of slots."""
        for slots in batch:
            written = np.flatnonzero(~self._is_separator[slots])
            if written.size == 0:
                yield b"", np.zeros((0, 5), dtype=np.int64)
                continue
            # A separator at either end spares every look at a neighbour its bounds check.
            padded = np.full(written[-1] + 3, self._separator_slot, dtype=np.int64)
            padded[1:-1] = slots[: written[-1] + 1]
            lengths = self._lengths[padded]
            ends = np.cumsum(lengths, dtype=np.int32)
            places = np.repeat(self._starts[padded] - ends + lengths, lengths)
            raw = self._pool[places + np.arange(ends[-1], dtype=np.int32)]
            text, matches = self._matcher.find(raw)
            matches[:, 3] = np.searchsorted(ends, matches[:, 3], side="right") - 1
            matches[:, 4] = np.searchsorted(ends, matches[:, 4] - 1, side="right")
            yield text, matches
