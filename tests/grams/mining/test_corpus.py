"""Reading solutions to mine: every kind of dataset, and every way in which one can be wrong."""

import gzip
import itertools
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hicra_trl.grams import Corpus, CorpusArguments


def write_jsonl(file, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def write_parquet(file, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file


def solutions(dataset, **fields):
    return list(Corpus(CorpusArguments(str(dataset), **fields)))


def error(dataset, **fields):
    """The message of the one error that reading ends with."""
    with pytest.raises(ValueError) as raised:
        solutions(dataset, **fields)
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.fixture(params=["jsonl", "parquet"])
def write(request, tmp_path):
    """Writes rows into one file."""
    writer = {"jsonl": write_jsonl, "parquet": write_parquet}[request.param]
    return lambda rows, name="data": writer(tmp_path / f"{name}.{request.param}", rows)


# What can be read


def test_a_file_gives_its_texts_in_order(write):
    texts = ["so we try", "", "  a\nb  ", "let’s 😀 因此", "\x00"]
    assert solutions(write([{"text": text} for text in texts])) == texts


def test_a_parquet_file_of_many_batches_gives_every_row(tmp_path):
    texts = [str(number) for number in range(3000)]
    assert solutions(write_parquet(tmp_path / "data.parquet", [{"text": text} for text in texts])) == texts


def test_blank_lines_of_a_jsonl_file_are_no_rows(tmp_path):
    (tmp_path / "data.jsonl").write_text('\n{"text": "so"}\n  \n\n{"text": "we"}')
    assert solutions(tmp_path / "data.jsonl") == ["so", "we"]


def test_a_lone_surrogate_in_json_is_read(tmp_path):
    (tmp_path / "data.jsonl").write_text('{"text": "so \\ud800 we"}')
    assert solutions(tmp_path / "data.jsonl") == ["so \ud800 we"]


def test_a_folder_gives_its_files_in_the_order_of_their_names(tmp_path):
    write_jsonl(tmp_path / "b.jsonl", [{"text": "third"}])
    write_parquet(tmp_path / "a" / "x.parquet", [{"text": "first"}, {"text": "second"}])
    (tmp_path / "README.md").write_text("no solutions")
    (tmp_path / "config.json").write_text('{"text": "none either"}')
    assert solutions(tmp_path) == ["first", "second", "third"]


def test_a_runs_folder_gives_its_completions_alone(tmp_path):
    write_parquet(tmp_path / "completions" / "completions_00002.parquet", [{"completion": "second", "reward": 0.0}])
    write_parquet(tmp_path / "completions" / "completions_00001.parquet", [{"completion": "first", "reward": 1.0}])
    write_parquet(tmp_path / "strategic_grams" / "strategic_grams.parquet", [{"gram": "so we try"}])
    write_jsonl(tmp_path / "log.jsonl", [{"loss": 0.1}])
    assert solutions(tmp_path) == solutions(tmp_path / "completions") == ["first", "second"]
    assert solutions(tmp_path, correct_only=True, correct_column="reward") == ["first"]


def test_a_folder_named_like_a_file_gives_what_is_in_it(tmp_path):
    write_parquet(tmp_path / "data.parquet" / "part-00000.parquet", [{"text": "so"}])
    assert solutions(tmp_path / "data.parquet") == ["so"]
    assert solutions(tmp_path) == ["so"]


def test_of_a_conversation_what_the_model_wrote_is_taken(write):
    rows = [
        {"completion": [{"role": "assistant", "content": "so we try"}]},
        {
            "completion": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "why?"},
                {"role": "assistant", "content": "so"},
                {"role": "user", "content": "and?"},
                {"role": "assistant", "content": "thus"},
            ]
        },
    ]
    assert solutions(write(rows)) == ["so we try", "so\n\nthus"]


def test_a_list_of_texts_is_as_many_solutions(write):
    rows = [{"generations": ["so", "we"]}, {"generations": ["try"]}]
    assert solutions(write(rows)) == ["so", "we", "try"]


def test_a_list_of_verdicts_goes_with_a_list_of_texts(write):
    rows = [
        {"generations": ["so", "we", "try"], "correctness": [True, False, True]},
        {"generations": ["this"], "correctness": [False]},
    ]
    file = write(rows)
    assert solutions(file, correct_only=True) == ["so", "try"]
    assert solutions(file) == ["so", "we", "try", "this"]


def test_one_verdict_holds_for_a_whole_list_of_texts(write):
    rows = [{"generations": ["so", "we"], "correct": True}, {"generations": ["try"], "correct": False}]
    assert solutions(write(rows), correct_only=True) == ["so", "we"]


