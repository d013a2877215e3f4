"""What grams go along with: Mantel and Haenszel's odds ratio, counted pair by pair."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hicra_trl.training.credit.outcome import PRIOR, GramOutcomes


@st.composite
def batches(draw):
    """Rows of (grams, right, group), in any order, with groups of different sizes."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    # Their numbers say nothing: neither that they begin at 0, nor that none is left out.
    names = draw(st.lists(st.integers(0, 99), min_size=len(sizes), max_size=len(sizes), unique=True))
    rows = [
        (draw(st.tuples(*[st.booleans()] * 3)), draw(st.booleans()), name)
        for name, size in zip(names, sizes)
        for _ in range(size)
    ]
    return draw(st.permutations(rows))


def add(outcomes, rows, window=20):
    present, right, groups = zip(*rows)
    return outcomes.add(torch.tensor(present), torch.tensor(right), torch.tensor(groups), window)


def pairs(rows, gram):
    """Weights of the pairs of one group that speak for a gram and against it, a pair at a time."""
    speaks_for = speaks_against = 0.0
    for group in {group for *_, group in rows}:
        members = [(grams[gram], right) for grams, right, other in rows if other == group]
        for has_it, right in members:
            for other_has_it, other_right in members:
                if has_it and not other_has_it and right != other_right:
                    speaks_for += right / len(members)
                    speaks_against += other_right / len(members)
    return speaks_for, speaks_against


@settings(deadline=None)
@given(batches(), batches(), st.integers(1, 50))
def test_outcomes_are_those_of_all_pairs_and_the_older_ones_fade(first, second, window):
    outcomes = add(add(GramOutcomes.none(3), first, window), second, window)
    kept = 1 - 1 / window
    for gram in range(3):
        (old_for, old_against), (new_for, new_against) = pairs(first, gram), pairs(second, gram)
        assert outcomes.speaks_for[gram].item() == pytest.approx(kept * old_for + new_for)
        assert outcomes.speaks_against[gram].item() == pytest.approx(kept * old_against + new_against)
        verdicts = [right for grams, right, _ in (*first, *second) if grams[gram]]
        assert outcomes.right[gram] == sum(verdicts)
        assert outcomes.wrong[gram] == len(verdicts) - sum(verdicts)


@settings(deadline=None)
@given(batches(), st.randoms())
def test_the_order_of_the_rows_does_not_count(rows, random):
    one = add(GramOutcomes.none(3), rows)
    random.shuffle(rows)
    other = add(GramOutcomes.none(3), rows)
    for name, values in vars(one).items():
        assert torch.allclose(values, getattr(other, name)), name


@given(st.lists(st.tuples(st.floats(0.01, 1e4), st.floats(0.01, 1e4)), min_size=1, max_size=4))
def test_without_its_prior_the_score_is_tanh_of_half_the_log_odds_ratio(weights):
    speaks_for, speaks_against = torch.tensor(weights, dtype=torch.float64).T
    counts = torch.zeros(len(weights), dtype=torch.int64)
    score = GramOutcomes(speaks_for, speaks_against, counts, counts).score()
    for s, (for_it, against) in zip(score.tolist(), weights):
        plain = math.tanh(math.log(for_it / against) / 2)
        assert s == pytest.approx(plain * (for_it + against) / (for_it + against + PRIOR), abs=1e-6)


def test_a_gram_that_nothing_is_known_of_has_0():
    assert GramOutcomes.none(2).score().tolist() == [0, 0]
    # Groups that are all right or all wrong tell nothing.
    rows = [((True, False, True), right, right) for right in (True, True, False, False)]
    outcomes = add(GramOutcomes.none(3), rows)
    assert outcomes.score().tolist() == [0, 0, 0] and outcomes.right.tolist() == [2, 0, 2]


def test_a_cluster_has_what_its_grams_have_in_common():
    weights = torch.tensor([3.0, 1.0, 0.0], dtype=torch.float64), torch.tensor([0.0, 2.0, 6.0], dtype=torch.float64)
    counts = torch.zeros(3, dtype=torch.int64)
    outcomes = GramOutcomes(*weights, counts, counts)
    first, second, alone = outcomes.score(torch.tensor([1, 1, 0])).tolist()
    assert first == second == pytest.approx((4 - 2) / (6 + PRIOR)) and alone == pytest.approx(-6 / (6 + PRIOR))


@given(batches())
def test_a_checkpoint_keeps_them_bit_for_bit(rows):
    outcomes = add(add(GramOutcomes.none(3), rows, 3), rows, 7)
    again = GramOutcomes.from_json(json.loads(json.dumps(outcomes.to_json())))
    for name, values in vars(outcomes).items():
        assert torch.equal(values, getattr(again, name)) and values.dtype == getattr(again, name).dtype


def test_of_no_rows_nothing_is_learned():
    known = add(GramOutcomes.none(3), [((True, False, False), True, 0), ((False, False, True), False, 0)])
    none = torch.zeros(0)
    assert known.add(torch.zeros(0, 3, dtype=torch.bool), none.bool(), none.long(), 20) is known
