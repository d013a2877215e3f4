"""Runs are told apart by what they recorded: methods by their settings, seeds by their seed, finished or not."""

import json
import shutil

import pytest

from analysis.run_folders import leave_run
from hicra_trl.analysis.runs import Run, read_runs


def told_apart(runs):
    return {method: [*seeds] for method, seeds in read_runs(runs).items()}


def test_runs_that_differ_in_the_seed_alone_are_seeds_of_one_method(tmp_path):
    runs = [
        leave_run(tmp_path / "h2", 2, alpha=0.2, save_steps=7, output_dir="elsewhere", hub_model_id="me/h2"),
        leave_run(tmp_path / "g1", 1),
        leave_run(tmp_path / "h1", 1, alpha=0.2),
    ]
    assert told_apart(runs) == {"GRPO": ["1"], "HICRA": ["2", "1"]}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"alpha": 0.0}, "GRPO"),
        ({"alpha": 0.4}, "HICRA"),
        ({"alpha": 0.2, "credit": "random"}, "random credit"),
        ({"alpha": 0.2, "credit": "high_entropy"}, "high-entropy credit"),
        # A choice of tokens changes nothing at alpha 0.
        ({"alpha": 0.0, "credit": "random"}, "GRPO"),
        ({"entropy_coef": 0.001}, "GRPO, entropy regularization"),
        ({"top_entropy_quantile": 0.2}, "GRPO, top 20% entropy"),
    ],
)
def test_a_method_is_named_by_its_credit(settings, name, tmp_path):
    assert told_apart([leave_run(tmp_path / "run", **settings)]) == {name: ["1"]}


def test_methods_of_one_credit_are_told_apart_by_what_differs(tmp_path):
    def labels(*settings):
        folders = [leave_run(tmp_path / str(i), **fields) for i, fields in enumerate(settings)]
        found = [*told_apart(folders)]
        for folder in folders:
            shutil.rmtree(folder)
        return found

    assert labels({"alpha": 0.2}, {"alpha": 0.4}) == ["HICRA, alpha 0.2", "HICRA, alpha 0.4"]
    lexicons = labels({"alpha": 0.2}, {"alpha": 0.2, "lexicon": "runs/my_grams"}, {})
    assert lexicons == ["GRPO", "HICRA, lexicon paper", "HICRA, lexicon my_grams"]
    # One setting that differs is enough, and what has no other name is counted.
    rates = labels({"learning_rate": 1e-6, "temperature": 1.0}, {"learning_rate": 1e-5, "temperature": 0.9})
    assert rates == ["GRPO, learning_rate 1e-06", "GRPO, learning_rate 1e-05"]
    assert labels({"lexicon": "a/grams"}, {"lexicon": "b/grams"}) == ["GRPO", "GRPO (2)"]


def test_a_field_that_an_older_run_lacks_tells_nothing_apart(tmp_path):
    runs = [leave_run(tmp_path / "new", 2, a_new_field=3), leave_run(tmp_path / "old", 1)]
    assert told_apart(runs) == {"GRPO": ["2", "1"]} and told_apart(runs[::-1]) == {"GRPO": ["1", "2"]}


def test_a_seed_that_is_there_twice_keeps_its_folder(tmp_path):
    first, again = leave_run(tmp_path / "first", 1), leave_run(tmp_path / "again", 1, data_seed=2)
    assert told_apart([first, again]) == {"GRPO": [f"1 ({first})", f"1 ({again})"]}


def test_a_run_that_is_not_finished_is_read_up_to_its_newest_checkpoint(tmp_path):
    run = leave_run(tmp_path / "run", logs=[{"step": 40, "reward": 0.5}], step=40)
    older = run / "checkpoint-8"
    older.mkdir()
    (older / "trainer_state.json").write_text(json.dumps({"global_step": 8, "log_history": [{"step": 8}]}))
    (older / "strategic_grams").mkdir()
    assert Run.read(run).logs == [{"step": 40, "reward": 0.5}]
    assert Run.read(run).lexicon == older / "strategic_grams"
    # One that was being written is passed over.
    (run / "checkpoint-48").mkdir()
    (run / "checkpoint-48" / "trainer_state.json").write_text('{"global_step": 48, "log_hi')
    assert Run.read(run).logs == [{"step": 40, "reward": 0.5}]
    # What an earlier end left counts while it is the newest.
    (run / "trainer_state.json").write_text(json.dumps({"global_step": 20, "log_history": [{"step": 20}]}))
    assert Run.read(run).logs[-1]["step"] == 40
    shutil.rmtree(run / "checkpoint-40")
    assert Run.read(run).logs[-1]["step"] == 20


def test_a_run_without_a_log_has_none(tmp_path):
    run = leave_run(tmp_path / "run")
    (run / "trainer_state.json").unlink()
    assert Run.read(run).logs == []


def test_what_the_playground_counted_of_the_base_is_the_first_evaluation(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "outcomes.json").write_text(json.dumps({"accuracy": 0.25, "outcomes": {"correct": 0.25}}))
    evaluation = {"step": 10, "eval_hicra/pass_at_1": 0.5}
    run = Run.read(leave_run(tmp_path / "run", logs=[evaluation], base="base"))
    assert run.logs == [{"step": 0, "eval_hicra/pass_at_1": 0.25}, evaluation]
    assert Run.read(leave_run(tmp_path / "other", logs=[{"step": 1}], base="base")).logs == [{"step": 1}]


def test_what_is_no_run_is_said_in_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"no run at .*nowhere: expected a folder with manifest\.json"):
        read_runs([tmp_path / "nowhere"])
    run = leave_run(tmp_path / "run")
    with pytest.raises(ValueError, match="is given more than once: expected different runs"):
        read_runs([run, tmp_path / "run" / "." / "checkpoint" / ".."])
    (run / "manifest.json").write_text('{"seed": "one"}')
    with pytest.raises(ValueError, match=r"manifest\.json: expected 'seed' as hicra writes it, got 'one'"):
        read_runs([run])
