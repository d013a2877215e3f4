"""The real vLLM engine in a process, on a CPU: its environment, the one repair it needs, and how to close it."""

import os

import torch
from accelerate.state import AcceleratorState


ENVIRONMENT = {
    # GiB.
    "VLLM_CPU_KVCACHE_SPACE": "1",
    # Compiling takes the engine half a minute, and sampling here takes a second.
    "TORCH_COMPILE_DISABLE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    # A free port for the engine: on a CPU, Accelerate takes the same one for every run.
    "MASTER_PORT": "0",
}


def keep_weights():
    """
    Lets the CPU's linear layers compute with the weights they were given, so that others can be loaded later.

    For its CPU kernels vLLM packs these weights when it loads a model and drops the originals, and then TRL's sync
    finds nothing to write to. On a GPU nothing is packed.
    """
    from vllm.model_executor.layers import utils

    def compute_plainly(layer, remove_weight):
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = compute_plainly


def close(trainer):
    """Ends a trainer's engine and what it has set up in the process, so that another trainer can have one."""
    from vllm.distributed import cleanup_dist_env_and_memory

    trainer.vllm_generation.llm.llm_engine.engine_core.shutdown()
    del trainer.vllm_generation
    cleanup_dist_env_and_memory()
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        del os.environ[name]
    os.environ["MASTER_PORT"] = "0"
    AcceleratorState._reset_state(reset_partial_state=True)
