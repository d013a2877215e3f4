"""A tiny model that vLLM's CPU kernels take, and trainers that sample from it with an engine in this process."""

import os
from contextlib import contextmanager
from importlib.util import find_spec

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from engines.vllm.cpu_engine import ENVIRONMENT, close, keep_weights
from engines.vllm.recording import Recorder
from training.helpers import config, vowel_share


if find_spec("vllm"):
    os.environ.update(ENVIRONMENT)


@pytest.fixture(scope="session", autouse=True)
def engine():
    pytest.importorskip(
        "vllm", reason="vLLM is not installed here: `make test` runs this in an environment that has it"
    )
    keep_weights()


@pytest.fixture(scope="session")
def engine_model(tokenizer, tmp_path_factory):
    """A folder; the attention kernels take heads of 32 and more."""
    torch.manual_seed(0)
    shape = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=512,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    folder = tmp_path_factory.mktemp("engine_model")
    Qwen3ForCausalLM(shape).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def colocated(engine_model, prompts, lexicon_file, tmp_path_factory):
    """Trainers with an engine, one at a time."""

    @contextmanager
    def build(reward=vowel_share, extra=None, **overrides):
        fields = {"use_vllm": True, "vllm_mode": "colocate", "vllm_gpu_memory_utilization": 0.1, **overrides}
        trainer = Recorder(
            model=str(engine_model),
            reward_funcs=reward,
            args=config(tmp_path_factory.mktemp("run"), lexicon_file, **fields),
            train_dataset=prompts,
            **(extra or {}),
        )
        try:
            yield trainer
        finally:
            close(trainer)

    return build
