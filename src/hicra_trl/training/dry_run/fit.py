"""What a run needs: its memory on each GPU, on which GPUs that fits, and its checkpoints, in words and as a table."""

from transformers.training_args import OptimizerNames
from trl import ModelConfig

from ..config import HICRAConfig
from ..runs.launch import Engine, Launch
from .architectures import PUBLISHED, Architecture, load_architecture
from .memory import (
    GIB,
    OVERHEAD,
    Workload,
    activation_bytes,
    checkpoint_bytes,
    head_bytes,
    host_bytes,
    kv_bytes_per_token,
    state_bytes,
    sync_bytes,
    vllm_cache_bytes,
)


GPUS = (24, 40, 80)
_PAPER = [*list(PUBLISHED)[:5], "XiaomiMiMo/MiMo-VL-7B-SFT-2508", "Qwen/Qwen2.5-VL-7B-Instruct"]
_LAUNCHES: tuple[tuple[Engine, int], ...] = (
    ("ddp", 8),
    ("zero2", 8),
    ("zero3", 8),
    ("zero3", 16),
    ("zero3", 32),
    ("fsdp2", 8),
)


def workload(config: HICRAConfig, model_args: ModelConfig, launch: Launch, dtype_bytes: int) -> Workload:
    """
    What of a run decides its memory; `dtype_bytes` are those of a published weight, for `dtype: auto`.

    Raises:
        `ValueError`: with another optimizer than AdamW, quantized weights or eager attention, which no formula is for.
    """
    optimizer = OptimizerNames(config.optim).value
    if not optimizer.startswith("adamw_torch"):
        raise ValueError(f"the formulas are for adamw_torch and adamw_torch_fused, got optim {optimizer}")
    if model_args.load_in_4bit or model_args.load_in_8bit:
        raise ValueError("the formulas are for weights that are not quantized")
    if model_args.attn_implementation == "eager":
        raise ValueError("the formulas are for sdpa and flash attention, got attn_implementation eager")
    # A recipe for GPUs may be planned on a machine without one, where the configuration has turned bf16 off.
    mixed = config.bf16 or config.fp16 or launch.mixed_precision in ("bf16", "fp16")
    weight = {"float32": 4, "bfloat16": 2, "float16": 2}.get(model_args.dtype or "auto", dtype_bytes)
    completion = config.extended_completion_length or config.max_completion_length
    return Workload(
        engine=launch.engine,
        processes=launch.num_processes,
        offload=launch.offload,
        weight_bytes=weight,
        compute_bytes=2 if mixed else weight,
        adapter=model_args.use_peft,
        reference=config.beta != 0 and not model_args.use_peft,
        gradient_checkpointing=config.gradient_checkpointing,
        attention_mask=model_args.attn_implementation in (None, "sdpa"),
        sequences=config.per_device_train_batch_size,
        # What vLLM allows where that is said, else a completion without its prompt.
        length=max(completion, (config.use_vllm and config.vllm_max_model_length) or 0),
    )


def memory_lines(
    architecture: Architecture, config: HICRAConfig, model_args: ModelConfig, launch: Launch
) -> dict[str, str]:
    """What a run takes on each GPU while it trains and while it generates, on which GPUs that fits, and on disk."""
    if config.use_cpu:
        return {"memory": "not estimated: it trains on the CPU"}
    try:
        work = workload(config, model_args, launch, architecture.dtype_bytes)
    except ValueError as error:
        return {"memory": f"not known: {error}"}
    training = _training(architecture, work)
    generation = state_bytes(architecture, work) | {"gradients": 0} | _generation(architecture, config, work)
    colocated = config.use_vllm and config.vllm_mode == "colocate"
    row = kv_bytes_per_token(architecture) * work.length
    most = "at most" if work.length == config.vllm_max_model_length else "and their prompts, which are not counted"
    engine = f"; vLLM takes {config.vllm_gpu_memory_utilization:g} of the GPU, {_gib(row)} of its cache for each row"
    lines = {
        "memory": f"estimate in GiB for each GPU; rows of {work.length:,} tokens {most}",
        "  training": _sum(training),
        "  generation": _sum(generation) + (engine if colocated else ""),
        **{f"  {gpu} GB": _fit(gpu, architecture, config, row, _total(training), _total(generation)) for gpu in GPUS},
    }
    if host := host_bytes(architecture, work):
        lines["  CPU"] = f"{_gib(host / launch.num_machines)} GiB of each machine's memory for what is offloaded"
    lines["disk"] = _disk(checkpoint_bytes(architecture, work, config.save_only_model), config)
    return lines


