"""Verdicts of a model behind a server that does all that servers do: asked again, stored at once, never guessed."""

import json
import threading
import time

import openai
import pytest

from hicra_trl.analysis.judge.judges import RuleJudge
from hicra_trl.analysis.judge.model_judge import ModelJudge
from hicra_trl.analysis.judge.question import Answer, Solution
from hicra_trl.analysis.judge.verdicts import judge_all, read_unusable, read_verdicts
from hicra_trl.evaluation.engines import server_engine
from hicra_trl.evaluation.engines.server_engine import ServerEngine
from hicra_trl.evaluation.settings import EvalArguments
from model_server import completion_of, model_server


SOLUTIONS = [Solution(f"s/{n}", f"What is {n} + {n}?", f"It is {n * 3}.", step=n, correct=False) for n in range(6)]


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(server_engine, "PAUSE", 0.001)
    with model_server() as server:
        server.answer = lambda body, number: (200, said(body))
        yield server


def judge_of(server, attempts=3, **changed):
    settings = {"temperature": 0.0, "max_tokens": 64, "concurrency": 1, **changed}
    args = EvalArguments(
        model="tiny", engine="server", base_url=server.url, benchmarks=["judge"], instruction="", **settings
    )
    return ModelJudge(ServerEngine(args), "server tiny", {"temperature": args.temperature}, attempts)


def text_of(body):
    return body["messages"][-1]["content"]


def said(body, text=None, reason="stop", **changed):
    """The right answer to what was asked, but for what is changed."""
    quote = text_of(body).split("<solution>\n")[1].split("\n</solution>")[0]
    answer = {"reason": "It is less.", "quote": quote, "label": "execution", **changed}
    completion = completion_of(body, json.dumps(answer) if text is None else text, reason)
    completion["usage"]["prompt_tokens"] = 100
    return completion


