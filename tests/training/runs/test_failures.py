"""What goes wrong stops a run with its step, its reason and the way on; the last good checkpoint is whole."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
import yaml

from hicra_trl.training.runs.checkpoints import newest_checkpoint
from hicra_trl.training.runs.failures import STATUS_VARIABLE
from hicra_trl.training.runs.manifest import is_running, read_manifest
from hicra_trl.training.runs.processes import launched
from training.tiny_run import assert_equal, environment, results, train_here, write_recipe


RANKS = {"accelerate_config": "cpu_ddp", "per_device_train_batch_size": 4}


@pytest.fixture(scope="module")
def whole(model_folder, lexicon_file, tmp_path_factory):
    """A folder with a recipe and its run, which nothing has stopped."""
    folder = tmp_path_factory.mktemp("whole")
    write_recipe(folder, model_folder, lexicon_file, output_dir="whole")
    with pytest.MonkeyPatch.context() as patch:
        train_here(patch, folder, "--config", "recipe.yaml")
    return folder


@pytest.fixture
def unlimited():
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("error", "stopped in step 7: KeyError: 'no such answer' (few_vowels, troubled_reward.py:12)"),
        ("infinite", "stopped in step 7: FloatingPointError: step 7: the loss is "),
        ("full_disk", ", while saving checkpoint-8, with "),
    ],
)
def test_a_run_that_fails_says_where_and_goes_on_as_if_it_had_not(trouble, said, whole, monkeypatch, unlimited):
    output = f"run-{trouble}"
    monkeypatch.setenv("TROUBLE", trouble)
    monkeypatch.setenv("TROUBLED_STEP", "7")
    with pytest.raises(Exception) as caught:
        train_here(monkeypatch, whole, "--config", "recipe.yaml", "--output_dir", output)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    (note,) = caught.value.__notes__
    assert said in note and note.endswith(
        f"; when the cause is gone, 'hicra train --resume {output}' goes on from checkpoint-6"
    )
    monkeypatch.delenv("TROUBLE")
    argv = ("--config", f"{output}/resolved_config.yaml", "--resume_from_checkpoint", "true")
    train_here(monkeypatch, whole, *argv)
    assert_equal(results(whole / output), results(whole / "whole"))


def test_a_lost_rank_ends_the_run_at_once_with_one_last_line(whole, tmp_path):
    recipe = yaml.safe_load((whole / "recipe.yaml").read_text())
    shutil.copy(whole / "problems.jsonl", tmp_path)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**recipe, **RANKS, "output_dir": "run"}))
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "hicra_trl.cli.main", "train", "--config", "recipe.yaml"],
        env=environment(TROUBLE="lost_rank", TROUBLED_STEP="7"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode not in (0, 2) and time.monotonic() - began < 240
    last = done.stderr.splitlines()[-1]
    lost = "hicra train: stopped in step 7: a process was lost, killed or out of memory"
    assert last.startswith(lost), done.stderr[-3000:]
    assert last.endswith("'hicra train --resume run' goes on from checkpoint-6")
    assert newest_checkpoint(tmp_path / "run").name == "checkpoint-6"


@pytest.mark.parametrize(
    ("to_all", "ranks"),
    [(True, {}), (False, {}), (False, RANKS)],
    ids=["Ctrl-C", "kill", "kill two ranks"],
)
def test_a_signal_ends_all_processes_with_one_last_line(to_all, ranks, whole, tmp_path):
    shutil.copy(whole / "problems.jsonl", tmp_path)
    recipe = yaml.safe_load((whole / "recipe.yaml").read_text())
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**recipe, **ranks, "output_dir": "run", "max_steps": 400}))
    process = subprocess.Popen(
        [sys.executable, "-m", "hicra_trl.cli.main", "train", "--config", "recipe.yaml"],
        env=environment(),
        cwd=tmp_path,
        stderr=(tmp_path / "stderr").open("w"),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not (tmp_path / "run" / "checkpoint-4" / "hicra_state.json").is_file():
        assert process.poll() is None, (tmp_path / "stderr").read_text()
        time.sleep(0.05)
    trains = read_manifest(tmp_path / "run")["process"]
    assert is_running(trains)
    status = psutil.Process(trains["id"]).environ()[STATUS_VARIABLE]
    # The launcher, and what it launched.
    assert len(launched(status)) >= 1 + (2 if ranks else 1)
    number = signal.SIGINT if to_all else signal.SIGTERM
    os.killpg(process.pid, number) if to_all else os.kill(process.pid, number)
    assert process.wait(timeout=60) == 128 + number
    assert not launched(status)
    said = (tmp_path / "stderr").read_text()
    last = said.splitlines()[-1]
    assert last.startswith("hicra train: stopped in step ") and f": ended by {number.name}; 'hicra train" in last
    assert "'hicra train --resume run' goes on from checkpoint-" in last and "Traceback" not in said
