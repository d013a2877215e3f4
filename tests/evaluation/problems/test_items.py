"""Items of text benchmarks: the real files, files in the shape of each Hub dataset, and all that can be wrong."""

import json
import logging

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import OUR_DATA
from hicra_trl.data.prompts import DataArguments, load_prompts
from hicra_trl.evaluation.engines.prompts import text_prompt
from hicra_trl.rewards import Gold

from .loading import error, load


def write(file, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif file.suffix == ".json":
        file.write_text(json.dumps(rows), encoding="utf-8")
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def answers(items):
    return [item.gold.answer for item in items]


@pytest.fixture
def real(real_data):
    return real_data / "benchmarks"


@pytest.fixture(params=["jsonl", "json", "parquet"])
def file(request, tmp_path):
    """Writes rows into one file."""
    return lambda rows: write(tmp_path / f"data.{request.param}", rows)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Writes a dataset as the Hub has it: configurations with splits."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def write_dataset(split, **configs):
        lines = ["---", "configs:"]
        for config, rows in configs.items():
            write(tmp_path / "hub" / config / f"{split}-00000-of-00001.parquet", rows)
            lines += [f"- config_name: {config}", f"  data_files: [{{split: {split}, path: '{config}/*.parquet'}}]"]
        (tmp_path / "hub" / "README.md").write_text("\n".join([*lines, "---"]))
        return tmp_path / "hub"

    return write_dataset


# The benchmarks' files, in the format of each; the real ones where they are


@pytest.mark.parametrize(
    ("name", "file", "golds"),
    [
        ("aime24", "aime24", ["024", "323", "075", "078"]),
        ("amc23", "amc23", ["77", "10", "50", "45"]),
        ("math500", "math500", [r"\left( 5, \frac{3\pi}{2} \right)", "[-1,4)", "2x^3-x^2-x-3", r"3+3\sqrt{3}"]),
        ("minerva", "minerva_math", ["9.6e34", r"x_{0} \cos (\omega t)", "24900", "0.167"]),
        ("olympiadbench", "olympiadbench", ["10", "$3$,$7$", "12.2", r"$8 \%$"]),
    ],
)
def test_golds_of_every_format(name, file, golds):
    items = load(name, OUR_DATA / "benchmarks" / f"{file}.jsonl")
    assert answers(items) == golds
    assert [item.gold.absolute_tolerance for item in items] == [0, 0, 0.1 if name == "olympiadbench" else 0, 0]
    assert [item.group for item in items] == (["1", "3", "3", "5"] if name == "math500" else [items[0].group] * 4)


@pytest.mark.parametrize(
    ("name", "file", "count", "first", "last"),
    [
        ("aime24", "aime24", 30, ("60", "204"), ("89", "902")),
        ("amc23", "amc23", 40, ("0", "27"), ("49", "8")),
        (
            "math500",
            "math500",
            500,
            ("test/precalculus/807.json", r"\left( 3, \frac{\pi}{2} \right)"),
            ("test/geometry/615.json", r"106^\circ"),
        ),
        ("minerva", "minerva_math", 272, ("0", "1.6"), ("271", "10.1")),
        ("olympiadbench", "olympiadbench", 675, ("1606", "2"), ("3102", "11")),
    ],
)
def test_the_real_files_are_read_whole(real, name, file, count, first, last):
    items = load(name, real / f"{file}.jsonl")
    assert len(items) == len({item.id for item in items}) == count
    assert [(item.id, item.gold.answer) for item in (items[0], items[-1])] == [first, last]
    rows = [json.loads(line) for line in (real / f"{file}.jsonl").open(encoding="utf-8")]
    assert [item.problem for item in items] == [row.get("problem") or row["question"] for row in rows]
    assert items == load(name, real / f"{file}.jsonl")


def test_aime_golds_keep_their_zeros(real):
    golds = answers(load("aime24", real / "aime24.jsonl"))
    assert all(len(gold) == 3 for gold in golds) and {"025", "073", "045"} < set(golds)


def test_amc_golds_are_integers(real):
    assert all(str(int(gold)) == gold for gold in answers(load("amc23", real / "amc23.jsonl")))


def test_math500_is_grouped_by_level(real):
    groups = [item.group for item in load("math500", real / "math500.jsonl")]
    assert {group: groups.count(group) for group in "12345"} == {"1": 43, "2": 90, "3": 105, "4": 128, "5": 134}


def test_minerva_golds_are_last_boxes_as_they_are(real):
    golds = answers(load("minerva", real / "minerva_math.jsonl"))
    assert golds[1] == "4.5e33" and golds[72] == r"x_{0} \cos (\omega t)+$ $\dot{x}_{0} \sin (\omega t) / \omega"
    assert {"np.arcsin(10/13)", "-1./3", "+2", "MR=SRMC"} < set(golds)


def test_olympiad_golds_are_as_they_are_with_their_tolerance(real):
    items = load("olympiadbench", real / "olympiadbench.jsonl")
    assert {"$69$,$84$", "$221,$8$", "$(1,8,19), (2,7,13), (4,5,7)$", r"$8 \%$"} < set(answers(items))
    tolerant = [item for item in items if item.gold.absolute_tolerance]
    assert [(item.id, item.gold) for item in tolerant] == [("2592", Gold("4.2", absolute_tolerance=0.1))]
    assert not any("km" in gold for gold in answers(items))


# The shapes of the datasets on the Hub


def test_golds_may_be_numbers_texts_or_lists_of_one(file):
    assert answers(load("mine", file([{"problem": "a", "answer": 27.0}, {"problem": "b", "answer": 0.5}]))) == [
        "27",
        "0.5",
    ]
    assert answers(load("mine", file([{"problem": "a", "answer": -3}]))) == ["-3"]
    assert answers(load("mine", file([{"problem": "a", "answer": " 025 "}]))) == ["025"]
    assert answers(load("mine", file([{"problem": "a", "final_answer": ["$5$"]}]))) == ["$5$"]


def test_a_gold_that_looks_like_a_date_stays_a_text(tmp_path):
    assert answers(load("mine", write(tmp_path / "d.jsonl", [{"problem": "a", "answer": "2024-01-02"}]))) == [
        "2024-01-02"
    ]


def test_every_candidate_for_aime_is_read(file):
    for row in (
        {"id": 1, "problem": "p", "answer": "7", "solution": r"\boxed{8}"},
        {"ID": "1", "Problem": "p", "Answer": 7},
        {"id": 1, "problem": "p", "solution": r"so \boxed{6}, no: \boxed{7}"},
        {"id": 1, "question": "p", "answer": "7"},
    ):
        [item] = load("aime24", file([row]))
        assert (item.id, item.problem, item.gold) == ("1", "p", Gold("7"))


def test_rows_that_repeat_are_one_item_and_a_note_says_so(file, caplog):
    problems = [("How many?", "104"), ("Why?", "025")]
    rows = [
        {
            "prompt": [{"role": "user", "content": f"Solve it.\n\n{problem}"}],
            "reward_model": {"ground_truth": gold, "style": "rule"},
            "extra_info": {"index": number, "raw_problem": problem},
        }
        for number in range(32)
        for problem, gold in problems
    ]
    with caplog.at_level(logging.WARNING):
        items = load("aime24", file(rows))
    assert [(item.id, item.problem, item.gold.answer) for item in items] == [
        ("0", "How many?", "104"),
        ("1", "Why?", "025"),
    ]
    assert "64 rows ask 2 different problems" in caplog.text


def test_rows_that_differ_in_the_gold_or_the_group_are_kept(file, caplog):
    rows = [{"problem": "p", "answer": "1", "level": 1}, {"problem": "p", "answer": "2", "level": 1}]
    rows.append({"problem": "p", "answer": "1", "level": 2})
    assert len(load("math500", file(rows))) == 3 and not caplog.text


def test_configurations_are_concatenated(hub):
    parts = {
        f"AIME2025-{part}": [{"question": f"{part}{number}", "answer": str(number)} for number in range(15)]
        for part in ("I", "II")
    }
    items = load("aime25", hub("test", **parts), split="test", config="AIME2025-I,AIME2025-II")
    assert [item.problem for item in items] == [f"{part}{number}" for part in ("I", "II") for number in range(15)]
    assert (items[0].id, items[29].id) == ("AIME2025-I/0", "AIME2025-II/14")
    only = load("aime25", hub("test", **parts), split="test", config="AIME2025-II")
    assert [item.id for item in only] == [str(number) for number in range(15)]


def test_context_goes_before_the_problem(file):
    rows = [
        {"id": 1, "question": "Find x.", "final_answer": ["$2$"], "context": "Let $x>0$.", "error": None},
        {"id": 2, "question": "Find y.", "final_answer": ["$3$"], "context": None, "error": "1e-2"},
        {"id": 3, "question": "Find z.", "final_answer": ["$3$"], "context": "", "error": None},
    ]
    items = load("olympiadbench", file(rows))
    assert [item.problem for item in items] == ["Let $x>0$.\n\nFind x.", "Find y.", "Find z."]
    assert [item.gold.absolute_tolerance for item in items] == [0.0, 0.01, 0.0]


def test_without_an_instruction_a_problem_is_asked_as_training_asks_it(tmp_path):
    rows = [{"problem": "Find x.\n", "answer": "2", "unit": ""}, {"problem": "Find y.\n", "answer": "3", "unit": "m"}]
    file = write(tmp_path / "mine.jsonl", rows)
    asked = load_prompts(str(file), "train", DataArguments(prompt_format="text", instruction=""))["prompt"]
    first, second = load("mine", file, unit_column="unit")
    assert text_prompt(first, "") == asked[0] == "Find x.\n" and text_prompt(first, "Box it.") == "Find x.\n\nBox it."
    assert second.problem == "Find y.\n\nThe unit of the answer is m; leave it out."


def test_tolerances_of_a_benchmark_hold_where_an_item_has_none(file):
    rows = [{"id": i, "question": f"{i}?", "final_answer": ["2"], "error": e} for i, e in enumerate([None, "0.5"])]
    items = load(
        "olympiadbench", file(rows), context_column="none", absolute_tolerance="0.1", relative_tolerance="0.05"
    )
    assert [item.gold for item in items] == [Gold("2", (), None, 0.1, 0.05), Gold("2", (), None, 0.5, 0.05)]


def test_columns_inside_others_are_named_with_a_dot(file):
    rows = [{"task": {"text": "Why?", "truth": "6"}, "a.b": "x"}]
    [item] = load("mine", file(rows), problem_column="task.text", gold_column="task.truth", group_column="a.b")
    assert (item.problem, item.gold.answer, item.group) == ("Why?", "6", "x")


def test_a_filter_keeps_the_rows_with_its_values(file):
    rows = [{"problem": f"p{level}", "answer": "1", "level": level} for level in (1, 2, 3)]
    assert [item.problem for item in load("math500", file(rows), filter="level=1|3")] == ["p1", "p3"]
    assert error("math500", file(rows), filter="level=7").endswith(
        "math500.filter: no row has '7' in 'level', got 1, 2, 3"
    )
    assert "has no math500.filter: expected lvl, got problem, answer, level" in error(
        "math500", file(rows), filter="lvl=1"
    )


def test_ids_are_row_numbers_where_there_are_none(tmp_path):
    rows = [{"problem": "a", "answer": "1"}, {"problem": "b", "answer": "2"}]
    assert [item.id for item in load("mine", write(tmp_path / "data.jsonl", rows))] == ["0", "1"]
    (tmp_path / "data.jsonl").write_text("\n\n" + "\n\n".join(json.dumps(row) for row in rows) + "\n\n")
    assert [item.id for item in load("mine", tmp_path / "data.jsonl")] == ["0", "1"]


def test_gold_answers_are_what_follows_the_last_marker(file):
    [item] = load("mine", file([{"problem": "a", "answer": "5 #### 6\n#### 7"}]), gold_marker="####")
    assert item.gold.answer == "7"


def test_gsm8k_is_a_benchmark_of_ones_own(data_folder):
    path = data_folder / "gsm8k_train.jsonl"
    items = load("gsm8k", path, gold_marker="####")
    assert len(items) == len(path.read_text().splitlines()) and items[0].gold.answer in ("36", "72")


# What is wrong


@pytest.mark.parametrize("value", [None, "", "  ", float("nan")], ids=str)
def test_a_missing_gold_is_named_with_its_row(tmp_path, value):
    path = write(tmp_path / "data.jsonl", [{"problem": "a", "answer": "1"}, {"problem": "b", "answer": value}])
    assert error("mine", path) == f"{path}, line 2: no gold answer in 'answer'"


@pytest.mark.parametrize("value", [[], ["1", "2"], {"a": 1}, [None], float("inf")], ids=str)
@pytest.mark.parametrize("column", ["answer", "id", "level"])
def test_a_value_that_is_no_text_or_number_is_named_with_its_row(tmp_path, column, value):
    rows = [{"id": 1, "problem": "a", "answer": "1", "level": 1}, {"id": 2, "problem": "b", "answer": "2"}]
    path = write(tmp_path / "data.jsonl", [rows[0], rows[1] | {column: value}])
    message = error("mine", path, group_column="level")
    assert message.startswith(f"{path}, line 2: expected one text or number in {column!r}, got ")


def test_a_solution_without_a_last_box_is_named(file):
    rows = [{"problem": "a", "solution": r"\boxed{1}"}, {"problem": "b", "solution": r"\boxed{1} or \boxed{2"}]
    assert error("mine", file(rows)).endswith("no gold answer: the solution in 'solution' has no last box")


def test_a_missing_marker_is_named(file):
    rows = [{"problem": "a", "answer": "so #### 1"}, {"problem": "b", "answer": "so 2"}]
    assert error("mine", file(rows), gold_marker="####").endswith(": no gold answer behind '####' in 'answer'")


@pytest.mark.parametrize("value", [None, "", " \n", ["a", "b"], 3], ids=str)
def test_an_empty_problem_is_named_with_its_row(tmp_path, value):
    path = write(tmp_path / "data.jsonl", [{"problem": "a", "answer": "1"}, {"problem": value, "answer": "1"}])
    assert error("mine", path).startswith(f"{path}, line 2: expected a problem in 'problem', got ")


def test_an_id_that_is_there_twice_is_named_with_both_rows(tmp_path):
    path = write(tmp_path / "data.parquet", [{"id": 5, "problem": p, "answer": "1"} for p in "ab"])
    assert error("mine", path) == (
        f"{path}, row 1: id '5' is also that of {path}, row 0; expected different ones, or mine.id_column=none to "
        "number the rows"
    )
    assert [item.id for item in load("mine", path, id_column="none")] == ["0", "1"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"problem_column": "task"}, "mine.problem_column: expected task, got problem, answer"),
        ({"gold_column": "truth"}, "mine.gold_column: expected truth or solution, got problem, answer"),
        (
            {"gold_column": "truth", "solution_column": "none"},
            "mine.gold_column: expected truth, got problem, answer",
        ),
        ({"context_column": "context"}, "mine.context_column: expected context, got problem, answer"),
        ({"group_column": "level"}, "mine.group_column: expected level, got problem, answer"),
        ({"tolerance_column": "error"}, "mine.tolerance_column: expected error, got problem, answer"),
        ({"choices_column": "options"}, "mine.choices_column: expected options, got problem, answer"),
        ({"image_columns": "image"}, "mine.image_columns: expected image, got problem, answer"),
    ],
)
def test_a_missing_column_lists_those_that_are_there(file, fields, message):
    path = file([{"problem": "a", "answer": "1"}])
    assert error("mine", path, **fields) == f"{path} has no {message}"


