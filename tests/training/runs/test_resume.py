"""A run that is killed and resumed, by the command line, ends as if nothing had happened."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields

import pytest
import yaml
from trl import ModelConfig

from hicra_trl import HICRAConfig
from hicra_trl.cli.train import _absolute, parse
from hicra_trl.training.arguments import RunArguments
from hicra_trl.training.runs.checkpoints import checkpoints, step_of
from hicra_trl.training.runs.manifest import read_manifest
from hicra_trl.training.runs.resume import CHANGEABLE, resume_arguments
from training.tiny_run import STEPS, assert_equal, environment, results, train_here, write_recipe


@pytest.fixture(scope="module")
def whole(model_folder, lexicon_file, tmp_path_factory):
    """A folder with a recipe and its run, which nothing has stopped."""
    folder = tmp_path_factory.mktemp("whole")
    write_recipe(folder, model_folder, lexicon_file, output_dir="whole")
    with pytest.MonkeyPatch.context() as patch:
        train_here(patch, folder, "--config", "recipe.yaml")
    return folder


def start(folder, *argv):
    return subprocess.Popen(
        [sys.executable, "-m", "hicra_trl.cli.main", "train", *argv],
        env=environment(),
        cwd=folder,
        stderr=(folder / "stderr").open("w"),
        start_new_session=True,
    )


def wait_for(process, condition):
    while not condition():
        assert process.poll() is None, "the run ended too early"
        time.sleep(0.0005)


def kill(process):
    """The command and all that it launched."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def has_state(checkpoint):
    return (checkpoint / "hicra_state.json").is_file()


def half_written(run):
    """Checkpoints of step 6 or later whose folder is there, but not the last file."""
    return [folder for folder in checkpoints(run) if step_of(folder) >= 6 and not has_state(folder)]


def test_killed_at_any_moment_a_run_ends_as_if_it_had_not_been(whole, tmp_path):
    moments = random.Random(0)
    run = whole / "run"
    process = start(whole, "--config", "recipe.yaml", "--output_dir", "run")
    while True:
        wait_for(process, lambda: half_written(run))
        os.killpg(process.pid, signal.SIGSTOP)
        if half_written(run):
            break
        os.killpg(process.pid, signal.SIGCONT)
    kill(process)
    cut = half_written(run)[0]

    # From another folder: the run knows where it began.
    process = start(tmp_path, "--resume", str(run))
    wait_for(process, lambda: has_state(run / "checkpoint-14"))
    assert f"passed over {run}/{cut.name}: half-written" in (tmp_path / "stderr").read_text()
    time.sleep(moments.uniform(0, 0.5))
    kill(process)
    assert read_manifest(run)["finished"] is None

    process = start(whole, "--resume", "run")
    assert process.wait() == 0, (whole / "stderr").read_text()[-3000:]
    assert_equal(results(run), results(whole / "whole"))
    manifest = read_manifest(run)
    assert manifest["finished"] and [entry["command"] for entry in manifest["resumed"]] == [
        f"hicra train --resume {run}",
        "hicra train --resume run",
    ]
    assert manifest["resumed"][0]["checkpoint"] == f"checkpoint-{step_of(cut) - 2}"


def test_killed_between_its_last_step_and_its_end_a_run_only_ends(whole, monkeypatch):
    run = shutil.copytree(whole / "whole", whole / "last")
    (run / "model.safetensors").unlink()
    (run / "trainer_state.json").unlink()
    argv = ("--config", "whole/resolved_config.yaml", "--output_dir", "last", "--resume_from_checkpoint", "true")
    train_here(monkeypatch, whole, *argv)
    assert_equal(results(run), results(whole / "whole"))


def test_the_run_has_state_to_lose(whole):
    """Or the test above would prove little."""
    history = results(whole / "whole")["history"]
    logged = {name: [entry[name] for entry in history if name in entry] for entry in history for name in entry}
    assert logged["completions/limit"][0] == 16 and logged["completions/limit"][-1] == 24
    assert sum(logged["dynamic_sampling/attempts"]) > 1
    assert len(set(logged["hicra/relative_perplexity/execution"])) > 5
    assert logged["epoch"][-1] > 1.5


@pytest.fixture
def run(whole, tmp_path):
    """The run as it was when it lost its power after step 4."""
    folder = shutil.copytree(whole / "whole", tmp_path / "run", ignore=shutil.ignore_patterns("checkpoint-??"))
    for step in (6, 8):
        shutil.rmtree(folder / f"checkpoint-{step}")
    rewrite(folder, finished=None, process={"host": "another", "id": 1, "created": 0.0})
    return folder


