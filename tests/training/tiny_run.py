"""A run of `hicra train` that takes seconds and uses everything whose state has to survive a kill."""

import json
import os
import sys
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file

from hicra_trl.training import run
from hicra_trl.training.runs.files import GRAM_OUTCOMES_FILE, TOKEN_RECORD_FOLDER


TESTS = Path(__file__).parent
STEPS = 20


def write_recipe(folder, model_folder, lexicon_file, **fields):
    """24 problems of which two steps take 4: the second epoch begins after step 12."""
    problems = [{"problem": f"{i} + 1?", "answer": i + 1} for i in range(24)]
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in problems))
    recipe = {
        "model_name_or_path": str(model_folder),
        "dataset_name": "problems.jsonl",
        "prompt_format": "text",
        "reward_funcs": ["troubled_reward.few_vowels"],
        "strategic_grams": str(lexicon_file),
        "held_out_dataset_name": "problems.jsonl",
        "held_out_steps": 5,
        "held_out_samples": 2,
        "output_dir": "run",
        "alpha": 0.4,
        "learning_rate": 3e-3,
        "per_device_train_batch_size": 8,
        "steps_per_generation": 2,
        "num_generations": 4,
        "max_completion_length": 16,
        "dynamic_sampling_attempts": 1,
        "extended_completion_length": 24,
        "extend_patience": 3,
        "max_steps": STEPS,
        "logging_steps": 1,
        "save_steps": 2,
        "token_record": 3,
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        **fields,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder / "recipe.yaml"


def train_here(monkeypatch, folder, *argv):
    """What a process that `hicra train` launches does, without the seconds of launching it."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(TESTS)
    monkeypatch.setattr(sys, "argv", ["hicra", *map(str, argv)])
    run.main()


def environment(**variables):
    """Of the command in another process."""
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **variables}


def results(folder):
    """All that a run ends with: weights, optimizer, schedule, state, and metrics apart from times."""
    last = folder / f"checkpoint-{STEPS}"
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return {
        "weights": load_file(folder / "model.safetensors"),
        "optimizer": torch.load(last / "optimizer.pt"),
        "scheduler": torch.load(last / "scheduler.pt"),
        "state": json.loads((last / "hicra_state.json").read_text()),
        "records": {file.name: file.read_bytes() for file in sorted((folder / TOKEN_RECORD_FOLDER).iterdir())},
        "outcomes": (folder / GRAM_OUTCOMES_FILE).read_bytes(),
        # The last entry sums up one process, not the run.
        "history": [{k: v for k, v in entry.items() if k != "step_time"} for entry in history[:-1]],
    }


def assert_equal(one, other, at=""):
    """Bit for bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), at
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), at
        for key in one:
            assert_equal(one[key], other[key], f"{at}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), at
        for index, pair in enumerate(zip(one, other)):
            assert_equal(*pair, f"{at}/{index}")
    else:
        assert one == other, at
