"""Marks the strategic grams of a text in HTML (as the paper's figure 2 does)."""

from html import escape

from ..grams import GramMatcher, StrategicGrams


def highlight(text: str, grams: StrategicGrams, matcher: GramMatcher) -> str:
    """
    HTML of `text`, escaped, with every stretch of strategic grams in `<mark>`.

    Args:
        text (`str`):
            What a model wrote.
        grams ([`~hicra_trl.grams.StrategicGrams`]):
            The lexicon.
        matcher ([`~hicra_trl.grams.GramMatcher`]):
            Its matcher.

    Returns:
        `str`: HTML; the title of each mark names the grams in it.

    Example:

    ```python
    >>> grams = StrategicGrams(["but wait"])
    >>> highlight("2 < 3. But wait, why?", grams, GramMatcher(grams))
    '2 &lt; 3. <mark title="but wait">But wait</mark>, why?'
    ```
    """
    data = text.encode(errors="replace")
    parts, done = [], 0
    for start, end, names in _stretches(matcher.find_in_text(text).tolist(), grams):
        parts.append(escape(data[done:start].decode()))
        parts.append(f'<mark title="{escape(", ".join(names))}">{escape(data[start:end].decode())}</mark>')
        done = end
    return "".join(parts) + escape(data[done:].decode())


def trace_block(heading: str, text: str, grams: StrategicGrams, matcher: GramMatcher) -> str:
    """One highlighted text with a heading, as a block of a page."""
    return f'<div class="trace"><h3>{escape(heading)}</h3><pre>{highlight(text, grams, matcher)}</pre></div>'


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