def test_whatever_happens_on_the_way_the_right_verdict_is_reached(server, monkeypatch, tmp_path):
    monkeypatch.setattr(server_engine, "TIMEOUT", openai.Timeout(0.4, connect=5))
    right = json.dumps({"reason": "r", "quote": "It is 15.", "label": "execution"})
    script = [
        lambda body: time.sleep(1) or (200, b""),
        lambda body: (429, b"slow down"),
        lambda body: (500, b"busy"),
        lambda body: (200, b"<html>gateway</html>"),
        lambda body: (200, b'{"choices": [{"message": {"cont'),
        lambda body: (200, said(body, right[: len(right) // 2], "length")),
        lambda body: (200, said(body, quote="It is 16.")),
        lambda body: (200, said(body, label="C")),
        lambda body: (200, said(body)),
    ]
    server.answer = lambda body, number: script[number - 1](body)
    [verdict] = judge_all(SOLUTIONS[5:], judge_of(server, attempts=4), tmp_path / "v.jsonl")
    assert (verdict.label, verdict.quote, verdict.step, verdict.key) == ("execution", "It is 15.", 5, "s/5")
    assert len(server.seen) == len(script) and verdict.asked == 4
    assert verdict.tokens == {"prompt": 400, "answer": 20}
    asked = [text_of(body) for _, body, _ in server.seen]
    # What did not reach the judge is asked as before; what it got wrong, with what is wrong.
    assert len(set(asked[:6])) == 1 and all(text.startswith(asked[0]) for text in asked)
    for text, problem in zip(asked[6:], ("cut after 5 tokens", "does not occur in the solution: 'It is 16.'", "'C'")):
        assert problem in text[len(asked[0]) :]
    assert read_verdicts(tmp_path / "v.jsonl") == [verdict]


def test_after_the_last_attempt_a_verdict_is_unreadable_and_no_class(server, tmp_path):
    server.answer = lambda body, number: (200, said(body, label="C" if "5 + 5" in text_of(body) else "strategy"))
    *others, last = judge_all(SOLUTIONS, judge_of(server), tmp_path / "v.jsonl")
    assert {verdict.label for verdict in others} == {"strategy"} and len(server.seen) == 5 + 3
    assert (last.label, last.quote, last.asked, last.tokens["answer"]) == ("unreadable", "", 3, 15)
    assert "the label is 'C'" in last.reason


def test_an_answer_in_vain_is_kept_and_not_asked_for_again(server, tmp_path):
    file = tmp_path / "v.jsonl"
    wrong = {"label": "C"}
    server.answer = lambda body, number: (200, said(body, **wrong)) if number < 9 else (401, b"no credit")
    with pytest.raises(ValueError, match="no credit"):
        judge_all(SOLUTIONS, judge_of(server), file)
    kept = read_unusable(tmp_path / "v.unusable.jsonl")
    assert len(kept) == 8 and not read_verdicts(file) and all("the label is 'C'" in one.problem for one in kept)
    asked = len(server.seen)
    server.answer = lambda body, number: (200, said(body))
    verdicts = judge_all(SOLUTIONS, judge_of(server), file)
    assert len(server.seen) == asked + 6 and sorted(verdict.asked for verdict in verdicts) == [2, 2, 2, 2, 3, 3]
    assert all("You answered this before" in text_of(body) for _, body, _ in server.seen[asked:])
    assert sum(verdict.tokens["answer"] for verdict in verdicts) == 5 * (8 + 6)


def test_what_is_longer_than_the_context_is_not_asked_and_unreadable(server, tmp_path):
    judge = ModelJudge(judge_of(server)._engine, "server tiny", {}, 3, context=1000)
    long = Solution("long", "What?", "It is 0. " * 500)
    first, last = judge_all([SOLUTIONS[0], long], judge, tmp_path / "v.jsonl")
    assert (first.label, last.label, last.asked) == ("execution", "unreadable", 0) and len(server.seen) == 1
    assert "expected fewer than the 1000 of the context" in last.reason


def test_what_stays_wrong_with_a_server_is_an_error_and_what_came_before_is_kept(server, tmp_path):
    file = tmp_path / "v.jsonl"
    server.answer = lambda body, number: (200, said(body)) if number < 4 else (401, b"no credit")
    with pytest.raises(ValueError, match="answered 401: no credit"):
        judge_all(SOLUTIONS, judge_of(server), file)
    assert len(read_verdicts(file)) == 3
    server.answer = lambda body, number: (200, said(body))
    before = len(server.seen)
    assert len(judge_all(SOLUTIONS, judge_of(server), file)) == 6 and len(server.seen) == before + 3


def test_what_is_stored_or_equal_costs_no_request(server, tmp_path):
    file = tmp_path / "v.jsonl"
    equal = [Solution(f"again/{n}", one.problem, one.text, step=9) for n, one in enumerate(SOLUTIONS)]
    verdicts = judge_all([*SOLUTIONS, *equal], judge_of(server), file)
    assert len(server.seen) == 6
    assert [verdict.key for verdict in verdicts] == [one.key for one in (*SOLUTIONS, *equal)]
    assert [verdict.quote for verdict in verdicts] == [one.text for one in SOLUTIONS] * 2
    assert sum(verdict.asked for verdict in verdicts) == 6 and {verdict.step for verdict in verdicts[6:]} == {9}
    assert judge_all([*SOLUTIONS, *equal], judge_of(server), file) == verdicts
    third = [Solution("third", SOLUTIONS[0].problem, SOLUTIONS[0].text)]
    assert judge_all(third, judge_of(server), file)[0].label == "execution" and len(server.seen) == 6
    assert len(read_verdicts(file)) == 13


def test_a_torn_last_line_is_written_again(server, tmp_path):
    file = tmp_path / "v.jsonl"
    verdicts = judge_all(SOLUTIONS, judge_of(server), file)
    whole = file.read_bytes()
    for cut in (1, 40):
        file.write_bytes(whole[:-cut])
        before = len(server.seen)
        assert judge_all(SOLUTIONS, judge_of(server), file) == verdicts and len(server.seen) == before + 1
        assert file.read_bytes() == whole


@pytest.mark.parametrize(
    "line, said",
    [
        (b"{}\n", "expected a verdict, got b'{}"),
        (b"nonsense\n", "expected a verdict, got b'nonsense"),
        (b'{"schema_version": 2}\n', "schema_version 2, expected 1"),
        (None, "is there twice"),
    ],
)
def test_a_broken_file_is_named_and_left_as_it_is(server, tmp_path, line, said):
    file = tmp_path / "v.jsonl"
    judge_all(SOLUTIONS, judge_of(server), file)
    content = (line or file.read_bytes().splitlines(keepends=True)[0]) + file.read_bytes()[:-1]
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"v.jsonl, line \d: .*{said}"):
        judge_all(SOLUTIONS, judge_of(server), file)
    assert file.read_bytes() == content


def test_verdicts_of_another_judge_or_on_other_solutions_are_not_mixed(server, tmp_path):
    file = tmp_path / "v.jsonl"
    judge_all(SOLUTIONS, judge_of(server), file)
    rule = RuleJudge("exact", lambda solution: Answer("dummy", solution.text, "so"))
    with pytest.raises(ValueError, match="has verdicts of server tiny, got exact: expected the same, or another"):
        judge_all(SOLUTIONS, rule, file)
    for other in (judge_of(server, temperature=0.5), judge_of(server)):
        changed = SOLUTIONS if other._parameters["temperature"] else [Solution("s/0", "What is 0 + 0?", "It is 7.")]
        with pytest.raises(ValueError, match="has a verdict on s/0 to another question, with other settings or on"):
            judge_all(changed, other, file)
    assert len(server.seen) == 6


def test_two_judges_do_not_write_at_once(server, tmp_path):
    file, waiting, going = tmp_path / "v.jsonl", threading.Event(), threading.Event()

    def slow(body, number):
        waiting.set()
        going.wait(10)
        return 200, said(body)

    server.answer = slow
    thread = threading.Thread(target=judge_all, args=(SOLUTIONS, judge_of(server), file))
    thread.start()
    assert waiting.wait(10)
    with pytest.raises(ValueError, match="is in use: another judge writes there"):
        judge_all(SOLUTIONS, judge_of(server), file)
    going.set()
    thread.join(10)
    assert len(read_verdicts(file)) == 6


def test_a_rule_that_misquotes_is_an_error(tmp_path):
    rule = RuleJudge("wrong", lambda solution: Answer("dummy", "not there", "so"))
    with pytest.raises(ValueError, match="the quote does not occur in the solution"):
        judge_all(SOLUTIONS, rule, tmp_path / "v.jsonl")
