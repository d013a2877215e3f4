"""A trained adapter and its base, made one model."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.utils import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import load_file
from transformers import PreTrainedModel
from trl import ModelConfig, get_peft_config


def adapter_config(folder: Path, recipe: dict[str, Any]) -> PeftConfig:
    """The configuration that was saved with the adapter in `folder`, or the one that the run's `recipe` describes."""
    if (folder / CONFIG_NAME).is_file():
        return PeftConfig.from_pretrained(str(folder))
    model_args = ModelConfig(**{f.name: recipe[f.name] for f in fields(ModelConfig) if f.name in recipe})
    config = get_peft_config(model_args)
    assert config is not None
    return config


def read_adapter(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of the adapter in `folder`, by the names that PEFT gives them in files."""
    return load_file(folder / SAFETENSORS_WEIGHTS_NAME)


def merge(base: PreTrainedModel, config: PeftConfig, state: dict[str, torch.Tensor]) -> PreTrainedModel:
    """
    Adds an adapter to the weights of its base.

    Args:
        base ([`~transformers.PreTrainedModel`]):
            The model that the adapter was trained on. It is changed.
        config ([`~peft.PeftConfig`]):
            What kind of adapter it is.
        state (`dict[str, torch.Tensor]`):
            Its weights, by the names that PEFT gives them in files.

    Returns:
        [`~transformers.PreTrainedModel`]: the base with other weights, in the dtype of the base.

    Raises:
        `ValueError`: if the weights do not fit, or the sum has a NaN.
    """
    model = get_peft_model(base, config)
    expected = get_peft_model_state_dict(model, save_embedding_layers=False)
    if missing := expected.keys() - state.keys():
        raise ValueError(
            f"expected the {len(expected)} tensors of the adapter, got {len(expected) - len(missing)} of them: "
            f"{min(missing)} is missing"
        )
    unexpected = set_peft_model_state_dict(model, state).unexpected_keys
    if unexpected:
        raise ValueError(f"expected the {len(expected)} tensors of the adapter, got {min(unexpected)} too")
    merged = model.merge_and_unload(safe_merge=True)
    assert isinstance(merged, PreTrainedModel)
    return merged
