r"""Capital letters beside their small ones: two variables, where math-verify sees one."""

import re
from collections.abc import Mapping


# The letters of \text and of sets such as \mathbb{Z} are no variables.
_TOKEN = re.compile(r"\\(?:begin|end|text|operatorname|math[a-z]+)\{[^{}]*\}|\\[a-zA-Z]+|[a-zA-Z]")
_CAPITAL = re.compile(r"[A-Z]|\\(?:Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Upsilon|Phi|Psi|Omega)")
_NAMES = tuple(f"\\{name} " for name in ("iota", "kappa", "zeta", "eta", "chi", "tau", "nu", "varrho"))


def other_names(*texts: str) -> dict[str, str]:
    r"""
    Names, new to all texts, for the capital letters that stand beside their small ones in one of them.

    Example:

    ```python
    >>> other_names("R+2r", "3r"), other_names("3R^2", "3r^2")
    ({'R': '\\iota '}, {})
    ```
    """
    tokens = [set(_TOKEN.findall(text)) for text in texts]
    capitals = {token for text in tokens for token in text if _CAPITAL.fullmatch(token) and token.lower() in text}
    taken = {token.lower() for text in tokens for token in text}
    return dict(zip(sorted(capitals), (name for name in _NAMES if name.strip() not in taken)))


def renamed(text: str, names: Mapping[str, str]) -> str:
    """The text with other names for some of its letters."""
    return _TOKEN.sub(lambda token: names.get(token[0], token[0]), text)
