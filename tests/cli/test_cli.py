"""Every command as a user runs it: in a process of its own, with right and with wrong input."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from hicra_trl.cli.main import COMMANDS, main


RECIPES = Path(__file__).parents[2] / "recipes" / "playground"


def hicra(*argv, cwd):
    return subprocess.run(
        [sys.executable, "-m", "hicra_trl.cli.main", *map(str, argv)], capture_output=True, text=True, cwd=cwd
    )


@pytest.fixture(scope="module")
def recipe(model_folder, lexicon_file, tmp_path_factory):
    """Two steps on the tiny model."""
    folder = tmp_path_factory.mktemp("recipe")
    data = folder / "problems.jsonl"
    data.write_text("".join(json.dumps({"problem": f"{i} + 1 {{", "answer": i + 1}) + "\n" for i in range(16)))
    fields = {
        "model_name_or_path": str(model_folder),
        "dataset_name": str(data),
        "prompt_format": "text",
        "reward_funcs": ["boxed_accuracy", "overlong_penalty"],
        "overlong_buffer": 8,
        "held_out_dataset_name": str(data),
        "held_out_steps": 2,
        "held_out_samples": 2,
        "output_dir": str(folder / "run"),
        "strategic_grams": str(lexicon_file),
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 16,
        "max_steps": 2,
        "logging_steps": 1,
        "save_steps": 2,
        "log_completions": True,
        "num_completions_to_print": 0,
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(fields))
    return path


@pytest.fixture(scope="module")
def run_folder(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    done = hicra("train", "--config", recipe, "--alpha", 0.4, "--output_dir", folder, cwd=folder.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    shown = done.stderr + done.stdout
    assert "step 2/2  reward -" in shown
    assert "step 0/2  held out  pass@1 0.000  pass@2 0.000" in shown and "step 2/2  held out  pass@1" in shown
    return folder


def test_training_leaves_what_other_tools_read(run_folder):
    config = yaml.safe_load((run_folder / "resolved_config.yaml").read_text())
    assert (config["alpha"], config["max_steps"], config["loss_type"]) == (0.4, 2, "dapo")
    manifest = json.loads((run_folder / "manifest.json").read_text())
    assert manifest["seed"] == 42 and manifest["versions"]["trl"]
    history = json.loads((run_folder / "trainer_state.json").read_text())["log_history"]
    assert [entry["step"] for entry in history if "held_out/pass_at_2" in entry] == [0, 2]
    logged = next(entry for entry in history if "reward" in entry)
    assert logged["hicra/planning_fraction"] > 0
    assert logged["rewards/grader_timeouts"] == 0.0 and logged["rewards/overlong_penalty/mean"] < 0
    completions = pd.read_parquet(run_folder / "completions" / "completions_00001.parquet")
    assert {"prompt", "completion", "boxed_accuracy", "advantage"} <= set(completions.columns)
    assert "alpha = 0.4" in (run_folder / "README.md").read_text()
    assert (run_folder / "strategic_grams" / "strategic_grams.parquet").is_file()
    assert manifest["lexicon"]["fingerprint"] in (run_folder / "README.md").read_text()
    assert (run_folder / "health.jsonl").read_text() == ""


def test_a_run_is_drawn_in_its_card_and_by_plot(run_folder, tmp_path):
    assert "](dynamics.png)" in (run_folder / "README.md").read_text() and (run_folder / "dynamics.png").is_file()
    done = hicra("plot", run_folder, "--formats", "png", "--output", "figures", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("HICRA: seed 42\nfigures/dynamics.png\n")
    assert "Accuracy,held out,HICRA,42,0,0.0,," in (tmp_path / "figures" / "dynamics.csv").read_text()
    assert " logged in " not in done.stderr


def test_highlighting_a_runs_completions(run_folder, tmp_path):
    source = run_folder / "completions" / "completions_00002.parquet"
    grams = run_folder / "strategic_grams"
    done = hicra(
        "highlight", "--input", source, "--strategic_grams", grams, "--output", tmp_path / "a.html", "--limit", 3,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0 and f"3 texts highlighted: {tmp_path / 'a.html'}" in done.stdout
    assert (tmp_path / "a.html").read_text().count('class="trace"') == 3


def test_highlighting_a_text(tmp_path):
    (tmp_path / "answer.txt").write_text("<i>Let’s backtrack</i>: 2 + 2.")
    done = hicra("highlight", "--input", "answer.txt", cwd=tmp_path)
    assert done.returncode == 0 and "1 text highlighted: answer.html" in done.stdout
    assert "Let’s backtrack</mark>&lt;/i&gt;" in (tmp_path / "answer.html").read_text()


def test_a_dry_run_prints_the_plan_and_writes_nothing(recipe, tmp_path):
    done = hicra("train", "--config", recipe, "--dry_run", "--output_dir", "x", "--num_processes", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "HICRA, alpha 0.2, 9 strategic grams" in done.stdout
    assert "2 processes x 8 completions x 1 accumulation steps = 16 completions per step" in done.stdout
    assert "max_completion_length: 16" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flags", [(), ("--dry_run",)])
def test_fewer_prompts_than_a_generation_are_refused_before_anything_is_launched(flags, recipe, tmp_path):
    argv = ("train", "--config", recipe, "--gradient_accumulation_steps", 16, "--output_dir", "x", *flags)
    done = hicra(*argv, cwd=tmp_path)
    assert done.returncode == 2 and "expected at least the 32 prompts of one generation" in done.stderr
    assert done.stderr.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_an_adapter_is_no_model(recipe, tmp_path):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    done = hicra("train", "--config", recipe, "--model_name_or_path", "adapter", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr == (
        "hicra train: adapter holds an adapter: expected a model, as 'hicra export' makes it of a LoRA run\n"
    )


def test_batches_are_checked_against_the_processes_that_will_train(recipe, tmp_path):
    flags = ("--dry_run", "--per_device_train_batch_size=2", "--num_generations", 8)
    alone = hicra("train", "--config", recipe, *flags, cwd=tmp_path)
    assert alone.returncode == 2 and "must be divisible by num_generations (8)" in alone.stderr
    together = hicra("train", "--config", recipe, *flags, "--accelerate_config", "zero2", cwd=tmp_path)
    assert together.returncode == 0, together.stderr
    assert "8 processes x 2 completions" in together.stdout and "16 completions of 2 prompts x 8" in together.stdout


@pytest.mark.parametrize("method", ["grpo", "hicra"])
def test_the_playgrounds_recipes_are_complete_and_differ_in_alpha_alone(method, tmp_path):
    done = hicra("train", "--config", RECIPES / f"{method}.yaml", "--dry_run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    recipes = [yaml.safe_load((RECIPES / f"{name}.yaml").read_text()) for name in ("grpo", "hicra")]
    assert {key for key in recipes[0] if recipes[0][key] != recipes[1][key]} == {"alpha", "output_dir"}
    papers = {"scale_rewards": "none", "epsilon": 0.2, "epsilon_high": 0.28, "beta": 0.0}
    assert papers.items() <= recipes[0].items()
    assert {"loss_type", "max_completion_length", "num_generations", "seed"} <= recipes[0].keys()


RULE = """
import torch

