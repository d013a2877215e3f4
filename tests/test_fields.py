"""What a declaration takes, and what is said of everything else."""

import math
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from hicra_trl.fields import Checked, Count, Name, NotNegative, Positive, Range, Share, SomeShare, check_value


class Level(Enum):
    LOW = "low"
    HIGH = "high"


HALF_OPEN = Annotated[float, Range("[0, 1)")]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, Count), (0, NotNegative), (0.5, Positive), (0, Share), (1, Share), (1.0, SomeShare), (0, HALF_OPEN),
        (1, float), (-math.pi, float), ("x", Name), (Path("x"), str), (None, int | None), ("low", Level),
        (True, bool), (True, Literal["a"] | bool), ("a", Literal["a", False]), (False, Literal["a", False]),
        ([1, 2], list[int]), ({"a": 1}, dict[str, int]), ({"a": None}, dict[str, Any]), ({}, dict), (object, Any),
    ],
)  # fmt: skip
def test_what_a_declaration_takes_stays_as_it_is(value, kind):
    assert check_value("field", value, kind) is value or check_value("field", value, kind) == value


def test_a_list_may_be_given_as_its_only_item():
    assert check_value("field", "a", list[str]) == ["a"] == check_value("field", ("a",), list[str])
    assert check_value("field", [1], list[str] | list[int]) == [1]


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (0, Count, "at least 1"), (2.0, Count, "a whole number"), (True, Count, "a whole number"),
        ("1", Count, "a whole number"), (None, Count, "a whole number"), (0, Positive, "above 0"),
        (-0.1, NotNegative, "at least 0"), (math.nan, NotNegative, "at least 0"), (1, HALF_OPEN, "in [0, 1)"),
        (-0.1, HALF_OPEN, "in [0, 1)"), (1.1, Share, "in [0, 1]"), (0, SomeShare, "in (0, 1]"),
        (math.inf, float, "a finite number"), (math.nan, float, "a finite number"), (True, float, "a number"),
        (" ", Name, "text that is not empty"), ("", Name, "text that is not empty"), (5, str, "text"),
        (1, bool, "true or false"), ("High", Level, "low or high"), (None, Level, "low or high"),
        ("b", Literal["a", "c"], "a or c"), (1, Literal["a", True], "a or True"),
        (0, Literal["a", False], "a or False"),
        (None, list[str], "a list of text"), ({"a": 1}, list[str], "a list of text"),
        ([3], list[str], "a list of text"),
        ([], dict, "a mapping"), ({1: 2}, dict, "a mapping"), ({"a": "b"}, dict[str, int], "a whole number"),
        ("x", int | None, "a whole number"), ("x", int | float, "a whole number or a number"),
        ("x", bool | Literal["true", "false"] | None, "true or false"),
    ],
)  # fmt: skip
def test_all_else_is_said_with_what_is_expected(value, kind, expected):
    with pytest.raises(ValueError) as error:
        check_value("field", value, kind)
    assert str(error.value) == f"field must be {expected}, got {value!r}"


def test_the_fields_of_an_instance_are_checked_as_they_are_declared():
    @dataclass
    class Settings(Checked):
        names: list[str]
        mode: str | None = field(default=None, metadata={"choices": ["fast", "slow"]})
        derived: int = field(init=False, default="later")

    assert Settings("a").names == ["a"] and Settings(["a"], "slow").mode == "slow"
    with pytest.raises(ValueError, match="mode must be fast or slow, got 'Fast'"):
        Settings(["a"], "Fast")
