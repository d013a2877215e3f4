"""Repairs a resume that has not all weights of a checkpoint; can go when Transformers and TRL restore them."""

from functools import reduce
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import is_peft_model
from transformers import PreTrainedModel
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOConfig, GRPOTrainer


# Folder in a checkpoint of the reference model, where training changes it.
_REFERENCE_FOLDER = "reference"


class SavedWeightsTrainer(GRPOTrainer):
    """
    Resumes with the weights of the checkpoint, whatever their names in the file are: of the model, of each of its
    adapters, and of a reference model that `sync_ref_model` changes.

    Args:
        *args, **kwargs:
            As in [`~trl.GRPOTrainer`].
    """

    args: GRPOConfig
    model: PreTrainedModel
    ref_model: PreTrainedModel | None

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        if self.is_fsdp_enabled or is_peft_model(self.model):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            load_saved(self.model, resume_from_checkpoint)
        # Beside an adapter in a folder of its own, such as TRL's reference, Transformers overlooks the one it trains.
        if is_peft_model(self.model) and len(self.model.peft_config) > 1 and "default" in self.model.peft_config:
            self.model.load_adapter(resume_from_checkpoint, "default", is_trainable=True)
            self.model.set_adapter("default")

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.args.sync_ref_model and self.args.should_save and not self._is_sharded:
            assert self.ref_model is not None
            folder = Path(self._get_output_dir(trial=trial), f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
            self.ref_model.save_pretrained(folder / _REFERENCE_FOLDER)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None or not self.args.sync_ref_model:
            return
        reference = Path(checkpoint, _REFERENCE_FOLDER)
        if self._is_sharded or not reference.is_dir():
            raise ValueError(
                f"cannot resume {checkpoint}: the reference model that sync_ref_model changes is not in it; expected "
                "a checkpoint of this version, without ZeRO and FSDP"
            )
        assert self.ref_model is not None
        load_saved(self.ref_model, reference)

    @property
    def _is_sharded(self) -> bool:
        return self.is_deepspeed_enabled or self.is_fsdp_enabled


def load_saved(model: PreTrainedModel, folder: str | Path) -> None:
    """
    Loads the weights that `save_pretrained` wrote, whatever their names in the file are.

    Those of models that see, and of models with experts, have other names in a file than in memory. A resume by
    Transformers looks for the latter, warns that it finds none, and goes on with the weights of the base.
    """
    # A part may be more precise than the rest, as the head is with cast_lm_head_to_fp32.
    dtypes = [parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()]
    saved = type(model).from_pretrained(folder, config=model.config, dtype=reduce(torch.promote_types, dtypes))
    model.load_state_dict(saved.state_dict())
