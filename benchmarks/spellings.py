"""Right answers to a gold in the many spellings of models.

They are right by construction: every rule keeps the value, and one that would have to guess what a gold means does not
apply to it.
"""

import re
from collections.abc import Iterator
from fractions import Fraction

import sympy
from math_verify import parse


INTEGER = re.compile(r"-?\d+")
FRACTION = re.compile(r"(-?)\\[dt]?frac\{(\d+)\}\{(\d+)\}")
SURD = re.compile(r"(-?\d*) ?\\sqrt\{(\d+)\}")
PI = re.compile(r"(\d+) ?\\pi")
PI_OVER = re.compile(r"\\frac\{(\d*) ?\\pi\}\{(\d+)\}")
COMPLEX = re.compile(r"(-?\d+) ?([+-]) ?(\d+)i")
TUPLE = re.compile(r"(?:\\left)?([(\[]) ?([^()\[\]]*?) ?(?:\\right)?([)\]])")
MATRIX = re.compile(r"\\begin\{pmatrix\}(.*)\\end\{pmatrix\}")
BASE = re.compile(r"([0-9A-F]+)_\{?(\d+)\}?")
OPTION = re.compile(r"\\text\{\(?([A-F])\)?\}")
TEXT = re.compile(r"\\text\{ ?([A-Za-z]{2,}) ?\}")
DEGREES = re.compile(r"(\d+)\^\\circ")
MONEY = re.compile(r"\\\$(\d[\d,!.\\]*)")
UNIT = re.compile(r"(.*?\d.*?) ?\\(?:text|mbox)\{ ?([a-z ]+) ?\}(\^\d)?")
LINE = re.compile(r"([a-z]) ?= ?(.+)")
LIST = re.compile(r"[^()\[\]{}=;]+(?:, ?[^()\[\]{}=;]+)+")
PLUS_MINUS = re.compile(r"([^,{}]*?) ?\\pm ?([^,{}]*(?:\{\d+\})?)")
# What SymPy reads without a doubt about what is a name, a function or an index.
ALGEBRA = re.compile(r"(?:[\d+\-/^{}() xyzabknrtpq]|\\(?:frac|sqrt|pi|left\(|right\)))+")
MIXED_OR_CALL = re.compile(r"\d ?\\frac|[a-z] ?\(")


def spellings(gold: str) -> Iterator[tuple[str, str]]:
    """The gold answer in other words, each with the kind of its difference."""
    bare = gold.strip("$") if gold.count("$") == 2 else gold
    yield "as it is", gold
    if "$" not in gold:
        yield "dollars", f"${gold}$"
    if "$" in bare:
        return
    yield "final full stop", bare + "."
    yield "spacing commands", r"\,".join(["", bare, ""])
    yield "display style", rf"\displaystyle {bare}"
    yield from surface(bare)
    yield from by_value(bare)
    yield from by_shape(bare)
    yield from by_algebra(bare)