def _training(architecture: Architecture, work: Workload) -> dict[str, int]:
    passing = {"activations": activation_bytes(architecture, work), "head": head_bytes(architecture, work)}
    return state_bytes(architecture, work) | passing


def _generation(architecture: Architecture, config: HICRAConfig, work: Workload) -> dict[str, int]:
    if config.use_vllm:
        return {"weight sync": sync_bytes(architecture, work)}
    sequences = config.generation_batch_size // config.world_size
    gathers = work.engine == "zero3" and config.ds3_gather_for_generation
    return {
        "gathered weights": architecture.parameters * work.compute_bytes if gathers else 0,
        "KV cache": kv_bytes_per_token(architecture, work.compute_bytes) * sequences * work.length,
    }


def _fit(gpu: int, architecture: Architecture, config: HICRAConfig, row: int, training: int, generation: int) -> str:
    """Whether both phases fit in a GPU of `gpu` GiB, and how many rows vLLM has room for there."""
    room, cache, rows = gpu * GIB, "", float("inf")
    if config.use_vllm and config.vllm_mode == "colocate":
        share, parallel = config.vllm_gpu_memory_utilization, config.vllm_tensor_parallel_size
        generation += int(room * share)
        training += 0 if config.vllm_enable_sleep_mode else int(room * share)
        left = vllm_cache_bytes(architecture, room, share, parallel)
        rows = left / row * min(parallel, architecture.kv_heads)
        asked = config.generation_batch_size // config.world_size * parallel
        cache = f"; vLLM's cache {_gib(max(left, 0))}: {max(rows, 0):.1f} of {asked} rows at full length at once"
    fits = max(training, generation) <= room and rows >= 1
    return f"{'fits' if fits else 'too small'}: training {_gib(training)}, generation {_gib(generation)}{cache}"


def _total(parts: dict[str, int]) -> int:
    return sum(parts.values()) + OVERHEAD


def _sum(parts: dict[str, int]) -> str:
    shown = {name: size for name, size in {**parts, "CUDA": OVERHEAD}.items() if size >= GIB / 20}
    return " + ".join(f"{_gib(size)} {name}" for name, size in shown.items()) + f" = {_gib(_total(parts))}"


def _disk(checkpoint: int, config: HICRAConfig) -> str:
    if config.save_strategy == "no":
        return "no checkpoints"
    kept = "all are kept" if config.save_total_limit is None else f"{config.save_total_limit} are kept"
    when = f"every {config.save_steps:g} steps" if config.save_strategy == "steps" else "every epoch"
    return f"{_gib(checkpoint)} GiB a checkpoint, {when}, {kept}"


def _gib(size: float) -> str:
    return f"{size / GIB:.1f}"


def table(length: int, attention_mask: bool = True) -> str:
    """
    GiB that training takes on each GPU, in Markdown: the paper's models by engine and number of GPUs.

    One row of `length` tokens at a time; weights are loaded in float32 and trained in bf16, with gradient
    checkpointing, and attention takes a mask, as `sdpa` does, or not.
    """
    heads = ["model", "parameters", "KV cache a row", *(f"{engine} x {gpus}" for engine, gpus in _LAUNCHES)]
    rows = [heads, ["---"] * len(heads)]
    for name in _PAPER:
        architecture = load_architecture(ModelConfig(model_name_or_path=name))
        row = [name.split("/")[1], f"{architecture.parameters / 1e9:.2f} B"]
        row += [_gib(kv_bytes_per_token(architecture) * length)]
        for engine, gpus in _LAUNCHES:
            work = Workload(engine, gpus, False, 4, 2, False, False, True, attention_mask, 1, length)
            row.append(_gib(_total(_training(architecture, work))))
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    for tokens in (18_432, 34_816):
        print(f"{tokens:,} tokens\n\n{table(tokens)}\n")
