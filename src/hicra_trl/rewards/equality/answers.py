r"""When two answers are equal: text, numbers, options, structure; what is left is for algebra to decide."""

import re
from collections.abc import Callable, Iterable

from ..gold import Gold
from .capitals import other_names, renamed
from .notation import option_letter, plain, words
from .numbers import read_number
from .parts import Parts, read_parts, unbracketed


Algebra = Callable[[str, str], bool]

_RELATION = re.compile(r"[<>]|\\(?:le|ge|ne|approx|equiv)(?![a-zA-Z])")
_UNEVALUATED = re.compile(r"\\(?:sum|prod|int|iint|oint|lim|bigcup|bigcap|ldots|fbox)(?![a-zA-Z])")
_NAME = re.compile(
    r"(?=\\?[a-zA-Z]|\([a-zA-Z])"
    r"(?:[ a-zA-Z']|\\(?!frac|sqrt|sum|int|log|ln|sin|cos|tan|binom|not|neg|lnot|pm)[a-zA-Z]++|\{[a-zA-Z0-9 \\]*\}"
    r"|_[a-zA-Z0-9]|_(?=\{)|\^\{?\\prime\}?|\([a-zA-Z0-9, ]*\))*+"
)
_NUMBER_IN_TEXT = re.compile(r"\\text\{[^{}]*\d")
_VARIABLE = re.compile(
    r"\\(?:alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|rho|sigma|tau|upsilon|"
    r"phi|varphi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Xi|Sigma|Phi|Psi|Omega)(?![a-zA-Z])|(?<![\\a-zA-Z])[a-zA-Z]"
)
_NEGATION = re.compile(r"\bnot?\b|\\(?:not|neg|lnot)")
# Digits of a number in another base; not a variable with an index.
_BASE = re.compile(r"(?=[A-Z]*\d)([0-9A-Z]+)_\{?(\d+)\}?", re.ASCII)
_MEMBER = re.compile(r"\\in(?![a-zA-Z])\s*")
MAX_NAME_CHARACTERS = 40
MAX_EQUALITIES = 10


def same_answer(answer: str, gold: Gold, algebra: Algebra | None = None) -> bool | None:
    r"""
    Whether an answer equals the gold answer.

    Args:
        answer (`str`):
            Content of a box.
        gold ([`Gold`]):
            The right answer.
        algebra (`Callable[[str, str], bool]`, *optional*):
            Decides whether two expressions (answer, gold) are equal. It may take forever, so it belongs into a process
            that can be killed.

    Returns:
        `bool` or `None`: the verdict; `None` if `algebra` would have to decide and is not there.

    Example:

    ```python
    >>> same_answer("27.0", Gold("27")), same_answer("(2,1)", Gold("(1,2)")), same_answer("b+a", Gold("a+b"))
    (True, False, None)
    ```
    """
    if answer == gold.answer:
        return True
    if gold.choices:
        return _same_option(plain(answer), plain(gold.answer), tuple(map(plain, gold.choices)))
    # As they stand first: most answers are numbers, and reading one costs a twentieth of a plain form.
    for left, right in ((answer.strip(), gold.answer.strip()), (plain(answer), plain(gold.answer))):
        numbers = read_number(left), read_number(right)
        if None not in numbers:
            return numbers[0].equals(numbers[1]) or numbers[0].near(
                numbers[1], gold.precision, gold.absolute_tolerance, gold.relative_tolerance
            )
    names = other_names(left, right) if algebra else {}
    if not names:
        return _same(left, right, algebra)
    return _same(left, right, lambda a, b: algebra(renamed(a, names), renamed(b, names)))


def _same_option(left: str, right: str, choices: tuple[str, ...]) -> bool:
    """Letters and texts of options stand for each other; which option the gold answer is must be certain."""
    chosen, wanted = (_option(text, choices) for text in (left, right))
    return chosen == wanted if chosen is not None else _folded(left) == _folded(right)


def _option(text: str, choices: tuple[str, ...]) -> int | None:
    # Where one option's text is another option's letter, it is the letter that was asked for.
    for letter in (option_letter(text), option_letter(text, alone=False)):
        at = ord(letter) - ord("A") if letter else len(choices)
        if at < len(choices):
            return at
        for at, choice in enumerate(choices):
            if _folded(unbracketed(text)) == _folded(unbracketed(choice)):
                return at
    number = read_number(text)
    equal = [at for at, choice in enumerate(choices) if number and (n := read_number(choice)) and number.equals(n)]
    return equal[0] if len(equal) == 1 else None


def _folded(text: str) -> str:
    return words(text) or " ".join(text.split()).casefold()


def _same(left: str, right: str, algebra: Algebra | None) -> bool | None:
    left, right = unbracketed(_exact(left) if r"\approx" not in right else left), unbracketed(right)
    if not left or not right:
        return False
    if left == right:
        return True
    numbers = read_number(left), read_number(right)
    if None not in numbers:
        return numbers[0].equals(numbers[1])
    option = option_letter(right)
    if option and (chosen := option_letter(left, alone=False)):
        return chosen == option
    bases = _BASE.fullmatch(left), _BASE.fullmatch(right)
    if bases[1] and (bases[0] or left.isalnum()):
        # The base may be left out, but not be another.
        return left == bases[1][1] if bases[0] is None else bases[0].groups() == bases[1].groups()
    if bases[0]:
        return False
    texts = words(left), words(right)
    if None not in texts:
        return texts[0] == texts[1]
    if r"\text" in left + right and _untexted(left) == _untexted(right):
        return True
    if _RELATION.search(left) or _RELATION.search(right):
        return _ask(left, right, algebra)
    named = _split_name(left), _split_name(right)
    if all(named):
        same_name = named[0][0] == named[1][0]
        return _same(named[0][1], named[1][1], algebra) if same_name else _ask(left, right, algebra)
    parts = read_parts(left), read_parts(right)
    if any(named) and ("=" not in left or "=" not in right or any(parts)):
        return _same(*(pair[1] if pair else text for pair, text in zip(named, (left, right))), algebra)
    if None in parts and any(pair and pair.kind.startswith("matrix") for pair in parts):
        return _ask(left, right, algebra)
    if any(parts):
        return _same_parts((left, right), parts, algebra)
    return _same_equation(left, right, algebra)


