import json

import pytest

from hicra_trl.analysis.comparison import HEADER, comparison_rows, comparison_text, outcome_rows
from hicra_trl.dynamics.statistics import mean_and_interval


@pytest.fixture
def folders(tmp_path):
    def leave(name, accuracy):
        outcomes = {"correct": accuracy, "strategy: gave up": 0.1, "strategy: skipped the check": 0.05}
        outcomes["execution: wrong step"] = 0.85 - accuracy
        record = {"accuracy": accuracy, "step_accuracy": 0.98, "mean_length": 30.0, "outcomes": outcomes}
        (tmp_path / name).mkdir()
        # The base's is of an older version.
        file = "evaluation.json" if name == "base" else "outcomes.json"
        (tmp_path / name / file).write_text(json.dumps(record))
        return tmp_path / name

    return {
        "base": [leave("base", 0.25)],
        "grpo": [leave("g1", 0.5), leave("g2", 0.6)],
        "hicra": [leave("h1", 0.6), leave("h2", 0.7)],
    }


def test_the_interval_is_students():
    assert mean_and_interval([0.7, 0.8, 0.9]) == (pytest.approx(0.8), pytest.approx(4.302653 * 0.1 / 3**0.5))
    assert mean_and_interval([0.7]) == (0.7, None)


def test_rows_by_hand(folders):
    base, grpo, _ = comparison_rows(folders)
    assert dict(zip(HEADER, base)) == {
        "": "base",
        "accuracy": "25.0 %",
        "gain": "",
        "steps right": "98.0 %",
        "tokens": "30.0",
        "strategy errors": "15.0 %",
        "execution errors": "60.0 %",
    }
    # Two seeds: 12.706 * 0.0707 / sqrt(2) = 0.635
    assert grpo[:3] == ("GRPO", "55.0 +- 63.5 %", "+30.0")


def test_outcomes_by_hand(folders):
    header, rows = outcome_rows(folders)
    assert header == ["", "base", "GRPO", "HICRA"]
    assert rows[0][:2] == ["correct", "25.0 %"] and rows[0][2] == "55.0 +- 63.5 %"
    assert rows[1] == ["strategy: gave up", "10.0 %", "10.0 +- 0.0 %", "10.0 +- 0.0 %"]


def test_the_difference_is_paired_by_seed(folders):
    assert comparison_text(folders).endswith("HICRA - GRPO: +10.0 +- 0.0 points over 2 seeds: they differ")
    folders["hicra"].reverse()
    assert comparison_text(folders).endswith("no difference that the seeds can show")
    one = {method: runs[:1] for method, runs in folders.items()}
    assert comparison_text(one).endswith("with one seed, which cannot tell the two apart")
