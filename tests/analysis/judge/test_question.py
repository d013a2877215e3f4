"""An answer counts if it is typed, has one of four labels and quotes the solution."""

import json

import pytest

from hicra_trl.analysis.judge.question import LABELS, Solution, again, question, read_answer


SOLUTION = "We know that\n  $\\frac{1}{2} + \\nabla = 3$.\nSo \\boxed{3}"
GOOD = {"reason": "It is 4.", "quote": "So \\boxed{3}", "label": "execution"}


def written(**changed):
    return json.dumps({**GOOD, **changed})


@pytest.mark.parametrize("label", LABELS)
def test_every_label_is_read_and_white_space_is_folded(label):
    answer = read_answer(f"So:\n```json\n{written(label=label, quote='know that $')}\n```", SOLUTION)
    assert (answer.label, answer.quote, answer.reason) == (label, "know that $", "It is 4.")


@pytest.mark.parametrize(
    "quote",
    [
        r"So \boxed{3}",
        r"So \\boxed{3}",
        r"that\n $\frac{1}{2}",
        r"$\frac{1}{2} + \nabla = 3$",
        r"$\\frac{1}{2} + \\nabla = 3$",
        "that\n  $",
    ],
)
def test_a_quote_of_latex_is_read_whether_or_not_its_backslashes_are_doubled(quote):
    answer = read_answer(f'{{"reason": "r", "quote": "{quote}", "label": "strategy"}}', SOLUTION)
    assert " ".join(answer.quote.split()) in " ".join(SOLUTION.split())


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "does not end with a JSON object"),
        ("The plan is wrong: strategy.", "does not end with a JSON object"),
        (written()[:-9], "does not end with a JSON object"),
        # A draft does not count where the answer itself was cut.
        (written() + "\nRather:\n" + written()[:-9], "does not end with a JSON object"),
        (written() + "</think>", "does not end with a JSON object"),
        ("[" * 100_000, "does not end with a JSON object"),
        ('{"label": ' + "[" * 100_000, "does not end with a JSON object"),
        (written(label="C"), "the label is 'C', expected one of dummy, execution, strategy, acceptable"),
        (written(label="unreadable"), "the label is 'unreadable'"),
        (written(label=None), "label is None, expected text"),
        (written(label=["dummy"]), "expected text"),
        (written(quote="So \\boxed{4}"), "the quote does not occur in the solution: 'So "),
        (written(quote=" "), "the quote does not occur"),
        (written(quote=3), "quote is 3, expected text"),
        (written(reason=" "), "the reason is empty"),
        ('{"label": "dummy"}', "quote is None, expected text"),
    ],
)
def test_what_cannot_be_used_is_said(text, problem):
    with pytest.raises(ValueError) as caught:
        read_answer(text, SOLUTION)
    assert problem in str(caught.value)


def test_of_an_empty_solution_nothing_is_quoted():
    assert read_answer(written(quote="", label="dummy"), " \n").label == "dummy"


def test_the_question_holds_what_it_is_about_and_says_what_was_wrong_with_an_answer():
    with_gold = question(Solution("1", "What is 2 + 2?", SOLUTION, reference="4"))
    without = question(Solution("1", "What is 2 + 2?", SOLUTION))
    for asked in (with_gold, without):
        assert "<problem>\nWhat is 2 + 2?\n</problem>" in asked and f"<solution>\n{SOLUTION}\n</solution>" in asked
        assert all(f"- {label}: " in asked for label in LABELS)
    assert "<reference>\n4\n</reference>" in with_gold and "reference" not in without
    once_more = again(without, "<think>x</think> no {idea}", "the label is 'C'")
    assert once_more.startswith(without) and "no {idea}" in once_more and "the label is 'C'" in once_more
