"""Repairs a resume from files with names of their own for weights; can go when Transformers maps them back."""

from pathlib import Path

import torch
from accelerate.utils import is_peft_model
from transformers import PreTrainedModel
from trl import GRPOTrainer


class SavedWeightsTrainer(GRPOTrainer):
    """
    Resumes with the weights of the checkpoint, whatever their names in the file are.

    Args:
        *args, **kwargs:
            As in [`~trl.GRPOTrainer`].
    """

    model: PreTrainedModel

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        if self.is_fsdp_enabled or is_peft_model(self.model):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            load_saved(self.model, resume_from_checkpoint)


def load_saved(model: PreTrainedModel, folder: str | Path) -> None:
    """
    Loads the weights that `save_pretrained` wrote, whatever their names in the file are.

    Those of models that see, and of models with experts, have other names in a file than in memory. A resume by
    Transformers looks for the latter, warns that it finds none, and goes on with the weights of the base.
    """
    saved = type(model).from_pretrained(folder, config=model.config, dtype=model.dtype)
    model.load_state_dict(saved.state_dict())
