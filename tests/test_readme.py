"""What the README shows runs, with the model replaced by the tiny one."""

import json
import re
import subprocess
import sys
from pathlib import Path


README = (Path(__file__).parents[1] / "README.md").read_text()


def block(language, marker):
    return next(text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if marker in text)


def test_the_python_example_trains(model_folder, tmp_path):
    (tmp_path / "problems.jsonl").write_text(json.dumps({"prompt": "So 3 + 4?", "solution": "7"}) + "\n")
    code = block("python", "HICRATrainer").replace('"Qwen/Qwen3-0.6B"', repr(str(model_folder)))
    (tmp_path / "example.py").write_text(code)
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "hicra/semantic_entropy" in done.stdout


def test_the_recipe_is_understood(tmp_path):
    (tmp_path / "problems.jsonl").write_text(json.dumps({"problem": "3 + 4?", "answer": "7"}) + "\n")
    (tmp_path / "mine.yaml").write_text(block("yaml", "model_name_or_path"))
    done = subprocess.run(
        [sys.executable, "-m", "hicra_trl.cli.main", "train", "--config", "mine.yaml", "--dry_run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "HICRA, alpha 0.2, 249 strategic grams" in done.stdout


def test_the_files_that_it_names_exist():
    root = Path(__file__).parents[1]
    for target in re.findall(r"\]\(((?!http)[^)#]+)", README):
        assert (root / target).exists(), target
