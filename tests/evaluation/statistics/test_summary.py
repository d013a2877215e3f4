"""A benchmark small enough to be worked out by hand, and what must hold for every other."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.sampling_world import sample, samples
from hicra_trl.dynamics import shannon_entropy
from hicra_trl.evaluation.statistics.summary import summarize


BY_HAND = [
    sample(1, 0, True, answer="4", tokens=10, planning_tokens=2, grams={"so": 2}),
    sample(1, 1, True, answer="4.0", tokens=20, planning_tokens=0, grams={}),
    sample(1, 2, False, answer="5", tokens=30, planning_tokens=4, grams={"wait": 1}),
    sample(2, 0, False, answer=None, tokens=60, finish_reason="length", planning_tokens=6, grams={"so": 1}),
    sample(2, 1, False, answer="9", tokens=40, planning_tokens=0, failure="timeout"),
    sample(2, 2, True, answer="8", tokens=20, planning_tokens=6),
]


def test_planning_tokens_are_a_share_of_the_tokens_that_were_labelled():
    told = [sample(1, 0, True, tokens=2, planning_tokens=8, labelled_tokens=32)]
    assert summarize("tiny", told, num_items=1, num_samples=1).metrics["planning_fraction"].value == 8 / 32


def test_every_metric_by_hand():
    summary = summarize("tiny", BY_HAND, num_items=2, num_samples=3)
    assert (summary.benchmark, summary.num_items, summary.num_samples) == ("tiny", 2, 3)
    assert {name: estimate.value for name, estimate in summary.metrics.items()} == pytest.approx(
        {
            "pass@1": (2 / 3 + 1 / 3) / 2,
            "pass@2": (1 + 2 / 3) / 2,
            "pass@3": 1.0,
            # Item 1: both right 1; right and wrong tie, twice 1/2. Item 2: right and none 1; right and wrong 1/2; 0.
            "maj@2": (2 / 3 + 1 / 2) / 2,
            "maj@3": (1 + 1 / 2) / 2,
            "truncated": 1 / 6,
            "unanswered": 1 / 6,
            "grading_failures": 1 / 6,
            "mean_length": 30,
            "planning_fraction": 18 / 180,
            "semantic_entropy": 3 / 4 * math.log(4 / 3) + 1 / 4 * math.log(4),
        }
    )


verdicts = st.integers(1, 4).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1, max_size=6)
)


@settings(deadline=None, max_examples=30)
@given(verdicts, st.randoms())
def test_the_order_of_samples_does_not_matter(rows, random):
    ordered = samples(rows)
    shuffled = random.sample(ordered, len(ordered))
    size = {"num_items": len(rows), "num_samples": len(rows[0])}
    assert summarize("x", shuffled, **size) == summarize("x", ordered, **size)


@settings(deadline=None, max_examples=30)
@given(verdicts)
def test_pass_at_1_is_the_average_and_pass_at_k_grows(rows):
    n = len(rows[0])
    metrics = summarize("x", samples(rows), num_items=len(rows), num_samples=n).metrics
    assert metrics["pass@1"].value == pytest.approx(sum(map(sum, rows)) / (len(rows) * n))
    values = [estimate.value for name, estimate in metrics.items() if name.startswith("pass@")]
    assert values == sorted(values)
    for estimate in metrics.values():
        if estimate.low is not None:
            assert estimate.low <= estimate.value <= estimate.high


@pytest.mark.parametrize("right", [False, True])
def test_an_extreme_benchmark_has_an_honest_interval(right):
    estimate = summarize("x", samples([[right] * 32] * 30), num_items=30, num_samples=32).metrics["pass@1"]
    assert estimate.value == right
    assert 0.05 < estimate.high - estimate.low < 0.15


def test_groups_are_summarised_on_their_own():
    parts = [replace(s, group="even" if int(s.item) % 2 == 0 else "odd") for s in samples([[1, 0], [0, 0], [1, 1]])]
    summary = summarize("x", parts, num_items=3, num_samples=2)
    assert list(summary.groups) == ["even", "odd"]
    assert [(g.num_items, g.metrics["pass@1"].value) for g in summary.groups.values()] == [(2, 0.75), (1, 0.0)]
    alone = summarize("x", [replace(s, group=None) for s in parts if s.group == "even"], num_items=2, num_samples=2)
    assert summary.groups["even"].metrics == alone.metrics


def test_planning_is_unknown_where_one_sample_is():
    known = samples([[1, 0], [0, 0]])
    assert summarize("x", known, 2, 2).metrics["planning_fraction"].value == pytest.approx(0.1)
    unknown = [replace(known[0], planning_tokens=None), *known[1:]]
    assert summarize("x", unknown, 2, 2).metrics["planning_fraction"] is None


def test_one_sample_has_no_vote():
    assert not [m for m in summarize("x", samples([[1], [0]]), 2, 1).metrics if m.startswith("maj")]


def test_semantic_entropy_is_that_of_the_pooled_counts():
    grams = [{"so": 3, "wait": 1}, {"so": 1}, {"let's see": 5}]
    metrics = summarize("x", [sample(i, 0, grams=g) for i, g in enumerate(grams)], 3, 1).metrics
    assert metrics["semantic_entropy"].value == pytest.approx(shannon_entropy([4, 1, 5]))


COMPLETE = samples([[1, 0], [0, 1], [1, 1]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (COMPLETE[:-1], r"x: expected 3 items x 2 samples = 6, got 5 of 3 items; item '2' lacks sample 1"),
        (COMPLETE[:-2], r"x: expected 3 items x 2 samples = 6, got 4 of 2 items$"),
        ([], r"x: expected 3 items x 2 samples = 6, got 0 of 0 items$"),
        ([*COMPLETE, sample(1, 2)], r"got 7 of 3 items; item '1' has sample 2"),
        ([*COMPLETE, sample(7, 0), sample(7, 1)], r"got 8 of 4 items$"),
        ([*COMPLETE, sample(1, 0)], r"x: sample 0 of item '1' is there twice, expected once"),
    ],
)
def test_what_is_not_complete_is_not_averaged(given, message):
    with pytest.raises(ValueError, match=message):
        summarize("x", given, num_items=3, num_samples=2)