def tenfold(advantages, labels, batch):
    plain = advantages[:, None].expand(batch.mask.shape)
    return torch.where(labels.planning_mask, plain * (1 + 9 * batch.alpha), plain)

def too_short(advantages, labels, batch):
    return advantages
"""


def test_a_rule_of_ones_own_lies_beside_the_recipe(recipe, tmp_path):
    recipe.with_name("my_credit.py").write_text(RULE)
    argv = ("train", "--config", recipe, "--credit", "my_credit.tenfold", "--output_dir", "run")
    done = hicra(*argv, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    # The run can be resumed from anywhere.
    credit = yaml.safe_load((tmp_path / "run" / "resolved_config.yaml").read_text())["credit"]
    assert credit == f"{recipe.with_name('my_credit.py')}:tenfold"
    broken = hicra(*argv[:3], "--credit", "my_credit.too_short", cwd=tmp_path)
    assert broken.returncode == 2 and broken.stderr.count("\n") == 1
    assert "must return torch.float32 of shape (8, 8), got torch.float32 of shape (8,)" in broken.stderr


WRONG = [
    (
        ["train", "--config", "RECIPE", "--credit", "planing"],
        "hicra train: credit must be planning, outcome, plan, asymmetric, random, high_entropy, execution, or the "
        "dotted path of a function, got 'planing'",
    ),
    (
        ["train", "--config", "RECIPE", "--alpha_below", "0.1"],
        "hicra train: alpha_below needs credit: asymmetric, got credit: planning",
    ),
    (["train", "--config", "RECIPE", "--alpha", "1.5"], "hicra train: alpha must be in [0, 1), got 1.5"),
    (["train", "--config", "RECIPE", "--alpha", "high"], "hicra train: argument --alpha: invalid float value: 'high'"),
    (["train", "--config", "nowhere.yaml"], "hicra train: no recipe at nowhere.yaml"),
    (["train", "--config"], "hicra train: --config needs the path of a YAML recipe"),
    (
        ["train", "--config", "RECIPE", "--alhpa", "0.1"],
        "hicra train: unknown arguments: --alhpa 0.1 (did you mean --alpha?)",
    ),
    (
        ["train", "--config", "RECIPE", "--num_proceses", "2"],
        "hicra train: unknown arguments: --num_proceses 2 (did you mean --num_processes?)",
    ),
    (["train", "--config", "RECIPE", "--strategic_grams", "no.txt"], "hicra train: no strategic grams at 'no.txt'"),
    (["train", "--config", "RECIPE", "--dataset_name", "no.jsonl"], "hicra train: no dataset file at no.jsonl"),
    (
        ["train", "--config", "RECIPE", "--gold_column", "gold"],
        "hicra train: DATA has no column of gold answers: expected gold, got problem, answer",
    ),
    (
        ["train", "--config", "RECIPE", "--gold_column", "problem"],
        "hicra train: 16 of 16 gold answers cannot be graded",
    ),
    (["train", "--config", "RECIPE", "--reward_funcs", "nothing"], "hicra train: no reward 'nothing'"),
    (["train", "--config", "RECIPE", "--reward_funcs", "os.nothing"], "hicra train: cannot load the reward"),
    (["train", "--config", "RECIPE", "--accelerate_config", "zero9"], "hicra train: no accelerate config 'zero9'"),
    (["train", "--config", "RECIPE", "--loss_type", "luspo"], "hicra train: loss_type='luspo' gives every token"),
    (["train", "--alpha", "0.1"], "hicra train: no model_name_or_path"),
    (
        ["train", "--config", "RECIPE", "--resume_from_checkpoint", "true", "--output_dir", "new"],
        "hicra train: nothing",
    ),
    (
        ["train", "--config", "RECIPE", "--resume_from_checkpoint", "nowhere"],
        "hicra train: nothing to resume: no check",
    ),
    (
        ["train", "--config", "RECIPE", "--model_name_or_path", "no/model"],
        "hicra train: no/model: We couldn't connect to 'https://huggingface.co'",
    ),
    (
        ["train", "--config", "RECIPE", "--save_steps", "3", "--logging_steps", "2", "--max_steps", "6"],
        "hicra train: save_steps",
    ),
    (["train", "--resume"], "hicra train: --resume needs the folder of a run"),
    (["train", "--resume", "nowhere"], "hicra train: no run at nowhere: expected a folder with manifest.json"),
    (["playground", "--seeds", "0"], "hicra playground: seeds must be at least 1, got 0"),
    (["playground", "--recipes", "nowhere"], "hicra playground: no recipe at nowhere/grpo.yaml"),
    (["playground", "--color", "red"], "hicra playground: unknown arguments: --color red"),
    (["health", "nowhere"], "hicra health: no run at nowhere: expected a folder with trainer_state.json"),
    (["highlight", "--input", "no.txt"], "hicra highlight: expected --input to name a text file"),
    (["highlight", "--input", "RECIPE", "--limit", "0"], "hicra highlight: limit must be at least 1, got 0"),
    (
        ["jugde"],
        "hicra: unknown command 'jugde', expected one of train, mine, lexicon, eval, playground, campaign, reproduce, "
        "export, plot, view, health, judge, highlight (did you mean judge?)",
    ),
    (
        ["eval", "shwo", "runs/eval"],
        "hicra eval: unknown action 'shwo', expected --model or one of show, compare, push (did you mean show?)",
    ),
]


@pytest.mark.parametrize(("argv", "message"), WRONG, ids=[" ".join(argv) for argv, _ in WRONG])
def test_wrong_input_gets_one_line_and_status_2(argv, message, recipe, tmp_path):
    done = hicra(*(recipe if part == "RECIPE" else part for part in argv), cwd=tmp_path)
    assert done.returncode == 2
    message = message.replace("DATA", str(recipe.with_name("problems.jsonl")))
    assert done.stderr.startswith(message) and done.stderr.count("\n") == 1, done.stderr


def test_a_resume_with_another_lexicon_gets_one_line(recipe, run_folder, tmp_path):
    argv = ("--strategic_grams", "paper", "--resume_from_checkpoint", run_folder / "checkpoint-2")
    done = hicra("train", "--config", recipe, *argv, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "a lexicon of 9 strategic grams" in done.stderr and "got one of 249" in done.stderr


def test_a_run_that_is_complete_is_neither_resumed_nor_overwritten(recipe, run_folder, tmp_path):
    resumed = hicra("train", "--resume", run_folder, cwd=tmp_path)
    assert resumed.returncode == 2 and resumed.stderr == (
        f"hicra train: {run_folder} is complete: expected a larger --max_steps or --num_train_epochs to go on\n"
    )
    again = hicra("train", "--config", recipe, "--output_dir", run_folder, cwd=tmp_path)
    assert again.returncode == 2 and "holds checkpoints of another run (checkpoint-2)" in again.stderr
    assert again.stderr.count("\n") == 1


def test_a_dry_run_takes_what_a_run_wrote(run_folder, tmp_path):
    for argv in (("--config", run_folder / "resolved_config.yaml"), ("--resume", run_folder, "--max_steps", 4)):
        done = hicra("train", *argv, "--dry_run", cwd=tmp_path)
        assert done.returncode == 0 and "accelerator_config:" in done.stdout, done.stderr
        assert ("there already: checkpoint-2" in done.stdout) == ("--config" in argv)


@pytest.mark.parametrize("command", ["train", "mine", "lexicon show", "eval", "playground", "export", "highlight"])
def test_a_value_may_follow_an_equals_sign_in_every_command(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--config=nowhere.yaml"])
    shown = capsys.readouterr().err
    assert ended.value.code == 2 and "no recipe at nowhere.yaml" in shown and shown.count("\n") == 1


def test_fields_of_a_recipe_that_nothing_reads_are_refused(recipe, tmp_path):
    (tmp_path / "typo.yaml").write_text(recipe.read_text() + "leraning_rate: 1\nmax_step: 3\n")
    done = hicra("train", "--config", "typo.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "hicra train: the recipe has fields that are not known: leraning_rate, max_step "
        "(did you mean learning_rate and max_steps?)\n"
    )


def test_broken_recipes_and_files_get_one_line(recipe, tmp_path):
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "bad.parquet").write_text("no parquet")
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    for argv in (
        ["train", "--config", "broken.yaml"],
        ["train", "--config", "list.yaml"],
        ["highlight", "--input", "bad.parquet"],
        ["highlight", "--input", "bad.txt"],
    ):
        done = hicra(*argv, cwd=tmp_path)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr


def test_each_command_is_in_the_help_and_has_its_own(tmp_path):
    shown = hicra("--help", cwd=tmp_path).stdout
    assert [line.split()[0] for line in shown.splitlines() if line.startswith("  ")] == list(COMMANDS)
    assert hicra("mine", cwd=tmp_path).stdout == hicra("mine", "--help", cwd=tmp_path).stdout
    assert "--resume RESUME" in hicra("train", "-h", cwd=tmp_path).stdout


def test_a_field_and_its_value_may_be_one_argument(tmp_path):
    (tmp_path / "answer.txt").write_text("Let's backtrack.")
    done = hicra("highlight", "--input=answer.txt", "--output=a=b.html", cwd=tmp_path)
    assert done.returncode == 0 and "1 text highlighted: a=b.html" in done.stdout, done.stderr


@pytest.fixture(scope="module")
def playground(tmp_path_factory):
    """The whole quickstart with next to no training."""
    folder = tmp_path_factory.mktemp("playground")
    for method in ("grpo", "hicra"):
        fields = yaml.safe_load((RECIPES / f"{method}.yaml").read_text())
        tiny = {"max_steps": 2, "per_device_train_batch_size": 16, "max_completion_length": 24, "eval_steps": 2}
        (folder / f"{method}.yaml").write_text(yaml.safe_dump({**fields, **tiny}))
    argv = ("playground", "--recipes", folder, "--folder", "runs", "--pretrain_steps", 4)
    return folder, argv, hicra(*argv, cwd=folder)


def test_the_playground_ends_with_a_table_and_a_report(playground):
    folder, _, done = playground
    assert done.returncode == 0, done.stderr[-3000:]
    tail = done.stdout[-1500:]
    assert all(line in tail for line in ("accuracy", "base", "GRPO", "HICRA - GRPO:", "report: runs/report.html"))
    report = (folder / "runs" / "report.html").read_text()
    assert "<svg" in report and "<script" not in report
    for run in ("grpo-seed1", "hicra-seed1"):
        assert {"outcomes.json", "samples.jsonl", "trainer_state.json"} <= {
            file.name for file in (folder / "runs" / run).iterdir()
        }


def test_the_playground_keeps_what_is_there(playground):
    folder, argv, first = playground
    weights = folder / "runs" / "hicra-seed1" / "model.safetensors"
    modified = weights.stat().st_mtime_ns
    again = hicra(*argv, cwd=folder)
    assert again.returncode == 0 and weights.stat().st_mtime_ns == modified
    assert again.stdout.strip().splitlines()[-1] == first.stdout.strip().splitlines()[-1]
    assert "grpo-seed1 begins" in first.stderr and "grpo-seed1 begins" not in again.stderr
    assert "2 to train" in first.stdout and "0 to train" in again.stdout
    assert "base is judged" in first.stderr and "is judged" not in again.stderr


def test_another_base_does_not_take_the_place_of_one_with_runs(playground):
    folder, argv, _ = playground
    base = (folder / "runs" / "base" / "model.safetensors").stat().st_mtime_ns
    done = hicra(*argv[:-1], 3, cwd=folder)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("hicra playground: runs/grpo-seed1 comes from another base: delete")
    assert (folder / "runs" / "base" / "model.safetensors").stat().st_mtime_ns == base


def test_runs_of_another_recipe_are_not_taken_for_these(playground):
    folder, argv, _ = playground
    recipe = folder / "grpo.yaml"
    recipe.write_text(recipe.read_text().replace("warmup_steps: 3", "warmup_steps: 0"))
    done = hicra(*argv, cwd=folder)
    assert done.returncode == 2
    message = "runs/grpo-seed1 is of another recipe than condition grpo (warmup_steps): expected another folder"
    assert message in done.stderr.splitlines()[-1]
