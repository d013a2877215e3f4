r"""Braces round the arguments that LaTeX takes without them: `\frac\pi4`, `\sqrt\frac12`, `2^\frac13`, `\binom n2`."""

import re


_TOKEN = re.compile(r" *(\\[a-zA-Z]+|\\.|.)", re.DOTALL)
_ARGUMENTS = {r"\frac": 2, r"\binom": 2, r"\sqrt": 1, "^": 1, "_": 1}
_OPENING, _CLOSING = re.compile(r"(?<!\\)\{"), re.compile(r"(?<!\\)\}")
_ROOT = re.compile(r" *\[([^\[\]]*)\]")
_NO_ARGUMENT = frozenset("})](&,;=<>+'^_")
_MAX_DEPTH = 60


def braced(text: str, depth: int = 0) -> str:
    r"""
    LaTeX with braces round every argument of a fraction, a root, a binomial, a power and an index; the same where
    braces do not match.

    Example:

    ```python
    >>> braced(r"\frac\pi4+\sqrt\frac12"), braced(r"x^2_1")
    ('\\frac{\\pi}{4}+\\sqrt{\\frac{1}{2}}', 'x^2_1')
    ```
    """
    if depth > _MAX_DEPTH or (depth == 0 and len(_OPENING.findall(text)) != len(_CLOSING.findall(text))):
        return text
    written, at = [], 0
    while token := _TOKEN.match(text, at):
        written.append(token[0])
        at = token.end()
        if token[1] == r"\sqrt" and (root := _ROOT.match(text, at)):
            written.append(f"[{root[1]}]")
            at = root.end()
        for _ in range(_ARGUMENTS.get(token[1], 0)):
            end = _end(text, at, 0)
            if end is None:
                break
            argument = text[at:end].strip()
            inside = argument[1:-1] if argument.startswith("{") else argument
            script = token[1] in "^_" and len(argument) == 1
            written.append(argument if script else f"{{{braced(inside, depth + 1)}}}")
            at = end
    return "".join(written) + text[at:]


def _end(text: str, at: int, depth: int) -> int | None:
    """Where the argument that begins at a place ends; `None` if there is none."""
    token = _TOKEN.match(text, at)
    if token is None or token[1] in _NO_ARGUMENT or depth > _MAX_DEPTH:
        return None
    at = token.end()
    if token[1] == "{":
        return closing_brace(text, at)
    if token[1] == r"\sqrt" and (root := _ROOT.match(text, at)):
        at = root.end()
    for _ in range(_ARGUMENTS.get(token[1], 0)):
        end = _end(text, at, depth + 1)
        if end is None:
            return at
        at = end
    return at


def closing_brace(text: str, at: int) -> int | None:
    """Behind the brace that closes what is open before a place; `None` if none does."""
    depth = 1
    for token in _TOKEN.finditer(text, at):
        depth += (token[1] == "{") - (token[1] == "}")
        if depth == 0:
            return token.end()
    return None
