"""GRPO with hierarchy-aware credit: wires the labeler, the credit and the dynamics to TRL."""

import json
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard
from transformers import PreTrainedModel
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOTrainer
from trl.trainer.utils import get_config_model_id

from ..dynamics import DynamicsMeter
from ..grams import PlanningTokenLabeler, StrategicGrams
from ..grams.card import PAPER_CITATION
from .advantages import hicra_advantages
from .config import HICRAConfig


LEXICON_FOLDER = "strategic_grams"
STATE_FILE = "hicra_state.json"


class HICRATrainer(GRPOTrainer):
    """
    Trainer for Hierarchy-Aware Credit Assignment (HICRA), introduced in [Emergent Hierarchical Reasoning in LLMs
    through Reinforcement Learning](https://huggingface.co/papers/2509.03646).

    The one change to [`~trl.GRPOTrainer`]: the advantage of planning tokens is raised by `alpha` times its magnitude.
    What training does to planning and execution is logged under `hicra/`.

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

    @property
    def _mode(self) -> str:
        return "train" if self.model.training else "eval"

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super()._generate_and_score_completions(inputs)
        mask = _own_tokens(batch)
        labels = self.labeler.label(batch["completion_ids"], mask)
        batch["planning_mask"] = labels.planning_mask
        # Once per generation: a buffered batch enters the loss several times, and amplifying there would compound.
        batch["advantages"] = hicra_advantages(batch["advantages"], labels.planning_mask, self.args.alpha)
        self.dynamics[self._mode].add_completions(labels, mask, batch["advantages"])
        return batch

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
        self.dynamics[self._mode].add_tokens(logps, entropies, inputs["planning_mask"], _own_tokens(inputs))
        return loss

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

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            folder = Path(self._get_output_dir(trial=trial), f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
            baselines = {mode: meter.baselines for mode, meter in self.dynamics.items()}
            (folder / STATE_FILE).write_text(json.dumps({"perplexity_baselines": baselines}))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        check_same_lexicon(checkpoint, self.labeler.grams)
        state = json.loads(Path(checkpoint, STATE_FILE).read_text())
        for mode, baselines in state["perplexity_baselines"].items():
            self.dynamics[mode].baselines = baselines

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Writes TRL's model card with a section on the credit assignment."""
        super().create_model_card(*args, **kwargs)
        if not self.is_world_process_zero():
            return
        path = Path(self.args.output_dir, "README.md")
        card = ModelCard.load(path)
        grams = self.labeler.grams
        section = (
            "## Hierarchy-aware credit assignment\n\n"
            f"The advantage of planning tokens was raised by alpha = {self.args.alpha} times its magnitude. Planning "
            f"tokens are those inside one of {len(grams)} strategic grams (fingerprint `{grams.fingerprint}`, saved "
            f"in `{LEXICON_FOLDER}/`).\n\n"
        )
        marker = "### Framework versions"
        card.text = card.text.replace(marker, section + marker)
        card.save(path)


def check_same_lexicon(checkpoint: str | Path, grams: StrategicGrams) -> None:
    """Raises if `checkpoint` was trained with another lexicon: labels before and after would mean different things."""
    saved = StrategicGrams.load(Path(checkpoint, LEXICON_FOLDER))
    if saved.fingerprint != grams.fingerprint:
        raise ValueError(
            f"cannot resume {checkpoint}: it was trained with a lexicon of {len(saved)} strategic grams and "
            f"fingerprint {saved.fingerprint}, got one of {len(grams)} and fingerprint {grams.fingerprint}"
        )


def _own_tokens(batch: dict[str, Any]) -> torch.Tensor:
    """Mask (B, T) of the tokens that the model itself wrote and that enter the loss."""
    mask = batch["completion_mask"]
    return mask * batch["tool_mask"] if "tool_mask" in batch else mask
