import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from trl import TrlParser

from hicra_trl.data.prompts import DataArguments, load_prompts, load_training_prompts
from hicra_trl.rewards.boxed import BOXED_INSTRUCTION


def write(path, rows):
    if path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def load(name, **overrides):
    return load_prompts(name, "train", DataArguments(**overrides))


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_problems_become_user_turns_that_ask_for_a_box(suffix, tmp_path):
    name = write(tmp_path / f"data{suffix}", [{"question": "1 + 1?", "answer": 2, "level": "easy"}])
    row = load(name)[0]
    assert row["prompt"] == [{"role": "user", "content": f"1 + 1?\n\n{BOXED_INSTRUCTION}"}]
    assert row["solution"] == "2" and row["level"] == "easy"
    assert row.keys() == {"prompt", "solution", "level"}


def test_a_prompt_is_left_as_it_is(tmp_path):
    chat = [{"role": "user", "content": "1 + 1?"}]
    for prompt in ("1 + 1?", chat):
        name = write(tmp_path / f"{type(prompt).__name__}.jsonl", [{"prompt": prompt, "solution": "2"}])
        assert load(name)[0] == {"prompt": prompt, "solution": "2"}


def test_the_answer_is_taken_before_the_worked_solution(tmp_path):
    rows = [{"problem": "1 + 1?", "solution": "We add and get 2.", "answer": "2"}]
    name = write(tmp_path / "data.jsonl", rows)
    assert load(name)[0]["solution"] == "2"
    assert load(name, gold_column="solution")[0]["solution"] == "We add and get 2."


def test_plain_text_and_another_instruction(tmp_path):
    name = write(tmp_path / "data.jsonl", [{"problem": "1 + 1?", "answer": "2"}])
    assert load(name, prompt_format="text", instruction="Be brief.")[0]["prompt"] == "1 + 1?\n\nBe brief."
    assert load(name, prompt_format="text", instruction="")[0]["prompt"] == "1 + 1?"


def test_gold_answers_behind_a_marker(tmp_path):
    rows = [{"question": "?", "answer": "48/2 = 24\n#### 72"}, {"question": "?", "answer": "no marker"}]
    assert load(write(tmp_path / "one.jsonl", rows[:1]), gold_marker="####")[0]["solution"] == "72"
    with pytest.raises(ValueError, match=r"two.jsonl, row 1, 'answer': expected the marker '####'"):
        load(write(tmp_path / "two.jsonl", rows), gold_marker="####")


def test_gsm8k(data_folder):
    file = data_folder / "gsm8k_train.jsonl"
    dataset = load(str(file), gold_marker="####")
    assert len(dataset) == len(file.read_text().splitlines()) and dataset[0]["solution"] in ("36", "72")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "?", "answer": "2"}, r"no column of problems: expected prompt or problem or question, got text"),
        ({"problem": "?", "gold": "2"}, r"no column of gold answers: expected answer or solution, got problem"),
        ({"problem": "?", "answer": ""}, r"row 0, 'answer': the gold answer is empty"),
        (
            {"problem": "?", "answer": ["2"]},
            r"row 0, 'answer': expected a gold answer \(text or number\), got \['2'\]",
        ),
    ],
)
def test_what_is_missing_is_named(row, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        load(write(tmp_path / "data.jsonl", [row]))


def test_whole_numbers_that_became_floats_are_whole_again(tmp_path):
    rows = [{"problem": "?", "answer": gold} for gold in (27.0, -3.0, 0.5)]
    assert load(write(tmp_path / "data.parquet", rows))["solution"] == ["27", "-3", "0.5"]


@pytest.mark.parametrize("gold", [float("nan"), float("inf")])
def test_a_gold_that_is_no_number_is_refused(gold, tmp_path):
    rows = [{"problem": "?", "answer": 1.5}, {"problem": "?", "answer": gold}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data.parquet")
    with pytest.raises(ValueError, match=r"row 1, 'answer': expected a gold answer \(text or number\), got (nan|inf)"):
        load(str(tmp_path / "data.parquet"))


def test_lists_in_a_recipe_and_on_the_command_line(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("dataset_name: dapo\nextra_datasets: [deepscaler]\ndecontaminate: aime.jsonl\n")
    argv = ["--config", str(recipe), "--dataset_path", "a.parquet", "b.json"]
    (args,) = TrlParser((DataArguments,)).parse_args_and_config(argv)
    assert args.dataset_names == ["dapo", "deepscaler"]
    assert (args.dataset_path, args.decontaminate) == (["a.parquet", "b.json"], ["aime.jsonl"])


def test_a_dataset_is_read_from_its_path(tmp_path):
    file = write(tmp_path / "data.jsonl", [{"question": "1 + 1?", "answer": "so\n#### 2"}])
    args = DataArguments(dataset_name="openai/gsm8k", dataset_path=[file], gold_marker="####")
    assert load_training_prompts(args)["solution"] == load_prompts("openai/gsm8k", "train", args)["solution"] == ["2"]
    args = DataArguments(dataset_name=file, dataset_config="main")
    with pytest.raises(ValueError, match="is a file and has no configuration 'main'"):
        load_training_prompts(args)


def test_a_null_gold_is_named_with_its_row(tmp_path):
    rows = [{"problem": "?", "answer": "2"}, {"problem": "?", "answer": None}]
    with pytest.raises(ValueError, match=r"row 1, 'answer': expected a gold answer"):
        load(write(tmp_path / "data.jsonl", rows))


def test_files_that_are_not_there_or_broken_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"no dataset file at nowhere.jsonl"):
        load("nowhere.jsonl")
    with pytest.raises(ValueError, match=r"no dataset 'nobody/nothing': expected a .jsonl or .parquet file"):
        load("nobody/nothing")
    (tmp_path / "data.csv").write_text("a,b\n")
    with pytest.raises(ValueError, match=r"data.csv must end in .jsonl, .json or .parquet, got '.csv'"):
        load(str(tmp_path / "data.csv"))
    for name in ("broken.jsonl", "broken.parquet"):
        (tmp_path / name).write_text('{"problem": "?"\n{{{')
        with pytest.raises(ValueError, match=rf"cannot read .*{name}"):
            load(str(tmp_path / name))