def test_a_row_without_generations_adds_nothing(tmp_path):
    rows = [{"generations": ["so"], "correctness": [True]}, {"generations": [], "correctness": []}]
    file = write_jsonl(tmp_path / "data.jsonl", rows)
    assert solutions(file) == ["so"]
    assert solutions(file, correct_only=True) == ["so"]


@pytest.mark.parametrize(
    ("columns", "taken"),
    [
        (["answer", "text", "completion"], "completion"),
        (["answer", "generation"], "generation"),
        (["prompt", "answer"], "answer"),
        (["solution", "response"], "response"),
    ],
)
def test_the_first_column_that_holds_solutions_is_taken(write, columns, taken):
    assert solutions(write([dict(zip(columns, columns))])) == [taken]


def test_the_column_that_is_named_is_taken(write):
    file = write([{"completion": "so", "thoughts": "we"}])
    assert solutions(file, text_column="thoughts") == ["we"]


def test_traces_are_read_whole(data_folder, traces):
    corpus = Corpus(CorpusArguments(str(data_folder / "traces")))
    assert list(corpus) == traces
    assert corpus.read == len(traces)


# Which solutions are taken


@pytest.mark.parametrize(
    ("values", "threshold", "taken"),
    [
        ([True, False, True], 1.0, "ac"),
        ([1.0, 0.999, 2.0, -1.0], 1.0, "ac"),
        ([1, 0], 1.0, "a"),
        ([0.5, 0.4, 1.0], 0.5, "ac"),
        ([0.0, -0.1], 0.0, "a"),
    ],
)
def test_correct_solutions_are_those_that_reach_the_threshold(write, values, threshold, taken):
    file = write([{"text": text, "reward": value} for text, value in zip("abcd", values)])
    assert solutions(file, correct_only=True, correct_threshold=threshold) == list(taken)
    assert solutions(file) == list("abcd"[: len(values)])


def test_a_reward_that_is_no_number_is_not_correct(write):
    file = write([{"text": text, "reward": value} for text, value in zip("abc", (1.0, float("nan"), 0.0))])
    assert solutions(file, correct_only=True) == ["a"]


@pytest.mark.parametrize(
    ("columns", "decides"),
    [(("reward", "correct"), "correct"), (("score", "reward"), "reward"), (("score",), "score")],
)
def test_the_first_column_of_verdicts_decides(write, columns, decides):
    rows = [
        {"text": "right", **{column: float(column == decides) for column in columns}},
        {"text": "wrong", **{column: float(column != decides) for column in columns}},
    ]
    assert solutions(write(rows), correct_only=True) == ["right"]


def test_the_column_of_verdicts_that_is_named_decides(write):
    rows = [{"text": "a", "correct": True, "proof": 0}, {"text": "b", "correct": False, "proof": 1}]
    assert solutions(write(rows), correct_only=True, correct_column="proof") == ["b"]


def test_max_solutions_counts_those_that_are_taken(write):
    file = write([{"text": text, "correct": text in "bdf"} for text in "abcdef"])
    assert solutions(file, max_solutions=3) == ["a", "b", "c"]
    assert solutions(file, max_solutions=2, correct_only=True) == ["b", "d"]
    assert solutions(file, max_solutions=100) == list("abcdef")


def test_what_lies_behind_max_solutions_is_not_read(tmp_path):
    (tmp_path / "data.jsonl").write_text('{"text": "so"}\n{"text": "we"}\nbroken')
    assert solutions(tmp_path / "data.jsonl", max_solutions=2) == ["so", "we"]


def test_a_corpus_can_be_read_again_and_says_what_it_read(write):
    file = write([{"text": text, "reward": float(text in "bd")} for text in "abcde"])
    corpus = Corpus(CorpusArguments(str(file), correct_only=True))
    for _ in range(2):
        assert list(corpus) == ["b", "d"]
        assert (corpus.read, corpus.incorrect) == (5, 3)
    assert corpus.describe() == {"dataset": file.name, "read": 5, "incorrect": 3, "correct_threshold": 1.0}
    everything = Corpus(CorpusArguments(str(file)))
    assert len(list(everything)) == 5
    assert everything.describe() == {"dataset": file.name, "read": 5}


def test_solutions_are_not_held(tmp_path):
    """The first come before the end of the file is read: it is broken."""
    (tmp_path / "data.jsonl").write_text('{"text": "so"}\n{"text": "we"}\nbroken')
    assert list(itertools.islice(Corpus(CorpusArguments(str(tmp_path / "data.jsonl"))), 2)) == ["so", "we"]
    assert "line 3" in error(tmp_path / "data.jsonl")


