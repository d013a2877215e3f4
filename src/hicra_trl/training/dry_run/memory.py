"""Bytes on one GPU: formulas for what training and generation hold, each from the shapes that it follows from."""

from dataclasses import dataclass

from ..runs.launch import Engine
from .architectures import Architecture


GIB = 2**30
# Adam's master weight and two moments, which DeepSpeed holds in float32.
_DEEPSPEED_OPTIMIZER = 12
# DeepSpeed's defaults, in elements: the buffer in which gradients are reduced, and gathered weights that may be alive.
_REDUCE_BUCKET = 500_000_000
_MAX_LIVE_PARAMETERS = 1_000_000_000
# TRL's fused head computes logits in tiles of this many tokens and words.
_TILE = (4096, 32_768)
# CUDA context, NCCL and fragmentation; and what vLLM takes beside weights and cache. Both are estimates.
OVERHEAD = 2 * GIB
VLLM_WORKSPACE = 2 * GIB


@dataclass(frozen=True)
class Workload:
    """
    What of a run decides the memory it takes on one GPU.

    Args:
        engine (`str`):
            What spreads the training over the processes.
        processes (`int`):
            Processes on all machines together.
        offload (`bool`):
            Whether weights and optimizer wait in CPU memory.
        weight_bytes (`int`):
            Bytes of a weight as it is loaded.
        compute_bytes (`int`):
            Bytes of a number in the matrix products: 2 with mixed precision, else `weight_bytes`.
        adapter (`bool`):
            Whether an adapter is trained instead of the weights.
        reference (`bool`):
            Whether a second copy of the model is held, for a KL term.
        gradient_checkpointing (`bool`):
            Whether a layer's activations are computed again in the backward pass instead of kept.
        attention_mask (`bool`):
            Whether attention takes a mask of length x length, as `sdpa` does for padded rows.
        sequences (`int`):
            Rows of one forward pass.
        length (`int`):
            Tokens of a row, prompt and completion.
    """

    engine: Engine
    processes: int
    offload: bool
    weight_bytes: int
    compute_bytes: int
    adapter: bool
    reference: bool
    gradient_checkpointing: bool
    attention_mask: bool
    sequences: int
    length: int

    @property
    def is_deepspeed(self) -> bool:
        """Whether DeepSpeed holds the model, and so in the precision of the matrix products."""
        return self.engine.startswith("zero")

    @property
    def is_sharded(self) -> bool:
        """Whether the weights themselves are spread over the processes."""
        return self.engine in ("zero3", "fsdp2")

    @property
    def casts(self) -> bool:
        """Whether autocast makes copies of the weights in lower precision."""
        return self.engine in ("none", "ddp") and self.compute_bytes < self.weight_bytes

    @property
    def stream_bytes(self) -> int:
        """Bytes of a number in the residual stream, which has the precision of the embedding's weights."""
        return self.weight_bytes if self.engine in ("none", "ddp") else self.compute_bytes

    @property
    def trained_bytes(self) -> int:
        """Bytes of a trained weight: PEFT holds adapters in float32, and Accelerate what FSDP trains."""
        if self.is_deepspeed:
            return self.compute_bytes
        return 4 if self.adapter or self.engine == "fsdp2" else self.weight_bytes


