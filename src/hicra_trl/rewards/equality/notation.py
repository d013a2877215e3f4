"""One spelling for the many ways in which LaTeX writes the same answer."""

import re
from functools import lru_cache

from .arguments import braced
from .fonts import without_fonts
from .units import scaled, without_unit


_CHARACTERS = str.maketrans(
    {
        "−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "÷": "/", "π": r"\pi ", "∞": r"\infty ", "°": r"^\circ ",
        "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∪": r"\cup ", "±": r"\pm ", "√": r"\sqrt ", "’": "'", "′": "'",
        "″": "''", "\u00a0": " ", "ℝ": r"\mathbb{R}", "∈": r"\in ",
        **dict.fromkeys("¥£€₹₩₽", ""),
    }
)  # fmt: skip
_FUNCTIONS = "sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|sinh|cosh|tanh|ln|log|exp|gcd|lcm|max|min|det|dim|deg|arg"
_MOD = r"(?:\\[bp]?mod(?![a-zA-Z])|\\text\{ ?\(? ?mod(?:ulo)? ?\})"
_MODULUS = r"(?:[a-zA-Z]|\d+)(?:\^(?:\w|\{\w+\}))?"
_ANGLE = r"(?:\d+(?:\.\d+)?|\\frac\{\w+\}\{\w+\}|\\pi|\\[a-z]+|[a-zA-Z])"
_CIRCLE = r"\^ ?(?:\{ ?(?:\\circ|\\degree) ?\}|\\circ(?![a-zA-Z]) ?)|\\degree(?![a-zA-Z]) ?"
_TRIGONOMETRIC = r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])(?: ?\^ ?(?:\d|\{-?\d\}))? ?"
_CURRENCY = r"(?:Rs\.?|USD|EUR|GBP|INR|RMB|CNY|US)"
_SPACING = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(\\\\) ?\[[^\[\]]*\]", r"\1"),
        (r"\\text\{ ?\\\$ ?\}|\\\$|(?<!\\)\$|(?<!\\)\\[()\[\]]", ""),
        (r"\{,\}|,\\!\s*|\\!,\s*", ","),
        (r"\\text\{ ?: ?\}|\{:\}|\\colon(?![a-zA-Z])", ":"),
        (r"(?<=\d)\\[,;: ](?=\d{3}(?!\d))", ","),
        # Two numbers, where 1,234 is one.
        (r"(?<=\d),\s+(?=\d{3}(?!\d))", ";"),
        (r"\\!|\\(?:left|right|m?[bB]igg?[lrm]?)(?![a-zA-Z])\.?|\\(?:display|text|script)style(?![a-zA-Z])", ""),
        (r"\\(?:limits|nolimits)(?![a-zA-Z])", ""),
        (r"(?<!\\)\\[,;:> ]|~|\\q?quad(?![a-zA-Z])|\\(?:h|v)space\*?\{[^{}]*\}", " "),
    )
]
_COMMANDS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\boxed ?\{", "{"),
        # A function has an argument: what stands last is a unit, a minute or a second.
        (
            r"\\(?:operatorname\*?|mathrm|text|textrm|mathop) ?\{ ?(" + _FUNCTIONS + r") ?\}(?! ?(?:$|[,;/)]|\\text))",
            r"\\\1 ",
        ),
        (r"\\text(?:rm|normal)? ?\{ ?([\d.,]+) ?\}", r"\1"),
        (r"\\text ?\{ ?([0-9A-Z]*\d[0-9A-Z]*) ?\}(?= ?_)", r"\1"),
        (r"\{([^{}]*)\\choose(?![a-zA-Z])([^{}]*)\}", r"\\binom{\1}{\2}"),
        (r"\\equiv(?![a-zA-Z])", "="),
        (r"\\varnothing(?![a-zA-Z])", r"\\emptyset "),
        (r"\\mathbb ?\{?R\}?|\\R(?![a-zA-Z])", r"(-\\infty ,\\infty )"),
        (r"\\mathbb ([A-Z])(?![a-zA-Z])", r"\\mathbb{\1}"),
        (r"(?<=[\d}]) ?(?:\\cdot|\\times)? ?i(?![a-zA-Z])", "i"),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\[dt]binom(?![a-zA-Z])", r"\\binom"),
        (r"\\(?:backslash|smallsetminus)(?![a-zA-Z])", r"\\setminus "),
        (r"\\(?:leqslant|leqq|leq|le)(?![a-zA-Z])", r"\\le "),
        (r"\\(?:geqslant|geqq|geq|ge)(?![a-zA-Z])", r"\\ge "),
        (r"\\(?:neq|ne)(?![a-zA-Z])", r"\\ne "),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"\\lbrace(?![a-zA-Z])", r"\\{"),
        (r"\\rbrace(?![a-zA-Z])", r"\\}"),
        (r"\\(?:d|l|c|v)?dots[cbmio]?(?![a-zA-Z])", r"\\ldots "),
        # In an argument a degree is a number; elsewhere a unit, of which minutes are parts.
        (
            rf"({_TRIGONOMETRIC})(?:\( ?({_ANGLE}) ?(?:{_CIRCLE}) ?\)|({_ANGLE}) ?(?:{_CIRCLE}))",
            r"\1(\2\3\\cdot \\frac{\\pi }{180})",
        ),
        (rf"(?<=\d) ?(?:{_CIRCLE}) ?(?=\d)", ":"),
        (_CIRCLE, ""),
        (r"\\(?:text)?color ?\{[^{}]*\}|\\underline(?![a-zA-Z])|(?:\\\\)+ ?$", ""),
        (r"^ ?\\approx(?![a-zA-Z])", ""),
        (r"\+ ?(?=\\infty)", ""),
    )
]
_SPELLINGS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (rf" ?\(?{_MOD} ?(?:\{{ ?{_MODULUS} ?\}}|\(? ?{_MODULUS} ?\)?) ?\)?$", ""),
        (r"\\text\{ ?\}", ""),
        (
            r"[,;]? ?\\text\{ ?(?:[,;]|[,;]? ?(?:and|or)) ?\}"
            r"|[,;]? ?(?<=[ \d})])(?:and|or)(?= ?(?:[\d\\({+-]|[a-zA-Z](?![a-zA-Z])))",
            ",",
        ),
        (r"\\text\{ ?(?:percent|\\?%) ?\}|\\%|(?<=\d) ?percent\b", "%"),
        (r"np\.(?=[a-z])", r"\\"),
        (
            rf"^ ?(?:\\text\{{ ?{_CURRENCY} ?\}}|{_CURRENCY} ?(?=\d)|\\(?:pounds|euro|texteuro)(?![a-zA-Z])) ?",
            "",
        ),
        (
            r"(\.\d*)\\(?:dot|bar|overline) ?\{? ?(\d) ?\}?(?:(\d*)\\(?:dot|bar) ?\{? ?(\d) ?\}?)?(?=\D|$)",
            r"\1\\overline{\2\3\4}",
        ),
    )
]
_PRIMES = re.compile(r"\^ ?(?:\\prime(?![a-zA-Z])|\{ ?(?:\\prime ?)+\}) ?")
_SCRIPT = re.compile(r"([_^])\s*\{\s*(\w)\s*\}")
_SPACE_AROUND_SYMBOL = re.compile(r" ?([^\w ]) ?")
_COMMAND_AND_LETTER = re.compile(r"(\\[a-zA-Z]+)(?: (?=[a-zA-Z]))?")
_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_OPTION = re.compile(r"\(([A-Z])\)[.:]?|([A-Z])(?=$|[.:)])[.:)]?|\(([a-z])\)$|([a-z])\)$")
_OPTION_TEXT = re.compile(r"[\w\\-]")
_OTHER_OPTION = re.compile(r"(?:^|[.,;: (])[A-Z](?=[.,;: )]|$)")


