"""`hicra judge` as a user runs it: on the playground, through a server, killed and run again, and found out."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from hicra_trl.cli.main import main
from hicra_trl.playground import Policy, countdown_reward, read_trace, split_problems, write_trace
from model_server import completion_of, model_server


@pytest.fixture
def server():
    with model_server() as server:
        yield server


def traces(count, seed):
    """Completions of the playground's own writer; in some a number is changed, and some are cut or not its own."""
    rng, problems = random.Random(seed), split_problems(0)[0][:20]
    for number in range(count):
        problem = problems[number % len(problems)]
        text = write_trace(problem, rng, Policy())
        damage = rng.random()
        if damage < 0.2:
            text = text.replace("= 1", "= 2", 1)
        elif damage < 0.3:
            text = text[: rng.randrange(len(text))]
        elif damage < 0.33:
            text = rng.choice(["", "I do not know.", "So \\boxed{1 + 1}", text.replace(" + ", " * ")])
        yield problem, text


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run with completions of four steps, and samples with their outcomes."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "completions").mkdir(parents=True)
    for step in (2, 4, 6, 8):
        rows = [
            {
                "step": step,
                "prompt": problem.prompt,
                "completion": text,
                "countdown_reward": countdown_reward([text], [list(problem.numbers)], [problem.target])[0],
                "advantage": 0.0,
            }
            for problem, text in traces(40, step)
        ]
        pd.DataFrame(rows).to_parquet(folder / "completions" / f"completions_{step:05d}.parquet")
    samples = [
        {"prompt": problem.prompt, "completion": text, "outcome": read_trace(text, problem).outcome}
        for problem, text in traces(200, 9)
    ]
    (folder / "samples.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return folder


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


def verdicts_of(folder):
    return [json.loads(line) for line in (folder / "verdicts.jsonl").read_text().splitlines()]


def through(server, *more):
    return ["--judge", "server", "--model", "tiny", "--base_url", server.url, "--references", "none", *more]


def answer(body, label):
    quote = body["messages"][-1]["content"].split("<solution>\n")[1].split("\n</solution>")[0]
    completion = completion_of(body, json.dumps({"reason": "r", "quote": quote, "label": label}))
    completion["usage"]["prompt_tokens"] = 50
    return 200, completion


def test_the_exact_judge_knows_why_every_completion_of_the_playground_is_wrong(run, capsys):
    assert main(["judge", str(run), "--judge", "exact"]) == 0
    out = capsys.readouterr().out
    rows = [pd.read_parquet(file) for file in sorted((run / "completions").glob("*.parquet"))]
    wrong = sum(int((table["countdown_reward"] < 1).sum()) for table in rows)
    verdicts = verdicts_of(run / "judge")
    assert f"{wrong} wrong of 160; {wrong} to judge, 0 already are" in out and len(verdicts) == wrong
    assert {verdict["label"] for verdict in verdicts} == {"execution", "strategy"}
    assert {verdict["step"] for verdict in verdicts} == {2, 4, 6, 8}
    assert all({"schema_version", "key", "quote", "reason", "tokens"} <= verdict.keys() for verdict in verdicts)
    table = [line.split() for line in out.splitlines() if line.split()[:1] in (["2"], ["4"], ["6"], ["8"], ["all"])]
    assert len(table) == 5 and table[-1][1:4] == ["160", str(wrong), str(wrong)]
    summary = json.loads((run / "judge" / "summary.json").read_text())
    assert summary["judge"] == "exact" and summary["ranges"][-1]["judged"] == wrong and summary["unreadable"] == 0
    before = (run / "judge" / "verdicts.jsonl").read_bytes()
    assert main(["judge", str(run), "--judge=exact"]) == 0 and f"{wrong} already are" in capsys.readouterr().out
    assert (run / "judge" / "verdicts.jsonl").read_bytes() == before


def test_the_exact_judge_agrees_with_the_classes_of_the_traces(run, capsys):
    labels = str(run / "samples.jsonl")
    assert main(["judge", "validate", "--labels", labels, "--judge", "exact", "--twice"]) == 0
    out = capsys.readouterr().out
    assert "accuracy       100.0 %" in out and out.count("Cohen's kappa  1.00 [") == 2
    found = json.loads((run / "samples-judge" / "agreement.json").read_text())
    assert found["labels"]["kappa"]["value"] == 1 == found["itself"]["kappa"]["value"]
    assert set(found["labels"]["confusion"]) == {"execution", "strategy", "acceptable"}


@pytest.mark.parametrize("lie", ["always strategy", "swapped", "unreadable"])
def test_a_judge_that_is_wrong_is_found_out(run, server, capsys, lie):
    samples = map(json.loads, (run / "samples.jsonl").read_text().splitlines())
    classes = {sample["completion"].strip(): sample["outcome"].partition(":")[0] for sample in samples}
    swapped = {"execution": "strategy", "strategy": "execution", "correct": "acceptable"}

    def lying(body, number):
        text = body["messages"][-1]["content"].split("<solution>\n")[1].split("\n</solution>")[0]
        return answer(body, {"always strategy": "strategy", "swapped": swapped[classes[text]], "unreadable": "C"}[lie])

    server.answer = lying
    command = ["judge", "validate", "--labels", str(run / "samples.jsonl"), *through(server, "--attempts", "2")]
    assert main(command) == 1
    out = capsys.readouterr().out
    assert "is below 0.6: do not trust this judge" in out
    found = json.loads((run / "samples-judge" / "agreement.json").read_text())["labels"]
    assert found["kappa"]["value"] < 0.3 and found["solutions"] == 200
    if lie == "unreadable":
        assert "200 verdicts, 200 of them unreadable" in out
        assert all(row["unreadable"] == sum(row.values()) for row in found["confusion"].values())
    asked = len(server.seen)
    assert main(command) == 1 and len(server.seen) == asked


def test_a_dry_run_says_what_it_would_cost_and_asks_nothing(run, server, capsys):
    assert main(["judge", str(run), *through(server, "--dry_run", "--max_per_step", "3")]) == 0
    out = capsys.readouterr().out
    assert "12 to judge" in out and "tokens of prompts and at most" in out and "0 have one" in out
    assert not server.seen and not (run / "judge").exists()


def test_a_judge_that_is_killed_goes_on_without_asking_again(run, server, capsys):
    server.answer = lambda body, number: answer(body, "execution")
    command = ["judge", str(run), *through(server, "--concurrency", "1")]
    file = run / "judge" / "verdicts.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "hicra_trl.cli.main", *command], stderr=subprocess.PIPE, start_new_session=True
    )
    while not file.is_file() or file.read_bytes().count(b"\n") < 5:
        assert process.poll() is None, process.stderr.read().decode()[-2000:]
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(0.1)
    kept, asked = file.read_bytes(), len(server.seen)
    stored = kept.count(b"\n")
    # As a kill in the middle of a write leaves it.
    file.write_bytes(kept + b'{"step": 4, "key": "comp')
    # One answer may have been on its way into the file, and one request on its way to the server.
    assert asked - stored <= 2
    assert main(command) == 0
    verdicts = verdicts_of(run / "judge")
    assert file.read_bytes().startswith(kept)
    different = {verdict["hash"] for verdict in verdicts}
    assert len({verdict["key"] for verdict in verdicts}) == len(verdicts) and stored < len(different)
    assert len(server.seen) - asked == len(different) - len({json.loads(line)["hash"] for line in kept.splitlines()})
    assert f"{len(verdicts)} verdicts, 0 of them unreadable; asked {len(different)} times" in capsys.readouterr().out


