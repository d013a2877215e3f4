"""Rows that pose the same problem."""

import pytest

from hicra_trl.data.duplicates import Distinct, distinct


def of(*rows):
    return distinct((index, *row) for index, row in enumerate(rows))


def test_the_first_of_equal_rows_is_kept_in_order():
    assert of(("b", "1"), ("a", "2"), ("b", "1"), ("c", "3"), ("a", "2")) == Distinct([0, 1, 3], 2, 0)


def test_of_problems_with_different_golds_none_is_kept():
    assert of(("a", "1"), ("b", "1"), ("a", "2"), ("a", "1")) == Distinct([1], 0, 3)


@pytest.mark.parametrize("other", ["find x,\n y", " find  x, y ", "find x， y", "find ｘ, y", "find x,y"])
def test_white_space_and_compatibility_characters_make_no_difference(other):
    assert of(("find x, y", "1"), (other, "1")) == Distinct([0], 1, 0)


def test_case_and_notation_make_a_difference():
    assert of(("find $A$", "1"), ("find $a$", "2"), ("find $-a$", "3")).keep == [0, 1, 2]


def test_space_and_dollars_of_a_gold_make_no_difference():
    assert of(("a", r"\frac{1}{2}"), ("a", r" $\frac{1} {2}$ ")) == Distinct([0], 1, 0)


def test_indices_are_those_that_were_given():
    assert distinct([(3, "a", "1"), (7, "b", "1"), (9, "a", "1")]) == Distinct([3, 7], 1, 0)
    assert distinct([]) == Distinct([], 0, 0)
