r"""Units behind a value, which are not compared, and the words there that are."""

import re


_UNITS = """
mm cm dm m km meter metre millimeter millimetre centimeter centimetre decimeter kilometer kilometre
micrometer nm um inch in foot feet ft yard yd mile mi mph kph kmh knot acre hectare ha square cubic sq cu
unit mg g kg gram gramme milligram kilogram tonne ton lb lbs pound ounce oz l ml dl cl liter litre
milliliter gallon gal quart pint cup s sec second ms millisecond min minute h hr hour day d week wk month
year yr decade century hz khz mhz n newton j joule kj w watt kw kwh mw v volt a amp ampere ma ohm f farad c
coulomb t tesla wb weber k kelvin celsius fahrenheit pa kpa pascal atm bar mol mole ev mev kev gev cal kcal
calorie rad radian deg degree sr rpm bit byte kb mb gb per of the and each an usd eur gbp cny rmb inr rs
dollar cent euro yen yuan rupee pence penny pennies bucks percent pct point pt way arrangement combination
permutation possibility outcome solution total people person student member child children object item thing piece
case element number integer value term time approximately approx
"""
_KNOWN = frozenset(_UNITS.split())
# Letters that name a unit where they stand in \text behind a number; i, e, k, n, r, x and others are no units.
_LETTERS = frozenset("mgshdlLJNWVACFTHKΩ")
# With one of them the text says more than a unit, or something else than the value.
_NO_UNIT = re.compile(
    r"\b(?:if|when|where|for|or|is|are|was|not|no|none|never|nor|all|any|with|without|then|than|such|mod|modulo|base|"
    r"more|less|fewer|least|most|but|maybe|perhaps|possibly|probably|else|except|unless|otherwise|instead|wrong|right|"
    r"incorrect|correct|false|true|to|plus|minus|times|over|choose|divided|multiplied|by|added|subtracted|squared|"
    r"cubed|power|exponent|factorial|sqrt|root|log|ln|sin|cos|tan|exp|pi|infinity|negative|positive|opposite|inverse|"
    r"reciprocal|remainder|between|above|below|under|about|around|roughly|nearly|almost|half|halves|double|twice|"
    r"thrice|triple|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|"
    r"seventy|eighty|ninety|third|fourth|quarter|fifth|sixth|seventh|eighth|ninth|tenth|hundred|thousand|million|"
    r"billion|trillion|hundredth|thousandth|millionth|billionth|dozen|score|gross|pair|couple|lakh|"
    r"crore|mil|kilo|mega|giga|milli|micro|nano)s?|"
    r"bn|mn|tn|nope|octal|hexadecimal|binary|hex|[efijknpqruxyz]|wait)\b"
    r"|[十百千万亿兆]|тысяч|миллион|миллиард|млн|млрд"
)
_POWER = r"(?: ?\^ ?\{? ?-?\d ?\}?)?"
_SIGN = r"(?:\\mu|\\Omega|\\%)? ?"
_INSIDE = r"(?:[^{}]|\{[^{}]{0,9}\})*"
_WORDS_IN_TEXT = rf"\\text\{{{_INSIDE}\}}"
_UNIT_IN_TEXT = rf"{_SIGN}(?:{_WORDS_IN_TEXT}|\\frac\{{ ?{_WORDS_IN_TEXT} ?\}}\{{ ?{_WORDS_IN_TEXT} ?\}}){_POWER}"
_TRAILING_TEXT = re.compile(
    rf"(?<=[\w}})\]%!])(?: |\\cdot)?"
    rf"({_UNIT_IN_TEXT}(?: ?(?:/|\\cdot)? ?{_UNIT_IN_TEXT})*+(?: ?/ ?[a-zA-Z]{{1,3}}{_POWER})?)$"
)
_BARE = (
    r"(?:square |cubic |sq\.? |cu\.? )?(?:millimeters?|centimeters?|kilometers?|meters?|metres?|cm|mm|km|ft|feet|foot|"
    r"inch(?:es)?|in|yards?|yd|miles?|mi|mph|degrees?|deg|radians?|rad|seconds?|sec|minutes?|mins?|hours?|hrs?|days?|"
    r"weeks?|months?|years?|dollars?|cents?|pounds?|lbs?|ounces?|oz|grams?|kg|liters?|litres?|mL|gallons?|units?|"
    r"percent|pts?|points?|USD|EUR|GBP|CNY|RMB|INR|euros?|yuan|yen|rupees?|"
    r"元|円|块|角|厘米|千米|公里|米|千克|公斤|克|秒|分钟|小时|天|年|个|人|种|度|岁|руб\.?|см|км|м|кг)"
)
_TRAILING_UNIT = re.compile(rf"(?<=[\d}})\s%])\s*({_BARE})(?:\s*\^\s*\{{?\s*[23]\s*\}}?)?\s*$")
_OHM = re.compile(r"(?<=[\d}])(?: ?\\text\{ ?[kM] ?\} ?| )\\Omega$")
_SCALE = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SCALED = re.compile(rf"(?<=\d) ?(?:(\\text\{{ ?)({'|'.join(_SCALE)})s?\b ?|({'|'.join(_SCALE)})s?\b)(?! ?of)")
_DOZEN = re.compile(r"(?<=\d) ?\\text\{ ?dozens? ?\}|(?<=\d) ?dozens?\b")
_EMPTY = re.compile(r"\\text\{ *\}")
# Without a space or a dot am would be a product.
_HALF_OF_DAY = re.compile(
    r"(?<=\d)(:\d\d)?"
    r"(?: ?\\text\{ ?([aApP])\.?[mM]\.? ?\}|(?: |(?<=:\d\d))([aApP])\.?[mM]\.?$|([aApP])\.[mM]\.?$|([AP])M$)"
)
_WORD = re.compile(r"[^\W\d_]+")
_NUMBER_OF_UNIT = re.compile(r"(?<=[a-z])[23](?![\d.])|\^ ?\{? ?-?\d ?\}?")


