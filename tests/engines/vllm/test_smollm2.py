"""A real pretrained model in the engine: its evaluation, and its log-probabilities after the policy was updated."""

import json
import os
import subprocess
import sys

import pytest
import torch
from peft import LoraConfig

from conftest import OUR_DATA
from engines.vllm.cpu_engine import ENVIRONMENT, close
from engines.vllm.recording import Recorder, logs, probe
from hicra_trl.cli import eval as eval_command
from smollm2 import plain_folder
from training.helpers import config, vowel_share


@pytest.fixture(scope="module")
def plain():
    return plain_folder()


def test_the_engine_answers_four_problems_of_math500_as_transformers_does(plain, tmp_path):
    given = {
        "model": plain, "benchmarks": "math500", "max_items": 4, "temperature": 0, "max_tokens": 12,
        "override": f"math500.dataset={OUR_DATA}/benchmarks/math500.jsonl", "dtype": "float32", "batch_size": 1,
        "max_model_length": 512, "gpu_memory_utilization": 0.1,
    }  # fmt: skip
    argv = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, "-m", "hicra_trl.cli.main", "eval", *argv, "--engine", "vllm", "--output_dir", "vllm"],
        cwd=tmp_path,
        env={**os.environ, **ENVIRONMENT, "MASTER_PORT": "29557"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert eval_command.run([*argv, "--output_dir", str(tmp_path / "transformers")]) == 0
    by_engine, expected = (
        {sample["item"]: sample for sample in map(json.loads, (tmp_path / name / "samples/math500.jsonl").open())}
        for name in ("vllm", "transformers")
    )
    assert by_engine.keys() == expected.keys() and len(expected) == 4
    for item, sample in expected.items():
        for name in ("prompt", "completion", "tokens", "finish_reason", "planning_tokens"):
            assert by_engine[item][name] == sample[name]


def test_the_engine_follows_the_policy_through_an_update(plain, prompts, lexicon_file, tmp_path):
    trainer = Recorder(
        model=plain,
        reward_funcs=vowel_share,
        args=config(
            tmp_path, lexicon_file, use_vllm=True, vllm_mode="colocate", vllm_gpu_memory_utilization=0.1,
            vllm_max_model_length=128, per_device_train_batch_size=4, max_completion_length=8, max_steps=2,
            learning_rate=1e-2,
        ),
        train_dataset=prompts,
        peft_config=LoraConfig(r=4, lora_alpha=32, target_modules=["q_proj", "v_proj"]),
    )  # fmt: skip
    try:
        before, _ = probe(trainer)
        trainer.train()
        trainer.vllm_generation.sync_weights()
        after, policy = probe(trainer)
    finally:
        close(trainer)
    assert len(logs(trainer)) == 2 and all(entry["grad_norm"] > 0 for entry in logs(trainer))
    # The engine computes in bf16, the policy in float32.
    assert (after - policy).abs().mean() < 0.05, (after - policy).abs()
    assert (after - before).abs().mean() > 0.5, (after - before).abs()
    assert torch.isfinite(after).all()
