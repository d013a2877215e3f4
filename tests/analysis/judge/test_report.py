"""Kappa and its interval, and shares by range of steps."""

import random

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, confusion_matrix

from hicra_trl.analysis.judge.question import LABELS, UNREADABLE, Solution
from hicra_trl.analysis.judge.report import agreement, agreement_text, shares_by_range, shares_text
from hicra_trl.analysis.judge.verdicts import Verdict


CLASSES = [*LABELS, UNREADABLE]


def pairs(count, share_right, seed=0, per_problem=1):
    rng = random.Random(seed)
    labels = rng.choices(LABELS, weights=[1, 4, 6, 1], k=count)
    said = [label if rng.random() < share_right else rng.choice(CLASSES) for label in labels]
    return [str(number // per_problem) for number in range(count)], labels, said


@pytest.mark.parametrize("share_right", [0.0, 0.3, 0.9])
def test_kappa_and_confusion_are_those_of_scikit_learn(share_right):
    problems, labels, said = pairs(400, share_right)
    found = agreement(problems, labels, said)
    assert found.kappa.value == pytest.approx(cohen_kappa_score(labels, said, labels=CLASSES), abs=1e-12)
    assert found.accuracy.value == pytest.approx(np.mean(np.array(labels) == said))
    table = confusion_matrix(labels, said, labels=CLASSES)
    assert [[found.confusion[a][b] for b in CLASSES] for a in LABELS] == table[:4].tolist()


def test_kappa_by_hand():
    # Cohen (1960) by hand: 20 + 15 of 50 agree, by chance 0.5 * 0.6 + 0.5 * 0.4.
    labels = ["execution"] * 25 + ["strategy"] * 25
    said = ["execution"] * 20 + ["strategy"] * 5 + ["execution"] * 10 + ["strategy"] * 15
    assert agreement(list(map(str, range(50))), labels, said).kappa.value == pytest.approx((0.7 - 0.5) / 0.5)


def test_the_interval_is_that_of_resampled_problems():
    problems, labels, said = pairs(600, 0.7, seed=1, per_problem=4)
    found = agreement(problems, labels, said)
    rng, draws = np.random.default_rng(0), []
    rows = np.arange(600).reshape(150, 4)
    for _ in range(1000):
        taken = rows[rng.integers(0, 150, 150)].ravel()
        draws.append(cohen_kappa_score([labels[i] for i in taken], [said[i] for i in taken], labels=CLASSES))
    assert found.problems == 150 and found.solutions == 600
    assert found.kappa.ends == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.015)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    # Right in 60 %, otherwise one of five classes at random: its kappa in a sample so large that it is the truth.
    truth = agreement(*pairs(200_000, 0.6, seed=99, per_problem=100)).kappa.value
    held = [low <= truth <= high for low, high in (agreement(*pairs(60, 0.6, seed)).kappa.ends for seed in range(100))]
    assert 89 <= sum(held) <= 100


def test_perfect_agreement_on_few_problems_is_not_certain():
    problems, labels, _ = pairs(12, 1)
    few, many = (agreement([f"{i}{p}" for i in range(n) for p in problems], labels * n, labels * n) for n in (1, 40))
    assert few.kappa.value == many.kappa.value == few.kappa.high == 1
    assert 0.6 < few.kappa.low < 0.9 < many.kappa.low < 1


def test_an_unreadable_verdict_is_no_agreement_and_one_class_says_nothing():
    found = agreement("abcd", ["strategy", "strategy", "execution", "execution"], [UNREADABLE] * 4)
    assert found.accuracy.value == 0 and found.kappa.value == 0
    alone = agreement("abc", ["strategy"] * 3, ["strategy"] * 3)
    assert alone.kappa is None and "undefined" in agreement_text(alone, "labels", "judge")


def verdict(step, key, label):
    return Verdict(step, key, label, "", "", {"prompt": 0, "answer": 0}, 1, "exact", key)


def test_shares_are_of_what_can_be_read_in_ranges_of_steps():
    solutions, verdicts = [], []
    for step in range(1, 33):
        for number in range(4):
            key = f"{step}/{number}"
            solutions.append(Solution(key, f"problem {number}", "", step, correct=[False, False, True, None][number]))
        label = "strategy" if step > 16 else "execution"
        verdicts += [verdict(step, f"{step}/0", label), verdict(step, f"{step}/1", UNREADABLE)]
    *ranges, whole = shares_by_range(solutions, verdicts)
    assert [part.steps for part in ranges] == [(first, first + 3) for first in range(1, 33, 4)]
    for part in ranges:
        assert (part.completions, part.wrong, part.judged, part.unreadable) == (12, 8, 8, 4)
        expected = "strategy" if part.steps[0] > 16 else "execution"
        assert {label: share.value for label, share in part.labels.items()} == {
            n: float(n == expected) for n in LABELS
        }
    assert whole.labels["strategy"].value == 0.5 and (whole.judged, whole.unreadable) == (64, 32)
    rows = shares_text([*ranges, whole]).splitlines()
    assert len(rows) == 10 and rows[1].split()[:4] == ["1-4", "12", "8", "8"] and rows[-1].split()[0] == "all"


def test_shares_have_intervals_over_problems():
    solutions = [Solution(str(n), f"problem {n % 10}", "", None, correct=False) for n in range(40)]
    verdicts = [verdict(None, str(n), "strategy" if n % 10 < 5 else "execution") for n in range(40)]
    [whole] = shares_by_range(solutions, verdicts)
    share = whole.labels["strategy"]
    # Ten problems that say 0 or 1: a Student interval of their mean.
    half = 2.262 * np.std([0, 1] * 5, ddof=1) / 10**0.5
    assert (share.low, share.high) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-3)
    assert whole.labels["dummy"].low is None