def _exact(text: str) -> str:
    r"""Of `x \approx 1.41` what is behind the name, of `\sqrt{2} \approx 1.41` what is in front."""
    value, sign, rounded = text.partition(r"\approx")
    return rounded.strip() if sign and _is_name(value) else value.strip()


def _untexted(text: str) -> str:
    return " ".join(re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text).split()).casefold()


def _same_parts(
    texts: tuple[str, str], split: tuple[Parts | None, Parts | None], algebra: Algebra | None
) -> bool | None:
    ours, theirs = (
        Parts("{}" if other is None or other.kind == "{}" else "list", (text,)) if parts is None else parts
        for text, parts, other in zip(texts, split, reversed(split))
    )
    if not _kinds_agree(ours, theirs):
        return False
    if theirs.ordered or (ours.ordered and ours.kind != "()"):
        same_number = len(ours.parts) == len(theirs.parts)
        return same_number and _all(_same(a, b, algebra) for a, b in zip(ours.parts, theirs.parts))
    if len(ours.parts) == len(theirs.parts) or ours.ordered:
        return _matching(ours.parts, theirs.parts, algebra)
    return _matching(tuple(dict.fromkeys(ours.parts)), tuple(dict.fromkeys(theirs.parts)), algebra)


def _kinds_agree(ours: Parts, theirs: Parts) -> bool:
    """Brackets may be left out around a tuple or a set, and a list may be put in any; else they must be the same."""
    if "list" in (ours.kind, theirs.kind):
        return {ours.kind, theirs.kind} <= {"list", "()", "{}"}
    return ours.kind == theirs.kind


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    undecided = False
    for verdict in verdicts:
        if verdict is False:
            return False
        undecided |= verdict is None
    return None if undecided else True


def _matching(ours: tuple[str, ...], theirs: tuple[str, ...], algebra: Algebra | None) -> bool | None:
    """Whether the parts are equal in some order. Equality is transitive enough for the first fit to be right."""
    if len(ours) != len(theirs):
        return False
    left = list(ours)
    undecided = False
    for part in theirs:
        verdicts = []
        for at, other in enumerate(left):
            verdict = _same(other, part, algebra)
            if verdict:
                del left[at]
                break
            verdicts.append(verdict)
        else:
            if None not in verdicts:
                return False
            undecided = True
    return None if undecided else True


def _same_equation(left: str, right: str, algebra: Algebra | None) -> bool | None:
    if left.count("=") > MAX_EQUALITIES or (_NEGATION.search(left) and not _NEGATION.search(right)):
        return False
    if "=" in left and "=" not in right:
        *members, last = left.split("=")
        # A name such as \sin x or m+n may stand for anything. What holds no letters but the gold answer's must equal
        # it, or 1=2=5 would be 5.
        letters = _letters(right)
        members = [member for member in members if _letters(member) <= letters]
        return _all(_same(member, right, algebra) for member in (last, *members))
    if "=" in right and "=" not in left:
        return False
    return _ask(left, right, algebra)


def _letters(text: str) -> set[str]:
    """Variables of an expression: letters, Greek ones too, but not those of a function's name."""
    return set(_VARIABLE.findall(text)) - {"e", "i"}


def _split_name(text: str) -> tuple[str, str] | None:
    r"""`("x", "5")` of `x=5`, `("x", "[0,1]")` of `x\in[0,1]`; `None` if what stands on the left is no name."""
    name, sign, value = text.partition("=")
    if not sign or not _is_name(name):
        member = _MEMBER.search(text)
        if not member or not _is_name(text[: member.start()]):
            return None
        name, value = text[: member.start()], text[member.end() :]
    # Of x=1,y=2 the name is not x.
    assignments = "=" in value and ("," in value or ";" in value)
    if not value.strip() or assignments or value.count("=") > MAX_EQUALITIES:
        return None
    return name.replace(" ", ""), value.strip()


def _is_name(text: str) -> bool:
    if len(text) > MAX_NAME_CHARACTERS or _NEGATION.search(text):
        return False
    return _NAME.fullmatch(text.strip()) is not None


def _ask(left: str, right: str, algebra: Algebra | None) -> bool | None:
    """Leaves the decision to algebra, unless the answer repeats what was to be computed, or hides digits in text."""
    if any(pattern.search(left) and not pattern.search(right) for pattern in (_UNEVALUATED, _NUMBER_IN_TEXT)):
        return False
    return None if algebra is None else algebra(left, right)


def expressions(answer: str) -> list[str]:
    r"""
    The pieces of an answer that only algebra can read: no numbers, no words, no letter of an option.

    Example:

    ```python
    >>> expressions(r"(2, \sqrt{3})"), expressions(r"x = 5, \text{ or } 7"), expressions(r"\text{(C)}")
    (['\\sqrt{3}'], [], [])
    ```
    """
    text = unbracketed(plain(answer))
    if not text or read_number(text) or words(text) or option_letter(text):
        return []
    if named := _split_name(text):
        return expressions(named[1])
    parts = read_parts(text)
    return [text] if parts is None else [piece for part in parts.parts for piece in expressions(part)]
