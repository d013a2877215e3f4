"""Marks the strategic grams of a text in HTML (as the paper's figure 2 does)."""

from html import escape

from ..grams import GramMatcher, StrategicGrams


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
    for start, end, names in _stretches(matcher.find_in_text(text).tolist(), matcher.grams):
        parts.append(escape(data[done:start].decode()))
        parts.append(f'<mark title="{escape(", ".join(names))}">{escape(data[start:end].decode())}</mark>')
        done = end
    return "".join(parts) + escape(data[done:].decode())


def trace_block(heading: str, text: str, matcher: GramMatcher) -> str:
    """One highlighted text with a heading, as a block of a page."""
    return f'<div class="trace"><h3>{escape(heading)}</h3><pre>{highlight(text, matcher)}</pre></div>'


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
