"""The script for a GPU runs on any machine with tiny shapes, and does not repeat what its file holds."""

import json
import subprocess
import sys
from pathlib import Path


SCRIPT = Path(__file__).parents[2] / "benchmarks" / "on_gpu.py"


def run(results, model, *parts):
    command = [sys.executable, SCRIPT, "--tiny", "--results", results, "--model", model, "--parts", *parts]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return {row["name"]: row for row in map(json.loads, results.read_text().splitlines())}


def test_every_part_but_the_engine(model_folder, tokenizer, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    for file in model_folder.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    # The tiny model's tokenizer has no template of its own.
    (model / "chat_template.jinja").write_text("{% for message in messages %}{{ message.content }}\n{% endfor %}")
    rows = run(tmp_path / "results.jsonl", model, "cuda", "overhead", "memory", "learning")
    assert not [row for row in rows.values() if "failed" in row]
    assert rows["labels of CUDA tensors"]["equal_to_the_cpu"]
    for precision in ("float32", "bf16"):
        row = rows[f"alpha 0 is GRPO, {precision}"]
        assert row["alpha_0_is_grpo"] and row["alpha_half_differs"] and row["metrics_are_finite"]
    assert 0 < rows["step without sampling: phases"]["own_share"] < 0.5
    assert len(rows["step without sampling: ratio"]["ratios"]) == 2
    assert rows["learning, hicra seed 0"]["steps"] == 2
    assert set(rows["learning, grpo seed 0"]["held_out"]) == {"0", "1", "2"}
    first = (tmp_path / "results.jsonl").read_text()
    run(tmp_path / "results.jsonl", model, "memory")
    assert (tmp_path / "results.jsonl").read_text() == first