def without_unit(text: str) -> str:
    r"""
    An answer without the unit behind it.

    Example:

    ```python
    >>> without_unit(r"5\text{ apples}"), without_unit(r"5\text{ or 6}"), without_unit("5 cm")
    ('5', '5\\text{ or 6}', '5')
    ```
    """
    match = _TRAILING_TEXT.search(text)
    if match:
        return text[: match.start()].rstrip() if _is_unit(match[1]) else text
    match = _TRAILING_UNIT.search(text) or _OHM.search(text)
    return text[: match.start()].rstrip() if match and match.start() else text


def scaled(text: str) -> str:
    r"""
    An answer with powers of ten for thousands and millions, and times of the day with their minutes.

    Example:

    ```python
    >>> scaled(r"2\text{ million}"), scaled(r"9\text{ a.m.}")
    ('2\\times 10^{6}', '9:00\\text{am}')
    ```
    """
    text = _HALF_OF_DAY.sub(_half_of_day, text)
    text = _SCALED.sub(lambda m: rf"\times 10^{{{_SCALE[m[2] or m[3]]}}}{m[1] or ''}", text)
    return _EMPTY.sub("", _DOZEN.sub(r"\\cdot 12", text))


def _half_of_day(match: re.Match[str]) -> str:
    half = next(filter(None, match.group(2, 3, 4, 5))).lower()
    return rf"{match[1] or ':00'}\text{{{half}m}}"


def said_beside(text: str) -> frozenset[str]:
    r"""
    The words behind a value that are no known units: `north`, `red`, `pm`. Two answers may not differ in them.

    Example:

    ```python
    >>> said_beside(r"10\text{ km north}"), said_beside("5 cm")
    (frozenset({'north'}), frozenset())
    ```
    """
    match = _TRAILING_TEXT.search(text) or _TRAILING_UNIT.search(text)
    words = _WORD.findall(_without_commands(match[1]).lower()) if match else []
    return frozenset(word.removesuffix("s") for word in words if not _is_known(word))


def _is_unit(text: str) -> bool:
    inside = _without_commands(text)
    letters = _WORD.findall(inside)
    if not letters and not re.search(r"[€£¥₹°]", inside):
        return False
    if re.search(r"\d", _NUMBER_OF_UNIT.sub("", inside)) or re.search(r"[=<>+]", inside):
        return False
    if len(letters) == 1 and len(letters[0]) == 1 and letters[0].isascii():
        return letters[0] in _LETTERS
    # In m/s letters may be alone.
    several = len(letters) > 1 and all(len(word) < 4 for word in letters)
    return all(_is_known(word) for word in letters) if several else not _NO_UNIT.search(inside.lower())


def _without_commands(text: str) -> str:
    return re.sub(r"\\(?:text|frac|cdot|mu|Omega|mathrm)|[{}]", " ", text)


def _is_known(word: str) -> bool:
    word = word.lower()
    return word in _KNOWN or word.removesuffix("s") in _KNOWN or word.removesuffix("es") in _KNOWN
