"""Two ranks, each with an engine of its own, or with one engine over both; the policy whole on each, or in shards."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml


TESTS = Path(__file__).parents[2]


def shared_memory():
    """What an engine over two ranks shares; it has this name in every run."""
    return list(Path("/dev/shm").glob("-tp*-cpushm_*"))


@pytest.fixture
def train(engine_model, lexicon_file, tmp_path):
    """Trains on two ranks, launched by `command`, and returns what each step logged."""
    (tmp_path / "problems.jsonl").write_text(json.dumps({"problem": "But why?", "answer": 7}) + "\n")
    recipe = {
        "model_name_or_path": str(engine_model),
        "dataset_name": "problems.jsonl",
        "prompt_format": "text",
        "reward_funcs": ["engines.vllm.engine_reward.vowel_share"],
        "strategic_grams": str(lexicon_file),
        "output_dir": "run",
        "per_device_train_batch_size": 4,
        "num_generations": 8,
        "max_completion_length": 16,
        "logging_steps": 1,
        "save_strategy": "no",
        "log_completions": True,
        "num_completions_to_print": 0,
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "use_vllm": True,
        "vllm_gpu_memory_utilization": 0.1,
    }

    def run(*command, **fields):
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**recipe, **fields}))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}
        del environment["MASTER_PORT"]
        # An engine falls over what a killed one left.
        for segment in shared_memory():
            segment.unlink()
        done = subprocess.run(
            [sys.executable, "-m", *command, "--config", "recipe.yaml"],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert "Traceback" not in done.stderr
        assert not shared_memory()
        history = json.loads((tmp_path / "run" / "trainer_state.json").read_text())["log_history"]
        return [entry for entry in history if "reward" in entry]

    return run


@pytest.mark.parametrize("ranks_per_engine", [1, 2])
def test_ranks_sample_their_own_completions_from_the_policy(ranks_per_engine, train, tmp_path):
    """One prompt alone: engines with the same random numbers would write the same."""
    launch = ("torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "hicra_trl.training.run")
    entries = train(*launch, learning_rate=1e-2, max_steps=3, vllm_tensor_parallel_size=ranks_per_engine)
    for entry in entries:
        # Ranks of one engine that drew different tokens would score what they did not write.
        assert entry["sampling/sampling_logp_difference/max"] < 0.15
    assert len(entries) == 3
    for step in (1, 2, 3):
        table = pd.read_parquet(tmp_path / "run" / "completions" / f"completions_{step:05d}.parquet")
        assert len(table) == table["completion"].nunique() == 8


@pytest.mark.parametrize("config", ["cpu_zero3", "cpu_fsdp2"])
def test_what_is_trained_in_shards_is_what_the_engine_samples_from(config, train):
    launch = ("hicra_trl.cli.main", "train", "--accelerate_config", config, "--main_process_port", "0")
    entries = train(*launch, learning_rate=3e-2, max_steps=5)
    # With the weights of the first step, 0.7 in the second and 1.8 in the fourth.
    assert max(entry["sampling/sampling_logp_difference/max"] for entry in entries) < 0.05
    assert [entry["step"] for entry in entries] == [1, 2, 3, 4, 5]