def surface(gold: str) -> Iterator[tuple[str, str]]:
    """Differences of typesetting only."""
    for kind, pattern, replacement in (
        ("dfrac", r"\\[dt]?frac(?![a-z])", r"\\dfrac"),
        ("tfrac", r"\\[dt]?frac(?![a-z])", r"\\tfrac"),
        ("cfrac", r"\\[dt]?frac(?![a-z])", r"\\cfrac"),
        ("bare fraction", r"\\frac\{(\d)\}\{(\d)\}", r"\\frac\1\2"),
        ("bare fraction, spaced", r"\\frac\{(\d)\}\{(\d)\}", r"\\frac \1 \2"),
        ("slash", r"(?<![\d ])\\[dt]?frac\{(\d+)\}\{(\d+)\}(?! ?[a-zA-Z\\])", r"\1/\2"),
        ("bare root", r"\\sqrt\{(\d)\}", r"\\sqrt\1"),
        ("spaces", r"(?<=[\w}) ])([+\-]|(?<!\\ge)(?<!\\le)=)(?=[\w\\({ ])", r" \1 "),
        ("no spaces", r"(?<![a-z\\]) +|(?<=\d) +|(?<!\\) +(?=[\d(])", ""),
        ("braces around digits", r"\^(\d)(?!\d)", r"^{\1}"),
        ("infinity with a sign", r", ?\\infty", r", +\\infty"),
        ("bold", r"^(-?\d+)$", r"\\mathbf{\1}"),
        ("roman", r"^(-?\d+)$", r"\\mathrm{\1}"),
        ("text", r"^(\d+)$", r"\\text{\1}"),
        ("degree sign", r"\^\{?\\circ\}?", "°"),
        ("degree command", r"\^\{?\\circ\}?", r"\\degree"),
        ("circ in braces", r"\^\\circ", r"^{\\circ}"),
        ("cdot", r"(?<=\d) ?(?=\\(?:sqrt|pi))", r" \\cdot "),
        ("times", r"(?<=\d) ?(?=\\(?:sqrt|pi))", r" \\times "),
        ("thin space", r"(?<=\d) ?(?=\\(?:sqrt|pi))", r"\\,"),
        ("unit, roman", r"(?<=\d) ?\\(?:text|mbox)\{ ?([a-z ]+)\}", r"\\ \\mathrm{\1}"),
        ("operator name", r"\\(sin|cos|tan|cot|ln)(?![a-z])", r"\\operatorname{\1}"),
    ):  # fmt: skip
        changed = re.sub(pattern, replacement, gold)
        if changed != gold:
            yield kind, changed
    if gold[0] in "([" and "\\left" not in gold and "cup" not in gold:
        yield "left and right", rf"\left{gold[0]} {gold[1:-1]} \right{gold[-1]}"
    if "\\left" in gold:
        yield "no left and right", re.sub(r"\\(?:left|right)", "", gold)
        yield "bigl and bigr", gold.replace("\\left", "\\bigl").replace("\\right", "\\bigr")
    if not re.search(r"[=<>,:_%]|\\(?:text|in|le|ge|pm|cup|mbox)(?![a-z])|\\\$", gold):
        for name in ("x", "A", r"\theta", "f(x)", r"\text{Area}", "S_{10}", "BC", r"P(\text{even})"):
            yield "name before", f"{name} = {gold}"
        yield "braces", f"{{{gold}}}"


def by_value(gold: str) -> Iterator[tuple[str, str]]:
    """Other ways to write one number."""
    if INTEGER.fullmatch(gold):
        n = int(gold)
        yield "decimal of an integer", f"{n}.0"
        yield "decimal of an integer", f"{n}.00"
        yield "fraction that is an integer", rf"\frac{{{2 * n}}}{{2}}"
        yield "chain", rf"{n - 3} + 3 = {n}"
        yield "chain", rf"3 \times {n} - 2 \times {n} = {n}" if n > 0 else rf"-{-n + 1} + 1 = {n}"
        for unit in ("cm", "square units", "dollars", "miles per hour", "cm}^2\\text{", "apples", "ways"):
            yield "unit", rf"{n} \text{{ {unit}}}".replace(r"\text{}", "")
        yield "unit, roman", rf"{n}~\mathrm{{cm}}"
        yield "unit, roman", rf"{n}\,\mathrm{{m/s}}"
        yield "bare unit", f"{n} cm"
        if abs(n) >= 1000:
            for kind, comma in (("comma", ","), ("brace comma", "{,}"), ("thin comma", r",\!"), ("thin space", r"\,")):
                yield f"thousands: {kind}", f"{n:,}".replace(",", comma)
        if n > 0:
            yield "money", rf"\${n}"
            yield "money", rf"\${n}.00"
    if match := FRACTION.fullmatch(gold):
        sign, top, bottom = match[1], int(match[2]), int(match[3])
        value = Fraction(top, bottom)
        yield "unreduced", rf"{sign}\frac{{{3 * top}}}{{{3 * bottom}}}"
        yield "brackets", rf"\left({gold}\right)" if not sign else rf"-\left({gold[1:]}\right)"
        yield "division sign", rf"{sign}{top} \div {bottom}"
        yield "over", rf"{sign}{{{top} \over {bottom}}}"
        yield "unit", rf"{gold} \text{{ cm}}"
        yield "chain", rf"{sign}\frac{{{2 * top}}}{{{2 * bottom}}} = {gold}"
        yield "six decimals", f"{sign}{float(value):.6f}"
        if sign:
            yield "sign above", rf"\frac{{-{top}}}{{{bottom}}}"
            yield "sign below", rf"\frac{{{top}}}{{-{bottom}}}"
        decimal = re.fullmatch(r"\d+\.\d{1,6}", str(float(value)))
        if decimal and Fraction(decimal[0]) == value:
            yield "decimal", f"{sign}{decimal[0]}"
            yield "approximation behind", rf"{gold} = {sign}{decimal[0]}"
        if top > bottom > 1:
            whole, rest = divmod(top, bottom)
            yield "mixed number", rf"{sign}{whole}\frac{{{rest}}}{{{bottom}}}"
            yield "mixed number", rf"{sign}{whole} \frac{{{rest}}}{{{bottom}}}"
            yield "mixed number", rf"{sign}{whole}\tfrac{{{rest}}}{{{bottom}}}"
    if match := SURD.fullmatch(gold):
        factor, root = int({"": "1", "-": "-1"}.get(match[1], match[1])), int(match[2])
        sign = "-" if factor < 0 else ""
        yield "under one root", rf"{sign}\sqrt{{{factor * factor * root}}}"
        yield "root as a power", rf"{factor} \cdot {root}^{{1/2}}"
        yield "root below", rf"\frac{{{factor * root}}}{{\sqrt{{{root}}}}}"
        yield "root of a product", rf"{factor}\sqrt{{{root} \cdot 1}}"
        yield (
            "factors swapped",
            rf"\sqrt{{{root}}} \cdot {factor}" if factor > 0 else rf"-\sqrt{{{root}}} \cdot {-factor}",
        )
        yield "unit", rf"{gold} \text{{ cm}}"
    if match := PI.fullmatch(gold):
        yield "factors swapped", rf"\pi \cdot {match[1]}"
        yield "unit", rf"{gold} \text{{ cm}}^2"
        yield "unit", rf"{gold}\text{{ square inches}}"
        yield "greek letter", f"{match[1]}π"
    if match := PI_OVER.fullmatch(gold):
        yield "slash", rf"{match[1]}\pi/{match[2]}"
        yield "factor in front", rf"\frac{{{match[1] or 1}}}{{{match[2]}}} \pi"
    if match := COMPLEX.fullmatch(gold):
        plus = "" if match[2] == "+" else "-"
        yield "sum in another order", f"{plus}{match[3]}i {'' if match[1][0] == '-' else '+'}{match[1]}"
        yield "space before i", rf"{match[1]} {match[2]} {match[3]}\,i"
        yield "times i", rf"{match[1]} {match[2]} {match[3]} \cdot i"
    if match := DEGREES.fullmatch(gold):
        yield "no degrees", match[1]
        yield "degrees in words", rf"{match[1]}\text{{ degrees}}"
        yield "degrees in words", f"{match[1]} degrees"
        yield "name before", rf"\angle ABC = {gold}"
        yield "name before", rf"m\angle A = {gold}"
    if match := MONEY.fullmatch(gold):
        amount = re.sub(r"\\!", "", match[1])
        yield "no dollar sign", amount
        yield "no dollar sign", amount.replace(",", "")
        yield "money in words", rf"{amount} \text{{ dollars}}"
        yield "money", rf"\$ {amount}"
    if match := UNIT.fullmatch(gold):
        yield "no unit", match[1]
        yield "unit in text, spaced", rf"{match[1]} \text{{ {match[2]}}}{match[3] or ''}"


