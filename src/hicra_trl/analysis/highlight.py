"""Marks strategic grams in HTML, as the paper's figure 2 does, and recorded tokens, as its figure 9 does."""

from codecs import getincrementaldecoder
from collections.abc import Iterable
from html import escape
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np

from ..grams import GramMatcher, StrategicGrams
from ..training.runs.token_record import RecordedCompletion
from .token_record import TokenRecord
from .viewer.rollouts import high_entropy


def highlight(text: str, matcher: GramMatcher) -> str:
    """
    HTML of `text`, escaped, with every stretch of strategic grams in `<mark>`.

    Args:
        text (`str`):
            What a model wrote.
        matcher ([`~hicra_trl.grams.GramMatcher`]):
            Finds the grams.

    Returns:
        `str`: HTML; the title of each mark names the grams in it.

    Example:

    ```python
    >>> highlight("2 < 3. But wait, why?", GramMatcher(StrategicGrams(["but wait"])))
    '2 &lt; 3. <mark title="but wait">But wait</mark>, why?'
    ```
    """
    data = text.encode(errors="replace")
    parts, done = [], 0
    for start, end, names in _found(text, matcher):
        parts.append(escape(data[done:start].decode()))
        parts.append(f'<mark title="{escape(", ".join(names))}">{escape(data[start:end].decode())}</mark>')
        done = end
    return "".join(parts) + escape(data[done:].decode())


def highlight_tokens(row: RecordedCompletion, high: np.ndarray) -> str:
    """
    HTML of a recorded completion: planning tokens in `<mark>`, those of high entropy in `<mark class="high">`, those
    that are both in `<mark class="both">`.

    Args:
        row ([`~hicra_trl.training.runs.token_record.RecordedCompletion`]):
            The completion.
        high (`numpy.ndarray` of shape `(T,)`, bool):
            Its tokens of high entropy.
    """
    decoder, parts = getincrementaldecoder("utf-8")("replace"), []
    tokens = zip(pairwise([0, *row.ends.tolist()]), row.planning.tolist(), high.tolist(), row.gram.tolist())
    for (planning, is_high, gram), group in groupby(tokens, key=lambda token: token[1:]):
        spans = [span for span, *_ in group]
        text = escape(decoder.decode(row.completion[spans[0][0] : spans[-1][1]]))
        kind = "both" if planning and is_high else "high" if is_high else "planning" if planning else None
        title = f' title="{escape(row.header.grams[gram])}"' if gram >= 0 else ""
        parts.append(f'<mark class="{kind}"{title}>{text}</mark>' if kind else text)
    return "".join(parts) + escape(decoder.decode(b"", final=True))


class Recorded:
    """
    Finds the tokens of completions that a run saved, where it recorded them too.

    Args:
        run (`Path`):
            Folder of a run with a token record.
    """

    def __init__(self, run: Path) -> None:
        self._record = TokenRecord.read(run)
        self._rows: dict[int, list[tuple[RecordedCompletion, np.ndarray]]] = {}

    def find(self, step: int, text: str) -> tuple[RecordedCompletion, np.ndarray] | None:
        """The completion with that text, saved at a step, and which of its tokens are of high entropy."""
        # What is saved after a step was sampled for it, or for the step before that began to use it.
        recorded = max((other for other in self._record.steps if other <= step), default=None)
        if recorded is None or not text:
            return None
        if recorded not in self._rows:
            rows = self._record.rows(recorded)
            self._rows[recorded] = list(zip(rows, high_entropy(rows)))
        data = text.encode(errors="replace")
        # The saved text lacks the special tokens that end it.
        found = [
            (row, high)
            for row, high in self._rows[recorded]
            if row.completion.startswith(data) and len(data) in row.ends
        ]
        return min(found, key=lambda pair: len(pair[0].completion), default=None)


def trace_block(heading: str, text: str, matcher: GramMatcher, level: int = 2) -> str:
    """One highlighted text with a heading of that level, and the grams in it, as a block of a page."""
    names = (name for *_, found in _found(text, matcher) for name in found)
    return block(heading, highlight(text, matcher), names, level)


def token_block(heading: str, row: RecordedCompletion, high: np.ndarray, level: int = 2) -> str:
    """Like [`trace_block`] for a recorded completion; arguments as of [`highlight_tokens`]."""
    names = (row.header.grams[gram] for gram in row.gram.tolist() if gram >= 0)
    return block(heading, highlight_tokens(row, high), names, level)


def block(heading: str, html: str, names: Iterable[str] = (), level: int = 2) -> str:
    """What was highlighted, with a heading, and in words what the titles of the marks say."""
    said = ", ".join(dict.fromkeys(names))
    grams = f'<p class="note">Grams: {escape(said)}</p>' if said else ""
    return f'<div class="trace"><h{level}>{escape(heading)}</h{level}><pre>{html}</pre>{grams}</div>'


def _found(text: str, matcher: GramMatcher) -> list[tuple[int, int, list[str]]]:
    return _stretches(matcher.find_in_text(text).tolist(), matcher.grams)


def _stretches(matches: list[list[int]], grams: StrategicGrams) -> list[tuple[int, int, list[str]]]:
    """Merges overlapping occurrences."""
    stretches: list[tuple[int, int, list[str]]] = []
    for gram, _, _, start, end in sorted(matches, key=lambda match: (match[3], -match[4])):
        name = grams[gram]
        if stretches and start < stretches[-1][1]:
            first, last, names = stretches[-1]
            stretches[-1] = first, max(last, end), names if name in names else [*names, name]
        else:
            stretches.append((start, end, [name]))
    return stretches
