"""`hicra highlight` replaces no file but its own pages, and says in one line what it cannot read."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from analysis.synthetic_record import write_synthetic_record
from hicra_trl.cli.highlight import run
from hicra_trl.grams import StrategicGrams
from hicra_trl.training.runs.token_record import read_record, record_files, write_record


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("But wait")
    return tmp_path


def refused(argv, capsys):
    with pytest.raises(SystemExit) as exit:
        run([str(part) for part in argv])
    [line] = capsys.readouterr().err.strip().splitlines()
    assert exit.value.code == 2
    return line


@pytest.mark.parametrize(
    ("source", "output"), [("page.html", None), ("a.txt", None), ("a.txt", "a.txt"), ("a.txt", "d"), ("a.txt", "link")]
)
def test_what_is_there_stays(folder, capsys, source, output):
    for name in ("page.html", "a.html"):
        (folder / name).write_text("<p>But wait</p>")
    (folder / "d").mkdir()
    (folder / "link").symlink_to("nowhere")
    before = {path: path.is_file() and path.read_bytes() for path in folder.iterdir()}
    assert "expected" in refused(["--input", source, *(["--output", output] if output else [])], capsys)
    assert {path: path.is_file() and path.read_bytes() for path in folder.iterdir()} == before


def test_a_page_of_its_own_is_replaced_unless_it_is_the_input(folder, capsys):
    for text in ("But wait", "Let me see"):
        (folder / "a.txt").write_text(text)
        assert run(["--input=a.txt"]) == 0
        assert "see" in (folder / "a.html").read_text() or text == "But wait"
    assert "is the input" in refused(["--input", "a.html"], capsys)


def test_an_output_below_a_file_is_one_line(folder, capsys):
    assert "a.txt" in refused(["--input", "a.txt", "--output", "a.txt/x.html"], capsys)
    assert [path.name for path in folder.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("completion", [None, 7, [{"role": "assistant"}], [{"content": None}], ["x"]])
def test_a_completion_that_is_no_text_is_named(folder, capsys, completion):
    (folder / "c.jsonl").write_text(json.dumps({"completion": completion}) + "\n")
    assert "c.jsonl, line 1: expected text in column 'completion'" in refused(["--input", "c.jsonl"], capsys)


def test_samples_of_an_evaluation_and_completions_of_a_run_are_read(folder):
    (folder / "s.jsonl").write_text(json.dumps({"item": "7", "index": 1, "completion": "But wait"}) + "\n")
    pd.DataFrame({"completion": ["So"], "step": [3], "advantage": [None], "x": [[1.0]]}).to_parquet("c.parquet")
    for name, heading in (("s.jsonl", "item 7, index 1"), ("c.parquet", "step 3")):
        assert run(["--input", name]) == 0
        assert f"<h2>{heading}</h2>" in (folder / name).with_suffix(".html").read_text()


def test_completions_of_a_run_with_a_token_record_are_marked_by_its_tokens(folder, capsys):
    run = write_synthetic_record(folder / "run", steps=[3])
    for file in record_files(run)[3]:
        fingerprint = StrategicGrams.paper().fingerprint
        rows = [replace(row, header=replace(row.header, lexicon=fingerprint)) for row in read_record(file)]
        write_record(file, rows)
    (run / "completions").mkdir()
    texts = [row.text.removesuffix("<|im_end|>") for row in rows[:2]] + ["but wait, this was not recorded"]
    source = run / "completions" / "completions_00004.parquet"
    pd.DataFrame({"completion": texts, "step": [4] * 3}).to_parquet(source)
    html = highlighted(source)
    assert '<mark class="planning" title="' in html and '<mark title="but wait' in html
    assert "3 texts highlighted, 2 by their recorded tokens" in capsys.readouterr().out
    # Labels of another lexicon are not those of the record.
    (folder / "mine.txt").write_text("so\n")
    assert "<mark class" not in highlighted(source, "--strategic_grams", "mine.txt")


def highlighted(source, *argv):
    assert run(["--input", str(source), *argv]) == 0
    return source.with_suffix(".html").read_text()
