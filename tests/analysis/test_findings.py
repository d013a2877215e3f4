"""What a campaign shows, of runs whose truth is known."""

import json

import numpy as np
import pytest

from analysis.run_folders import HELD_OUT, leave_campaign
from hicra_trl.analysis.campaign import Campaign
from hicra_trl.analysis.findings import find


SEEDS = [1, 2, 3, 4, 5]


@pytest.fixture
def campaign(tmp_path):
    """Seeds differ by much, and hicra is 0.1 better in each; one of its runs failed."""
    noise = dict(zip(SEEDS, np.random.default_rng(0).normal(0, 0.002, 5)))
    base = {1: 0.3, 2: 0.4, 3: 0.5, 4: 0.6, 5: 0.7}
    curves = {
        "grpo": {seed: [0.1, value / 2, value] for seed, value in base.items()},
        "hicra": {seed: [0.1, value, value + 0.1 + noise[seed]] for seed, value in base.items()},
    }
    curves["hicra"][5] = None
    (tmp_path / "hicra-seed5.log").write_text("a traceback\nhicra train: stopped in step 2: \x1b[1mKeyError\n")
    return leave_campaign(tmp_path, curves)


def test_a_difference_is_paired_by_seed(campaign):
    found = find(campaign)
    grpo, hicra = found.main
    assert (grpo.metric, grpo.mean, grpo.difference) == (HELD_OUT, pytest.approx(0.5), None)
    # The fifth seed is in the mean of one condition, and in no difference.
    assert len(grpo.values) == 5 and len(hicra.values) == 4
    assert hicra.difference == pytest.approx(0.1, abs=0.005) and hicra.difference_half < 0.01 < hicra.half
    assert hicra.corrected_p_value == hicra.p_value < 0.001 and hicra.detectable < 0.02


def test_all_other_metrics_are_corrected_together(campaign):
    rows = [row for row in find(campaign).others if row.condition == "hicra"]
    assert [row.metric for row in rows] == ["reward", "hicra/semantic_entropy"]
    assert [row.corrected_p_value for row in rows] == pytest.approx([2 * row.p_value for row in rows])


def test_steps_to_an_accuracy_count_who_never_gets_there(campaign):
    assert [*find(campaign).steps] == [pytest.approx(0.5)]
    found = find(campaign, accuracies=[0.45])
    assert found.steps[0.45] == {
        "grpo": {1: None, 2: None, 3: 20, 4: 20, 5: 20},
        "hicra": {1: None, 2: 20, 3: 10, 4: 10},
    }
    rows = {line.split()[0]: line.split() for line in found.text().partition("steps to 45.0%")[2].splitlines()[2:4]}
    assert rows["grpo"] == ["grpo", "3", "of", "5", "20", "never", "never", "20", "20", "20"]
    assert rows["hicra"] == ["hicra", "3", "of", "4", "15", "never", "20", "10", "10"]


def test_another_baseline_turns_the_difference_round(campaign):
    [grpo] = [row for row in find(campaign, "hicra").main if row.condition == "grpo"]
    assert grpo.difference == pytest.approx(-0.1, abs=0.005)
    with pytest.raises(ValueError, match="baseline must be one of grpo, hicra, got 'ppo'"):
        find(campaign, "ppo")


def test_a_run_that_is_not_finished_is_said_with_its_last_words(campaign, tmp_path):
    found = find(campaign)
    assert found.warnings == ["hicra-seed5 is not finished. hicra train: stopped in step 2: [1mKeyError"]
    assert "9 of 10 runs finished" in found.text()
    assert found.to_json()["unfinished"] == ["hicra-seed5"]
    page = found.write_page(tmp_path / "report.html").read_text()
    assert found.warnings[0] in page and "<svg" in page and "<script" not in page


def test_json_has_what_the_tables_have(campaign):
    found = json.loads(json.dumps(find(campaign).to_json()))
    row = found["metrics"][1]
    assert row["values"].keys() == {"1", "2", "3", "4"} and row["mean"] == pytest.approx(
        np.mean([*row["values"].values()])
    )
    assert found["steps"][0]["steps"]["1"] is None and found["steps"][0]["median"] == 20


def test_the_end_is_the_last_tenth(tmp_path):
    curve = [*np.linspace(0, 0.9, 19), 1.0]
    found = find(leave_campaign(tmp_path, {"grpo": {1: curve}}, seeds=[1]))
    assert found.main[0].mean == pytest.approx(np.mean(curve[-2:])) and found.main[0].half is None


def test_runs_of_different_bases_are_not_paired(campaign, tmp_path):
    manifest = json.loads((tmp_path / "grpo-seed1/manifest.json").read_text())
    manifest["model"]["fingerprint"] = "other"
    (tmp_path / "grpo-seed1/manifest.json").write_text(json.dumps(manifest))
    assert "not paired: they began with different model" in find(Campaign.read(tmp_path)).text()


def test_nothing_finished_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"no run in .* is finished: grpo-seed1 is not finished"):
        find(leave_campaign(tmp_path, {"grpo": {1: None}}, seeds=[1]))
    with pytest.raises(ValueError, match="no campaign at nowhere"):
        Campaign.read("nowhere")
