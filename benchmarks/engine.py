"""What samples: Transformers, or vLLM in the process that trains, for one trainer after another."""

import os
import sys
from pathlib import Path

import torch


TESTS = Path(__file__).parents[1] / "tests"
PROMPT_TOKENS = 64


def prepare():
    """Sets the CPU's engine up as the tests do; a GPU's needs nothing."""
    if torch.cuda.is_available():
        return
    sys.path.insert(0, str(TESTS))
    from engines.vllm.cpu_engine import ENVIRONMENT, keep_weights

    own = {"MASTER_PORT"} & os.environ.keys()
    os.environ.update({name: value for name, value in ENVIRONMENT.items() if name not in own})
    keep_weights()


def settings(name, tokens, exactly):
    """Of TRL, for completions of exactly or at most `tokens` tokens."""
    if name == "transformers":
        return {"generation_kwargs": {"min_new_tokens": tokens}} if exactly else {}
    return {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": 0.3 if torch.cuda.is_available() else 0.1,
        "vllm_max_model_length": PROMPT_TOKENS + tokens,
        "generation_kwargs": {"min_tokens": tokens} if exactly else None,
    }


def close(trainer):
    """Frees the engine, and with it the groups of processes, so that the next trainer sets its own up."""
    trainer.vllm_generation.llm.llm_engine.engine_core.shutdown()
    del trainer.vllm_generation
    if "TORCHELASTIC_RUN_ID" in os.environ:
        # The launcher's store remembers the addresses of the groups that are gone.
        os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "False"
        os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + 1)
    else:
        # With these, the next trainer would be one rank of one.
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
            del os.environ[name]