def by_shape(gold: str) -> Iterator[tuple[str, str]]:
    """Other ways to write tuples, intervals, sets, lists, matrices, equations, words and letters."""
    if match := TUPLE.fullmatch(gold):
        parts = [part.strip() for part in match[2].split(",")]
        yield "spaces inside", f"{match[1]} {' , '.join(parts)} {match[3]}"
        yield "thin spaces inside", match[1] + r",\,".join(parts) + match[3]
        yield "spaces after commas", match[1] + r",\ ".join(parts) + match[3]
        if "infty" in gold or "[" in gold or "]" in gold:
            yield "member of", rf"x \in {gold}"
            if parts[1].endswith(r"\infty"):
                yield "inequality", f"x {'>' if match[1] == '(' else '≥'} {parts[0]}"
                yield "inequality", f"x {'>' if match[1] == '(' else chr(92) + 'ge'} {parts[0]}"
        elif len(parts) == 2:
            yield "name before", f"(x, y) = ({', '.join(parts)})"
            yield "name before", f"A = ({', '.join(parts)})"
        elif len(parts) == 3:
            yield "name before", f"(a,b,c) = ({', '.join(parts)})"
    if r"\cup" in gold:
        yield "union in another order", r" \cup ".join(part.strip() for part in reversed(gold.split(r"\cup")))
        yield "member of", rf"x \in {gold}"
    if gold.startswith(r"\{") and r"\pm" not in gold:
        parts = gold[2:-2].split(",")
        yield "set in another order", rf"\{{{', '.join(reversed(parts))}\}}"
        yield "set, left and right", rf"\left\{{ {', '.join(parts)} \right\}}"
        yield "list for a set", ", ".join(parts)
    if LIST.fullmatch(gold) and not re.search(r"\\pm|text|,\\!|(?<!\d)\d{1,3}(?:,\d{3})+(?!\d)|\\frac[^{]", gold):
        parts = [part.strip().removeprefix("\\").strip() if part.startswith("\\ ") else part.strip()
                 for part in gold.split(",")]  # fmt: skip
        yield "list in another order", ", ".join(reversed(parts))
        yield "list with and", rf"{', '.join(parts[:-1])} \text{{ and }} {parts[-1]}"
        yield "list with or", rf"{', '.join(parts[:-1])} \text{{ or }} {parts[-1]}"
        yield "list as a set", rf"\{{{', '.join(parts)}\}}"
        yield "list, spaced", r",\ ".join(parts)
        yield "name before", f"x = {', '.join(parts)}"
        yield "name before each", ", ".join(f"x = {part}" for part in parts)
        yield "name before each", r" \text{ or } ".join(f"x = {part}" for part in parts)
    if match := PLUS_MINUS.fullmatch(gold):
        left, right = match[1], match[2]
        yield "both signs", f"{left}+{right}, {left}-{right}" if left else f"{right}, -{right}"
        yield "both signs", f"{left}-{right}, {left}+{right}" if left else f"-{right}, {right}"
        yield "name before", f"x = {gold}"
    if match := MATRIX.fullmatch(gold):
        yield "bmatrix", gold.replace("pmatrix", "bmatrix")
        yield "no spaces", re.sub(r" ?(\\\\|&) ?", r"\1", gold)
        columns = match[1].split(r"\\")[0].count("&") + 1
        yield "array", rf"\left(\begin{{array}}{{{'c' * columns}}}{match[1]}\end{{array}}\right)"
        yield "fractions", re.sub(r"(-?)(\d+)/(\d+)", r"\1\\frac{\2}{\3}", gold)
        yield "name before", rf"\mathbf{{A}} = {gold}"
    if match := BASE.fullmatch(gold):
        yield "base in braces", f"{match[1]}_{{{match[2]}}}"
        if len(match[2]) == 1:
            yield "base without braces", f"{match[1]}_{match[2]}"
        yield "base in brackets", f"{match[1]}_{{({match[2]})}}"
    if match := OPTION.fullmatch(gold):
        letter = match[1]
        for font in ("text", "textbf", "mathrm", "mathbf"):
            yield "letter of an option", rf"\{font}{{({letter})}}"
            yield "letter of an option", rf"\{font}{{{letter}}}"
        for text in (letter, f"({letter})", rf"(\text{{{letter}}})"):
            yield "letter of an option", text
    elif match := TEXT.fullmatch(gold):
        for text in (match[1], match[1].lower(), match[1].capitalize()):
            yield "bare word", text
            yield "word in text", rf"\text{{{text}}}"
            yield "word in another font", rf"\textbf{{{text}}}"
            yield "word in another font", rf"\mathrm{{{text}}}"
    if (match := LINE.fullmatch(gold)) and "," not in gold:
        yield "sides swapped", f"{match[2]} = {match[1]}"
        yield "no left side", match[2]


