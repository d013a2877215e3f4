"""`hicra eval` as a user runs it: what it prints, what it leaves, and one line for what is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from hicra_trl.cli import eval as command
from hicra_trl.cli.parsing import parse
from hicra_trl.evaluation.problems.catalog import BENCHMARKS
from hicra_trl.evaluation.settings import EvalArguments
from loopback_hub import LoopbackHub


REPOSITORY = Path(__file__).parents[2]
RECIPES = REPOSITORY / "recipes" / "eval"
# What the samples depend on. A recipe leaves none of it to a default.
RESULTS = """temperature top_p top_k max_tokens seed prompt_format instruction system_prompt enable_thinking
answer_after_think strategic_grams num_samples max_items override dtype max_model_length engine batch_size"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"problem": f"What is {n} + 1?", "answer": n + 1} for n in range(6)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.fixture
def argv(model_folder, lexicon_file, folder):
    given = {
        "model": model_folder,
        "benchmarks": "sums",
        "override": "sums.dataset=sums.jsonl",
        "prompt_format": "text",
        "max_tokens": 16,
        "num_samples": 2,
        "strategic_grams": lexicon_file,
        "output_dir": "run",
    }
    return [part for name, value in given.items() for part in (f"--{name}", str(value))]


def refused(argv, capsys, prog="hicra eval"):
    with pytest.raises(SystemExit) as exit:
        command.run([str(part) for part in argv])
    [line] = capsys.readouterr().err.strip().splitlines()[-1:]
    assert exit.value.code == 2 and line.startswith(f"{prog}: ")
    return line.removeprefix(f"{prog}: ")


def test_a_dry_run_prints_the_plan_and_the_first_prompt_and_writes_nothing(argv, folder, capsys):
    assert command.run([*argv, "--dry_run", "--max_items=4", "--instruction=Box it."]) == 0
    shown = capsys.readouterr().out
    assert "sums: 4 of 6 items x 2 = 8 samples (sums.jsonl)" in shown
    assert "8 of at most 16 tokens: 128 at most" in shown
    assert "temperature 0.6, top_p 0.95, top_k 0, seed 0" in shown and "9 strategic grams" in shown
    assert shown.endswith("first prompt:\nWhat is 0 + 1?\n\nBox it.\n")
    assert [file.name for file in folder.iterdir()] == ["sums.jsonl"]


def test_an_evaluation_leaves_samples_results_and_a_table_that_can_be_shown_again(argv, folder, capsys):
    assert command.run(argv) == 0
    shown = capsys.readouterr()
    assert "results and samples: run" in shown.out and "sums: 100%" in shown.err and "accuracy 0.0%" in shown.err
    assert len((folder / "run" / "samples" / "sums.jsonl").read_text().splitlines()) == 12
    (folder / "run" / "results.md").unlink()
    assert command.run(["show", "run"]) == 0
    again = capsys.readouterr().out
    assert again.strip() in shown.out and "sums" in again and "| sums |" in (folder / "run" / "results.md").read_text()
    assert json.loads((folder / "run" / "evaluation.json").read_text())["settings"]["max_tokens"] == 16
    assert "temperature is 0.6, asked for 1.0" in refused([*argv, "--temperature", "1.0"], capsys)


