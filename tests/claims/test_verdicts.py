"""Verdicts on invented runs, of which the truth is known: each claim holds, fails, and cannot be told."""

import numpy as np
import pytest

from claims.invented import Truth, invent
from hicra_trl.claims.plan import campaigns, read_claims
from hicra_trl.claims.report import Result, blocks
from hicra_trl.claims.verdicts import FAILS, HOLDS, OPEN, Numbers, effect_size, rank_correlation, verdict, verdicts


FORKS = {"most_30": 0.7, "few_20": 0.05, "few_30": 0.06, "planning": 0.1}
SAME = {"correlation": 0.98, "deviation": 0.02}
# Of C1 the wide sway, of the others equal sides: nothing can be told.
WIDE = {"sway": 0.05}
CASES = [
    ("C1", HOLDS, Truth(gain=0.04)),
    ("C1", FAILS, Truth(gain=-0.03)),
    ("C1", FAILS, Truth(gain=0.0, sway=0.001)),  # too small to count, and surely so
    ("C1", OPEN, Truth(gain=0.02, **WIDE)),
    ("C1", OPEN, Truth(gain=0.04, seeds=2)),
    ("C2", HOLDS, Truth()),
    ("C2", FAILS, Truth(when_execution=90.0, when_semantic=20.0, when_strategy=20.0)),
    ("C2", FAILS, Truth(execution_fall=-0.1)),
    ("C2", FAILS, Truth(rise=-0.5)),
    ("C2", OPEN, Truth(execution_fall=0.0)),
    ("C3", HOLDS, Truth(more=0.2)),
    ("C3", FAILS, Truth(more=0.2, rise=-1.0, when_semantic=40.0)),
    ("C3", FAILS, Truth(more=-0.2, rise=1.0)),
    ("C3", OPEN, Truth(more=-0.006, **WIDE)),
    ("C4", HOLDS, Truth(longer=0.3, gains={"entropy-0.001": -0.01, "entropy-0.003": -0.02, "entropy-0.01": -0.05})),
    ("C4", FAILS, Truth(longer=0.3, gains={"entropy-0.003": 0.05})),
    ("C4", FAILS, Truth(longer=-0.3)),
    ("C4", OPEN, Truth(longer=0.3, **WIDE)),
    ("C5", HOLDS, Truth(more=0.3)),
    ("C5", FAILS, Truth(more_entropy=0.2)),
    ("C5", FAILS, Truth(more=-0.3)),
    ("C5", OPEN, Truth(more=0.3, seeds=2)),
    ("C6", HOLDS, Truth(figures=FORKS)),
    ("C6", FAILS, Truth(figures={**FORKS, "few_30": 0.3})),
    ("C6", FAILS, Truth(figures={**FORKS, "most_30": 0.4})),
    ("C6", OPEN, Truth(figures={**FORKS, "few_20": 0.1})),
    ("C7", HOLDS, Truth(figures=SAME)),
    ("C7", FAILS, Truth(figures={**SAME, "correlation": 0.5})),
    ("C7", FAILS, Truth(figures={**SAME, "deviation": 0.3})),
    ("C7", OPEN, Truth(figures={**SAME, "deviation": 0.1})),
    ("C8", HOLDS, Truth()),
    ("C8", FAILS, Truth(strategy_fall=0.05, execution_error_fall=0.2)),
    ("C8", OPEN, Truth(strategy_fall=0.1, execution_error_fall=0.1)),
    ("C9", HOLDS, Truth(gains={"orders-strong": 0.05, "orders-weak": -0.02})),
    ("C9", FAILS, Truth(gains={"orders-strong": 0.05, "orders-weak": 0.05})),
    ("C9", FAILS, Truth(gains={"orders-strong": -0.05, "orders-weak": 0.0})),
    ("C9", OPEN, Truth(gains={"orders-strong": 0.05}, **WIDE)),
]
TARGETS = {
    HOLDS: {"tables": {0: 0.4, 1: 0.5, 2: 0.6}},
    FAILS: {"tables": {0: 0.4, 1: 0.5, 2: 0.6}, "Adam": {0: -0.4, 1: -0.5, 2: -0.6}},
    OPEN: {"tables": {0: 0.4, 1: 0.5, 2: 0.6}, "Adam": {0: -0.4, 1: 0.5, 2: 0.0}},
}


def told(name, found, target=None):
    [one] = [one for one in verdicts(found, target or {}) if one.name == name]
    return one


@pytest.mark.parametrize(("name", "word", "truth"), [pytest.param(*case, id=f"{case[0]} {case[1]}") for case in CASES])
def test_the_truth_is_told(name, word, truth):
    found = told(name, invent(truth))
    assert found.word == word, [(part.name, part.mean_and_half, part.p_value(part.bound)) for part in found.parts]


@pytest.mark.parametrize("word", TARGETS)
def test_the_target_is_told(word):
    assert told("C10", {}, TARGETS[word]).word == word