# What is wrong


def test_no_dataset_is_an_error():
    with pytest.raises(ValueError, match=r"no dataset: expected a \.jsonl or \.parquet file"):
        Corpus(CorpusArguments())


@pytest.mark.parametrize("name", ["missing.jsonl", "missing.parquet", "missing", "folder/missing"])
def test_a_missing_file_is_named(tmp_path, name):
    assert str(tmp_path / name) in error(tmp_path / name)


def test_a_dataset_that_the_hub_does_not_have_is_named():
    assert "no dataset 'nobody/nothing': expected a .jsonl or .parquet file" in error("nobody/nothing")


def test_a_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "data.csv").write_text("text\nso")
    assert (
        error(tmp_path / "data.csv")
        == f"dataset file {tmp_path}/data.csv must end in .jsonl, .json or .parquet, got '.csv'"
    )


def test_a_folder_without_solutions_is_named(tmp_path):
    (tmp_path / "data.csv").write_text("text\nso")
    assert error(tmp_path) == f"{tmp_path} holds no .jsonl or .parquet file"


@pytest.mark.parametrize("content", [b"", b"no parquet at all", b"PAR1 nor this PAR1"])
def test_a_broken_parquet_file_is_named(tmp_path, content):
    (tmp_path / "data.parquet").write_bytes(content)
    assert error(tmp_path / "data.parquet").startswith(f"cannot read {tmp_path}/data.parquet: ")


def test_a_parquet_file_that_was_cut_off_is_named(tmp_path):
    file = write_parquet(tmp_path / "data.parquet", [{"text": "so we try"}] * 100)
    file.write_bytes(file.read_bytes()[:-20])
    assert error(file).startswith(f"cannot read {file}: ")


@pytest.mark.parametrize(
    "line",
    [
        *('{"text": "so"', "so we try", '{"text": "so"} {"text": "we"}', '["so"]', '"so"', "3", "null", "NaN"),
        *('{"text": ' + "1" * 5000 + "}", "[" * 100_000),
    ],
    ids=lambda line: line[:14],
)
def test_a_broken_line_is_named(tmp_path, line):
    (tmp_path / "data.jsonl").write_text(f'{{"text": "so"}}\n\n{line}\n', encoding="utf-8")
    message = error(tmp_path / "data.jsonl")
    assert message.startswith(f"{tmp_path}/data.jsonl, line 3: expected a JSON object, got ")
    assert len(message) < len(str(tmp_path)) + 250


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "data.jsonl").write_bytes(b'{"text": "so"}\n{"text": "\xff"}\n')
    assert str(tmp_path / "data.jsonl") in error(tmp_path / "data.jsonl")


def test_a_wrong_column_lists_those_that_are_there(write):
    file = write([{"prompt": "why?", "reward": 1.0, "thoughts": "so"}])
    assert error(file) == (
        f"{file} has no column of solutions: expected completion or generation or generations or response or solution "
        "or text or answer, got prompt, reward, thoughts"
    )
    assert error(file, text_column="thinking") == (
        f"{file} has no column of solutions: expected thinking, got prompt, reward, thoughts"
    )


def test_a_wrong_column_of_verdicts_lists_those_that_are_there(write):
    file = write([{"text": "so", "grade": "A"}])
    assert error(file, correct_only=True).startswith(f"{file} has no column of rewards or verdicts: expected correct ")
    assert error(file, correct_only=True).endswith(", got text, grade")
    assert error(file, correct_only=True, correct_column="reward") == (
        f"{file} has no column of rewards or verdicts: expected reward, got text, grade"
    )


@pytest.mark.parametrize("value", [3, {"content": "so"}, [1, 2], ["so", None], [{"role": "assistant"}]], ids=str)
def test_a_value_that_is_no_text_is_named_with_its_row(tmp_path, value):
    file = write_jsonl(tmp_path / "data.jsonl", [{"text": "so"}, {"text": value}])
    assert error(file).startswith(f"{file}, line 2: expected text in column 'text', got {type(value).__name__}: ")


def test_rows_without_a_text_are_left_out_and_counted(tmp_path):
    rows = [{"text": "so"}, {"text": None}, {"text": "we"}]
    for file in (write_parquet(tmp_path / "data.parquet", rows), write_jsonl(tmp_path / "data.jsonl", rows)):
        corpus = Corpus(CorpusArguments(dataset=str(file)))
        assert list(corpus) == ["so", "we"] and corpus.describe()["empty"] == 1


