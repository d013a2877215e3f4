"""Which training problems a benchmark has too: copies are found, common phrases are not."""

import json
import random
import re
import time

import pytest

from hicra_trl.data.decontamination import Overlap, find_overlaps, words


PROBLEM = (
    "Each vertex of a regular octagon is independently colored either red or blue with equal probability. Find the "
    r"probability that the octagon can be rotated, as $\frac{m}{n}$, where $m$ and $n$ are relatively prime positive "
    "integers. Find $m+n$."
)
BENCHMARKS = {"aime24": "problem", "amc23": "problem", "math500": "problem", "minerva_math": "problem"}


@pytest.fixture(scope="module")
def benchmarks(data_folder):
    columns = BENCHMARKS | {"olympiadbench": "question"}
    lines = {name: (data_folder / "benchmarks" / f"{name}.jsonl").open(encoding="utf-8") for name in columns}
    return {name: [json.loads(line)[columns[name]] for line in lines[name]] for name in columns}


def test_words_are_what_notation_leaves():
    assert words(r"Let $A_1=\dfrac{x}{2}$, so:") == ["let", "a", "1", "dfrac", "x", "2", "so"]
    assert words("５ ﬁsh") == ["5", "fish"]
    assert words("求最小值x") == ["求", "最", "小", "值", "x"]
    assert words("$+-=$ ") == []


@pytest.mark.parametrize(
    "copy",
    [
        PROBLEM,
        PROBLEM.upper().replace("$", " "),
        f"A problem of last year: {PROBLEM} Think well.",
        PROBLEM[: len(PROBLEM) // 2],
        PROBLEM.replace("octagon", "hexagon", 1),
    ],
)
def test_a_copy_overlaps_however_it_is_put(copy):
    (overlap,) = find_overlaps(["What is one and one?", copy], ["Another problem.", PROBLEM])
    assert (overlap.prompt, overlap.problem) == (1, 1) and overlap.coverage > 0.8


def test_a_common_phrase_is_no_copy_unless_any_n_gram_counts():
    other = (
        r"A circle has area $\frac{m}{n}$, where $m$ and $n$ are relatively prime positive integers, and a square of "
    )
    other += (
        "the same perimeter has area 9. What is the least sum that the two can have, if both are of whole numbers?"
    )
    assert find_overlaps([other], [PROBLEM]) == []
    (overlap,) = find_overlaps([other], [PROBLEM], coverage=0)
    assert overlap.coverage < 0.5


def test_coverage_is_the_share_of_words_in_shared_n_grams():
    assert find_overlaps(["a b c x y z"], ["q a b c"], n=3, coverage=0.75) == [Overlap(0, 0, 0.75)]
    assert find_overlaps(["a b c x y z"], ["q a b c"], n=3, coverage=0.76) == []


def test_the_problem_with_most_in_common_is_named_and_of_equals_the_first():
    problems = ["a b c z z", "a b c d", "a b c d"]
    assert find_overlaps(["a b c d"], problems, n=3) == [Overlap(0, 1, 1.0)]


def test_short_problems_overlap_with_their_equals_alone():
    assert find_overlaps(["what is 1 + 1?", "so what is 1 + 1"], ["What is $1+1$"]) == [Overlap(0, 0, 1.0)]
    assert find_overlaps(["", "?"], ["", "!", PROBLEM]) == []


@pytest.mark.parametrize(("n", "coverage"), [(0, 0.5), (8, -0.1), (8, 1.1)])
def test_settings_out_of_range_are_refused(n, coverage):
    with pytest.raises(ValueError, match="got"):
        find_overlaps([PROBLEM], [PROBLEM], n, coverage)


def test_nothing_of_independent_benchmarks_is_taken_for_a_copy(benchmarks):
    for name, problems in benchmarks.items():
        others = [problem for other in benchmarks if other != name for problem in benchmarks[other]]
        assert find_overlaps(problems, others) == []


def test_edited_benchmark_problems_are_found(benchmarks):
    problems = [problem for name in benchmarks for problem in benchmarks[name]]
    rng = random.Random(0)
    vocabulary = [word for problem in problems for word in words(problem)]
    edited = [
        " ".join(rng.choice(vocabulary) if rng.random() < 0.05 else word for word in words(problem))
        for problem in problems
    ]
    renumbered = [re.sub(r"\d+", lambda match: str(rng.randint(2, 99)), problem) for problem in problems]
    assert len(find_overlaps(problems, problems)) == len(problems)
    assert len(find_overlaps(edited, problems)) > 0.93 * len(problems)
    assert len(find_overlaps(renumbered, problems)) > 0.55 * len(problems)


def test_a_training_set_is_searched_in_seconds(benchmarks, data_folder):
    file = data_folder / "gsm8k_train.jsonl"
    prompts = [json.loads(line)["question"] for line in file.open(encoding="utf-8")]
    start = time.perf_counter()
    found = find_overlaps(prompts, [problem for name in benchmarks for problem in benchmarks[name]])
    # Half a second when nothing else runs.
    assert time.perf_counter() - start < 10
    assert found == []
