r"""Strict grading: the last balanced `\boxed{}` decides, and nothing else does (paper, appendix E.1)."""

import re
from decimal import Decimal
from fractions import Fraction


MAX_ANSWER_CHARACTERS = 1000
_BOX = re.compile(r"\\boxed\s*\{")
_SPACE_AROUND_SYMBOL = re.compile(r" ?([^\w ]) ?")
_BRACE_OR_ESCAPE = re.compile(r"\\.|[{}]", re.DOTALL)
_INTEGER = r"[+-]?(?:\d{1,3}(?:(?:,|\{,\}|\\,|\\!,)\d{3})+|\d+)"
_DECIMAL = re.compile(rf"({_INTEGER}|[+-]?)(?:\.(\d*))?", re.ASCII)
_SLASHED = re.compile(rf"({_INTEGER})\s*/\s*({_INTEGER})", re.ASCII)
_LATEX_FRACTION = re.compile(r"([+-]?)\s*\\[dt]?frac\s*\{\s*([+-]?\d+)\s*\}\s*\{\s*([+-]?\d+)\s*\}", re.ASCII)


def extract_boxed(text: str) -> str | None:
    r"""
    Content of the last balanced `\boxed{}`.

    If the last `\boxed{` never closes there is no answer: an earlier box is not what the text ends on. A box inside
    another is part of the outer one's content.

    Args:
        text (`str`):
            A completion.

    Returns:
        `str` or `None`: the content without surrounding white space; `None` without a box, for an empty one, and for
        more than 1,000 characters.

    Example:

    ```python
    >>> extract_boxed(r"\boxed{4}, no: \boxed{\frac{1}{2}}")
    '\\frac{1}{2}'
    >>> extract_boxed(r"\boxed{4}, no: \boxed{5") is None
    True
    ```
    """
    content, resume = None, 0
    for box in _BOX.finditer(text):
        if box.start() < resume:
            continue
        end = _closing_brace(text, box.end())
        if end is None:
            return None
        content, resume = text[box.end() : end], end + 1
    if content is None or len(content) > MAX_ANSWER_CHARACTERS:
        return None
    return content.strip() or None


def _closing_brace(text: str, start: int) -> int | None:
    depth = 1
    for token in _BRACE_OR_ESCAPE.finditer(text, start):
        if token[0] == "{":
            depth += 1
        elif token[0] == "}":
            depth -= 1
            if depth == 0:
                return token.start()
    return None


def grade(completion: str, gold: str) -> bool:
    r"""
    Whether a completion's boxed answer equals the gold answer.

    Two answers are equal if their texts are (but for white space around symbols, `$` around them and a final full
    stop), or if both are numbers of the same value: integers, decimals, fractions such as `3/4` or `\frac{3}{4}`, with
    thousands separators.

    Args:
        completion (`str`):
            What the model wrote.
        gold (`str`):
            The right answer, without a box.

    Returns:
        `bool`: the verdict; `False` without a boxed answer.

    Example:

    ```python
    >>> grade(r"so \boxed{0.50}", r"\frac{1}{2}"), grade("so 1/2", "1/2")
    (True, False)
    ```
    """
    answer = extract_boxed(completion)
    return answer is not None and same_answer(answer, gold)


def same_answer(answer: str, gold: str) -> bool:
    """Whether two answers, both without a box, are equal as [`grade`] defines it."""
    answer, gold = _plain(answer), _plain(gold)
    if answer == gold:
        return True
    values = _number(answer), _number(gold)
    return None not in values and values[0] == values[1]


def _plain(answer: str) -> str:
    answer = _SPACE_AROUND_SYMBOL.sub(r"\1", " ".join(answer.split()))
    if len(answer) > 2 and answer[0] == answer[-1] == "$":
        answer = answer[1:-1]
    return answer.removesuffix(".")


def _number(answer: str) -> Fraction | None:
    if len(answer) > MAX_ANSWER_CHARACTERS:
        return None
    if match := _SLASHED.fullmatch(answer):
        return _ratio(_integer(match[1]), _integer(match[2]))
    if match := _LATEX_FRACTION.fullmatch(answer):
        ratio = _ratio(int(match[2]), int(match[3]))
        return -ratio if ratio is not None and match[1] == "-" else ratio
    match = _DECIMAL.fullmatch(answer)
    if not match or not (match[1].strip("+-") or match[2]):
        return None
    whole = re.sub(r"[^\d+-]", "", match[1])
    return Fraction(Decimal(f"{whole}.{match[2] or 0}"))


def _integer(digits: str) -> int:
    return int(re.sub(r"[^\d+-]", "", digits))


def _ratio(numerator: int, denominator: int) -> Fraction | None:
    return Fraction(numerator, denominator) if denominator else None
