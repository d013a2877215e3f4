"""Wrong answers to a gold, with the mistakes that models make: by construction, every rule changes the value."""

import random
import re
from collections.abc import Iterator
from fractions import Fraction

import sympy

from spellings import (
    BASE,
    COMPLEX,
    FRACTION,
    INTEGER,
    LINE,
    LIST,
    MATRIX,
    OPTION,
    PI,
    PLUS_MINUS,
    SURD,
    TEXT,
    TUPLE,
    read,
)


def mistakes(gold: str, golds: list[str], rng: random.Random) -> Iterator[tuple[str, str]]:
    """Wrong answers to the gold's problem, each with the kind of its mistake."""
    bare = gold.strip("$") if gold.count("$") == 2 else gold
    like = [other for other in golds if shape(other) == shape(gold)]
    for other in rng.sample(like, min(3, len(like))):
        if squeezed(other) != squeezed(gold) and not same_number(other, gold):
            yield "another problem's answer", other
    if "$" in bare:
        return
    if INTEGER.fullmatch(bare):
        n = int(bare)
        for kind, value in (("off by one", n + 1), ("off by one", n - 1), ("double", 2 * n), ("ten times", 10 * n)):
            if value != n:
                yield kind, str(value)
        if n:
            yield "sign", str(-n)
            yield "times pi", rf"{n}\pi"
            yield "with a half", rf"{n}\frac{{1}}{{2}}"
            yield "two answers", f"{n}, {n + 2}"
            yield "squared", f"{n}^2" if abs(n) > 1 else f"{n} + 1"
        if abs(n) > 1:
            yield "reciprocal", rf"\frac{{1}}{{{n}}}"
            yield "root", rf"\sqrt{{{abs(n)}}}"
            yield "imaginary", f"{n}i"
    elif match := FRACTION.fullmatch(bare):
        sign, top, bottom = match[1], int(match[2]), int(match[3])
        if top != bottom:
            yield "reciprocal", rf"{sign}\frac{{{bottom}}}{{{top}}}"
        yield "sign", bare[1:] if sign else f"-{bare}"
        yield "off by one", rf"{sign}\frac{{{top + 1}}}{{{bottom}}}"
        yield "off by one", rf"{sign}\frac{{{top}}}{{{bottom + 1}}}"
        if 2 * top != bottom:
            yield "complement", rf"\frac{{{bottom - top}}}{{{bottom}}}"
        rounded = f"{sign}{top / bottom:.2f}"
        if Fraction(rounded) != Fraction(int(sign + match[2]), bottom):
            yield "rounded too much", rounded
        yield "numerator only", f"{sign}{top}" if bottom > 1 else f"{sign}{top + 5}"
        yield "two numbers", f"{sign}{top}, {bottom}"
    elif (match := SURD.fullmatch(bare)) or (match := PI.fullmatch(bare)):
        yield "root or pi forgotten", match[1] if match[1].strip("-") else match[match.lastindex]
        yield "sign", f"-{bare}" if bare[0] != "-" else bare[1:]
        yield "off by one", re.sub(r"\d+", lambda number: str(int(number[0]) + 1), bare, count=1)
        yield "one more term", f"{bare} + 1"
    elif match := COMPLEX.fullmatch(bare):
        yield "conjugate", f"{match[1]} {'-' if match[2] == '+' else '+'} {match[3]}i"
        yield "parts swapped", f"{match[3]} {match[2]} {match[1].strip('-')}i"
    elif match := TUPLE.fullmatch(bare):
        parts = [part.strip() for part in match[2].split(",")]
        if parts != parts[::-1]:
            yield "order", f"({', '.join(reversed(parts))})"
        yield "one part missing", f"({', '.join(parts[:-1])})"
        yield "one part too many", f"({', '.join([*parts, '0'])})"
        if parts[0].isdigit() and parts[0] != "0":
            yield "sign of a part", f"{match[1]}-{', '.join(parts)}{match[3]}"
        if "infty" in bare or "[" in bare or "]" in bare:
            yield "closed for open", bare.replace("(", "[", 1) if "(" in bare else bare.replace("[", "(", 1)
        elif len(parts) == 2:
            yield "closed for open", f"[{', '.join(parts)}]"
    elif match := MATRIX.fullmatch(bare):
        numbers = list(re.finditer(r"\d+", match[1]))
        at = rng.choice(numbers)
        yield (
            "one entry",
            rf"\begin{{pmatrix}}{match[1][: at.start()]}{int(at[0]) + 1}{match[1][at.end() :]}\end{{pmatrix}}",
        )
        rows = match[1].split(r"\\")
        if rows[0].strip() != rows[-1].strip():
            yield "order", r"\begin{pmatrix}" + r"\\".join(reversed(rows)) + r"\end{pmatrix}"
        yield "one row missing", rf"\begin{{pmatrix}}{rows[0]}\end{{pmatrix}}"
    elif match := BASE.fullmatch(bare):
        yield "another base", f"{match[1]}_{{{int(match[2]) + 1}}}"
        yield "value in base ten", str(int(match[1], int(match[2])))
        yield "one digit", f"{match[1][:-1]}{(int(match[1][-1], 16) + 1) % int(match[2]):X}_{{{match[2]}}}"
    elif OPTION.fullmatch(bare):
        for letter in "ABCDE":
            if letter not in bare:
                yield (
                    "another option",
                    rng.choice([letter, f"({letter})", rf"\text{{{letter}}}", rf"\text{{({letter})}}"]),
                )
    elif match := TEXT.fullmatch(bare):
        yield "negated", rf"\text{{not {match[1]}}}"
    elif LIST.fullmatch(bare) or bare.startswith(r"\{"):
        parts = bare.removeprefix(r"\{").removesuffix(r"\}").split(",")
        if len({part.strip() for part in parts}) > 1 and r"\!" not in bare and not re.search(r"\d,\d{3}(?!\d)", bare):
            yield "one answer missing", ",".join(parts[:-1])
            yield (
                "one answer too many",
                f"{bare.removesuffix(chr(92) + '}')}, 97" + (r"\}" if bare.endswith("}") else ""),
            )
    elif (match := PLUS_MINUS.fullmatch(bare)) and match[1]:
        yield "one answer missing", f"{match[1]}+{match[2]}"
        yield "another answer", f"{match[1]}+1 \\pm {match[2]}"
    yield from algebraic_mistakes(bare, rng)


