from hicra_trl.training.callbacks import summary_line


def test_a_training_step_is_one_line():
    logs = {"reward": 0.5, "completions/mean_length": 31.0, "hicra/semantic_entropy": 2.345, "loss": 0.1}
    assert summary_line(logs, 3, 60) == "step  3/60  reward 0.500  length 31.0  semantic entropy 2.35"


def test_an_evaluation_says_so():
    logs = {"eval_reward": 0.25, "eval_completions/mean_length": 9.0, "eval_loss": 0.0}
    assert summary_line(logs, 10, 60) == "step 10/60  held out  reward 0.250  length 9.0"


def test_other_logs_are_not_shown():
    assert summary_line({"train_runtime": 3.0}, 60, 60) is None
