r"""When two answers are equal: text, numbers, options, structure; what is left is for algebra to decide."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from ..gold import Gold
from .capitals import other_names, renamed
from .names import MAX_EQUALITIES, is_name, letters, negates, split_name
from .notation import option_letter, plain, words
from .numbers import read_number
from .parts import Parts, read_parts, split, unbracketed
from .units import said_beside, without_unit


Algebra = Callable[..., bool]

_RELATIONS = ("<", ">", *(rf"\{name}" for name in ("le", "ge", "ne", "approx", "equiv")))
_UNEVALUATED = re.compile(
    r"\\(?:sum|prod|int|iint|oint|lim|bigcup|bigcap|ldots|fbox|partial|[bp]?mod)(?![a-zA-Z])"
    r"|\\frac\{ ?d ?[^{}]*\}\{ ?d ?[a-zA-Z]"
)
_OPERATION_ON_SETS = re.compile(r"\\(?:setminus|cap)(?![a-zA-Z])")
_SET_BUILDER = re.compile(
    r"\\\{ ?([a-zA-Z]) ?(?:\\in ?\(-\\infty ?,\\infty ?\))? ?(?:\||:|\\(?:mid|vert|colon)(?![a-zA-Z])) ?(.*)\\\}"
)
_CLOSED_AT_INFINITY = re.compile(r"\\infty ?\]|\[ ?-\\infty")
_NUMBER_IN_TEXT = re.compile(r"\\text\{[^{}]*\d")
# Digits of a number in another base; not a variable with an index.
_BASE = re.compile(r"(?=[A-Z]*\d)([0-9A-Z]+)_\{?\(?(?:(\d+)|\\text\{ ?([a-z]+) ?\})\)?\}?", re.ASCII)
_BASES = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
          "ten": "10", "twelve": "12", "sixteen": "16"}  # fmt: skip
_OPTION_WORD = re.compile(r"(?:the )?(?:option|choice|answer)(?: is)? ?:? ?\(?([a-z])\)?")
_OPTION_BEHIND = re.compile(r"(.*\S) ?\(([A-Z])\)")
_WORD = re.compile(r"[^\W\d_]\.?[^\W\d_]")


def same_answer(answer: str, gold: Gold, algebra: Algebra | None = None) -> bool | None:
    r"""
    Whether an answer equals the gold answer.

    Args:
        answer (`str`):
            Content of a box.
        gold ([`Gold`]):
            The right answer.
        algebra (`Callable[..., bool]`, *optional*):
            Decides whether two expressions (answer, gold) are equal, or near enough to each other by the tolerances of
            the [`Gold`] that is its third argument. It may take forever, so it belongs into a process
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
    if _WORD.search(answer) and _WORD.search(gold.answer):
        verdict = _said_alike(*(plain(text, units=True) for text in (answer, gold.answer)))
        if verdict is not None:
            return verdict
    # As they stand first: most answers are numbers, and reading one costs a twentieth of a plain form.
    for left, right in ((answer.strip(), gold.answer.strip()), (plain(answer), plain(gold.answer))):
        ours, theirs = read_number(left), read_number(right)
        if ours and theirs:
            return ours.equals(theirs) or ours.near(
                theirs, gold.precision, gold.absolute_tolerance, gold.relative_tolerance
            )
    names = other_names(left, right) if algebra else {}
    decides = _renaming(algebra, names) if algebra and names else algebra
    verdict = _same(left, right, decides)
    if verdict is False and (gold.precision is not None or gold.absolute_tolerance or gold.relative_tolerance):
        return _near(left, right, gold, decides)
    return verdict


def _renaming(algebra: Algebra, names: dict[str, str]) -> Algebra:
    """Algebra that is asked about expressions with other names for their variables."""
    return lambda left, right, *near: algebra(renamed(left, names), renamed(right, names), *near)


def _said_alike(left: str, right: str) -> bool | None:
    """
    Whether two answers with their units are written alike. Different words behind their values are different answers:
    p.m. and a.m., north and south; `None` if they leave that open.
    """
    if (
        r"\text" in left
        and r"\text" in right
        and _untexted(left).replace(" ", "") == _untexted(right).replace(" ", "")
    ):
        return True
    ours, theirs = said_beside(left), said_beside(right)
    return False if ours and theirs and not (ours <= theirs or theirs <= ours) else None


def _near(left: str, right: str, gold: Gold, algebra: Algebra | None) -> bool | None:
    """Whether an expression comes near enough to another; `None` if `algebra` would have to say."""
    left, right = ((split_name(text) or (None, text))[1] for text in (left, right))
    if read_parts(left) or read_parts(right) or _is_related(left) or _is_related(right):
        return False
    return None if algebra is None else algebra(left, right, gold)


def _same_option(left: str, right: str, choices: tuple[str, ...]) -> bool:
    """Letters and texts of options stand for each other; which option the gold answer is must be certain."""
    chosen, wanted = (_option(text, choices) for text in (left, right))
    return chosen == wanted if chosen is not None else _folded(left) == _folded(right)


