"""The vote of the majority against counting every subset, and examples worked out by hand."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hicra_trl.evaluation.statistics.votes import count_votes, majority_at_k, pass_at_k, subset_sizes


def majority_by_enumeration(num_samples, num_correct, wrong, k):
    ballots = ["right"] * num_correct + [name for name, size in enumerate(wrong) for _ in range(size)]
    ballots += [None] * (num_samples - len(ballots))
    outcomes = []
    for subset in combinations(ballots, k):
        votes = [ballot for ballot in subset if ballot is not None]
        counts = {ballot: votes.count(ballot) for ballot in votes}
        winners = [ballot for ballot, count in counts.items() if count == max(counts.values())]
        outcomes.append(winners.count("right") / len(winners) if winners else 0.0)
    return sum(outcomes) / len(outcomes)


counts = st.tuples(st.integers(0, 4), st.lists(st.integers(1, 4), max_size=4), st.integers(0, 3)).filter(
    lambda c: 1 <= c[0] + sum(c[1]) + c[2] <= 9
)


@given(counts)
def test_majority_is_the_mean_over_all_subsets(votes):
    num_correct, wrong, silent = votes
    n = num_correct + sum(wrong) + silent
    for k in range(1, n + 1):
        expected = majority_by_enumeration(n, num_correct, wrong, k)
        assert majority_at_k(n, num_correct, wrong, k) == pytest.approx(expected), (votes, k)


@given(counts)
def test_one_vote_is_pass_at_1(votes):
    num_correct, wrong, silent = votes
    n = num_correct + sum(wrong) + silent
    assert majority_at_k(n, num_correct, wrong, 1) == pytest.approx(pass_at_k(n, num_correct, 1))


@pytest.mark.parametrize(
    ("n", "num_correct", "wrong", "k", "expected"),
    [
        (4, 2, [1, 1], 4, 1.0),
        (4, 2, [2], 4, 0.5),
        (6, 2, [2, 2], 6, 1 / 3),
        (4, 1, [3], 4, 0.0),
        (4, 1, [], 4, 1.0),  # three did not answer: they do not vote against it
        (4, 0, [], 4, 0.0),  # nobody answered
        (3, 1, [1], 2, 0.5),  # right and wrong tie, right and none, wrong and none: (1/2 + 1 + 0) / 3
    ],
)
def test_majority_by_hand(n, num_correct, wrong, k, expected):
    assert majority_at_k(n, num_correct, wrong, k) == pytest.approx(expected)


def test_majority_of_many_samples_is_exact():
    # 33 of 64 agree on the right answer and the others on a wrong one.
    assert majority_at_k(64, 33, [31], 64) == 1.0
    assert 0.5 < majority_at_k(64, 33, [31], 32) < 1.0
    assert majority_at_k(64, 32, [32], 31) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("n", "num_correct", "wrong", "k"), [(4, 2, [3], 1), (4, 2, [], 5), (4, 2, [], 0), (4, -1, [], 1)]
)
def test_majority_refuses_impossible_counts(n, num_correct, wrong, k):
    with pytest.raises(ValueError, match=f"got k={k}, num_samples={n}, num_correct={num_correct}"):
        majority_at_k(n, num_correct, wrong, k)


def test_votes_are_counted_by_what_answers_mean():
    answers = ["1/2", "0.5", "2", "2.0", None, "x + 1", "x+1", "3"]
    verdicts = [True, True, False, False, False, False, False, False]
    assert count_votes(answers, verdicts) == (2, (2, 2, 1))


def test_right_answers_are_one_answer_however_they_are_written():
    # The grader knows that these are equal; their texts do not show it.
    assert count_votes([r"\sqrt{8}", r"2\sqrt{2}", "3"], [True, True, False]) == (2, (1,))


@given(st.permutations([("1", False), ("1.0", False), ("2", True), (None, False), ("7", False), ("7", False)]))
def test_votes_do_not_depend_on_the_order(ballots):
    assert count_votes(*zip(*ballots, strict=True)) == (1, (2, 2))


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_pass_at_k_grows_with_k(sizes):
    n, num_correct = sizes
    values = [pass_at_k(n, num_correct, k) for k in subset_sizes(n)]
    assert values == sorted(values)
    assert values[0] == pytest.approx(num_correct / n)
    assert values[-1] == (num_correct > 0)


@pytest.mark.parametrize(("n", "sizes"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (32, [1, 2, 4, 8, 16, 32])])
def test_subset_sizes(n, sizes):
    assert subset_sizes(n) == sizes
