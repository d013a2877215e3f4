import pytest
from datasets import Dataset

from hicra_trl import BoxedAccuracyReward
from hicra_trl.rewards import OverlongPenalty
from hicra_trl.training.rewards import RewardArguments, check_golds, drop_unreadable, load_rewards


PROMPTS = {"prompt": ["a", "b", "c"], "solution": ["2", r"\frac{3}{", r"\sqrt{2}"]}


def test_rewards_by_name_take_their_parameters_from_the_recipe():
    args = RewardArguments(
        ["boxed_accuracy", "overlong_penalty"], answer_after_think=True, grader_timeout=1.5, overlong_buffer=10
    )
    accuracy, penalty = load_rewards(args, max_completion_length=100)
    assert isinstance(accuracy, BoxedAccuracyReward) and isinstance(penalty, OverlongPenalty)
    assert accuracy([r"\boxed{6}", r"</think>\boxed{6}"], ["6", "6"]) == [0.0, 1.0]
    assert accuracy.grader.timeout == 1.5
    assert penalty(completion_ids=[[0] * 90, [0] * 100]) == [0.0, -1.0]


def test_a_dotted_path_may_name_a_function_or_a_class():
    path = "hicra_trl.rewards.BoxedAccuracyReward"
    (by_class,) = load_rewards(RewardArguments([path]), 100)
    assert isinstance(by_class, BoxedAccuracyReward)
    (by_function,) = load_rewards(RewardArguments(["hicra_trl.playground.countdown_reward"]), 100)
    assert by_function.__name__ == "countdown_reward"


def test_a_gold_answer_without_meaning_stops_the_run_when_data_are_loaded():
    prompts = Dataset.from_dict(PROMPTS)
    with pytest.raises(
        ValueError, match=r"1 of 3 gold answers cannot be graded against \(row 1, .*unreadable_golds: drop"
    ):
        check_golds(prompts, RewardArguments())
    check_golds(prompts.select([0, 2]), RewardArguments())
    check_golds(prompts, RewardArguments(["overlong_penalty"]))


def test_gold_answers_without_meaning_can_be_dropped(capsys):
    args = RewardArguments(unreadable_golds="drop")
    kept = drop_unreadable(Dataset.from_dict(PROMPTS), args)
    assert kept["prompt"][:] == ["a", "c"]
    assert "1 of 3 problems dropped" in capsys.readouterr().err
    check_golds(kept, args)
    with pytest.raises(ValueError, match="none of 1 gold answers"):
        drop_unreadable(Dataset.from_dict(PROMPTS).select([1]), args)
