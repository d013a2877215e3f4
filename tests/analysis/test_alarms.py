"""The alarms of a run are read from its logs, wherever it has left them, and `hicra health` acts on them."""

import json

import pytest

from hicra_trl.analysis.alarms import read_alarms
from hicra_trl.cli.main import main


def leave(folder, steps, name="trainer_state.json", clipped=0.5):
    """What a training writes into its folder."""
    rows = [{"completions/clipped_ratio": clipped, "grad_norm": 1.0, "step": step} for step in range(1, steps + 1)]
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({"global_step": steps, "log_history": rows}))
    return folder


def names(run):
    return [alarm.name for alarm in read_alarms(run)]


def test_the_logs_of_a_finished_run_are_judged(tmp_path):
    assert names(leave(tmp_path / "cut", 30)) == ["cut_completions"]
    assert names(leave(tmp_path / "well", 30, clipped=0.0)) == []


def test_the_longest_history_counts(tmp_path):
    leave(tmp_path, 10)
    leave(tmp_path, 9, "checkpoint-9/trainer_state.json")
    assert names(tmp_path) == []
    leave(tmp_path, 100, "checkpoint-100/trainer_state.json")
    assert names(tmp_path) == names(tmp_path / "checkpoint-100") == ["cut_completions"]
    assert names(tmp_path / "checkpoint-9") == []
    (tmp_path / "checkpoint-101").mkdir()
    (tmp_path / "checkpoint-101" / "trainer_state.json").write_text('{"log_hist')
    assert names(tmp_path) == ["cut_completions"]


def test_what_a_run_has_said_since_its_checkpoint_counts(tmp_path):
    said = {"step": 40, "name": "not_finite", "value": 1, "threshold": 0, "says": "s", "why": "w", "remedy": "r"}
    (tmp_path / "health.jsonl").write_text(json.dumps(said) + "\n")
    assert names(tmp_path) == ["not_finite"]
    leave(tmp_path, 30, "checkpoint-30/trainer_state.json")
    assert names(tmp_path) == ["cut_completions", "not_finite"]


def test_a_loss_that_is_no_number_is_read_back(tmp_path):
    rows = [{"loss": float("nan"), "step": 1}]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    assert names(tmp_path) == ["not_finite"]


def test_the_exit_status_tells_a_scheduler(tmp_path, capsys):
    well, cut = leave(tmp_path / "well", 30, clipped=0.0), leave(tmp_path / "cut", 30)
    assert main(["health", str(well)]) == 0
    assert capsys.readouterr().out == f"{well}: no alarms\n"
    assert main(["health", str(well), str(cut)]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith(f"{well}: no alarms\n{cut}: 1 alarm\n  cut_completions  step 20: 50% of the completions")
    assert "\n  what to do       raise max_completion_length" in shown
    assert max(map(len, shown.splitlines()[2:])) <= 110


STEP_BACK = [{"step": 2}, {"step": 1}]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({}, "no run at RUN: expected a folder with trainer_state.json"),
        ({"trainer_state.json": "{"}, "cannot read RUN/trainer_state.json"),
        ({"trainer_state.json": "[]"}, "RUN/trainer_state.json: expected an object, got list"),
        ({"trainer_state.json": '{"log_history": 3}'}, "RUN/trainer_state.json: expected 'log_history'"),
        ({"trainer_state.json": json.dumps({"log_history": STEP_BACK})}, "expected logs with growing steps, got"),
        ({"trainer_state.json": '{"log_history": [7]}'}, "expected logs with growing steps, got 7"),
        ({"trainer_state.json": '{"log_history": [{"loss": 1.0}]}'}, "expected logs with growing steps"),
        ({"health.jsonl": '{"step": 1'}, "cannot read RUN/health.jsonl: expected an alarm in each line"),
        ({"health.jsonl": '{"step": 1}'}, "cannot read RUN/health.jsonl"),
        ({"health.jsonl": "[1]"}, "cannot read RUN/health.jsonl"),
    ],
)
def test_what_is_no_run_gets_one_line_and_status_2(tmp_path, capsys, written, said):
    for name, text in written.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(["health", str(tmp_path)])
    shown = capsys.readouterr().err
    assert ended.value.code == 2 and shown.count("\n") == 1
    assert shown.startswith("hicra health: ") and said.replace("RUN", str(tmp_path)) in shown


@pytest.mark.parametrize("argv", [["--all"], ["RUN", "--config=x"], ["RUN/no"], ["RUN/file"]])
def test_other_arguments_get_one_line_and_status_2(tmp_path, capsys, argv):
    (leave(tmp_path, 3) / "file").write_text("")
    with pytest.raises(SystemExit) as ended:
        main(["health", *(part.replace("RUN", str(tmp_path)) for part in argv)])
    assert ended.value.code == 2 and capsys.readouterr().err.count("\n") == 1
