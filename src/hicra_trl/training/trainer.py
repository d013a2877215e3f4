"""GRPO with hierarchy-aware credit: wires the labeler, the credit and the dynamics to TRL."""

from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import ModelCard
from transformers import PreTrainedModel
from trl.trainer.utils import get_config_model_id

from ..dynamics import DynamicsMeter
from ..grams import PlanningTokenLabeler, StrategicGrams
from ..paper import PAPER_CITATION
from .assigner import CreditAssigner
from .card import complete_card
from .config import HICRAConfig
from .gram_outcomes import GramOutcomesRecorder
from .runs.files import LEXICON_FOLDER
from .runs.lexicon import check_same_lexicon
from .sampling.rollouts import RolloutTrainer
from .token_record import TokenRecorder
from .upstream.token_advantages import check_token_advantages


class HICRATrainer(RolloutTrainer):
    """
    Trainer for Hierarchy-Aware Credit Assignment (HICRA), introduced in [Emergent Hierarchical Reasoning in LLMs
    through Reinforcement Learning](https://huggingface.co/papers/2509.03646).

    The one change to [`~trl.GRPOTrainer`]: the advantage of planning tokens is raised by `alpha` times its magnitude.
    What training does to planning and execution is logged under `hicra/`. `credit` gives it by another rule: by
    what each gram goes along with, to other tokens as a control, or by a function of the user's own.

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
        self,
        model: str | PreTrainedModel,
        reward_funcs: Any = None,
        args: HICRAConfig | None = None,
        *others: Any,
        **kwargs: Any,
    ) -> None:
        if args is None:
            name = model if isinstance(model, str) else get_config_model_id(model.config)
            args = HICRAConfig(f"{name.split('/')[-1]}-HICRA")
        if not isinstance(args, HICRAConfig):
            raise TypeError(f"args must be a HICRAConfig, got {type(args).__name__}")
        grams = StrategicGrams.load(args.strategic_grams)
        super().__init__(model, reward_funcs, args, *others, **kwargs)
        if args.alpha > 0:
            check_token_advantages(self)
        self.labeler = PlanningTokenLabeler(self._tokenizer, grams)
        # Of the training, and of each dataset that is evaluated: baselines are never shared.
        self.dynamics = defaultdict(lambda: DynamicsMeter(len(grams)))
        ends = [*self.eos_token_ids, self._tokenizer.pad_token_id]
        processes = self.accelerator.process_index, self.accelerator.num_processes
        self._credit = CreditAssigner(args, grams, self.accelerator)
        self.add_callback(self._credit)
        self.add_callback(GramOutcomesRecorder(self._credit, grams))
        self._recorder = TokenRecorder(args, self._tokenizer, grams, self.reward_func_names, ends, *processes)
        if args.token_record:
            self.add_callback(self._recorder)

    @property
    def _meter(self) -> DynamicsMeter:
        return self.dynamics["train" if self.model.training else self._evaluated]

    @property
    def _group_size(self) -> int:
        return self.num_generations if self.model.training else self.num_generations_eval

    @property
    def _is_recorded(self) -> bool:
        return self.model.training and self._recorder.takes(self.state.global_step + 1)

    def _sample(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = self._credit.ride(super()._sample(inputs), self._rewards, self._first)
        return self._recorder.ride(batch) if self._is_recorded else batch

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super()._generate_and_score_completions(inputs)
        mask = _own_tokens(batch)
        labels = self.labeler.label(batch["completion_ids"], mask)
        batch["planning_mask"] = labels.planning_mask
        before, alpha = batch["advantages"], self._credit.alpha
        # Once per generation: a buffered batch enters the loss several times, and amplifying there would compound.
        # At alpha 0 advantages stay one per completion: TRL's losses at sequence level tell the two shapes apart, and
        # a forward pass for a choice would draw a dropout that GRPO does not.
        facts = self._credit.assign(
            batch,
            labels,
            mask,
            self._group_size,
            self.model.training,
            self._next_key,
            partial(self._scores, batch),
        )
        for name, value in facts.items():
            self._metrics[self._mode][name].append(value)
        self._meter.add_completions(labels, mask, batch["advantages"])
        if self._is_recorded:
            self._recorder.begin(self.state.global_step + 1, batch, labels, mask, before, alpha)
        return batch

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> torch.Tensor:
        rewards_per_func = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        self._first = rewards_per_func[:, 0]
        first = self._first.view(-1, self._group_size)
        self._meter.add_groups(first >= self.args.pass_threshold, ~first.isnan())
        if self._is_recorded:
            self._recorder.describe(prompts, completion_ids_list, rewards_per_func, self._rewards)
        return rewards_per_func

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> tuple:
        outputs = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if outputs[1] is not None:
            self._token_scores = outputs[0].detach(), outputs[1].detach()
        return outputs

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        loss = super()._compute_loss(model, inputs)
        mask = _own_tokens(inputs)
        self._meter.add_tokens(*self._token_scores, inputs["planning_mask"], mask)
        if self.model.training:
            self._credit.score(self._token_scores[0], inputs["planning_mask"], mask)
        if "record_row" in inputs:
            self._recorder.score(inputs["record_row"], *self._token_scores)
        del self._token_scores
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the dynamics of the window that ends here, under `hicra/`. Every rank must call it."""
        prefix = "hicra/" if self._mode == "train" else "eval_hicra/"
        logs.update({prefix + name: value for name, value in self._meter.compute(self.accelerator).items()})
        self._meter.reset()
        super().log(logs, start_time)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Saves the model, and the lexicon beside it."""
        super().save_model(output_dir, _internal_call)
        if self.args.should_save:
            self.labeler.grams.save(Path(output_dir or self.args.output_dir, LEXICON_FOLDER))

    def checkpoint_state(self) -> dict[str, Any]:
        """The perplexities that later ones are relative to, and what the credit and the sampling remember."""
        baselines = {name: meter.baselines for name, meter in self.dynamics.items()}
        credit = self._credit.checkpoint_state()
        return {"perplexity_baselines": baselines, "credit": credit, **super().checkpoint_state()}

    def restore_checkpoint(self, checkpoint: Path, state: dict[str, Any]) -> None:
        """Takes over what [`~HICRATrainer.checkpoint_state`] gave, of a run with the same lexicon."""
        check_same_lexicon(checkpoint, self.labeler.grams)
        super().restore_checkpoint(checkpoint, state)
        for name, baselines in state["perplexity_baselines"].items():
            self.dynamics[name].baselines = baselines
        # Older checkpoints have none: their credit remembered nothing.
        if "credit" in state:
            self._credit.restore(state["credit"])

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Writes TRL's model card with the credit, the settings and the numbers; after training, with a figure."""
        super().create_model_card(*args, **kwargs)
        if self.is_world_process_zero():
            path = Path(self.args.output_dir, "README.md")
            card, row = ModelCard.load(path), next(iter(cast(Iterable[dict[str, Any]], self.train_dataset)))
            prompt = None if {"image", "images"} & row.keys() else row["prompt"]
            base, logs = get_config_model_id(self.model.config), self.state.log_history
            complete_card(card, self.args, self.labeler.grams, logs, base, prompt, not self.is_in_train)
            card.save(path)


def _own_tokens(batch: dict[str, Any]) -> torch.Tensor:
    """Mask (B, T) of the tokens that the model itself wrote and that enter the loss."""
    mask = batch["completion_mask"]
    return mask * batch["tool_mask"] if "tool_mask" in batch else mask