def state_bytes(architecture: Architecture, workload: Workload) -> dict[str, int]:
    """
    What lies on one GPU between two steps, and the gradients.

    Bytes of each parameter, with N processes, w = `weight_bytes` and c = `compute_bytes`:

    | engine | weights | gradients | AdamW | engine's buffers |
    |---|---|---|---|---|
    | none | w | w | 2w | |
    | ddp | w | w | 2w | w: the buckets that are reduced |
    | zero1 | c | c | 12/N | 5e8 elements to reduce in |
    | zero2 | c | c/N | 12/N | 5e8 elements to reduce in |
    | zero3 | c/N | c/N | 12/N | as above, and up to 1e9 gathered weights |
    | fsdp2 | 4/N | 4/N | 8/N | two gathered layers, the embedding and the head |

    Gradients and optimizer count the trained parameters alone. With `offload` the optimizer leaves the GPU, and under
    `zero3` and `fsdp2` gradients and weights too.

    Returns:
        `dict[str, int]`: bytes of weights, gradients, optimizer, buffers and reference.

    Example: 7.6 billion parameters under ZeRO-3 on 16 GPUs in bf16 are 7.6e9 * 2 / 16 = 0.95 GB of weights, as much of
    gradients, and 7.6e9 * 12 / 16 = 5.7 GB of optimizer on each.
    """
    shards = workload.processes if workload.is_sharded else 1
    frozen = architecture.parameters - architecture.trainable if workload.adapter else 0
    frozen_bytes = workload.compute_bytes if workload.is_deepspeed else workload.weight_bytes
    weights = (frozen * frozen_bytes + architecture.trainable * workload.trained_bytes) // shards
    gradients = architecture.trainable * workload.trained_bytes
    if workload.engine in ("zero2", "zero3", "fsdp2"):
        gradients //= workload.processes
    if workload.is_deepspeed:
        optimizer = architecture.trainable * _DEEPSPEED_OPTIMIZER // workload.processes
    else:
        optimizer = architecture.trainable * workload.trained_bytes * 2 // shards
    reference = architecture.parameters * frozen_bytes // shards if workload.reference else 0
    if workload.offload:
        optimizer = 0
        if workload.is_sharded:
            weights = gradients = 0
    return {
        "weights": weights,
        "gradients": gradients,
        "optimizer": optimizer,
        "buffers": _buffer_bytes(architecture, workload),
        "reference": reference,
    }


def _buffer_bytes(architecture: Architecture, workload: Workload) -> int:
    if workload.engine == "none":
        return 0
    if workload.engine == "ddp":
        return architecture.trainable * workload.trained_bytes
    if workload.engine == "fsdp2":
        ends = 2 * architecture.vocab_size * architecture.hidden_size
        return (2 * architecture.layer_parameters + ends) * workload.compute_bytes
    gathered = min(architecture.parameters, _MAX_LIVE_PARAMETERS) if workload.engine == "zero3" else 0
    return (_REDUCE_BUCKET + gathered) * workload.compute_bytes


def layer_bytes(architecture: Architecture, workload: Workload) -> int:
    """
    What one layer keeps of one token for its backward pass, beside its input.

    With s = `stream_bytes` and c = `compute_bytes`: each of two norms keeps its input in float32 and the normalized
    input (4 + s), and every matrix product its input in c (one copy a norm, or one for each of five products where
    autocast makes it); queries, keys, values and the output of attention are kept in c; the norms of queries and keys
    add 4 + c; the MLP keeps four intermediates; norms and attention keep float32 numbers for each head.

    Example, Qwen2.5-7B in bf16: 16 * 3584 + 4 * (3584 + 512) + 8 * 18944 + 4 * (2 + 28) bytes are 220 KiB.
    """
    stream, compute = workload.stream_bytes, workload.compute_bytes
    query, key = architecture.query_size, architecture.key_size
    copies = 5 if compute < stream else 2
    norms = (2 * (4 + stream) + copies * compute) * architecture.hidden_size
    # With a mask, keys and values are repeated for all the heads that share them.
    attention = 2 * compute * (query + (query if workload.attention_mask else key))
    scalars = 2 + architecture.heads
    if architecture.query_key_norm:
        attention += (4 + compute) * (query + key)
        scalars += architecture.heads + architecture.kv_heads
    return norms + attention + 4 * compute * architecture.intermediate_size + 4 * scalars


def activation_bytes(architecture: Architecture, workload: Workload) -> int:
    """
    What the language model's layers take at the peak of a forward and backward pass.

    With gradient checkpointing every layer keeps its input, and one layer at a time all of [`layer_bytes`] and the
    gradients it works with; without it, every layer keeps all. Autocast holds copies of all weights until the forward
    pass ends, and of one layer's in its backward pass. A mask takes length x length bytes, and again as numbers of the
    matrix products for each layer that keeps all.

    Example, Qwen2.5-7B under ZeRO-3 in bf16 with gradient checkpointing, one row of 18,432 tokens with a mask: 28
    layers keep 3584 * 2 bytes of each token, 3.4 GiB; one layer 5.7 GiB with its gradients; the mask 0.9 GiB.
    """
    tokens = workload.sequences * workload.length
    hidden, wide = architecture.hidden_size, architecture.intermediate_size * workload.compute_bytes
    kept, at_once = architecture.layers * hidden * workload.stream_bytes, 1
    if not workload.gradient_checkpointing:
        kept, at_once = 0, architecture.layers
    mask = workload.sequences * workload.length**2 if workload.attention_mask else 0
    casts = workload.compute_bytes if workload.casts else 0
    cast_weights = 0 if workload.adapter else architecture.parameters * casts
    kept_forward = kept or at_once * layer_bytes(architecture, workload)
    # The last summands are measured: intermediates of the MLP and of the stream that are alive together.
    forward = tokens * (kept_forward + 3 * wide + 9 * hidden) + cast_weights
    backward = tokens * (kept + at_once * layer_bytes(architecture, workload) + 2 * wide + 5 * hidden)
    backward += at_once * architecture.layer_parameters * casts
    return max(forward, backward) + mask * (1 + at_once * workload.compute_bytes)


