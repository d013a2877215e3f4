"""Repairs what a kill or a NaN does to checkpoints; can go when Transformers marks, pushes and ends whole ones."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, TrainOutput, get_last_checkpoint
from trl import GRPOConfig, GRPOTrainer

from ...disk import write_whole
from ..runs.files import STATE_FILE, missing_state


class ResumableTrainer(GRPOTrainer):
    """
    Leaves checkpoints from which a run goes on as if it had never stopped.

    What a checkpoint remembers beside Transformers' own state is what the methods `checkpoint_state` and
    `restore_checkpoint` of a subclass say.

    Args:
        *args, **kwargs:
            As in [`~trl.GRPOTrainer`].
    """

    args: GRPOConfig
    num_generations: int

    def checkpoint_state(self) -> dict[str, Any]:
        """What a checkpoint remembers, as JSON has it."""
        return {}

    def restore_checkpoint(self, checkpoint: Path, state: dict[str, Any]) -> None:
        """Takes over what [`~ResumableTrainer.checkpoint_state`] gave; raises `ValueError` where that cannot be."""

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # Transformers would train one step more where a run is resumed at its last one.
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)
        # Transformers calls it a success, or goes round for ever. A dataset whose length is known is checked before.
        if self.state.global_step == 0:
            raise ValueError(
                f"nothing was trained: the dataset gave fewer prompts than one step takes, and a generation takes "
                f"{(self.args.generation_batch_size or 0) // self.num_generations}"
            )

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> TrainOutput:
        """Trains as Transformers does, from a whole checkpoint of this trainer."""
        if resume_from_checkpoint is True:
            resume_from_checkpoint = get_last_checkpoint(str(self.args.output_dir)) or True
        if resume_from_checkpoint and resume_from_checkpoint is not True:
            if not Path(resume_from_checkpoint).is_dir():
                raise ValueError(f"no checkpoint at {resume_from_checkpoint}: expected a folder checkpoint-<step>")
            if problem := missing_state(resume_from_checkpoint):
                raise ValueError(f"cannot resume {resume_from_checkpoint}: it is {problem}")
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        folder = Path(self._get_output_dir(trial=trial), f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
        # A resumed run may write over an older checkpoint.
        if self.args.should_save:
            (folder / STATE_FILE).unlink(missing_ok=True)
        super()._save_checkpoint(model, trial)
        # Written last, when every rank is done, and at once: a checkpoint without it is half-written.
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            write_whole(folder / STATE_FILE, json.dumps(self.checkpoint_state()))
        if self.args.push_to_hub:
            super()._push_from_checkpoint(str(folder))

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        # Transformers calls it before a checkpoint is whole; `_save_checkpoint` pushes when it is.
        pass

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.restore_checkpoint(Path(checkpoint), json.loads(Path(checkpoint, STATE_FILE).read_text()))

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        loss = super()._compute_loss(model, inputs)
        self._refuse_broken("loss", loss.detach())
        return loss

    def _get_grad_norm(self, *args: Any, **kwargs: Any) -> Any:
        norm = super()._get_grad_norm(*args, **kwargs)
        # In fp16 the scaler skips steps whose gradients overflow.
        if norm is not None and not self.args.fp16:
            self._refuse_broken("norm of the gradient", norm)
        return norm

    def _refuse_broken(self, what: str, value: torch.Tensor | float) -> None:
        """Stops before the weights are broken too, so that every checkpoint is a good one."""
        value = float(value)
        if not math.isfinite(value):
            raise FloatingPointError(
                f"step {self.state.global_step + 1}: the {what} is {value}. It has changed no weight: go on "
                "with a lower max_grad_norm, or begin another run from the last checkpoint with a lower learning_rate"
            )
