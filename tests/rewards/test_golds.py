"""The gold answers of benchmarks: each is read, and is right by its own words."""

import json

import pytest

from conftest import OUR_DATA
from hicra_trl.evaluation.problems.items import load_items
from hicra_trl.evaluation.problems.overrides import select_benchmarks
from hicra_trl.rewards import Gold, Grader


FILES = {name: f"{name}.jsonl" for name in ("aime24", "amc23", "math500", "olympiadbench")}
FILES["minerva"] = "minerva_math.jsonl"
# One is a sentence with a symbol that LaTeX readers do not know, one has a letter too many.
UNREADABLE = {
    "$f(x)=a x+b$, where $b$ is an arbitrary integer, and $a$ is an arbitrary positive integer with $\\mho(a)=0$",
    "$t(0,4]$",
}


@pytest.fixture(scope="module")
def golds(data_folder):
    found = {}
    for name, file in FILES.items():
        (benchmark,) = select_benchmarks([name], [f"{name}.dataset={data_folder / 'benchmarks' / file}"])
        found[name] = [item.gold for item in load_items(benchmark)]
    rows = (data_folder / "gsm8k_train.jsonl").read_text().splitlines()
    found["gsm8k"] = [Gold(json.loads(row)["answer"].rpartition("####")[2].strip()) for row in rows]
    return found


@pytest.mark.parametrize("name", [*FILES, "gsm8k"])
def test_every_gold_answer_is_right_and_no_other_number_is(golds, name):
    own = golds[name]
    with Grader() as grader:
        assert all(verdict.correct for verdict in grader([f"so \\boxed{{{gold.answer}}}." for gold in own], own))
        wrong = grader(["so \\boxed{-98765.4321}."] * len(own), own)
    assert not any(verdict.correct for verdict in wrong)


@pytest.mark.parametrize("name", [*FILES, "gsm8k"])
def test_every_gold_answer_is_read(golds, data_folder, name):
    with Grader() as grader:
        wrong = grader.unreadable(golds[name])
    assert {golds[name][at].answer for at in wrong} == (
        UNREADABLE if name == "olympiadbench" and data_folder != OUR_DATA else set()
    )
