r"""The answer of a completion: what its last balanced `\boxed{}` holds, and nothing else (paper, appendix E.1)."""

import re


MAX_ANSWER_CHARACTERS = 1000
MAX_ANSWER_DEPTH = 50
_BOX = re.compile(r"\\boxed\s*\{")
_BRACE_OR_ESCAPE = re.compile(r"\\.|[{}]", re.DOTALL)
_BRACKET = re.compile(r"[{(\[]|[})\]]")
_END_OF_THOUGHT = "</think>"


# Asks for what is graded.
BOXED_INSTRUCTION = "Please reason step by step, and put your final answer within \\boxed{}."


def extract_boxed(text: str, after_think: bool = False) -> str | None:
    r"""
    Content of the last balanced `\boxed{}`.

    If the last `\boxed{` never closes there is no answer: an earlier box is not what the text ends on. A box inside
    another is part of the outer one's content.

    Args:
        text (`str`):
            A completion.
        after_think (`bool`, *optional*, defaults to `False`):
            Look only behind the last `</think>`, and find nothing where there is none.

    Returns:
        `str` or `None`: the content without surrounding white space; `None` without a box, for an empty one, for more
        than 1,000 characters, and for brackets nested more than 50 deep.

    Example:

    ```python
    >>> extract_boxed(r"\boxed{4}, no: \boxed{\frac{1}{2}}")
    '\\frac{1}{2}'
    >>> extract_boxed(r"\boxed{4}, no: \boxed{5") is None
    True
    >>> extract_boxed(r"<think>\boxed{4}</think> It is 4.", after_think=True) is None
    True
    ```
    """
    if after_think:
        if _END_OF_THOUGHT not in text:
            return None
        text = text.rpartition(_END_OF_THOUGHT)[2]
    content, resume = None, 0
    for box in _BOX.finditer(text):
        if box.start() < resume:
            continue
        end = _closing_brace(text, box.end())
        if end is None:
            return None
        content, resume = text[box.end() : end], end + 1
    if content is None or len(content) > MAX_ANSWER_CHARACTERS or _depth(content) > MAX_ANSWER_DEPTH:
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


def _depth(content: str) -> int:
    depth = deepest = 0
    for token in _BRACKET.finditer(content):
        # Not below 0: closing brackets in front would make room for deeper nesting.
        depth = depth + 1 if token[0] in "{([" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest
