"""GRPO on models that see: what TRL, Transformers and Accelerate lack for them."""

from pathlib import Path
from typing import Any

import torch
from accelerate.utils import FullyShardedDataParallelPlugin, is_peft_model
from datasets import Dataset
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel
from trl import GRPOTrainer

from ...data.mixture import has_images


_OF_IMAGES = ("pixel_values", "image_grid_thw", "image_sizes", "image_position_ids", "spatial_shapes")


class VisionTrainer(GRPOTrainer):
    """
    Trains models that see, alone and on several ranks; for all others this is [`~trl.GRPOTrainer`].

    Args:
        *args, **kwargs:
            As in [`~trl.GRPOTrainer`].
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        check_images(self.train_dataset, self.accelerator.num_processes)
        if self._is_vlm and self.is_fsdp_enabled:
            name_layers(self.accelerator.state.fsdp_plugin, self.model)
        for model in (self.model, self.ref_model):
            if self._is_vlm and model is not None:
                model.register_forward_pre_hook(without_empty_images, with_kwargs=True)
                model.register_forward_pre_hook(gather_head)

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        *outputs, images, tool_images = super()._generate(prompts)
        # vLLM, which is done here, wants None for a prompt without images; the processor, which comes next, a list.
        return *outputs, images and [of_prompt or [] for of_prompt in images], tool_images

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        if self.is_fsdp_enabled or is_peft_model(self.model):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            load_saved(self.model, resume_from_checkpoint)


def check_images(prompts: Any, processes: int) -> None:
    """
    Checks that all processes of a run will see, or none.

    One with a batch of mere text would not run the vision tower, whose gradients, and under ZeRO-3 and FSDP whose
    weights, the others then wait for.

    Args:
        prompts ([`~datasets.Dataset`]):
            What to train on; another kind of dataset is not looked at.
        processes (`int`):
            How many train.

    Raises:
        `ValueError`: if some prompts have images and some have none, and there are several processes.
    """
    if processes == 1 or not isinstance(prompts, Dataset):
        return
    found = has_images(prompts)
    if any(found) and not all(found):
        raise ValueError(
            f"{len(found) - sum(found):,} of {len(found):,} prompts have no image, with {processes} processes: "
            "expected an image in all, or one process"
        )


def name_layers(plugin: FullyShardedDataParallelPlugin, model: PreTrainedModel) -> None:
    """
    Names the layers to shard where a configuration of FSDP does not: those that the model's class lists and it has.

    Accelerate takes the list as it is, and stops at what another model of the class has: CLIP's text tower, in Llava.
    """
    if plugin.transformer_cls_names_to_wrap is None:
        present = {type(module).__name__ for module in model.modules()}
        plugin.transformer_cls_names_to_wrap = sorted(present & set(model._no_split_modules))


def without_empty_images(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """
    Hook before a model's forward pass: takes the pixels of no image away, which a vision tower cannot reshape.

    A micro-batch has them when only its neighbours in the generation batch have images.
    """
    pixels = kwargs.get("pixel_values")
    if pixels is None or len(pixels):
        return args, kwargs
    return args, {name: value for name, value in kwargs.items() if name not in _OF_IMAGES}


def gather_head(module: torch.nn.Module, args: tuple[Any, ...]) -> None:
    """
    Hook before a model's forward pass: under FSDP2, gathers the output head, whose weight TRL reads without a call.

    Accelerate shards the head together with the final norm, whose call gathers both; of models that see it does not
    find that norm. From a head in shards TRL would make a copy, and each rank would keep its own gradient of it.
    """
    head = module.get_output_embeddings()
    if isinstance(head, FSDPModule):
        head.unshard()


def load_saved(model: PreTrainedModel, folder: str | Path) -> None:
    """
    Loads the weights that `save_pretrained` wrote, whatever their names in the file are.

    Those of models that see, and of models with experts, have other names in a file than in memory. A resume by
    Transformers looks for the latter, warns that it finds none, and goes on with the weights of the base.
    """
    saved = type(model).from_pretrained(folder, config=model.config, dtype=model.dtype)
    model.load_state_dict(saved.state_dict())
