"""What `hicra campaign` refuses, and what it says before it starts."""

from pathlib import Path

import pytest

from analysis.test_findings import leave_campaign
from claims.campaigns import assert_refused, write_campaign
from hicra_trl.analysis.campaign import Campaign
from hicra_trl.cli.campaign import _can_show, _mass_moved, _places, _time


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


def test_jobs_share_cores_and_gpus(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: range(9))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    assert _places(1) == [{}]
    assert [place["CUDA_VISIBLE_DEVICES"] for place in _places(2)] == ["4,6", "5,7"]
    assert [place["CUDA_VISIBLE_DEVICES"] for place in _places(5)] == ["4", "5", "6", "7", "4"]
    assert {place["OMP_NUM_THREADS"] for place in _places(2)} == {"4"}
    assert {place["OMP_NUM_THREADS"] for place in _places(100)} == {"1"}
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert {place["OMP_NUM_THREADS"] for place in _places(2)} == {"3"}


def campaign(conditions, seeds):
    return Campaign(Path("nowhere"), {name: {} for name in conditions}, seeds, [])


def test_what_can_be_shown_is_said_from_the_spread_that_is_given_or_found(tmp_path):
    asked = campaign(["grpo", "hicra"], [1, 2, 3, 4, 5])
    text = _can_show(0.02, asked, campaign([], []))
    # 1.68 spreads
    assert "a true difference of 0.034, four times out of five: paired t-test over 5 seeds" in text
    assert "(0.041 as one of 2, by Holm" in _can_show(0.02, campaign(["grpo", "a", "b"], [1, 2, 3, 4, 5]), asked)
    there = leave_campaign(tmp_path, {"grpo": {1: [0.5], 2: [0.5]}, "hicra": {1: [0.5], 2: [0.54]}}, seeds=[1, 2])
    found = _can_show(None, asked, there)
    assert "difference of 0.048, four" in found and "that of 2 differences in held_out/pass_at_1" in found
    assert "not known: expected spread, or two" in _can_show(None, asked, campaign(["grpo"], [1]))
    assert "no difference: expected two" in _can_show(0.1, campaign(["grpo", "hicra"], [1]), asked)


def test_the_mass_that_a_condition_moves():
    assert _mass_moved(0.0, [0.1], [0.1]) == "none"
    assert _mass_moved(0.2, [], [0.1, 0.3]) == "about 4.0 %"
    assert _mass_moved(0.2, [0.01, 0.03], [0.1]) == "2.0 %"
    assert _mass_moved(0.2, [], []) == "about 0.2 x share of planning tokens"


def test_the_time_is_that_of_finished_runs(tmp_path):
    there = leave_campaign(tmp_path, {"grpo": {1: [0.5], 2: None}}, seeds=[1, 2])
    there.runs["grpo"][1].manifest["started"] = "2025-12-31T23:50:00+00:00"
    assert _time(there, num_left=6, jobs=2) == "about 30 minutes; a finished run took 10.0"
    assert _time(campaign(["grpo"], [1]), 1, 1) == "not known before a run is finished"
