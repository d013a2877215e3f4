import pytest

from hicra_trl import BoxedAccuracyReward, extract_boxed, grade
from hicra_trl.rewards import OverlongPenalty


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\boxed{5}", "5"),
        (r"\boxed{4} wait \boxed{5}", "5"),
        (r"\boxed {5}", "5"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{ 5 } and more", "5"),
        (r"\boxed{\boxed{5}}", r"\boxed{5}"),
        (r"\boxed{5} wait \boxed{", None),
        (r"\boxed{5} wait \boxed{6", None),
        (r"\boxed 5", None),
        (r"\fbox{5}", None),
        (r"\boxed{}", None),
        (r"\boxed{  }", None),
        (r"\boxed{4}\boxed{}", None),
        ("5", None),
        ("", None),
        (r"\boxed{" + "7" * 1000 + "}", "7" * 1000),
        (r"\boxed{" + "7" * 1001 + "}", None),
    ],
)
def test_the_last_box_decides(text, expected):
    assert extract_boxed(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"<think>\boxed{4}</think> so \boxed{5}", "5"),
        (r"<think>\boxed{4}</think> so 5", None),
        (r"\boxed{5}", None),
        (r"</think>\boxed{4}</think>\boxed{5}", "5"),
    ],
)
def test_a_box_can_be_asked_for_behind_the_thought(text, expected):
    assert extract_boxed(text, after_think=True) == expected


def test_depth_is_bounded():
    assert extract_boxed(r"\boxed{" + "{" * 50 + "1" + "}" * 50 + "}") is not None
    assert extract_boxed(r"\boxed{" + "{" * 51 + "1" + "}" * 51 + "}") is None


def test_nothing_counts_without_a_box():
    assert not grade("the answer is 5", "5")


def test_long_hostile_texts_take_linear_time():
    for text in (r"\boxed{" * 50_000, r"\boxed{1} and " * 50_000, "{" * 500_000, "\\" * 500_000):
        extract_boxed(text)
    assert not grade(rf"\boxed{{{'9' * 1000}}}", "8" * 4301)


def test_the_reward_reads_plain_and_conversational_completions():
    reward = BoxedAccuracyReward()
    plain = [r"so \boxed{6}", r"so \boxed{7}"]
    chats = [[{"role": "assistant", "content": text}] for text in plain]
    assert reward(completions=plain, solution=["6", "6"]) == [1.0, 0.0]
    assert reward(completions=chats, solution=["6", "6"], prompts=None) == [1.0, 0.0]


def test_the_reward_takes_whatever_a_conversation_holds():
    reward = BoxedAccuracyReward()
    chats = [
        [{"role": "assistant", "content": None}],
        [],
        [{"role": "assistant", "content": [{"type": "text", "text": r"\boxed{6}"}]}],
        [{"role": "assistant", "content": r"\boxed{5}"}, {"role": "tool", "content": "6"}],
        [{"role": "assistant", "content": b"6"}],
    ]
    assert reward(completions=chats, solution=["6"] * 5) == [0.0, 0.0, 1.0, 0.0, 0.0]


def test_the_reward_logs_answers_and_failures():
    extra, metrics = {}, {}
    reward = BoxedAccuracyReward()
    reward(
        completions=[r"\boxed{6}", "6"],
        solution=["6", "6"],
        log_extra=extra.__setitem__,
        log_metric=metrics.__setitem__,
    )
    assert extra == {"answer": ["6", ""]}
    assert metrics == {
        "rewards/answered": 0.5,
        "rewards/grader_timeouts": 0.0,
        "rewards/grader_out_of_memory": 0.0,
        "rewards/grader_crashes": 0.0,
        "rewards/grader_timeout_fraction": 0.0,
    }


def test_the_reward_takes_options():
    reward = BoxedAccuracyReward()
    completions = [r"\boxed{B}", r"\boxed{seven}", r"\boxed{7}"]
    assert reward(completions, ["seven", "B", "7"], choices=[["six", "seven"], ["six", "seven"], None]) == [1.0] * 3


def test_the_overlong_penalty_falls_along_its_buffer():
    penalty = OverlongPenalty(max_completion_length=10, buffer=4, penalty=2.0)
    assert penalty(completion_ids=[[0] * n for n in (0, 6, 7, 8, 10, 12)]) == [0.0, 0.0, -0.5, -1.0, -2.0, -2.0]
    with pytest.raises(ValueError, match="got buffer=11"):
        OverlongPenalty(max_completion_length=10, buffer=11)
