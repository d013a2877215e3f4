import pytest

from hicra_trl import BoxedAccuracyReward, extract_boxed, grade


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
    ("answer", "gold"),
    [
        ("25", "025"),
        ("27.0", "27"),
        ("1,234", "1234"),
        ("1{,}234", "1234"),
        (r"1\,234", "1234"),
        ("0.5", "1/2"),
        (r"\frac{1}{2}", ".5"),
        (r"-\dfrac{3}{4}", "-0.75"),
        (r"\tfrac{-3}{4}", "-3/4"),
        ("+3", "3"),
        ("-0", "0"),
        ("x+1", "x + 1"),
        ("$7$", "7"),
        ("7.", "7"),
        (r"\pi r", r"\pi  r"),
    ],
)
def test_equal_answers(answer, gold):
    assert grade(rf"\boxed{{{answer}}}", gold)


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("25", "26"),
        ("12", "1 2"),
        ("1,2", "12"),
        ("(1,234)", "(1234)"),
        ("0.3333", "1/3"),
        ("1/0", "2/0"),
        ("x+1", "1+x"),
        ("٣", "3"),
        ("5", "-5"),
        ("-", "0"),
        ("", "0"),
        ("1e3", "1000"),
        ("50%", "0.5"),
    ],
)
def test_different_answers(answer, gold):
    assert not grade(rf"\boxed{{{answer}}}", gold)


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
