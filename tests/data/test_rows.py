"""Rows one by one, from files and from datasets."""

import gzip
import json

import pytest
from datasets import Dataset, Features, Image, List, Value

from hicra_trl.data.rows import as_text, read_folder, read_rows, stream_rows


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "json", "parquet"])
def test_every_kind_of_file_gives_its_rows_with_their_places(tmp_path, suffix):
    file = tmp_path / f"data.{suffix}"
    rows = [{"text": "so", "n": 1}, {"text": "we", "n": 2}]
    if suffix == "parquet":
        Dataset.from_list(rows).to_parquet(file)
    else:
        with gzip.open(file, "wt") if suffix == "jsonl.gz" else file.open("w") as opened:
            opened.write(json.dumps(rows) if suffix == "json" else "\n".join(map(json.dumps, rows)))
    found = list(stream_rows(str(file)))
    assert [row.values for row in found] == rows == read_rows(str(file)).to_list()
    assert [row.number for row in found] == [0, 1]
    assert found[1].where == f"{file}, {'line 2' if 'jsonl' in suffix else 'row 1'}"


@pytest.mark.parametrize("content", [b"{}", gzip.compress(b'{"a": 1}\n' * 1000)[:-20]], ids=["plain", "cut"])
def test_a_broken_gzip_file_is_named(tmp_path, content):
    (tmp_path / "data.jsonl.gz").write_bytes(content)
    for read in (lambda name: list(stream_rows(name)), read_rows):
        with pytest.raises(ValueError, match=f"cannot read {tmp_path}/data.jsonl.gz: "):
            read(str(tmp_path / "data.jsonl.gz"))


def test_rows_of_a_file_may_have_columns_and_types_of_their_own(tmp_path):
    (tmp_path / "data.jsonl").write_text('{"a": 1}\n{"a": "b", "c": [2]}\n')
    assert [row.values for row in stream_rows(str(tmp_path / "data.jsonl"))] == [{"a": 1}, {"a": "b", "c": [2]}]


def test_images_of_a_dataset_are_left_as_they_are_stored(tmp_path):
    picture = {"bytes": b"no picture at all", "path": None}
    features = Features({"one": Image(), "many": List(Image()), "text": Value("string")})
    (tmp_path / "test").mkdir()
    rows = Dataset.from_dict({"one": [picture], "many": [[picture]], "text": ["so"]}, features=features)
    rows.to_parquet(tmp_path / "test" / "0000.parquet")
    (row,) = stream_rows(str(tmp_path), "test", "default")
    assert row.values == {"one": picture, "many": [picture], "text": "so"}
    assert row.where == f"{tmp_path} (default), row 0"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}', "data.json: expected a list of JSON objects, got dict"),
        ('[{"a": 1}, 2]', "data.json, row 1: expected a JSON object, got int"),
        ("[", "data.json: expected a list of JSON objects, got '['"),
    ],
)
def test_a_json_file_of_anything_else_is_named(tmp_path, content, message):
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(ValueError) as raised:
        list(stream_rows(str(tmp_path / "data.json")))
    assert str(raised.value).startswith(f"{tmp_path}/{message}")


def test_of_a_conversation_one_role_is_heard():
    parts = [{"type": "image", "text": None}, {"type": "text", "text": "how many?"}]
    turns = [{"role": "system", "content": "be brief"}, {"role": "user", "content": parts}, {"content": "two"}]
    assert as_text(turns, "prompt", "row 0", "user") == "how many?\n\ntwo"
    assert as_text(turns, "prompt", "row 0") == "two"


def test_a_file_in_another_encoding_is_named_with_its_row(tmp_path):
    file = tmp_path / "latin.jsonl"
    file.write_bytes(b'{"problem": "a"}\n{"problem": "caf\xe9 b"}\n')
    with pytest.raises(ValueError, match=f"cannot read {file}: .*Invalid UTF8 sequence at string index 1"):
        read_rows(str(file))


def test_a_folder_is_named_whatever_is_wrong_in_it(tmp_path):
    (tmp_path / "latin.jsonl").write_bytes(b'{"problem": "caf\xe9 b"}\n')
    with pytest.raises(ValueError, match=f"cannot read {tmp_path}: .*Invalid"):
        read_folder(tmp_path, "train")
    (tmp_path / "latin.jsonl").write_text("no json\n")
    with pytest.raises(ValueError, match=f"cannot read {tmp_path}: "):
        read_folder(tmp_path, "train")


def test_a_split_that_is_not_there_is_named_with_its_file(tmp_path):
    (tmp_path / "data.jsonl").write_text('{"problem": "a"}\n')
    with pytest.raises(ValueError, match=f"cannot read {tmp_path}/data.jsonl: .*some.*train"):
        read_rows(str(tmp_path / "data.jsonl"), "some")