@pytest.mark.parametrize("value", ["small", "-1", "1e999"])
def test_a_tolerance_that_is_no_number_is_named(file, value):
    path = file([{"problem": "a", "answer": "1", "error": value}])
    assert error("mine", path, tolerance_column="error").endswith(
        f": expected a number of at least 0 as tolerance, got {value!r}"
    )


def test_files_that_are_not_there_or_broken_are_named(tmp_path):
    assert error("mine", "nowhere.jsonl") == "mine: no dataset file at nowhere.jsonl"
    (tmp_path / "data.csv").write_text("problem,answer\n")
    assert error("mine", tmp_path / "data.csv").endswith("must end in .jsonl, .json or .parquet, got '.csv'")
    (tmp_path / "broken.parquet").write_text("PAR1")
    assert error("mine", tmp_path / "broken.parquet").startswith(f"cannot read {tmp_path}/broken.parquet: ")
    (tmp_path / "empty.jsonl").write_text("\n")
    assert error("mine", tmp_path / "empty.jsonl").endswith("empty.jsonl holds no rows")
    (tmp_path / "data.json").write_text('{"problem": "a"}')
    assert error("mine", tmp_path / "data.json").endswith("data.json: expected a list of JSON objects, got dict")


@pytest.mark.parametrize("line", ['{"problem": "a"', "[1]", '"a"', "NULL", "[" * 100_000], ids=lambda line: line[:9])
def test_a_broken_line_is_named(tmp_path, line):
    (tmp_path / "data.jsonl").write_text(f'{{"problem": "a", "answer": "1"}}\n{line}\n')
    assert error("mine", tmp_path / "data.jsonl").startswith(f"{tmp_path}/data.jsonl, line 2: expected ")


@pytest.mark.parametrize("column", ["problem", "answer", "id", "image"])
def test_a_text_without_bytes_is_named_with_its_row(tmp_path, column):
    # JSON can spell half of a surrogate pair; no tokenizer and no file takes it.
    rows = [{"id": "1", "problem": "a", "answer": "1"}, {"id": "2", "problem": "b", "answer": "2", column: "\ud800"}]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = {"image_columns": "image"} if column == "image" else {"id_column": "id"}
    assert error("mine", tmp_path / "data.jsonl", **given).startswith(f"{tmp_path}/data.jsonl, line 2: ")


def test_datasets_configurations_and_splits_that_are_not_there_are_named(hub):
    assert error("mine", "nobody/nothing").startswith(
        "mine: cannot load nobody/nothing, split 'test': expected a .jsonl, .json or .parquet file or a dataset on "
        "the Hub ("
    )
    folder = hub("test", one=[{"problem": "a", "answer": "1"}])
    assert f"cannot load {folder}, split 'train'" in error("mine", folder, split="train")
    assert f"cannot load {folder} (two), split 'test'" in error("mine", folder, config="two")
