"""`hicra train` with a colocated engine, and what a kill costs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file


TESTS = Path(__file__).parents[2]
STEPS = 6


def write_recipe(folder, engine_model, lexicon_file):
    problems = [{"problem": f"{i} + 1?", "answer": i + 1} for i in range(24)]
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in problems))
    recipe = {
        "model_name_or_path": str(engine_model),
        "dataset_name": "problems.jsonl",
        "prompt_format": "text",
        "reward_funcs": ["engines.vllm.engine_reward.vowel_share"],
        "strategic_grams": str(lexicon_file),
        "output_dir": "run",
        "learning_rate": 1e-2,
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 16,
        "vllm_max_model_length": 160,
        "vllm_gpu_memory_utilization": 0.1,
        "max_steps": STEPS,
        "logging_steps": 1,
        "save_steps": 2,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "eval_dataset_name": "problems.jsonl",
        "eval_dataset_split": "train[:2]",
        "per_device_eval_batch_size": 8,
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))


def start(folder, *argv):
    return subprocess.Popen(
        [sys.executable, "-m", "hicra_trl.cli.main", "train", *argv],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])},
        cwd=folder,
        stdout=(folder / "output").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(process, folder):
    assert process.wait(300) == 0, (folder / "output").read_text()[-3000:]


@pytest.fixture(scope="module")
def folder(engine_model, lexicon_file, tmp_path_factory):
    """A folder with a recipe and its run, which nothing has stopped."""
    folder = tmp_path_factory.mktemp("runs")
    write_recipe(folder, engine_model, lexicon_file)
    finish(start(folder, "--config", "recipe.yaml", "--use_vllm", "true", "--output_dir", "whole"), folder)
    return folder


def results(run):
    history = json.loads((run / "trainer_state.json").read_text())["log_history"]
    # Times differ, and the last entry sums up one process.
    return [{k: v for k, v in entry.items() if "time" not in k and "per_second" not in k} for entry in history[:-1]]


def test_the_command_line_trains_with_the_engine(folder):
    entries = [entry for entry in results(folder / "whole") if "reward" in entry]
    assert len(entries) == STEPS and all(entry["grad_norm"] > 0 for entry in entries)
    assert all(0.9 < entry["sampling/importance_sampling_ratio/mean"] < 1.1 for entry in entries)
    resolved = yaml.safe_load((folder / "whole" / "resolved_config.yaml").read_text())
    assert resolved["use_vllm"] and resolved["vllm_mode"] == "colocate"


def test_a_run_that_is_killed_and_resumed_samples_and_learns_the_same(folder):
    run = folder / "run"
    process = start(folder, "--config", "recipe.yaml", "--use_vllm", "true")
    while not (run / "checkpoint-2" / "hicra_state.json").is_file():
        assert process.poll() is None, (folder / "output").read_text()[-3000:]
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for later in (4, 6):
        # The kill may have come late.
        shutil.rmtree(run / f"checkpoint-{later}", ignore_errors=True)
    finish(start(folder, "--resume", "run"), folder)
    assert results(run) == results(folder / "whole")
    weights, expected = (load_file(path / "model.safetensors") for path in (run, folder / "whole"))
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
