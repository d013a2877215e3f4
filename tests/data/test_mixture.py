"""Several datasets as one, and without what benchmarks have too."""

import json

import pytest
from datasets import Dataset, Features, Image, List
from PIL import Image as Picture

from hicra_trl.data.mixture import mix
from hicra_trl.data.prompts import DataArguments, load_training_prompts


LONG = "A train leaves the station at noon and goes {} miles an hour towards a town {} miles away. When is it there?"


def write(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(file)


def problem_rows(*problems):
    return [{"problem": problem, "answer": gold} for problem, gold in problems]


def asked(dataset):
    return [turns[0]["content"].split("\n\n")[0] for turns in dataset["prompt"]]


@pytest.fixture
def own(tmp_path):
    return write(tmp_path / "own.jsonl", problem_rows(("a?", "1"), ("b?", "2"), ("c?", "3"), ("own?", "4")))


@pytest.fixture
def deepscaler(tmp_path):
    return write(tmp_path / "deepscaler.jsonl", problem_rows(("a ?", "$1$"), ("b?", "7"), ("new?", "5")))


# Several datasets


def test_datasets_come_one_behind_the_other_and_each_problem_once(own, deepscaler, capsys):
    args = DataArguments(dataset_name=own, extra_datasets=["deepscaler"], dataset_path=[own, deepscaler])
    assert asked(load_training_prompts(args)) == ["a?", "c?", "own?", "new?"]
    line = f"{own} + deepscaler: 7 prompts, 1 duplicates, 2 with conflicting gold answers, 4 kept\n"
    assert line in capsys.readouterr().err


def test_a_single_dataset_of_ones_own_keeps_its_repetitions(tmp_path):
    own = write(tmp_path / "own.jsonl", problem_rows(("a?", "1"), ("a?", "1"), ("a?", "2")))
    assert len(load_training_prompts(DataArguments(dataset_name=own))) == 3


def test_a_recipe_may_give_a_string_for_a_list_of_one(own, deepscaler):
    args = DataArguments(dataset_name=own, extra_datasets=deepscaler, decontaminate="x.jsonl")
    assert args.dataset_names == [own, deepscaler] and args.decontaminate == ["x.jsonl"]
    assert DataArguments(dataset_name="dapo", dataset_path="here").dataset_path == ["here"]


def test_text_and_images_together_stay_apart_by_their_images(tmp_path):
    paths = []
    for width in (4, 5):
        paths.append(str(tmp_path / f"{width}.png"))
        Picture.new("RGB", (width, 4)).save(paths[-1])
    turns = [[{"role": "user", "content": "Which?"}]]
    text = Dataset.from_dict({"prompt": turns * 2, "solution": ["A", "A"]})
    features = Features(text.features | {"images": List(Image())})
    pictured = {"prompt": turns * 2, "solution": ["A", "B"], "images": [[path] for path in paths]}
    mixed = mix([text, Dataset.from_dict(pictured, features=features)], ["text", "pictured"])
    assert [[image.width for image in images] for images in mixed["images"]] == [[], [4], [5]]
    assert mixed["solution"] == ["A", "A", "B"]


def test_what_cannot_be_put_together_is_named():
    text = Dataset.from_dict({"prompt": ["1 + 1?"], "solution": ["2"]})
    chat = Dataset.from_dict({"prompt": [[{"role": "user", "content": "1 + 1?"}]], "solution": ["2"]})
    with pytest.raises(ValueError, match=r"cannot put text \+ chat together: .*prompt"):
        mix([text, chat], ["text", "chat"])
    other = Dataset.from_dict({"prompt": ["1 + 1?"], "solution": ["3"]})
    with pytest.raises(ValueError, match=r"text \+ other: expected problems with one gold answer each"):
        mix([text, other], ["text", "other"])


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match=r"a path for each of \['dapo', 'deepscaler'\], got 1"):
        DataArguments(dataset_name="dapo", extra_datasets=["deepscaler"], dataset_path=["a"])
    with pytest.raises(ValueError, match=r"expected each dataset once, got \['dapo', 'dapo'\]"):
        DataArguments(dataset_name="dapo", extra_datasets=["dapo"])
    with pytest.raises(ValueError, match="no dataset_name"):
        load_training_prompts(DataArguments())


# Benchmarks


@pytest.fixture
def train(tmp_path):
    rows = [(LONG.format(60, 180), "3"), ("Find the least prime above one hundred.", "101"), ("1 + 1?", "2")]
    return write(tmp_path / "train.jsonl", problem_rows(*rows))


def load(train, *benchmarks, **fields):
    return load_training_prompts(DataArguments(dataset_name=train, decontaminate=list(benchmarks), **fields))


def test_prompts_that_a_benchmark_has_are_dropped_and_shown(train, tmp_path, capsys):
    first = write(tmp_path / "first.jsonl", [{"question": "Another one?"}, {"question": LONG.format(60, 180).upper()}])
    second = write(tmp_path / "second.jsonl", [{"problem": "$1+1$"}])
    assert asked(load(train, first, second)) == ["Find the least prime above one hundred."]
    printed = capsys.readouterr().err
    assert "decontamination: 2 of 3 prompts overlap with 3 problems\n" in printed
    assert "dropped: 'A train leaves the station at noon" in printed and "(100% of first.jsonl, row 1)" in printed
    assert "dropped: '1 + 1?' (100% of second.jsonl, row 0)" in printed


def test_coverage_and_n_gram_decide(train, tmp_path):
    benchmark = write(
        tmp_path / "benchmark.jsonl", [{"problem": "Find the least prime above three thousand and one."}]
    )
    assert len(load(train, benchmark)) == 3
    assert len(load(train, benchmark, decontaminate_ngram=5)) == 2
    assert len(load(train, benchmark, decontaminate_ngram=5, decontaminate_coverage=0.8)) == 3


def test_the_instruction_is_no_overlap(train, tmp_path):
    ends_alike = "How many? Please reason step by step, and put your final answer within \\boxed{}."
    benchmark = write(tmp_path / "benchmark.jsonl", [{"problem": ends_alike}])
    assert len(load(train, benchmark, decontaminate_coverage=0.0)) == 3


def test_nothing_left_and_no_benchmark_are_errors(train, tmp_path):
    with pytest.raises(ValueError, match=r"all 3 prompts overlap with .*train.jsonl: none is left to train on"):
        load(train, train)
    with pytest.raises(ValueError, match=r"no dataset file at nowhere.jsonl"):
        load(train, "nowhere.jsonl")
    with pytest.raises(ValueError, match="row 0, 'problem': expected a problem of plain text, got 1"):
        load(train, write(tmp_path / "numbers.jsonl", [{"problem": 1}]))


def test_other_processes_of_a_run_print_nothing(train, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("RANK", "1")
    load(train, write(tmp_path / "benchmark.jsonl", [{"problem": "1 + 1"}]))
    assert "decontamination" not in capsys.readouterr().err
