"""What is judged: the wrong completions of runs, of evaluations and of files, with their gold answers."""

import json
from dataclasses import asdict

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from hicra_trl.analysis.judge.question import Solution
from hicra_trl.analysis.judge.solutions import chosen, read_solutions, with_references
from hicra_trl.evaluation.problems.catalog import Benchmark
from hicra_trl.evaluation.samples.sample import Sample
from hicra_trl.evaluation.samples.storage import SampleFile, write_record


def run_of(folder, rows, **config):
    """A run that has logged completions, as TRL does, of steps 1 and 2."""
    (folder / "completions").mkdir(parents=True)
    for step in (1, 2):
        table = pd.DataFrame([{"step": step, **row, "advantage": 0.0} for row in rows])
        table.to_parquet(folder / "completions" / f"completions_{step:05d}.parquet")
    (folder / "resolved_config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_a_run_says_by_its_first_reward_what_is_right(tmp_path):
    rows = [
        {"prompt": "1 + 1?", "completion": "3", "boxed_accuracy": 0.0, "overlong": 1.0, "answer": ""},
        {"prompt": "1 + 2?", "completion": "3", "boxed_accuracy": 1.0, "overlong": -1.0, "answer": "3"},
        {"prompt": "1 + 3?", "completion": "4", "boxed_accuracy": 0.6, "overlong": 0.0, "answer": "4"},
        {"prompt": "1 + 4?", "completion": "5", "boxed_accuracy": None, "overlong": 0.0, "answer": "5"},
    ]
    run = run_of(tmp_path / "run", rows)
    solutions = read_solutions(run)
    assert [(one.step, one.correct) for one in solutions] == [
        (step, right) for step in (1, 2) for right in (False, True, False, None)
    ]
    assert solutions[4] == Solution("completions_00002/0", "1 + 1?", "3", 2, False)
    assert [one.correct for one in read_solutions(run, "overlong")[:4]] == [True, False, False, False]
    half = run_of(tmp_path / "half", rows, pass_threshold=0.5)
    assert [one.correct for one in read_solutions(half)[:4]] == [False, True, True, None]
    with pytest.raises(ValueError, match=r"row 0: expected a reward in 'speed', got the columns step, prompt"):
        read_solutions(run, "speed")
    with pytest.raises(ValueError, match=r"row 1: expected a reward in 'answer', got '3'|row 0: .*got ''"):
        read_solutions(run, "answer")


def test_a_conversation_is_read_as_its_turns(tmp_path):
    turns = {
        "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}],
        "completion": [{"role": "assistant", "content": "It is 3."}],
        "accuracy": 0.0,
    }
    [solution, _] = read_solutions(run_of(tmp_path / "run", [turns]))
    assert (solution.problem, solution.text) == ("1 + 1?", "It is 3.")


def test_gold_answers_are_those_that_the_run_was_trained_on(tmp_path):
    data = tmp_path / "train.jsonl"
    data.write_text(
        "".join(json.dumps({"question": f"1 + {n}?", "answer": f"= #### {n + 1}"}) + "\n" for n in range(3))
    )
    row = {"prompt": [{"role": "user", "content": "1 + 2?\n\nBox it."}], "completion": "4", "accuracy": 0.0}
    other = {**row, "prompt": [{"role": "user", "content": "1 + 9?\n\nBox it."}]}
    recipe = {"dataset_name": str(data), "gold_marker": "####", "instruction": "Box it.", "alpha": 0.2}
    run = run_of(tmp_path / "run", [row, other], **recipe)
    solutions = read_solutions(run)
    assert [one.reference for one in with_references(solutions, run, None)] == ["3", None] * 2
    assert {one.reference for one in with_references(solutions, run, "none")} == {None}
    with pytest.raises(ValueError, match=r"no gold answers: none of the problems is in .*expected --references"):
        with_references(solutions[1:2], run, None)
    data.unlink()
    with pytest.raises(ValueError, match=r"no gold answers: no dataset file at .*train.jsonl; expected --references"):
        with_references(solutions, run, None)


def test_an_evaluation_gives_its_wrong_samples_with_gold_answers(tmp_path):
    data = tmp_path / "mine.jsonl"
    data.write_text('{"problem": "1 + 1?", "answer": "2"}\n{"problem": "2 + 2?", "answer": "4"}\n')
    definition = {**asdict(Benchmark("mine", str(data))), "note": ""}
    facts = {"items": 2, "num_samples": 1, "definition": json.loads(json.dumps(definition))}
    record = {
        "settings": {"model": "m", "output_dir": "o"},
        "model": {},
        "lexicon": {"fingerprint": "f"},
        "benchmarks": {"mine": facts},
        "versions": [{}],
    }
    write_record(tmp_path / "eval", record)
    with SampleFile(tmp_path / "eval", "mine") as stored:
        for item, right in (("0", True), ("1", False)):
            stored.append([Sample(item, 0, f"{item}?", "It is 2.", 3, "stop", "2", right, None, None, {}, 0)])
    solutions = read_solutions(tmp_path / "eval")
    assert [(one.key, one.correct, one.step) for one in solutions] == [
        ("mine/0/0", True, None),
        ("mine/1/0", False, None),
    ]
    found = with_references(solutions, tmp_path / "eval", None)
    assert [(one.problem, one.reference) for one in found] == [("1 + 1?", "2"), ("2 + 2?", "4")]
    assert with_references(solutions, tmp_path / "eval", "none") == solutions


def test_token_records_are_read_where_completions_were_not_logged(tmp_path):
    (tmp_path / "token_records").mkdir()
    table = pa.table(
        {
            "step": pa.array([3, 3, 3], pa.int32()),
            "prompt": ["1 + 1?"] * 3,
            "completion": ["It is 3é.".encode(), b"It is 2.", b"\xff"],
            "rewards": pa.array([[0.5, 0.0], [0.0, 1.0], [1.0, float("nan")]], pa.list_(pa.float32())),
        }
    ).replace_schema_metadata({"schema_version": "1", "reward_names": '["style", "accuracy"]'})
    pq.write_table(table, tmp_path / "token_records" / "step_000003_rank_000.parquet")
    assert [one.correct for one in read_solutions(tmp_path)] == [False, False, True]
    solutions = read_solutions(tmp_path, "accuracy")
    assert [one.correct for one in solutions] == [False, True, None]
    assert solutions[0] == Solution("step_000003_rank_000/0", "1 + 1?", "It is 3é.", 3, False)
    with pytest.raises(ValueError, match="expected the reward 'speed', got style, accuracy"):
        read_solutions(tmp_path, "speed")


def test_a_file_says_what_is_right_and_why_the_rest_is_wrong(tmp_path):
    file = tmp_path / "labels.jsonl"
    rows = [
        {"prompt": "p", "completion": "c", "label": "dummy", "reference": "7"},
        {"problem": "p", "completion": "c", "outcome": "strategy: gave up"},
        {"question": "p", "completion": "c", "outcome": "correct"},
        {"prompt": "p", "completion": "c", "correct": False},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_solutions(file)
    assert [one.label for one in found] == ["dummy", "strategy", "acceptable", None]
    assert [one.correct for one in found] == [None, False, True, False]
    assert [one.reference for one in with_references(found, file, None)] == ["7", None, None, None]


@pytest.mark.parametrize(
    "row, said",
    [
        ({"completion": "c"}, "expected a problem in prompt or problem or question, got the columns completion"),
        ({"prompt": "p"}, "expected text in column 'completion'"),
        ({"prompt": "p", "completion": "c", "label": "C"}, "expected a label, one of dummy, .*, got 'C'"),
        ({"prompt": "p", "completion": "c", "label": ["dummy"]}, "expected a label"),
        ({"prompt": "p", "completion": "c", "reference": 7}, "expected text in column 'reference'"),
        ({"prompt": "p", "completion": "c", "step": "2"}, "expected a whole number in column 'step', got '2'"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path, row, said):
    file = tmp_path / "labels.jsonl"
    file.write_text(json.dumps(row) + "\n")
    with pytest.raises(ValueError, match=f"labels.jsonl, line 1: {said}"):
        read_solutions(file)


def test_a_folder_without_anything_to_judge_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nothing to judge in .*: expected a run with completions/"):
        read_solutions(tmp_path)


def test_more_of_a_step_contain_those_of_fewer():
    solutions = [Solution(f"{step}/{n}", "p", "c", step) for step in (1, 2, None) for n in range(50)]
    drawn = [{one.key for one in chosen(solutions, most)} for most in (5, 20, None)]
    assert drawn[0] < drawn[1] < drawn[2] == {one.key for one in solutions}
    assert sorted(len([key for key in drawn[0] if key.startswith(f"{step}/")]) for step in (1, 2, None)) == [5, 5, 5]
    assert {one.key for one in chosen(solutions[::-1], 5)} == drawn[0]
    assert drawn[0] != {f"{step}/{n}" for step in (1, 2, None) for n in range(5)}
