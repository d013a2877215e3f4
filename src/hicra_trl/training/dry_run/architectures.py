"""Shapes and sizes of models, read from a `config.json` or a table, without a weight and without network."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import AutoModelForImageTextToText
from trl import ModelConfig, get_peft_config

from ...gguf import is_gguf, read_gguf


_QWEN3 = {"model_type": "qwen3", "vocab_size": 151936, "num_key_value_heads": 8, "head_dim": 128}
_QWEN3_600M = _QWEN3 | {
    "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
    "tie_word_embeddings": True,
}  # fmt: skip
_QWEN3_1700M = _QWEN3_600M | {"hidden_size": 2048, "intermediate_size": 6144}
_QWEN3_4B = _QWEN3 | {
    "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
    "tie_word_embeddings": True,
}  # fmt: skip
_QWEN3_8B = _QWEN3_4B | {"hidden_size": 4096, "intermediate_size": 12288, "tie_word_embeddings": False}
_QWEN25_7B_TEXT = {
    "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
    "num_attention_heads": 28, "num_key_value_heads": 4, "tie_word_embeddings": False,
}  # fmt: skip
_QWEN25_7B = {"model_type": "qwen2", **_QWEN25_7B_TEXT}
_QWEN25_1500M = _QWEN25_7B | {
    "vocab_size": 151936, "hidden_size": 1536, "intermediate_size": 8960, "num_attention_heads": 12,
    "num_key_value_heads": 2, "tie_word_embeddings": True,
}  # fmt: skip
_LLAMA31_8B = {
    "model_type": "llama", "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": False,
}  # fmt: skip
_QWEN25_VIT = {"depth": 32, "hidden_size": 1280, "num_heads": 16}
_QWEN25_VL_7B = {
    "model_type": "qwen2_5_vl", "tie_word_embeddings": False, "text_config": _QWEN25_7B_TEXT,
    "vision_config": _QWEN25_VIT | {"intermediate_size": 3420, "out_hidden_size": 3584},
}  # fmt: skip
_MIMO_VL_7B = {
    "model_type": "qwen2_5_vl", "tie_word_embeddings": False,
    "text_config": {
        "vocab_size": 151680, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 36,
        "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": False,
    },
    "vision_config": _QWEN25_VIT | {"intermediate_size": 3456, "out_hidden_size": 4096},
}  # fmt: skip

PUBLISHED: dict[str, dict[str, Any]] = {
    "Qwen/Qwen3-4B-Instruct-2507": _QWEN3_4B,
    "Qwen/Qwen3-4B": _QWEN3_4B,
    "Qwen/Qwen3-4B-Base": _QWEN3_4B,
    "meta-llama/Llama-3.1-8B-Instruct": _LLAMA31_8B,
    "Qwen/Qwen2.5-7B": _QWEN25_7B,
    "XiaomiMiMo/MiMo-VL-7B-SFT": _MIMO_VL_7B,
    "XiaomiMiMo/MiMo-VL-7B-RL": _MIMO_VL_7B,
    "XiaomiMiMo/MiMo-VL-7B-SFT-2508": _MIMO_VL_7B,
    "XiaomiMiMo/MiMo-VL-7B-RL-2508": _MIMO_VL_7B,
    "Qwen/Qwen2.5-VL-7B-Instruct": _QWEN25_VL_7B,
    "meta-llama/Llama-3.1-8B": _LLAMA31_8B,
    "Qwen/Qwen2.5-7B-Instruct": _QWEN25_7B,
    "Qwen/Qwen2.5-1.5B": _QWEN25_1500M,
    "Qwen/Qwen2.5-1.5B-Instruct": _QWEN25_1500M,
    "Qwen/Qwen3-0.6B": _QWEN3_600M,
    "Qwen/Qwen3-0.6B-Base": _QWEN3_600M,
    "Qwen/Qwen3-1.7B": _QWEN3_1700M,
    "Qwen/Qwen3-1.7B-Base": _QWEN3_1700M,
    "Qwen/Qwen3-8B": _QWEN3_8B,
    "Qwen/Qwen3-8B-Base": _QWEN3_8B,
}


@dataclass(frozen=True)
class Architecture:
    """
    What of a model decides the memory it takes.

    Args:
        parameters (`int`):
            Parameters, tied ones once.
        trainable (`int`):
            Those that are trained: all, or the adapter's.
        vision_parameters (`int`):
            Those in front of the language model: vision tower and projector.
        layer_parameters (`int`):
            Those of one layer of the language model.
        layers (`int`):
            Layers of the language model.
        hidden_size (`int`):
            Width of the residual stream.
        intermediate_size (`int`):
            Width inside the MLP.
        query_size (`int`):
            Width of all queries together: heads x head_dim.
        key_size (`int`):
            Width of all keys together, as of all values: key-value heads x head_dim.
        heads (`int`):
            Attention heads.
        kv_heads (`int`):
            Key-value heads.
        query_key_norm (`bool`):
            Whether queries and keys are normalized.
        vocab_size (`int`):
            Rows of the embedding.
        dtype_bytes (`int`):
            Bytes of a published weight.
    """

    parameters: int
    trainable: int
    vision_parameters: int
    layer_parameters: int
    layers: int
    hidden_size: int
    intermediate_size: int
    query_size: int
    key_size: int
    heads: int
    kv_heads: int
    query_key_norm: bool
    vocab_size: int
    dtype_bytes: int


def load_architecture(model_args: ModelConfig, trust_remote_code: bool = False) -> Architecture:
    """
    Reads the architecture of a model from its folder, from the local cache of the Hub, or from the table.

    The model is built without memory for its weights, by the code that will train it, adapter included: its counts
    are exact.

    Args:
        model_args ([`~trl.ModelConfig`]):
            Which model, and which adapter.
        trust_remote_code (`bool`, *optional*, defaults to `False`):
            Whether a model's own code may run.

    Raises:
        `ValueError` or `OSError`: if the model is not known here, or is no dense decoder with gated MLPs.

    Example:

    ```python
    >>> load_architecture(ModelConfig(model_name_or_path="Qwen/Qwen2.5-7B")).parameters
    7615616512
    ```
    """
    config = _load_config(model_args, trust_remote_code)
    auto = AutoModelForCausalLM if config.get_text_config() is config else AutoModelForImageTextToText
    with torch.device("meta"):
        model = auto.from_config(config, trust_remote_code=trust_remote_code)
    return _measure(model, model_args)


def _load_config(model_args: ModelConfig, trust_remote_code: bool) -> PreTrainedConfig:
    name, revision = str(model_args.model_name_or_path), model_args.model_revision
    if is_gguf(name) and Path(name).is_file():
        config, _, _ = read_gguf(Path(name).absolute())
        config.dtype = torch.float32
        return config
    is_folder = Path(name).is_dir()
    if is_folder or isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str):
        revision = None if is_folder else revision
        return AutoConfig.from_pretrained(
            name, revision=revision, local_files_only=True, trust_remote_code=trust_remote_code
        )
    if name not in PUBLISHED:
        raise ValueError(f"{name} is no folder, is not in the local cache, and its shape is not on record")
    return AutoConfig.for_model(**PUBLISHED[name], dtype="bfloat16")


def _measure(model: PreTrainedModel, model_args: ModelConfig) -> Architecture:
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    stacks = [
        found[1]
        for name in shapes
        if (found := re.fullmatch(r"(.+\.layers)\.0\.self_attn\.k_proj\.weight", name))
        and f"{found[1]}.0.mlp.gate_proj.weight" in shapes
    ]
    if len(stacks) != 1:
        raise ValueError(f"{type(model).__name__} is no dense decoder with gated MLPs")
    first, text = f"{stacks[0]}.0.", model.config.get_text_config()
    decoder = stacks[0].removesuffix("layers")
    parameters = _count(shapes, "")
    embedding, dtype = model.get_input_embeddings(), model.config.dtype
    assert isinstance(embedding, torch.nn.Embedding)
    head = 0 if text.tie_word_embeddings else embedding.weight.numel()
    return Architecture(
        parameters=parameters,
        trainable=_trainable(model, model_args) if model_args.use_peft else parameters,
        vision_parameters=parameters - head - _count(shapes, decoder),
        layer_parameters=_count(shapes, first),
        layers=text.num_hidden_layers,
        hidden_size=embedding.embedding_dim,
        intermediate_size=shapes[f"{first}mlp.gate_proj.weight"][0],
        query_size=shapes[f"{first}self_attn.q_proj.weight"][0],
        key_size=shapes[f"{first}self_attn.k_proj.weight"][0],
        heads=text.num_attention_heads,
        kv_heads=text.num_key_value_heads,
        query_key_norm=f"{first}self_attn.q_norm.weight" in shapes,
        vocab_size=embedding.num_embeddings,
        dtype_bytes=dtype.itemsize if isinstance(dtype, torch.dtype) else 4,
    )


def _count(shapes: dict[str, torch.Size], prefix: str) -> int:
    return sum(shape.numel() for name, shape in shapes.items() if name.startswith(prefix))


def _trainable(model: PreTrainedModel, model_args: ModelConfig) -> int:
    from peft import get_peft_model

    config = get_peft_config(model_args)
    assert config is not None
    adapted = get_peft_model(model, config, low_cpu_mem_usage=True)
    return sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)
