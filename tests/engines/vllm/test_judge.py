"""A judge behind a real server: a random model's answers are counted and never become a class."""

import json
import shutil
import time
from urllib.error import URLError
from urllib.request import urlopen

from engines.vllm.test_server import serve
from hicra_trl.cli.main import main


def wait(url):
    for _ in range(600):
        try:
            return urlopen(f"{url}/health")
        except URLError:
            time.sleep(0.2)
    raise TimeoutError(url)


def test_a_judge_whose_answers_cannot_be_read_is_asked_again_and_counted(engine_model, tmp_path, capsys):
    model, file = tmp_path / "model", tmp_path / "completions.jsonl"
    shutil.copytree(engine_model, model)
    config = json.loads((model / "config.json").read_text())
    # To this tokenizer the question is long.
    (model / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 8192}))
    rows = [{"prompt": f"What is {n} + 1?", "completion": f"It is {n}.", "correct": False} for n in range(3)]
    rows.append({**rows[0], "completion": "so " * 9000})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["judge", str(file), "--judge", "server", "--model", str(model), "--prompt_format", "text"]
    command += ["--attempts", "2", "--max_tokens", "16"]
    with serve(model, tmp_path / "log") as url:
        wait(url)
        command += ["--base_url", f"{url}/v1"]
        assert main(command) == 0
    first, stored = capsys.readouterr().out, (tmp_path / "completions-judge" / "verdicts.jsonl").read_bytes()
    *short, long = sorted(map(json.loads, stored.splitlines()), key=lambda verdict: verdict["key"])
    assert {verdict["label"] for verdict in (*short, long)} == {"unreadable"}
    assert all(verdict["asked"] == 2 and 0 < verdict["tokens"]["answer"] <= 32 for verdict in short)
    assert all(verdict["tokens"]["prompt"] > 2000 for verdict in short)
    assert long["asked"] == 0 and "expected fewer than the 8192 of the context" in long["reason"]
    assert "4 verdicts, 4 of them unreadable; asked 6 times" in first
    # The server is gone, and nothing is left to ask it.
    assert main(command) == 0 and "4 already are" in capsys.readouterr().out
    assert (tmp_path / "completions-judge" / "verdicts.jsonl").read_bytes() == stored