def rewrite(folder, **changes):
    manifest = {**read_manifest(folder), **changes}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def known():
    return {f.name for kind in (RunArguments, HICRAConfig, ModelConfig) for f in fields(kind)}


def arguments(run, *overrides):
    return resume_arguments(run, [*map(str, overrides)], known())


def test_a_run_goes_on_from_its_newest_checkpoint_with_its_own_flags_and_model(run, capsys):
    rewrite(run, flags=["--num_processes", "2", "--main_process_port", "1234"], model={"commit": "abc"})
    assert arguments(run, "--main_process_port", 99) == [
        "--config", f"{run}/resolved_config.yaml", "--output_dir", str(run),
        "--resume_from_checkpoint", f"{run}/checkpoint-4", "--model_revision", "abc",
        "--num_processes", "2", "--main_process_port", "99",
    ]  # fmt: skip
    assert capsys.readouterr().err == f"resuming {run} after step 4\n"


def test_a_run_without_a_whole_checkpoint_begins_again(run, capsys):
    for step in (2, 4):
        shutil.rmtree(run / f"checkpoint-{step}")
    assert "--resume_from_checkpoint" not in arguments(run)
    assert capsys.readouterr().err == f"{run} has no complete checkpoint: it begins again\n"
    rewrite(run, checkpoint="other/checkpoint-8")
    assert "other/checkpoint-8" in arguments(run)


def test_a_complete_run_is_resumed_only_to_go_further(run):
    rewrite(run, finished="2026-01-01T00:00:00+00:00")
    with pytest.raises(ValueError, match="is complete: expected a larger --max_steps"):
        arguments(run)
    with pytest.raises(ValueError, match="is complete: expected a larger --max_steps"):
        arguments(run, "--max_steps", STEPS)
    assert arguments(run, "--max_steps", STEPS + 2)[-2:] == ["--max_steps", str(STEPS + 2)]


def test_what_would_make_it_another_run_is_refused(run):
    for flag in ("alpha", "seed", "dataset_name", "learning_rate", "config", "output_dir", "resume_from_checkpoint"):
        with pytest.raises(ValueError, match=f"goes on with the run as it is, got --{flag}: start another one by"):
            arguments(run, f"--{flag}", "1")
    assert {*CHANGEABLE} <= known()


def test_what_is_no_run_or_is_of_another_version_is_refused(run):
    with pytest.raises(ValueError, match=r"no run at nowhere: expected a folder with manifest\.json"):
        resume_arguments("nowhere", [], set())
    recipe = run / "resolved_config.yaml"
    recipe.write_text(recipe.read_text() + "momentum_of_thought: 3\n")
    with pytest.raises(ValueError, match="not known here: momentum_of_thought; it was written by hicra-trl 0"):
        resume_arguments(run, [], known() - {"momentum_of_thought"})


def test_a_run_that_still_trains_is_not_resumed(run, whole):
    rewrite(run, process=read_manifest(whole / "whole")["process"])
    with pytest.raises(ValueError, match=f"is still being trained, by process {os.getpid()}"):
        arguments(run)


def test_paths_hold_from_where_they_are_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    typed = ["--dataset_path", "a.jsonl", "b.jsonl", "--accelerate_config", "zero3", "--run_name", "a.jsonl"]
    assert _absolute(typed) == [
        "--dataset_path", f"{tmp_path}/a.jsonl", f"{tmp_path}/b.jsonl", "--accelerate_config", "zero3",
        "--run_name", "a.jsonl",
    ]  # fmt: skip
    assert _absolute(["--accelerate_config", "mine.yaml"])[1] == f"{tmp_path}/mine.yaml"


def test_env_of_a_recipe_is_kept_without_secrets(model_folder, lexicon_file, tmp_path, monkeypatch):
    env = {"SHORT_OF_WORDS": "1", "WANDB_API_KEY": "secret"}
    for name in env:
        monkeypatch.setenv(name, "")
    write_recipe(tmp_path, model_folder, lexicon_file, env=env, max_steps=2)
    train_here(monkeypatch, tmp_path, "--config", "recipe.yaml")
    recipe = yaml.safe_load((tmp_path / "run" / "resolved_config.yaml").read_text())
    assert recipe["env"] == {"SHORT_OF_WORDS": "1"}
    assert parse(["--config", str(tmp_path / "run" / "resolved_config.yaml")]).recipe["env"] == recipe["env"]