def test_a_model_that_writes_nonsense_is_counted_and_never_becomes_a_class(run, model_folder, capsys):
    command = ["judge", str(run), "--judge", "transformers", "--model", str(model_folder), "--prompt_format", "text"]
    command += ["--references", "none", "--max_per_step", "1", "--attempts", "2", "--max_tokens", "8"]
    assert main(command) == 0
    out, verdicts = capsys.readouterr().out, verdicts_of(run / "judge")
    assert {(verdict["label"], verdict["asked"]) for verdict in verdicts} == {("unreadable", 2)} and len(verdicts) == 4
    assert "4 verdicts, 4 of them unreadable; asked 8 times" in out
    assert all(verdict["tokens"]["prompt"] > 2000 and verdict["tokens"]["answer"] <= 16 for verdict in verdicts)
    assert main(command) == 0 and "4 already are" in capsys.readouterr().out
    assert verdicts_of(run / "judge") == verdicts


@pytest.mark.parametrize(
    "argv, said",
    [
        (["RUN"], "no judge: expected --judge exact, server, vllm or transformers"),
        (["RUN", "--judge", "gpt"], "--judge"),
        (["RUN", "--judge", "server"], "a judge that is asked needs a model"),
        (["RUN", "--judge", "exact", "--model", "m"], "and 'exact' has none"),
        (["RUN", "--judge", "server", "--model", "m"], "the judge 'server' goes with a base_url"),
        (["RUN", "--judge", "exact", "--base_url", "http://h/v1"], "the judge 'server' goes with a base_url"),
        (["RUN", "--judge", "transformers", "--model", "nowhere/none"], "no model 'nowhere/none'"),
        (["--judge", "exact"], "expected a run: hicra judge RUN --judge NAME"),
        (["nowhere", "--judge", "exact"], "nothing to judge in nowhere"),
        (["RUN", "--judge", "exact", "--reward", "speed"], "expected a reward in 'speed', got the columns step"),
        (["RUN", "--judge", "exact", "--twice"], "unknown arguments: --twice"),
        (["OTHER", "--judge", "exact"], "the judge 'exact' knows the playground alone"),
        (["UNGRADED", "--judge", "exact"], "does not say which completions are right"),
        (["validate", "--judge", "exact"], "expected --labels to name a .jsonl or .parquet file, got None"),
        (["validate", "--labels", "UNGRADED", "--judge", "exact"], "has no labels: expected a column label"),
        (["RUN", "--judge", "server", "--model", "m", "--base_url", "http://127.0.0.1:9/v1"], "cannot be reached"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(run, tmp_path, capsys, argv, said):
    other, ungraded = tmp_path / "other.jsonl", tmp_path / "ungraded.jsonl"
    other.write_text('{"prompt": "What is 1 + 1?", "completion": "3", "correct": false}\n')
    ungraded.write_text('{"prompt": "What is 1 + 1?", "completion": "3"}\n')
    places = {"RUN": str(run), "OTHER": str(other), "UNGRADED": str(ungraded)}
    with pytest.raises(SystemExit) as stopped:
        main(["judge", *(places.get(part, part) for part in argv)])
    error = capsys.readouterr().err.splitlines()[-1]
    assert stopped.value.code == 2 and error.startswith("hicra judge") and said in error
