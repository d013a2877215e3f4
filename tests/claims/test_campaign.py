"""Campaigns of tiny runs, by the command line: kept, killed, failed, refused."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import yaml

from hicra_trl.analysis.campaign import Trial
from hicra_trl.claims.campaign import _claim
from hicra_trl.cli.main import main
from training.tiny_run import assert_equal, environment, results, write_recipe


CONDITIONS = {"grpo": {"alpha": 0.0}, "hicra": {}}
BROKEN = {"env": {"TROUBLE": "error", "TROUBLED_STEP": "3"}}


def write_campaign(folder, model_folder, lexicon_file, **fields):
    """A campaign of the tiny run, in a folder that has its data."""
    write_recipe(folder, model_folder, lexicon_file)
    campaign = {"folder": "runs", "overrides": {"recipe": "recipe.yaml"}, "conditions": CONDITIONS, **fields}
    (folder / "campaign.yaml").write_text(yaml.safe_dump(campaign, sort_keys=False))


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
    assert _claim(trial) is not None


WRONG = {
    "no such recipe": ({"conditions": {"a": {"recipe": "no.yaml"}}}, "no recipe at no.yaml"),
    "no recipe": ({"conditions": {"a": {"alpha": 0}}, "overrides": {}}, "condition a must name a recipe, got None"),
    "unknown field": (
        {"conditions": {"a": {"alhpa": 0.1}}},
        "condition a: the recipe has fields that are not known: alhpa",
    ),
    "unknown field of all": (
        {"overrides": {"recipe": "recipe.yaml", "x": 1}},
        "condition grpo: the recipe has fields",
    ),
    "wrong value": ({"conditions": {"a": {"alpha": 2.0}}}, "condition a: alpha must be in [0, 1), got 2.0"),
    "wrong data": ({"overrides": {"recipe": "recipe.yaml", "dataset_name": "no.jsonl"}}, "condition grpo: no dataset"),
    "same": ({"conditions": {"a": {}, "b": {"alpha": 0.4}}}, "conditions a and b are the same: expected different"),
    "not paired": ({"conditions": {"a": {}, "b": {"data_seed": 3}}}, "conditions a and b differ in data_seed"),
    "no conditions": ({"conditions": {}}, "expected conditions and seeds, got 0 and 2"),
    "no seeds": ({"seeds": []}, "expected conditions and seeds, got 2 and 0"),
    "a seed twice": ({"seeds": [1, 1]}, "seeds must be different, got [1, 1]"),
    "negative seed": ({"seeds": [-1]}, "seeds must be at least 0, got [-1]"),
    "no jobs": ({"jobs": 0}, "jobs must be at least 1, got 0"),
    "no run": ({"only": 4}, "only must be below 4, the number of runs, got 4"),
    "a name that is a path": ({"conditions": {"../a": {}}}, "a condition's name is part of a folder's"),
    "no mapping": ({"conditions": {"a": "recipe.yaml"}}, "condition a must be a mapping"),
    "its own field": ({"conditions": {"a": {"seed": 3}}}, "condition a sets seed: expected the campaign to"),
    "unknown": ({"condition": {}}, "the recipe has fields that are not known: condition"),
    "accuracy": ({"accuracies": [60]}, "accuracies must be in [0, 1], got [60]"),
    "spread": ({"spread": 0.0}, "spread must be above 0, got 0.0"),
}


@pytest.mark.parametrize(("fields", "message"), WRONG.values(), ids=WRONG)
def test_wrong_campaigns_get_one_line_before_anything_starts(
    fields, message, model_folder, lexicon_file, tmp_path, monkeypatch, capsys
):
    write_campaign(tmp_path, model_folder, lexicon_file, **{"seeds": [1, 2], **fields})
    assert_refused(tmp_path, message, monkeypatch, capsys)


def test_a_condition_that_is_there_twice_is_refused(model_folder, lexicon_file, tmp_path, monkeypatch, capsys):
    write_campaign(tmp_path, model_folder, lexicon_file, seeds=[1])
    with (tmp_path / "campaign.yaml").open("a") as file:
        file.write("conditions: {a: {}, a: {alpha: 0.1}}\n")
    assert_refused(tmp_path, "the recipe has fields more than once: conditions", monkeypatch, capsys)
    (tmp_path / "campaign.yaml").write_text("folder: runs\nseeds: [1]\nconditions: {a: {}, a: {alpha: 0.1}}\n")
    assert_refused(tmp_path, "the recipe has fields more than once: a", monkeypatch, capsys)


def test_runs_of_another_recipe_are_not_taken_for_these(whole, monkeypatch, capsys):
    campaign = yaml.safe_load((whole.folder / "campaign.yaml").read_text())
    campaign["conditions"]["hicra"] = {"learning_rate": 1.0}
    (whole.folder / "campaign.yaml").write_text(yaml.safe_dump(campaign, sort_keys=False))
    message = "runs/hicra-seed1 is of another recipe than condition hicra (learning_rate): expected another folder"
    before = (whole.folder / "runs/campaign.json").read_text()
    assert_refused(whole.folder, message, monkeypatch, capsys)
    assert (whole.folder / "runs/campaign.json").read_text() == before


def assert_refused(folder, message, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(os.path.join(os.path.dirname(__file__), "..", "training"))
    there = sorted(folder.rglob("*"))
    with pytest.raises(SystemExit) as ended:
        main(["campaign", "--config", "campaign.yaml"])
    shown = capsys.readouterr().err
    assert ended.value.code == 2 and message in shown and shown.count("\n") == 1, shown
    assert sorted(folder.rglob("*")) == there
