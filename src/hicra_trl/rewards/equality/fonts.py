r"""Fonts and sizes, which change no meaning: `\boldsymbol{42}`, `\large 42`, `\mathbf{\frac{1}{2}}`, `\text{1/2}`."""

import re

from .arguments import closing_brace


_SIZE = re.compile(
    r"\\(?:tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE|huge|Huge|bfseries|itshape)(?![a-zA-Z])"
    r"|\\(?:bf|rm|it|sf|tt)(?![a-zA-Z{]) ?(?=[\d.\\+-])"
)
_OLD = re.compile(r"\{ ?\\(?:rm|bf|it|sf|tt)(?![a-zA-Z]) ?([^{}\\]*)\}")
_LETTERS = r"(?:mathbf|mathit|mathsf|mathtt|mathcal|boldsymbol|bm|pmb|textbf|textit)"
_WORDS = (
    r"(?:mathrm|textrm|textsf|textnormal|texttt|mathbf|mathit|mathsf|mathtt|textbf|textit|mbox|operatorname\*?|rm|bf|"
    r"boldsymbol|bm|pmb|mathcal|emph|text)"
)
_LETTER = re.compile(rf"\\{_LETTERS}(?![a-zA-Z]) ?\{{ ?([a-zA-Z]) ?\}}")
# Behind a number an upright letter may be a unit.
_UPRIGHT_LETTER = re.compile(
    r"(?<![\d}\])/])(?<![\d}\])] )(?<!\\mu)(?<!\\mu )(?<!\\cdot)(?<!\\cdot )(?<!\\pi)(?<!\\pi )"
    r"\\(?:mathrm|textrm|text)(?![a-zA-Z]) ?\{([a-zA-Z])\}"
)
_FONT = re.compile(rf"\\{_WORDS}(?![a-zA-Z]) ?\{{")
_NUMBER = re.compile(r" ?[+-]?[\d.,]*\d[\d.,]*(?: ?/ ?\d+)? ?")
_MATHEMATICS = re.compile(r"\\(?:frac|sqrt|d?binom|pi|infty|pm|left|begin)(?![a-zA-Z])|\d ?\\(?:cdot|times)")


def without_fonts(text: str) -> str:
    r"""
    LaTeX without fonts round numbers and mathematics; words are in `\text{}`, whatever font they had.

    Example:

    ```python
    >>> without_fonts(r"\bm{42}"), without_fonts(r"\mathbf{\frac{1}{2}}"), without_fonts(r"\textbf{even}")
    ('42', '{\\frac{1}{2}}', '\\text{even}')
    ```
    """
    text = _OLD.sub(r"\\text{\1}", _SIZE.sub("", text))
    text = _UPRIGHT_LETTER.sub(r"\1 ", _LETTER.sub(r"\1 ", text))
    written, at = [], 0
    while font := _FONT.search(text, at):
        written.append(text[at : font.start()])
        end = closing_brace(text, font.end())
        content = text[font.end() : end - 1] if end else ""
        if end is not None and _NUMBER.fullmatch(content):
            apart = text[end : end + 1].isdigit() or (written[-1][-1:].isdigit())
            written.append(f"{{{content.strip()}}}" if apart else content.strip())
            at = end
        elif _MATHEMATICS.search(content):
            written.append("{")
            at = font.end()
        else:
            written.append(r"\text{")
            at = font.end()
    return "".join(written) + text[at:]
