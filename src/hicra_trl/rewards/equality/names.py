r"""The names that stand in front of an answer: the `x` of `x = 5`, the `P(X=1)` of `P(X=1) = \frac14`."""

import re

from .parts import split


MAX_NAME_CHARACTERS = 40
MAX_EQUALITIES = 10
_FUNCTION = r"\\(?:sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|log|ln|gcd|lcm|max|min|det|deg|dim)(?![a-zA-Z])"
_NAME = re.compile(
    r"(?=\\?[a-zA-Z]|\([a-zA-Z])"
    r"(?:[ a-zA-Z']|\\(?!frac|sqrt|sum|int|log|ln|sin|cos|tan|binom|not|neg|lnot|pm)[a-zA-Z]++|\{[a-zA-Z0-9 \\]*\}"
    r"|_[a-zA-Z0-9]|_(?=\{)|\^\{?\\prime\}?|\([^()]*\))*+"
)
_LETTERS = r"[A-Z' _\d\\a-z]+"
_COMPOUND = re.compile(
    rf"\\?\|[^|=<>]+\||{_FUNCTION}(?:\^\d|_\w)? ?(?:\([^()]*\)|[\\a-zA-Z]+ ?)|\\frac\{{{_LETTERS}\}}\{{{_LETTERS}\}}"
)
_MEMBER = re.compile(r"\\in(?![a-zA-Z])\s*")
_NO_NAME = re.compile(
    r"\b(?:[Nn](?:ot?|ever|either|or)|[Aa]ny(?:thing|one)?|[Bb]ut|[Ee]xcept|[Ww]rong|[Ii]ncorrect|[Ff]alse|[Oo]ther|"
    r"[Uu]nlike|[Ii]nstead)\b|\\(?:not|neg|lnot)"
)
_VARIABLE = re.compile(
    r"\\(?:alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|rho|sigma|tau|upsilon|"
    r"phi|varphi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Xi|Sigma|Phi|Psi|Omega)(?![a-zA-Z])|(?<![\\a-zA-Z])[a-zA-Z]"
)


def split_name(text: str) -> tuple[str, str] | None:
    r"""
    `("x", "5")` of `x=5`, `("x", "[0,1]")` of `x\in[0,1]`; `None` if what stands on the left is no name.

    Example:

    ```python
    >>> split_name(r"P(X=1)=\frac{1}{4}"), split_name("AB:BC=1:2"), split_name("2x=6")
    (('P(X=1)', '\\frac{1}{4}'), ('AB:BC', '1:2'), None)
    ```
    """
    name, *values = split(text, "=")
    if not values or not (is_name(name) or _is_compound(name, values)):
        member = _MEMBER.search(text)
        if not member or not is_name(text[: member.start()]):
            return None
        name, values = text[: member.start()], [text[member.end() :]]
    value = "=".join(values)
    # Of x=1,y=2 the name is not x.
    assignments = len(values) > 1 and ("," in value or ";" in value)
    if not value.strip() or assignments or len(values) > MAX_EQUALITIES + 1:
        return None
    return name.replace(" ", ""), value.strip()


def is_name(text: str) -> bool:
    """Whether a text can name what follows it; no expression is a name."""
    if len(text) > MAX_NAME_CHARACTERS or negates(text):
        return False
    return _NAME.fullmatch(text.strip()) is not None


def negates(text: str) -> bool:
    """Whether a text says that something is not so."""
    return _NO_NAME.search(text) is not None


def letters(text: str) -> set[str]:
    """Variables of an expression: letters, Greek ones too, but not those of a function's name."""
    return set(_VARIABLE.findall(text)) - {"e", "i"}


def _is_compound(name: str, values: list[str]) -> bool:
    """Whether it is a length, a ratio or a function of names, none of which the value has: an equation is no name."""
    if len(name) > MAX_NAME_CHARACTERS or negates(name) or letters(name) & letters(values[-1]):
        return False
    terms = split(name, ":")
    if len(terms) > 1:
        return all(map(is_name, terms))
    return bool(letters(name)) and _COMPOUND.fullmatch(name.strip()) is not None