def head_bytes(architecture: Architecture, workload: Workload) -> int:
    """
    What the head takes: TRL computes logits in tiles and never holds those of a whole row.

    One tile in the precision of the matrix products, the final hidden states with their gradient in float32, and the
    gradient of the head's weight in float32 if it is trained; `fsdp2` gathers that weight in the precision it has.

    Example, Qwen2.5-7B with 18,432 tokens: a tile of 4096 * 32768 * 2 bytes is 0.25 GiB, the gradient of 152,064 *
    3584 numbers 2.0 GiB.
    """
    tokens = workload.sequences * workload.length
    weight = architecture.vocab_size * architecture.hidden_size
    tile = min(tokens, _TILE[0]) * min(architecture.vocab_size, _TILE[1]) * workload.compute_bytes
    states = tokens * architecture.hidden_size * (4 + workload.compute_bytes)
    gradient = 0 if workload.adapter else 4 * weight
    gathered = weight * workload.weight_bytes if workload.engine == "fsdp2" else 0
    return tile + states + gradient + gathered


def sync_bytes(architecture: Architecture, workload: Workload) -> int:
    """What is gathered on one GPU to hand weights to vLLM: one at a time, but under ZeRO-3 all to merge an adapter."""
    if not workload.is_sharded:
        return 0
    if workload.adapter and workload.engine == "zero3":
        return architecture.parameters * workload.compute_bytes
    return architecture.vocab_size * architecture.hidden_size * workload.trained_bytes


def kv_bytes_per_token(architecture: Architecture, element_bytes: int = 2) -> int:
    """
    Keys and values of one token in all layers.

    Example, Qwen2.5-7B: 2 * 28 layers * 4 key-value heads * 128 * 2 bytes are 56 KiB.
    """
    return 2 * architecture.layers * architecture.key_size * element_bytes


def vllm_cache_bytes(architecture: Architecture, gpu: int, utilization: float, tensor_parallel: int = 1) -> int:
    """
    What vLLM has left for keys and values on one GPU; not above 0 if its weights do not fit.

    It may take the share `utilization` of the GPU's bytes; `tensor_parallel` GPUs share one engine.

    Example, Qwen2.5-7B: half of 80 GiB less 14.2 GiB of weights in bf16 and 2 GiB of workspace are 23.8 GiB.
    """
    return int(gpu * utilization) - architecture.parameters * 2 // tensor_parallel - VLLM_WORKSPACE


def host_bytes(architecture: Architecture, workload: Workload) -> int:
    """What `offload` moves to CPU memory, on all machines together: optimizer, float32 gradients, sharded weights."""
    if not workload.offload:
        return 0
    held = architecture.trainable * (_DEEPSPEED_OPTIMIZER + 4)
    return held + (architecture.parameters * workload.compute_bytes if workload.is_sharded else 0)


def checkpoint_bytes(architecture: Architecture, workload: Workload, only_model: bool = False) -> int:
    """
    What one checkpoint takes on disk.

    Weights, or the adapter alone, as `safetensors`; and unless `only_model`, two moments of AdamW in the precision of
    the trained weights; DeepSpeed writes master weights too. `zero1`, `zero2` and `fsdp2` write the weights twice.

    Example, 7.6 billion parameters: under DDP in float32 12 bytes of each, 85 GiB; under ZeRO-3 in bf16 14, 99 GiB.
    """
    each = workload.trained_bytes
    if not only_model:
        each += _DEEPSPEED_OPTIMIZER if workload.is_deepspeed else 2 * workload.trained_bytes
        if workload.engine in ("zero1", "zero2", "fsdp2"):
            each += workload.trained_bytes
    return architecture.trainable * each