def _option(text: str, choices: tuple[str, ...]) -> int | None:
    # Where one option's text is another option's letter, it is the letter that was asked for.
    if named := _OPTION_WORD.fullmatch(_untexted(text)):
        text = named[1].upper()
    if behind := _OPTION_BEHIND.fullmatch(text):
        # 7 (B) is the option if it has that text.
        at = ord(behind[2]) - ord("A")
        return at if at < len(choices) and _option(behind[1], choices) == at else None
    for letter in (option_letter(text), option_letter(text, alone=False)):
        at = ord(letter) - ord("A") if letter else len(choices)
        if at < len(choices):
            return at
        for at, choice in enumerate(choices):
            if _folded(unbracketed(text)) == _folded(unbracketed(choice)):
                return at
    number = read_number((split_name(text) or (None, text))[1])
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
    ours, theirs = read_number(left), read_number(right)
    if ours and theirs:
        return ours.equals(theirs)
    option = option_letter(right)
    if option and (chosen := option_letter(left, alone=False)):
        return chosen == option
    base, base_of_gold = _based(left), _based(right)
    if (base and (base_of_gold or right.isalnum())) or (base_of_gold and left.isalnum()):
        # The base may be left out, but not be another.
        wanted = base_of_gold or (right, "10")
        return (base or (left, wanted[1])) == wanted
    texts = words(left), words(right)
    if None not in texts:
        return texts[0] == texts[1]
    if r"\text" in left + right and _untexted(left) == _untexted(right):
        return True
    conditions = _SET_BUILDER.fullmatch(left), _SET_BUILDER.fullmatch(right)
    if any(conditions):
        return _same_condition((left, right), conditions, algebra)
    named, gold_named = split_name(left), split_name(right)
    parts = read_parts(left), read_parts(right)
    if _is_related(left) or _is_related(right):
        if None not in parts:
            return _same_parts((left, right), parts, algebra)
        # A set that x is in solves the inequality, not the name.
        return _ask(named[1] if named and not _is_related(left) else left, right, algebra)
    if named and gold_named:
        return _same(named[1], gold_named[1], algebra) if named[0] == gold_named[0] else _ask(left, right, algebra)
    if (named or gold_named) and ("=" not in left or "=" not in right or any(parts)):
        return _same(named[1] if named else left, gold_named[1] if gold_named else right, algebra)
    if _OPERATION_ON_SETS.search(left) or _OPERATION_ON_SETS.search(right):
        return _ask(left, right, algebra)
    if None in parts and any(pair and pair.kind.startswith("matrix") for pair in parts):
        return _ask(left, right, algebra)
    if any(parts):
        return _same_parts((left, right), parts, algebra)
    return _same_equation(left, right, algebra)


def _is_related(text: str) -> bool:
    """Whether it is an inequality: outside of brackets, as those of P(X < 1) = 0.5."""
    return len(split(text, _RELATIONS)) > 1


def _based(text: str) -> tuple[str, str] | None:
    """The digits and the base of a number in another base than ten."""
    match = _BASE.fullmatch(text)
    if match is None:
        return None
    base = match[2] or _BASES.get(match[3])
    return (match[1], base) if base else None


def _same_condition(
    texts: tuple[str, str], builders: tuple[re.Match[str] | None, re.Match[str] | None], algebra: Algebra | None
) -> bool | None:
    r"""Of \{x | x > 1\} the condition is compared, with a set too."""
    left, right = (match[2] if match else text for text, match in zip(texts, builders))
    ours, theirs = builders
    if ours and theirs:
        left = renamed(left, {ours[1]: theirs[1]})
    if theirs is None and not _is_related(right):
        # An inequality may be answered by a set.
        left, right = right, left
    return _same(left, right, algebra)


def _exact(text: str) -> str:
    r"""Of `x \approx 1.41` what is behind the name, of `\sqrt{2} \approx 1.41` what is in front."""
    value, sign, rounded = text.partition(r"\approx")
    return rounded.strip() if sign and is_name(value) else value.strip()


def _untexted(text: str) -> str:
    return " ".join(re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text).split()).casefold()


def _same_parts(
    texts: tuple[str, str], split: tuple[Parts | None, Parts | None], algebra: Algebra | None
) -> bool | None:
    ours, theirs = (
        Parts("{}" if other is None or other.kind == "{}" else "list", (text,)) if parts is None else parts
        for text, parts, other in zip(texts, split, reversed(split))
    )
    sets = [any(part.startswith(r"\{") for part in side.parts) for side in (ours, theirs)]
    if not _kinds_agree(ours, theirs) or sets[0] != sets[1]:
        return False
    ours, theirs = (replace(side, parts=tuple(map(without_unit, side.parts))) for side in (ours, theirs))
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
    ours, theirs = split(left, "="), split(right, "=")
    if len(ours) > MAX_EQUALITIES + 1 or (negates(left) and not negates(right)):
        return False
    if len(theirs) > 1 and not any(map(letters, theirs)):
        # All members of a chain of numbers are its value; others may be its name.
        return _all(_same(one, theirs[-1], algebra) for one in (ours[-1], *(m for m in ours[:-1] if not letters(m))))
    if len(ours) > 1 and len(theirs) == 1:
        # A name such as \sin x or m+n may stand for anything. What holds no letters but the gold answer's must equal
        # it, or 1=2=5 would be 5.
        known = letters(right)
        members = [member for member in ours[:-1] if letters(member) <= known]
        return _all(_same(member, right, algebra) for member in (ours[-1], *members))
    # A value answers no equation.
    return False if len(ours) == 1 < len(theirs) else _ask(left, right, algebra)


def _ask(left: str, right: str, algebra: Algebra | None) -> bool | None:
    """
    Leaves the decision to algebra, unless the answer repeats what was to be computed, hides digits in text, or holds
    infinity in a set of numbers.
    """
    patterns = (_UNEVALUATED, _NUMBER_IN_TEXT, _CLOSED_AT_INFINITY)
    if any(pattern.search(left) and not pattern.search(right) for pattern in patterns):
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
    if not text or read_number(text) or _based(text) or words(text) or option_letter(text):
        return []
    if named := split_name(text):
        return expressions(named[1])
    parts = read_parts(text)
    return [text] if parts is None else [piece for part in parts.parts for piece in expressions(part)]
