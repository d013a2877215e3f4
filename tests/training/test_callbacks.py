import pytest
from transformers import TrainerState

from hicra_trl.training.callbacks import ProblemCallback, summary_line


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


@pytest.mark.parametrize(
    ("metric", "fine", "bad", "said"),
    [
        ("frac_reward_zero_std", 0.5, 0.75, "all rewards were equal in 75% of the groups"),
        ("completions/clipped_ratio", 0.2, 0.25, "25% of the completions were cut"),
    ],
)
def test_what_wastes_samples_for_long_is_said_once(metric, fine, bad, said, capsys):
    callback, state = ProblemCallback(), TrainerState(is_world_process_zero=True)
    for value in (bad, bad, bad, bad, fine, bad, bad, bad, bad):
        callback.on_log(None, state, None, {metric: value})
        callback.on_log(None, state, None, {"eval_loss": 0.0})
    assert "warning" not in capsys.readouterr().out
    for _ in range(10):
        callback.on_log(None, state, None, {metric: bad})
    shown = capsys.readouterr().out
    assert shown.count("warning, step 0: ") == 1 and said in shown
