"""Campaigns of tiny runs, by the command line: kept, killed, failed, refused."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
import yaml

from claims.campaigns import assert_refused, write_campaign
from conftest import REPOSITORY
from hicra_trl.analysis.campaign import Trial
from hicra_trl.claims.campaign import _claim
from training.tiny_run import assert_equal, environment, results


BROKEN = {"env": {"TROUBLE": "error", "TROUBLED_STEP": "3"}}


def command(*argv):
    return [sys.executable, "-m", "hicra_trl.cli.main", "campaign", *map(str, argv)]


def hicra(folder, *argv):
    return subprocess.run(command(*argv), capture_output=True, text=True, cwd=folder, env=environment())


@pytest.fixture(scope="module")
def whole(model_folder, lexicon_file, tmp_path_factory):
    """A campaign that nothing stopped, side by side, with a condition that fails."""
    folder = tmp_path_factory.mktemp("whole")
    conditions = {"grpo": {"alpha": 0.0}, "broken": BROKEN, "hicra": {}}
    write_campaign(folder, model_folder, lexicon_file, conditions=conditions, seeds=[1, 2])
    return SimpleNamespace(folder=folder, done=hicra(folder, "--config", "campaign.yaml", "--jobs", 2))


def test_a_failed_run_is_said_and_holds_nothing_up(whole):
    assert whole.done.returncode == 1, whole.done.stderr
    said = whole.done.stderr.splitlines()
    for seed in (1, 2):
        [line] = [line for line in said if f"broken-seed{seed} failed" in line]
        assert "hicra train: stopped in step 3: KeyError: 'no such answer'" in line
    finished = {line.split()[1] for line in said if line.endswith("is finished")}
    assert finished == {"grpo-seed1", "grpo-seed2", "hicra-seed1", "hicra-seed2"}
    shown = whole.done.stdout
    assert "runs: 3 conditions x 2 seeds, 4 of 6 runs finished\nbroken-seed1 is not finished. hicra train: " in shown


def test_before_the_first_run_it_says_what_it_costs(whole):
    before = whole.done.stdout.partition("held_out/pass_at_1 at the end")[0]
    assert "3 conditions x 2 seeds = 6 runs in runs, 6 to train, 2 side by side" in before
    assert "expected spread, or two finished seeds" in before
    rows = {words[0]: words[1:] for words in map(str.split, before.splitlines()) if words}
    # 20 steps of 8 completions of up to 24 tokens
    assert rows["grpo"] == ["20", "160", "3,840", "none"]
    assert rows["hicra"] == ["20", "160", "3,840", *["about", "0.4", "x", "share", "of", "planning", "tokens"]]


def test_conditions_are_paired(whole):
    """One seed begins with the same model and the same problems in the same order."""
    logs = {name: json.loads((whole.folder / f"runs/{name}/trainer_state.json").read_text()) for name in
            ("grpo-seed1", "hicra-seed1", "grpo-seed2")}  # fmt: skip
    first = {name: log["log_history"][1] for name, log in logs.items()}
    assert first["grpo-seed1"]["reward"] == first["hicra-seed1"]["reward"]
    assert first["grpo-seed1"]["completions/mean_length"] != first["grpo-seed2"]["completions/mean_length"]


def test_what_is_finished_is_kept_and_the_results_are_shown(whole):
    weights = whole.folder / "runs/hicra-seed1/model.safetensors"
    modified = weights.stat().st_mtime_ns
    campaign = yaml.safe_load((whole.folder / "campaign.yaml").read_text())
    del campaign["conditions"]["broken"]
    (whole.folder / "less.yaml").write_text(yaml.safe_dump(campaign, sort_keys=False))
    again = hicra(whole.folder, "--config", "less.yaml")
    assert again.returncode == 0 and weights.stat().st_mtime_ns == modified, again.stderr
    assert "4 runs in runs, 0 to train" in again.stdout and "begins" not in again.stderr
    shown = hicra(whole.folder, "show", "runs", "--json")
    found = json.loads(shown.stdout)
    assert {row["condition"] for row in found["metrics"]} == {"grpo", "hicra"} and len(found["unfinished"]) == 2
    page = (whole.folder / "runs/report.html").read_text()
    assert "<svg" in page and "held_out/pass_at_1 at the end" in page and "broken-seed1 is not finished" in page


def test_killed_and_continued_it_ends_as_if_it_had_not_been(whole, model_folder, lexicon_file, tmp_path):
    write_campaign(tmp_path, model_folder, lexicon_file, seeds=[1])
    argv = command("--config", "campaign.yaml")
    killed = subprocess.Popen(argv, env=environment(), cwd=tmp_path, start_new_session=True)
    while not (tmp_path / "runs/hicra-seed1/checkpoint-4/hicra_state.json").is_file():
        assert killed.poll() is None
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    done = hicra(tmp_path, "--config", "campaign.yaml")
    assert done.returncode == 0, done.stderr
    assert "1 to train" in done.stdout and "resuming" in (tmp_path / "runs/hicra-seed1.log").read_text()
    for run in ("grpo-seed1", "hicra-seed1"):
        assert_equal(results(tmp_path / "runs" / run), results(whole.folder / "runs" / run))


def test_a_run_that_goes_on_without_its_campaign_is_not_begun_again(tmp_path):
    trial = Trial("a", 1, tmp_path / "a-seed1")
    mark = _claim(trial)
    child = subprocess.Popen(["sleep", "60"], pass_fds=(mark.fileno(),))
    mark.close()
    assert _claim(trial) is None
    child.kill()
    child.wait()
    _claim(trial).close()
    # Where `hicra train` was killed too, what it launched may go on.
    trial.folder.mkdir()
    process = {"host": socket.gethostname(), "id": os.getpid(), "created": psutil.Process().create_time()}
    manifest = {"finished": None, "model": {}, "process": process, "resumed": []}
    (trial.folder / "manifest.json").write_text(json.dumps(manifest))
    assert _claim(trial) is None
    (trial.folder / "manifest.json").write_text(json.dumps({**manifest, "process": {**process, "created": 0.0}}))
    _claim(trial).close()


def test_runs_of_another_recipe_are_not_taken_for_these(whole, monkeypatch, capsys):
    campaign = yaml.safe_load((whole.folder / "campaign.yaml").read_text())
    campaign["conditions"]["hicra"] = {"learning_rate": 1.0}
    (whole.folder / "campaign.yaml").write_text(yaml.safe_dump(campaign, sort_keys=False))
    message = "runs/hicra-seed1 is of another recipe than condition hicra (learning_rate): expected another folder"
    before = (whole.folder / "runs/campaign.json").read_text()
    assert_refused(whole.folder, message, monkeypatch, capsys)
    assert (whole.folder / "runs/campaign.json").read_text() == before


def test_a_task_of_a_slurm_array_trains_one_run(model_folder, lexicon_file, tmp_path):
    write_campaign(tmp_path, model_folder, lexicon_file, seeds=[1, 2])
    # What SLURM has on its nodes: it starts the command.
    (tmp_path / "srun").write_text('#!/bin/sh\nexec "$@"\n')
    (tmp_path / "hicra").write_text(f'#!/bin/sh\nexec {sys.executable} -m hicra_trl.cli.main "$@"\n')
    for name in ("srun", "hicra"):
        (tmp_path / name).chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    argv = ["bash", REPOSITORY / "slurm" / "campaign.sbatch", "--config", "campaign.yaml", "--dry_run"]
    variables = environment(PATH=path, SLURM_ARRAY_TASK_ID="1")
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, env=variables)
    assert done.returncode == 0, done.stderr
    assert "4 runs in runs, 1 to train" in done.stdout
    over = subprocess.run(
        argv, capture_output=True, text=True, cwd=tmp_path, env=variables | {"SLURM_ARRAY_TASK_ID": "4"}
    )
    assert over.returncode == 2 and "only must be below 4, the number of runs, got 4" in over.stderr
