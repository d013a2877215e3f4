"""Numbers as answers write them, exactly."""

import re
from dataclasses import dataclass
from fractions import Fraction


MAX_EXPONENT = 1000
MAX_CHARACTERS = 1000
_INTEGER = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.\d*)?|\.\d+)"
_POWER_OF_TEN = r"(?:[eE]([+-]?\d+)|(?:\\times|\\cdot|\*)\s*10\s*\^\s*(?:\{\s*([+-]?\d+)\s*\}|([+-]?\d)))"
_PLAIN = re.compile(rf"({_DECIMAL})\s*{_POWER_OF_TEN}?", re.ASCII)
_RATIO = re.compile(
    rf"(?:(\d+)\s*)?\\frac\{{\s*(-?{_DECIMAL})\s*\}}\{{\s*(-?{_DECIMAL})\s*\}}"
    rf"|(?:(\d+) )?({_DECIMAL})\s*/\s*({_DECIMAL})",
    re.ASCII,
)
_REPEATING = re.compile(r"(\d*)\.(\d*)\\overline\{(\d+)\}", re.ASCII)


@dataclass(frozen=True)
class Number:
    """
    A number, and how it was written.

    Attributes:
        value (`Fraction`):
            Its value.
        decimals (`int` or `None`):
            Digits behind the decimal point; `None` for a fraction.
        percent (`bool`):
            Whether a percent sign followed; `value` is without it.
    """

    value: Fraction
    decimals: int | None
    percent: bool = False

    def equals(self, other: "Number") -> bool:
        """
        Whether two numbers are equal: exactly, or rounded or cut to the six or more decimals, at least five of them
        significant, that one of them has.

        A percent sign counts as a unit, and as a hundredth: 50 % equals 50 and 0.5.

        Example:

        ```python
        >>> third = read_number(r"\\frac{1}{3}")
        >>> read_number("0.333333").equals(third), read_number("0.3333").equals(third)
        (True, False)
        ```
        """
        if self._same(other):
            return True
        if self.percent == other.percent:
            return False
        scaled = [
            Number(n.value / 100, None if n.decimals is None else n.decimals + 2) if n.percent else n
            for n in (self, other)
        ]
        return scaled[0]._same(scaled[1])

    def _same(self, other: "Number") -> bool:
        if self.value == other.value:
            return True
        for rounded, exact in ((self, other), (other, self)):
            places = rounded.decimals
            if (
                places is None
                or places < 6
                or abs(rounded.value) * 10**places < 10**4
                or (exact.decimals is not None and exact.decimals <= places)
            ):
                continue
            unit = Fraction(1, 10**places)
            away = abs(rounded.value) - abs(exact.value)
            if -unit < away <= unit / 2 and rounded.value * exact.value > 0:
                return True
        return False

    def near(self, gold: "Number", precision: int | None, absolute: float, relative: float) -> bool:
        """Whether the number is `gold` once rounded to `precision` decimals, or within a tolerance of it."""
        if precision is not None and round(self.value, precision) == gold.value:
            return True
        allowed = max(Fraction(str(absolute)), Fraction(str(relative)) * abs(gold.value))
        return abs(self.value - gold.value) <= allowed


def read_number(text: str) -> Number | None:
    r"""
    The number that `text` writes: an integer, a decimal, `4.5e33`, `4.5\times 10^{33}`, `3/4`, `\frac{3}{4}`,
    `1\frac{4}{5}`, `0.\overline{3}`, with thousands separators, a sign and a percent sign; else `None`.

    Args:
        text (`str`):
            An answer as [`~hicra_trl.rewards.equality.notation.plain`] leaves it.
    """
    # Python refuses to read integers of more than 4,300 digits.
    if len(text) > MAX_CHARACTERS:
        return None
    sign = text[:1] if text[:1] in ("+", "-") else ""
    body = text[len(sign) :].strip()
    percent = body.endswith("%")
    body = body.removesuffix("%").rstrip()
    if match := _PLAIN.fullmatch(body):
        digits, *exponents = match.groups()
        power = int(next((e for e in exponents if e), "0"))
        if abs(power) > MAX_EXPONENT:
            return None
        value = Fraction(digits.replace(",", "")) * Fraction(10) ** power
        decimals = max(0, len(digits.partition(".")[2]) - power)
    elif match := _RATIO.fullmatch(body):
        wholes, parts = match.group(1, 4), match.group(2, 3, 5, 6)
        whole = next(filter(None, wholes), "0")
        top, bottom = (Fraction(part.replace(",", "")) for part in parts if part)
        if not bottom:
            return None
        value, decimals = int(whole) + top / bottom, None
    elif match := _REPEATING.fullmatch(body):
        whole, fixed, period = match.groups()
        tail = Fraction(int(period), 10 ** len(period) - 1)
        value, decimals = (int((whole + fixed) or 0) + tail) / 10 ** len(fixed), None
    else:
        return None
    return Number(-value if sign == "-" else value, decimals, percent)
