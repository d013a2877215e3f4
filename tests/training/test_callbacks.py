import json
import sys
from types import SimpleNamespace

from tqdm import tqdm
from transformers import TrainerState, TrainingArguments

from hicra_trl.training.callbacks import HealthCallback, summary_line


def test_a_training_step_is_one_line():
    logs = {"reward": 0.5, "completions/mean_length": 31.0, "hicra/semantic_entropy": 2.345, "loss": 0.1}
    assert summary_line(logs, 3, 60) == "step  3/60  reward 0.500  length 31.0  semantic entropy 2.35"


def test_an_evaluation_says_so():
    logs = {"eval_reward": 0.25, "eval_completions/mean_length": 9.0, "eval_loss": 0.0}
    assert summary_line(logs, 10, 60) == "step 10/60  held out  reward 0.250  length 9.0"


def test_other_logs_are_not_shown():
    assert summary_line({"train_runtime": 3.0}, 60, 60) is None


def test_held_out_measurements_are_one_line():
    logs = {"held_out/pass_at_1": 0.25, "held_out/pass_at_4": 0.5, "held_out/best_pass_at_4": 0.5}
    assert summary_line(logs, 10, 60) == "step 10/60  held out  pass@1 0.250  pass@4 0.500"


CUT = {"completions/clipped_ratio": 0.5}
SILENT = {"frac_reward_zero_std": 0.9}


def train(folder, rows, history=(), report_to="none", is_main=True):
    """Logs rows as Transformers does, behind a history."""
    args = TrainingArguments(str(folder), report_to=report_to)
    state = TrainerState(is_world_process_zero=is_main, log_history=list(history))
    callback = HealthCallback()
    callback.on_train_begin(args, state, None)
    for state.global_step, logs in rows:
        state.log_history.append({**logs, "step": state.global_step})
        callback.on_log(args, state, None, logs)
    return state.log_history


def rows(first, last, logs):
    return [(step, logs) for step in range(first, last + 1)]


def alarms(folder):
    return [(entry["name"], entry["step"]) for entry in map(json.loads, (folder / "health.jsonl").open())]


def test_nothing_is_said_while_all_is_well(tmp_path, capsys):
    train(tmp_path, rows(1, 19, CUT) + rows(20, 60, {"completions/clipped_ratio": 0.1, "loss": 0.0}))
    assert capsys.readouterr().out == "" and alarms(tmp_path) == []


def test_what_goes_wrong_is_said_once_and_kept(tmp_path, capsys):
    train(tmp_path, rows(1, 40, CUT) + rows(41, 80, CUT | SILENT))
    cut, silent = capsys.readouterr().out.splitlines()
    assert cut.startswith("warning, step 20: 50% of the completions of the last 20 steps were cut")
    assert silent.startswith("warning, step 60: all rewards were equal in 90% of the groups")
    assert alarms(tmp_path) == [("cut_completions", 20), ("silent_groups", 60)]


def test_each_alarm_is_in_the_file_at_once(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(tqdm, "write", lambda line: seen.append(alarms(tmp_path)))
    train(tmp_path, rows(1, 40, CUT) + rows(41, 80, SILENT))
    assert seen == [[("cut_completions", 20)], [("cut_completions", 20), ("silent_groups", 60)]]


def test_a_resume_says_what_is_new_and_forgets_what_came_after_its_checkpoint(tmp_path, capsys):
    whole = train(tmp_path, rows(1, 40, CUT) + rows(41, 80, SILENT))
    at_once = (tmp_path / "health.jsonl").read_text()
    capsys.readouterr()
    train(tmp_path, rows(51, 80, SILENT), history=whole[:50])
    assert capsys.readouterr().out.startswith("warning, step 60: all rewards were equal")
    assert (tmp_path / "health.jsonl").read_text() == at_once
    train(tmp_path, [], history=whole[:50])
    assert alarms(tmp_path) == [("cut_completions", 20)]


def test_a_new_run_drops_the_alarms_of_an_old_one(tmp_path):
    train(tmp_path, rows(1, 20, CUT))
    train(tmp_path, rows(1, 20, {}))
    assert alarms(tmp_path) == []


def test_the_main_process_alone_speaks(tmp_path, capsys):
    train(tmp_path, rows(1, 40, CUT), is_main=False)
    assert capsys.readouterr().out == "" and list(tmp_path.iterdir()) == []


def test_trackio_gets_alerts_where_it_reports(tmp_path, monkeypatch):
    alerts = []
    # Not installed here: what its documentation says that it takes.
    trackio = SimpleNamespace(alert=lambda title, text=None: alerts.append((title, text)))
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    train(tmp_path, rows(1, 40, CUT), report_to="none")
    assert alerts == []
    train(tmp_path, rows(1, 40, CUT), report_to=["tensorboard", "trackio"])
    [(title, text)] = alerts
    assert title.startswith("50% of the completions") and "raise max_completion_length" in text