def test_every_claim_has_all_three_outcomes():
    assert {(name, word) for name, word, _ in CASES} == {
        (f"C{i}", word) for i in range(1, 10) for word in (HOLDS, FAILS, OPEN)
    }


def test_nothing_is_told_of_what_was_not_trained():
    empty = {name: {condition: {} for condition in plan.conditions} for name, plan in campaigns().items()}
    assert {one.word for one in verdicts(empty, {})} == {OPEN}


def test_a_base_that_failed_leaves_its_claims_open():
    found = invent(Truth(gain=0.04))
    found["orders-strong"] = {"grpo": {}, "hicra": {}}
    assert told("C1", found).word == OPEN and told("C8", found).word == HOLDS


def test_the_quick_plan_tells_of_the_playground_alone():
    words = {
        one.name: one.word for one in verdicts(invent(Truth(gain=0.06, figures={**FORKS, **SAME}), quick=True), {})
    }
    assert [name for name, word in words.items() if word == HOLDS] == ["C1", "C6", "C7"]
    assert {words[name] for name in ("C2", "C8", "C9", "C10")} == {OPEN}


def test_failing_is_corrected_for_its_chances_and_holding_is_not():
    """p is 0.03: enough for a part to hold, and for one of three to exclude it is not."""
    away = dict(enumerate([0.09, 0.03, 0.035, 0.01, 0.06]))
    near = dict(enumerate([0.001, -0.001, 0.002, -0.002, 0.0005]))

    def few_20(sign):
        values = {"most_30": near, "few_20": {seed: sign * value for seed, value in away.items()}, "few_30": near}
        bounds = {"most_30": 0.5, "few_20": 0.1, "few_30": 0.1}
        shifted = {name: {seed: bounds[name] + value for seed, value in of.items()} for name, of in values.items()}
        found = verdict("C6", {"playground": shifted}, ["playground"])
        return found, found.parts[1]

    found, part = few_20(sign=1)
    assert 0.02 < part.p_value(part.bound) < 0.05 and part.is_on_other_side and found.failed == []
    assert few_20(sign=-1)[1].is_held


def tables(found):
    """Of the claims page: the verdicts, and the parts of the one claim."""
    said = blocks(Result([found], {}, [], [[""]], {}, "", False))
    return [content for kind, content in said if kind == "table"][:2]


def test_a_claim_that_fails_says_against_which_bound():
    """Gains of -0.2 points, of which the standard error is 0.1: t is -2 against 0, and -12 against 1 point."""
    gains = dict(enumerate(np.array([-0.2, -0.1, -0.3, 0.1, -0.5]) / 100))
    [_, (*_, because)], [head, row] = tables(verdict("C1", {"playground": {"gain": gains}}, ["playground"]))
    assert because == "gain of HICRA over GRPO: -0.2 +- 0.3 points, 5 seeds, below 1.0 points with p < 0.001"
    assert head[2:6] == ["claimed", "p", "fails", "p (Holm)"]
    assert row[2:6] == ["above 0.0 points", "0.116", "below 1.0 points", "< 0.001"]
    opposite = {seed: 0.02 - gain for seed, gain in gains.items()}
    [_, (*_, because)], [_, row] = tables(verdict("C1", {"playground": {"gain": opposite}}, ["playground"]))
    assert because == "gain of HICRA over GRPO: +2.2 +- 0.3 points, 5 seeds"
    assert row[2:6] == ["above 0.0 points", "< 0.001", "below 1.0 points", ""]


def test_ranks_and_sizes_by_hand():
    """Ranks 1, 2.5, 2.5, 4 and 1 to 4; and pass@8 that is 1 in both runs tells nothing."""
    accuracy, entropy = [(10, 0.1), (20, 0.2), (30, 0.2), (40, 0.9)], [(5, 1.0), (15, 2.0), (25, 3.0), (40, 9.0)]
    run = Numbers({"accuracy": accuracy, "semantic_entropy": entropy})
    assert rank_correlation(run) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)
    same = np.ones(4)
    assert effect_size(same, same) == 0.0 and np.isnan(effect_size(same, 2 * same))


def test_what_has_moved_by_hand():
    """From 1 to 0 at step 6 of 12: four fifths of the way are gone where four of five values around have moved."""
    run = Numbers({"x": [(step, float(step < 6)) for step in range(12)]})
    assert (run.start("x"), run.end("x"), run.moved("x", -1), run.moved("x", 1)) == (1.0, 0.0, 7.0, None)


def test_every_part_is_measured():
    """A part that no function measures could never be told."""
    found = verdicts(invent(Truth(figures={**FORKS, **SAME})), TARGETS[HOLDS])
    assert [one.name for one in found] == [*read_claims()["claims"]]
    assert [(one.name, part.name) for one in found for part in one.parts if not part.values] == []


def test_a_curve_whose_windows_never_go_the_way_of_its_end_has_no_step():
    run = Numbers({"strategy": [(1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0)]})
    assert run.end("strategy") > run.start("strategy") and run.moved("strategy", 1) is None
