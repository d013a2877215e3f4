"""Nothing is lost: answers that are right by construction, compared with math-verify as its README calls it."""

import importlib
from pathlib import Path

import pytest
from math_verify import parse, verify

from hicra_trl.rewards import Grader


BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PER_KIND = 5


@pytest.fixture(scope="module")
def pairs():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        return importlib.import_module("answer_pairs").pairs(PER_KIND)


@pytest.fixture(scope="module")
def verdicts(pairs):
    # Generous limits: on a busy machine a comparison must not fail for want of time.
    with Grader(timeout=60, batch_timeout=600) as grader:
        return grader([rf"So we find $\boxed{{{pair.answer}}}$." for pair in pairs], [pair.gold for pair in pairs])


def accepted_by_math_verify(pair):
    # Without its own time limit it leaves the signals of the test process alone.
    gold = parse(f"\\boxed{{{pair.gold}}}", parsing_timeout=None)
    answer = parse(rf"So we find $\boxed{{{pair.answer}}}$.", parsing_timeout=None)
    return verify(gold, answer, timeout_seconds=None)


def test_right_answers_that_math_verify_accepts_are_accepted(pairs, verdicts):
    refused = [pair for pair, verdict in zip(pairs, verdicts) if pair.right and not verdict.correct]
    assert [pair for pair in refused if accepted_by_math_verify(pair)] == []


def test_everyday_spellings_of_right_answers_are_accepted(pairs, verdicts):
    right = [verdict for pair, verdict in zip(pairs, verdicts) if pair.right and pair.everyday]
    assert sum(verdict.correct for verdict in right) >= 0.99 * len(right)


def test_wrong_answers_are_refused(pairs, verdicts):
    assert [pair for pair, verdict in zip(pairs, verdicts) if not pair.right and verdict.correct] == []


def test_comparisons_come_to_an_end(verdicts):
    assert [verdict for verdict in verdicts if verdict.failure] == []
