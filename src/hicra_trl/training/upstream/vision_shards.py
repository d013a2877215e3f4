"""Repairs vision-language models under FSDP2; can go when Accelerate finds their layers and final norm."""

from typing import Any

from accelerate.utils import FullyShardedDataParallelPlugin
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel
from trl import GRPOTrainer


class VisionShardsTrainer(GRPOTrainer):
    """
    Shards vision-language models by the layers that they have, and gathers the output head that TRL reads.

    Args:
        *args, **kwargs:
            As in [`~trl.GRPOTrainer`].
    """

    model: PreTrainedModel
    ref_model: PreTrainedModel | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not (self._is_vlm and self.is_fsdp_enabled):
            return
        plugin = self.accelerator.state.fsdp_plugin
        assert plugin is not None
        name_layers(plugin, self.model)
        for model in (self.model, self.ref_model):
            if model is not None:
                model.register_forward_pre_hook(gather_head)


def name_layers(plugin: FullyShardedDataParallelPlugin, model: PreTrainedModel) -> None:
    """
    Names the layers to shard where a configuration of FSDP does not: those that the model's class lists and it has.

    Accelerate takes the list as it is, and stops at what another model of the class has: CLIP's text tower, in Llava.
    """
    if plugin.transformer_cls_names_to_wrap is None:
        present = {type(module).__name__ for module in model.modules()}
        plugin.transformer_cls_names_to_wrap = sorted(present & set(model._no_split_modules or ()))


def gather_head(module: PreTrainedModel, args: tuple[Any, ...]) -> None:
    """
    Hook before a model's forward pass: under FSDP2, gathers the output head, whose weight TRL reads without a call.

    Accelerate shards the head together with the final norm, whose call gathers both; of models that see it does not
    find that norm. From a head in shards TRL would make a copy, and each rank would keep its own gradient of it.
    """
    head = module.get_output_embeddings()
    if isinstance(head, FSDPModule):
        head.unshard()
