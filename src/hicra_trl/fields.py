"""What the fields of a dataclass take, read from their declaration: one check for recipes, flags and Python."""

import math
from dataclasses import dataclass, fields
from enum import Enum
from numbers import Integral, Real
from os import PathLike
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from .terminal import one_line


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", dict: "a mapping"}
_KINDS = {bool: bool, int: Integral, float: Real, str: str | PathLike}


@dataclass(frozen=True)
class Range:
    """
    The numbers that a field takes, as an interval.

    Example:

    ```python
    >>> str(Range("[0, 1)")), str(Range("[1, inf)")), 1 in Range("[0, 1)")
    ('in [0, 1)', 'at least 1', False)
    ```
    """

    interval: str

    def __contains__(self, value: float) -> bool:
        low, high = map(float, self.interval[1:-1].split(","))
        after = low <= value if self.interval[0] == "[" else low < value
        return after and (value <= high if self.interval[-1] == "]" else value < high)

    def __str__(self) -> str:
        low, high = self.interval[1:-1].split(", ")
        if high != "inf":
            return f"in {self.interval}"
        return f"at least {low}" if self.interval[0] == "[" else f"above {low}"


class _Filled:
    """Texts with something in them: an empty one is a shell's unset variable."""

    def __contains__(self, value: Any) -> bool:
        return bool(str(value).strip())

    def __str__(self) -> str:
        return "text that is not empty"


Name = Annotated[str, _Filled()]
Count = Annotated[int, Range("[1, inf)")]
CountOrZero = Annotated[int, Range("[0, inf)")]
Positive = Annotated[float, Range("(0, inf)")]
NotNegative = Annotated[float, Range("[0, inf)")]
Share = Annotated[float, Range("[0, 1]")]
SomeShare = Annotated[float, Range("(0, 1]")]


class Checked:
    """Base of dataclasses whose fields are checked when an instance is made."""

    def __post_init__(self) -> None:
        check_fields(self)


def check_fields(instance: Any, more: dict[str, Any] | None = None) -> None:
    """
    Checks the fields of a dataclass against their declaration: type, choices ([`typing.Literal`], or those that
    `HfArgumentParser` takes from the metadata) and range (`Annotated[int, Range("[1, inf)")]`). A list may be given as
    its only item, as on the command line.

    Args:
        instance (dataclass):
            It gets such lists as lists.
        more (`dict[str, Any]`, *optional*):
            Declarations of fields that count instead of their own.

    Raises:
        `ValueError`: for the first field that holds something else; the message says what was got and expected.
    """
    declared = {**get_type_hints(type(instance), include_extras=True), **(more or {})}
    for field in fields(instance):
        if not field.init:
            continue
        value = getattr(instance, field.name)
        accepted = check_value(field.name, value, declared[field.name], field.metadata.get("choices"))
        if accepted is not value:
            setattr(instance, field.name, accepted)


def check_value(name: str, value: Any, kind: Any, choices: Any = None) -> Any:
    """A value as a field of this type holds it; raises `ValueError` as [`check_fields`] does."""
    try:
        accepted = _accepted(value, kind)
        if choices is not None and accepted is not None and accepted not in choices:
            raise ValueError(_either(choices))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be {error}, got {one_line(repr(value))}") from None
    return accepted


def _accepted(value: Any, kind: Any) -> Any:
    """A value as a field of this type holds it. Raises what is expected, `TypeError` for values of another type."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        [limit] = inner[1:]
        if isinstance(value, float) and math.isnan(value):
            raise ValueError(limit)
        value = _accepted(value, inner[0])
        if value not in limit:
            raise ValueError(limit)
        return value
    if origin in (Union, UnionType):
        expected = []
        for one in inner:
            try:
                return _accepted(value, one)
            except TypeError as error:
                expected.append(str(error))
        raise TypeError(" or ".join(dict.fromkeys(text for text in expected if text)))
    if origin is Literal:
        if any(value is one or (isinstance(one, str) and value == one) for one in inner):
            return value
        raise (ValueError if type(value) in map(type, inner) else TypeError)(_either(inner))
    if isinstance(kind, type) and issubclass(kind, Enum):
        values = [one.value for one in kind]
        if value not in values:
            raise (TypeError if value is None else ValueError)(_either(values))
        return value
    if (origin or kind) is list:
        if isinstance(value, dict | NoneType):
            raise TypeError(f"a list of {_name(inner[0])}")
        try:
            return [_accepted(item, inner[0]) for item in (value if isinstance(value, list | tuple) else [value])]
        except TypeError as error:
            raise TypeError(f"a list of {error}") from None
    if (origin or kind) is dict:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise TypeError(_NAMES[dict])
        if inner and inner[1] is not Any:
            for item in value.values():
                _accepted(item, inner[1])
        return value
    if kind is Any:
        return value
    if (isinstance(value, bool) and kind in (int, float)) or not isinstance(value, _KINDS.get(kind, kind)):
        raise TypeError(_name(kind))
    if kind is float and not math.isfinite(value):
        raise ValueError("a finite number")
    return value


def _name(kind: Any) -> str:
    """What a type is called; nothing for that of `None`."""
    if kind is NoneType:
        return ""
    return _NAMES.get(kind) or getattr(kind, "__name__", str(kind))


def _either(choices: Any) -> str:
    *first, last = map(str, choices)
    return f"{', '.join(first)} or {last}" if first else last
