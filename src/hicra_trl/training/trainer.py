"""GRPO with hierarchy-aware credit: wires the labeler, the credit and the dynamics to TRL."""

import inspect
import json
import math
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard
from transformers import PreTrainedModel
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOTrainer
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import get_config_model_id

from ..dynamics import DynamicsMeter
from ..grams import PlanningTokenLabeler, StrategicGrams
from ..paper import PAPER_CITATION
from .config import HICRAConfig
from .credit.controls import highest_tokens, random_tokens
from .credit.hicra import hicra_advantages
from .runs.files import LEXICON_FOLDER, STATE_FILE
from .runs.lexicon import check_same_lexicon
from .sampling.rollouts import RolloutTrainer
from .sampling.seeds import seeded_generator


# What TRL's forward pass takes beside the tokens, such as pixels; a batch has some of them.
_FORWARD_PARAMETERS = inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies).parameters

_CREDITED = {
    "planning": "planning tokens",
    "random": "random tokens, in each completion as many as it has planning tokens,",
    "high_entropy": "the tokens of highest entropy, in each completion as many as it has planning tokens,",
}


class HICRATrainer(RolloutTrainer):
    """
    Trainer for Hierarchy-Aware Credit Assignment (HICRA), introduced in [Emergent Hierarchical Reasoning in LLMs
    through Reinforcement Learning](https://huggingface.co/papers/2509.03646).

    The one change to [`~trl.GRPOTrainer`]: the advantage of planning tokens is raised by `alpha` times its magnitude.
    What training does to planning and execution is logged under `hicra/`. As a control, `credit_tokens` gives the
    same raise to as many other tokens.

    Args:
        model (`str` or [`~transformers.PreTrainedModel`] or [`~peft.PeftModel`]):
            As in [`~trl.GRPOTrainer`], and so are all parameters that are not listed here.
        args ([`HICRAConfig`], *optional*):
            Configuration. If `None`, the defaults are used.

    Example:

    ```python
    >>> from datasets import load_dataset
    >>> from hicra_trl import BoxedAccuracyReward, HICRATrainer

    >>> trainer = HICRATrainer(
    ...     model="Qwen/Qwen3-0.6B",
    ...     reward_funcs=BoxedAccuracyReward(),
    ...     train_dataset=load_dataset("json", data_files="problems.jsonl", split="train"),
    ... )
    >>> trainer.train()
    ```
    """

    _tag_names = ["trl", "grpo", "hicra"]  # noqa: RUF012
    _name = "HICRA"
    _paper = {  # noqa: RUF012
        "title": "Emergent Hierarchical Reasoning in LLMs through Reinforcement Learning",
        "id": "2509.03646",
        "citation": PAPER_CITATION,
    }

    def __init__(
        self, model: str | PreTrainedModel, reward_funcs: Any = None, args: HICRAConfig | None = None, **kwargs: Any
    ) -> None:
        if args is None:
            name = model if isinstance(model, str) else get_config_model_id(model.config)
            args = HICRAConfig(f"{name.split('/')[-1]}-HICRA")
        if not isinstance(args, HICRAConfig):
            raise TypeError(f"args must be a HICRAConfig, got {type(args).__name__}")
        grams = StrategicGrams.load(args.strategic_grams)
        super().__init__(model=model, reward_funcs=reward_funcs, args=args, **kwargs)
        self.labeler = PlanningTokenLabeler(self._tokenizer, grams)
        self.dynamics = {mode: DynamicsMeter(len(grams)) for mode in ("train", "eval")}
        self._token_scores: tuple[torch.Tensor, torch.Tensor] | None = None

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super()._generate_and_score_completions(inputs)
        mask = _own_tokens(batch)
        labels = self.labeler.label(batch["completion_ids"], mask)
        batch["planning_mask"] = credited = labels.planning_mask
        # At alpha 0 a choice changes nothing, but the forward pass for it would draw a dropout that GRPO does not.
        if self.args.credit_tokens != "planning" and self.args.alpha > 0:
            credited = self._control_tokens(batch, mask)
            self._log_overlap(credited, labels.planning_mask)
        # Once per generation: a buffered batch enters the loss several times, and amplifying there would compound.
        batch["advantages"] = hicra_advantages(batch["advantages"], credited, self.args.alpha)
        self.dynamics[self._mode].add_completions(labels, mask, batch["advantages"])
        return batch

    def _control_tokens(self, batch: dict[str, Any], mask: torch.Tensor) -> torch.Tensor:
        """Mask (B, T) of as many tokens of each completion as it has planning tokens, by another criterion."""
        if self.args.credit_tokens == "random":
            generator = seeded_generator(*self._next_key(), self.accelerator.process_index)
            return random_tokens(batch["planning_mask"], mask, generator)
        return highest_tokens(self._entropies(batch), batch["planning_mask"], mask)

    def _entropies(self, batch: dict[str, Any]) -> torch.Tensor:
        """Entropies (B, T) of the policy at the completions' tokens, in nats, at the sampling temperature."""
        train = self.model.training
        # The parent's method: ours would keep these for the metrics, where the loss's belong.
        with torch.no_grad(), disable_gradient_checkpointing(self.model, self.args.gradient_checkpointing_kwargs):
            _, entropies, *_ = super()._get_per_token_logps_and_entropies(
                self.model,
                torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
                torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
                batch["completion_ids"].size(1),
                batch_size=self.args.per_device_train_batch_size if train else self.args.per_device_eval_batch_size,
                compute_entropy=True,
                **{name: batch[name] for name in _FORWARD_PARAMETERS if name in batch},
            )
        return entropies

    def _log_overlap(self, credited: torch.Tensor, planning_mask: torch.Tensor) -> None:
        counts = torch.stack([(credited & planning_mask).sum(), credited.sum()])
        overlap, total = self.accelerator.reduce(counts, reduction="sum").tolist()
        if total:
            self._metrics[self._mode]["hicra/credit_overlap"].append(overlap / total)

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        rewards_per_func = super()._calculate_rewards(*args, **kwargs)
        group_size = self.num_generations if self.model.training else self.num_generations_eval
        correct = rewards_per_func[:, 0] >= self.args.pass_threshold
        self.dynamics[self._mode].add_groups(correct.view(-1, group_size))
        return rewards_per_func

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> tuple:
        outputs = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if outputs[1] is not None:
            self._token_scores = outputs[0].detach(), outputs[1].detach()
        return outputs

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        loss = super()._compute_loss(model, inputs)
        logps, entropies = self._token_scores
        self._token_scores = None
        self._refuse_broken("loss", loss.detach())
        self.dynamics[self._mode].add_tokens(logps, entropies, inputs["planning_mask"], _own_tokens(inputs))
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

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the dynamics of the window that ends here, under `hicra/`. Every rank must call it."""
        prefix = "hicra/" if self._mode == "train" else "eval_hicra/"
        meter = self.dynamics[self._mode]
        logs.update({prefix + name: value for name, value in meter.compute(self.accelerator).items()})
        meter.reset()
        super().log(logs, start_time)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Saves the model, and the lexicon beside it."""
        super().save_model(output_dir, _internal_call)
        if self.args.should_save:
            self.labeler.grams.save(Path(output_dir or self.args.output_dir, LEXICON_FOLDER))

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # Transformers would train one step more where a run is resumed at its last one.
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        folder = Path(self._get_output_dir(trial=trial), f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
        # A resumed run may write over an older checkpoint.
        if self.args.should_save:
            (folder / STATE_FILE).unlink(missing_ok=True)
        super()._save_checkpoint(model, trial)
        # Written last, when every rank is done, and at once: a checkpoint without it is half-written.
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            state = {
                "perplexity_baselines": {mode: meter.baselines for mode, meter in self.dynamics.items()},
                "rollouts": self.rollout_state(),
            }
            (folder / f"{STATE_FILE}.part").write_text(json.dumps(state))
            (folder / f"{STATE_FILE}.part").replace(folder / STATE_FILE)
        if self.args.push_to_hub:
            super()._push_from_checkpoint(str(folder))

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        # Transformers calls it before a checkpoint is whole; `_save_checkpoint` pushes when it is.
        pass

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        check_same_lexicon(checkpoint, self.labeler.grams)
        state = json.loads(Path(checkpoint, STATE_FILE).read_text())
        for mode, baselines in state["perplexity_baselines"].items():
            self.dynamics[mode].baselines = baselines
        self.restore_rollouts(state["rollouts"])

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Writes TRL's model card with a section on the credit assignment."""
        super().create_model_card(*args, **kwargs)
        if not self.is_world_process_zero():
            return
        path = Path(self.args.output_dir, "README.md")
        card = ModelCard.load(path)
        marker = "### Framework versions"
        card.text = card.text.replace(marker, _credit_section(self.args, self.labeler.grams) + marker)
        # What TRL writes for a model that is not on the Hub.
        card.text = card.text.replace('model="None"', f'model="{self.args.output_dir}"')
        card.save(path)


def _own_tokens(batch: dict[str, Any]) -> torch.Tensor:
    """Mask (B, T) of the tokens that the model itself wrote and that enter the loss."""
    mask = batch["completion_mask"]
    return mask * batch["tool_mask"] if "tool_mask" in batch else mask


def _credit_section(args: HICRAConfig, grams: StrategicGrams) -> str:
    """The section of the card, in Markdown."""
    return (
        "## Hierarchy-aware credit assignment\n\n"
        f"The advantage of {_CREDITED[args.credit_tokens]} was raised by alpha = {args.alpha} times its magnitude. "
        f"Planning tokens are those inside one of {len(grams)} strategic grams (fingerprint `{grams.fingerprint}`, "
        "saved in `strategic_grams/`).\n\n"
    )
