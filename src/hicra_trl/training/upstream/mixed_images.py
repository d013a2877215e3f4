"""Repairs batches in which some prompts have images and some have none; can go when TRL takes them."""

from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel
from trl import GRPOTrainer

from ...data.mixture import has_images


_OF_IMAGES = ("pixel_values", "image_grid_thw", "image_sizes", "image_position_ids", "spatial_shapes")


class MixedImagesTrainer(GRPOTrainer):
    """
    Takes prompts without images beside others, where a single process trains, and refuses them on several.

    Args:
        *args, **kwargs:
            As in [`~trl.GRPOTrainer`].
    """

    model: PreTrainedModel
    ref_model: PreTrainedModel | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        check_images(self.train_dataset, self.accelerator.num_processes)
        for model in (self.model, self.ref_model):
            if self._is_vlm and model is not None:
                model.register_forward_pre_hook(without_empty_images, with_kwargs=True)

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        *outputs, images, tool_images = super()._generate(prompts)
        # vLLM, which is done here, wants None for a prompt without images; the processor, which comes next, a list.
        return *outputs, images and [of_prompt or [] for of_prompt in images], tool_images


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