def algebraic_mistakes(gold: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Expressions that differ from the gold in a sign, a number, an exponent or a variable."""
    line = LINE.fullmatch(gold)
    name, body = (f"{line[1]} = ", line[2]) if line else ("", gold)
    expression = read(body)
    if expression is None or INTEGER.fullmatch(gold) or FRACTION.fullmatch(gold):
        return
    candidates = [("one more", f"{body} + 1"), ("sign of all", rf"-\left({body}\right)")]
    for number in rng.sample(list(re.finditer(r"\d+", body)), min(2, len(re.findall(r"\d+", body)))):
        changed = body[: number.start()] + str(int(number[0]) + 1) + body[number.end() :]
        candidates.append(("one number", changed))
    if sign := re.search(r"(?<=[\w}) ])[+-]", body):
        flipped = "-" if sign[0] == "+" else "+"
        candidates.append(("one sign", body[: sign.start()] + flipped + body[sign.end() :]))
    for symbol in sorted(map(str, expression.free_symbols))[:1]:
        candidates.append(("another variable", re.sub(rf"(?<![\\a-z]){symbol}(?![a-z])", "w", body)))
    for kind, wrong in candidates:
        value = read(wrong.replace("w", "z")) if kind != "another variable" else None
        if kind == "another variable" or (value is not None and sympy.simplify(value - expression) != 0):
            yield kind, name + wrong


def shape(gold: str) -> str:
    """What kind of thing a gold is: its text without its digits and spaces."""
    return re.sub(r"[\d.]+", "1", gold).replace(" ", "").replace("-", "")


def squeezed(text: str) -> list[str]:
    """The parts of a gold in alphabetical order, without what another spelling might lack."""
    return sorted(re.sub(r"[ $!\\{}()]|[dt]frac", "", text).split(","))


def same_number(left: str, right: str) -> bool:
    try:
        return Fraction(left.strip("$")) == Fraction(right.strip("$"))
    except ValueError:
        return False