def test_two_runs_are_compared(argv, folder, capsys):
    for name in ("a", "b"):
        assert command.run([*argv, "--output_dir", name, "--max_tokens", "16" if name == "a" else "8"]) == 0
    capsys.readouterr()
    assert command.run(["compare", "a", "b"]) == 0
    shown = capsys.readouterr().out
    assert "A - B" in shown and "warning: max_tokens differs: A 16, B 8" in shown
    # To look at results takes nothing that training or sampling takes.
    code = """
import sys
from hicra_trl.cli.main import main
assert main(["eval", "show", "a"]) == main(["eval", "compare", "a", "b"]) == 0
heavy = {"torch", "transformers", "trl", "datasets", "pandas", "hicra_trl.training", "hicra_trl.grams"}
sys.exit(str(heavy & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == "set()\n" and done.stdout.endswith(shown)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--benchmarks", "sums", "nine"], "unknown benchmark 'nine': expected one of aime24"),
        (["--override", "sums.dataset=none.jsonl"], "sums: no dataset file at none.jsonl"),
        (["--engine", "llama"], "argument --engine: invalid choice: 'llama'"),
        (["--engine", "server"], "the engine 'server' goes with a base_url"),
        (
            ["--engine", "server", "--base_url", "http://127.0.0.1:9/v1"],
            "http://127.0.0.1:9/v1/models cannot be reached",
        ),
        (["--max_items", "0"], "max_items must be at least 1, got 0"),
        (["--prompt_format", "chat"], "has no chat template: expected one, or prompt_format 'text'"),
        (["--max_model_length", "20"], "item '0': its prompt has"),
        (["--strategic_grams", "nowhere"], "no strategic grams at 'nowhere'"),
        (["--model", "nowhere"], "no model 'nowhere': expected a folder or a model on the Hub"),
        (["--benchmark", "sums"], "unknown arguments: --benchmark sums"),
        (["--config=nowhere.yaml"], "no recipe at nowhere.yaml"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(argv, folder, capsys, more, message):
    assert message in refused([*argv, *more], capsys)
    assert [file.name for file in folder.iterdir()] == ["sums.jsonl"]


def test_an_adapter_alone_is_led_to_the_export(argv, folder, capsys):
    (folder / "lora").mkdir()
    (folder / "lora" / "adapter_config.json").write_text("{}")
    line = refused([*argv, "--model", "lora"], capsys)
    assert line == "lora is an adapter without its base: expected a whole model, as 'hicra export' makes one"


def test_results_that_cannot_be_pushed_stay(argv, folder, capsys):
    line = refused([*argv, "--push_to_hub", "tester/model"], capsys)
    assert "cannot push results to 'tester/model'" in line
    assert "; the results are in run, and 'hicra eval push' publishes them from there" in line
    assert (folder / "run" / "results.json").is_file()


def test_folders_without_an_evaluation_are_refused(folder, capsys):
    prog = "hicra eval compare"
    assert "no evaluation in a: expected a folder with" in refused(["compare", "a", "b"], capsys, prog)
    assert refused(["compare", "a"], capsys, prog) == "expected hicra eval compare A B, got a"
    assert "no evaluation in" in refused(["show", folder], capsys, "hicra eval show")


@pytest.mark.parametrize("name", ["paper_text", "paper_vision", "playground"])
def test_recipes_are_complete(name):
    recipe = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    assert set(RESULTS.split()) <= recipe.keys()
    args, remaining = parse(
        (EvalArguments,), ["--config", str(RECIPES / f"{name}.yaml"), "--model", "m"], "hicra eval"
    )
    assert not remaining and set(args.benchmarks) <= BENCHMARKS.keys()
    assert {field: getattr(args, field) for field in recipe if field != "model"} == {
        field: value for field, value in recipe.items() if field != "model"
    }


def test_the_papers_settings():
    text, vision = (yaml.safe_load((RECIPES / f"paper_{name}.yaml").read_text()) for name in ("text", "vision"))
    assert text["temperature"] == vision["temperature"] == 0.6
    assert text["benchmarks"] == ["aime24", "aime25", "math500", "amc23", "minerva", "olympiadbench"]
    assert vision["benchmarks"] == ["mathvista", "mathvision", "mathverse", "emma"]
    samples = {name: BENCHMARKS[name].num_samples for name in text["benchmarks"]}
    assert samples == {"aime24": 32, "aime25": 32, "amc23": 4, "math500": 1, "minerva": 1, "olympiadbench": 1}
    assert text["num_samples"] is None and "\\boxed{}" in text["instruction"] == vision["instruction"]


def test_a_model_that_knows_nothing_scores_zero(model_folder, folder, data_folder, capsys):
    recipe = yaml.safe_load((RECIPES / "playground.yaml").read_text())
    stems = {"minerva": "minerva_math"}
    files = [
        f"{name}.dataset={data_folder / 'benchmarks' / stems.get(name, name)}.jsonl" for name in recipe["benchmarks"]
    ]
    more = ["--model", model_folder, "--max_items", 4, "--max_tokens", 8, "--output_dir", "run", "--override", *files]
    assert command.run([str(part) for part in ["--config", RECIPES / "playground.yaml", *more]]) == 0
    results = json.loads((folder / "run" / "results.json").read_text())["benchmarks"]
    assert list(results) == recipe["benchmarks"]
    assert all((of["num_items"], of["metrics"]["pass@1"]["value"]) == (4, 0.0) for of in results.values())


def test_results_are_pushed_to_the_model(argv, folder):
    # A process of its own: the libraries read HF_ENDPOINT when they are imported.
    code = "import sys; from hicra_trl.cli.eval import run; raise SystemExit(run(sys.argv[1:]))"
    rows = (folder / "sums.jsonl").read_bytes()
    with LoopbackHub() as hub:
        hub.put("tester/sums", "dataset", {"test.jsonl": rows})
        hub.put("tester/model", "model", {"README.md": b"---\nlicense: mit\n---\n\nMine.\n"})
        more = ["--override", "sums.dataset=tester/sums", "--push_to_hub", "tester/model"]
        environment = {**os.environ, **hub.environment(folder / "home")}
        done = subprocess.run(
            [sys.executable, "-c", code, *argv, *more], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.splitlines()[-1] == f"published: tester/model@{hub.commits('tester/model')[-1][0]}"
        card = hub.files("tester/model")["README.md"].decode()
    assert "model-index" in card and "tester/sums" in card and "Mine." in card