def by_algebra(gold: str) -> Iterator[tuple[str, str]]:
    """The same expression, rewritten by SymPy."""
    line = LINE.fullmatch(gold)
    name, body = (f"{line[1]} = ", line[2]) if line else ("", gold)
    expression = read(body)
    if expression is None or expression.is_Rational:
        return
    for kind, change in (
        ("as SymPy writes it", lambda e: e),
        ("expanded", sympy.expand),
        ("factored", sympy.factor),
        ("over one denominator", sympy.together),
        ("rational denominators", sympy.radsimp),
    ):
        yield kind, name + sympy.latex(change(expression))
    yield "sum in another order", name + sympy.latex(expression, order="rev-lex")
    yield "minus outside", rf"{name}-\left({sympy.latex(-expression)}\right)"
    yield "factor outside", rf"{name}\frac{{1}}{{2}}\left({sympy.latex(sympy.expand(2 * expression))}\right)"
    if line:
        difference = sympy.expand(sympy.Symbol(line[1]) - expression)
        yield "equal to zero", f"{sympy.latex(difference)} = 0"
        yield (
            "scaled equation",
            f"{sympy.latex(2 * sympy.Symbol(line[1]))} = {sympy.latex(sympy.expand(2 * expression))}",
        )


def read(text: str) -> sympy.Expr | None:
    """The expression in a text of simple algebra, or `None` where it might be anything else."""
    if not ALGEBRA.fullmatch(text) or MIXED_OR_CALL.search(text):
        return None
    parsed = parse(f"\\boxed{{{text}}}", parsing_timeout=None)
    return parsed[0] if parsed and isinstance(parsed[0], sympy.Expr) else None