@lru_cache(maxsize=10_000)
def plain(answer: str, units: bool = False) -> str:
    r"""
    An answer without what does not change its meaning: `$`, sizes, spacing, fonts, degree signs, units behind it, a
    final full stop; fractions, roots and relations are spelled in one way.

    Args:
        answer (`str`):
            Content of a box, or a gold answer.
        units (`bool`, *optional*, defaults to `False`):
            Whether the unit stays.

    Returns:
        `str`: LaTeX that is equal to another answer's if both differ in notation only.

    Example:

    ```python
    >>> plain(r"\left( 3, \dfrac12 \right)"), plain(r"864 \mbox{ inches}^2"), plain("10,\\!080")
    ('(3,\\frac{1}{2})', '864', '10,080')
    ```
    """
    text = answer.translate(_CHARACTERS)
    for pattern, replacement in _SPACING:
        text = pattern.sub(replacement, text)
    # Before the patterns that allow for white space: long runs of it would take them cubic time.
    text = " ".join(text.split())
    text = _PRIMES.sub(lambda primes: "'" * primes[0].count("p"), text)
    for pattern, replacement in _COMMANDS:
        text = pattern.sub(replacement, text)
    text = without_fonts(text)
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    text = _SCRIPT.sub(r"\1\2", scaled(braced(text)))
    text = " ".join(text.split()).rstrip(",;")
    text = text if text.endswith("..") else text.removesuffix(".").rstrip()
    text = text if units else without_unit(text)
    while text.startswith("{") and _wraps(text, 0, len(text) - 1):
        text = text[1:-1].strip()
    return _COMMAND_AND_LETTER.sub(_keep_apart, _SPACE_AROUND_SYMBOL.sub(r"\1", text))


def words(answer: str) -> str | None:
    r"""
    The words of an answer that is text, lower case, or `None` if it is mathematics.

    Example:

    ```python
    >>> words(r"\text{Evelyn}"), words("No solution"), words("ab"), words("2k")
    ('evelyn', 'no solution', None, None)
    ```
    """
    inner = _TEXT.sub(r" \1 ", answer)
    letters = " ".join(inner.replace("-", " ").split()).rstrip(".").casefold()
    if not re.fullmatch(r"[^\W\d_]+(?:[ '][^\W\d_]+)*", letters):
        return None
    return letters if "\\text" in answer or len(letters) > 3 else None


def option_letter(answer: str, alone: bool = True) -> str | None:
    r"""
    The letter of a multiple-choice answer: `C`, `(C)`, `\text{(C)}`, `C.`; else `None`.

    Args:
        answer (`str`):
            An answer as [`plain`] leaves it.
        alone (`bool`, *optional*, defaults to `True`):
            Whether the option's text may not follow, as in `C. five` and `(C) 5`.

    Example:

    ```python
    >>> option_letter(r"\text{(C)}"), option_letter("C.five"), option_letter("C.five", alone=False)
    ('C', None, 'C')
    ```
    """
    inner = _TEXT.sub(r" \1 ", answer).strip()
    match = _OPTION.match(inner)
    if not match:
        return None
    rest = inner[match.end() :].strip()
    if rest and (alone or not _OPTION_TEXT.match(rest) or _OTHER_OPTION.search(rest)):
        return None
    return next(letter for letter in match.groups() if letter).upper()


def _keep_apart(match: re.Match[str]) -> str:
    # Without its space \pi r would become \pir.
    return match[1] + (" " if match[0].endswith(" ") else "")


def _wraps(text: str, opening: int, closing: int) -> bool:
    """Whether the brace at `opening` closes at `closing`."""
    depth, at = 0, opening
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return at == closing
        at += 1
    return False