def test_the_turns_of_sharegpt_are_read(tmp_path):
    turns = [{"from": "human", "value": "1 + 1?"}, {"from": "gpt", "value": "So 2."}]
    file = write_jsonl(tmp_path / "data.jsonl", [{"text": turns}])
    assert list(Corpus(CorpusArguments(dataset=str(file)))) == ["So 2."]


def test_files_of_another_kind_are_said_to_be_passed_over(tmp_path, capsys):
    write_jsonl(tmp_path / "data.jsonl", [{"text": "so"}])
    with gzip.open(tmp_path / "more.jsonl.gz", "wt") as more:
        more.write('{"text": "we"}\n')
    (tmp_path / "rest.jsonl.zst").write_bytes(b"")
    assert list(Corpus(CorpusArguments(dataset=str(tmp_path)))) == ["so", "we"]
    assert "passed over 1 files that are not .jsonl or .parquet, such as rest.jsonl.zst" in capsys.readouterr().err


def test_columns_that_are_not_asked_for_are_not_read(tmp_path, monkeypatch):
    file = write_parquet(tmp_path / "data.parquet", [{"text": "so", "reward": 1.0, "logits": [0.5] * 9}])
    asked = []
    whole = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile, "iter_batches", lambda self, **how: asked.append(how["columns"]) or whole(self, **how)
    )
    assert list(Corpus(CorpusArguments(dataset=str(file), correct_only=True))) == ["so"]
    assert asked == [["text", "reward"]]


@pytest.mark.parametrize("value", ["yes", None, {"math": 1.0}, [1.0]], ids=str)
def test_a_verdict_that_is_no_number_is_named_with_its_row(tmp_path, value):
    file = write_jsonl(tmp_path / "data.jsonl", [{"text": "so", "reward": 1.0}, {"text": "we", "reward": value}])
    assert error(file, correct_only=True) == (
        f"{file}, line 2: expected a number or a boolean in column 'reward', got {value!r}"
    )


@pytest.mark.parametrize("verdicts", [[True], [True, False, True], []], ids=str)
def test_a_list_of_verdicts_of_another_length_is_an_error(tmp_path, verdicts):
    rows = [{"generations": ["so", "we"], "correctness": verdicts}]
    message = error(write_jsonl(tmp_path / "data.jsonl", rows), correct_only=True)
    assert f"line 1: 2 texts but {len(verdicts)} verdicts in 'correctness'" in message


def test_a_column_that_is_missing_in_a_later_row_is_named_with_the_row(tmp_path):
    rows = [{"text": "so", "reward": 1}, {"response": "we", "reward": 1}]
    file = write_jsonl(tmp_path / "text.jsonl", rows)
    assert error(file).startswith(f"{file}, line 2: expected text in column 'text', got NoneType")
    file = write_jsonl(tmp_path / "reward.jsonl", [{"text": "so", "reward": 1}, {"text": "we"}])
    assert error(file, correct_only=True).startswith(f"{file}, line 2: expected a number or a boolean in column")


def test_a_column_that_is_missing_in_a_later_file_is_named_with_the_file(tmp_path):
    write_parquet(tmp_path / "a.parquet", [{"text": "so"}])
    write_parquet(tmp_path / "b.parquet", [{"response": "we"}])
    assert error(tmp_path).startswith(f"{tmp_path}/b.parquet, row 0: expected text in column 'text', got NoneType")


def test_an_empty_file_is_an_error(tmp_path):
    (tmp_path / "data.jsonl").write_text("\n\n")
    assert error(tmp_path / "data.jsonl") == f"{tmp_path}/data.jsonl holds no solutions"
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "data.parquet")
    assert error(tmp_path / "data.parquet") == f"{tmp_path}/data.parquet holds no solutions"


def test_a_corpus_without_a_correct_solution_is_an_error(write):
    file = write([{"text": "so", "reward": 0.5}, {"text": "we", "reward": 0.0}])
    assert error(file, correct_only=True) == f"{file} holds no correct solution: none of 2 reaches 1"
    assert error(file, correct_only=True, correct_threshold=0.75).endswith("none of 2 reaches 0.75")


@pytest.mark.parametrize("number", [0, -1])
def test_max_solutions_below_one_is_an_error(tmp_path, number):
    assert f"got {number}" in error(write_jsonl(tmp_path / "data.jsonl", [{"text": "so"}]), max_solutions=number)
